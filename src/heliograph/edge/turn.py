"""Clock and accounts of one question, over every attempt at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from heliograph.edge.budget import PayloadAccount
from heliograph.edge.resuming import Counters


@dataclass
class Turn:
    """One question's.

    Attributes:
        clock: seconds, ascending.
        started_s, until_s: when it was asked, and when its time is over.
        counters_before, reconnections_before: of the session, when it was asked.
        account: of its payload bytes.
        encode_ms, photo_notes, photo_changed: what encoding the photo took, and its notes.
        was_held: the photo was believed to lie in the cloud.
    """

    clock: Callable[[], float]
    started_s: float
    until_s: float
    counters_before: Counters
    reconnections_before: int
    account: PayloadAccount
    encode_ms: float = 0.0
    photo_notes: tuple[str, ...] = ()
    photo_changed: bool = False
    was_held: bool = False

    def elapsed_ms(self) -> float:
        """Since the question was asked."""
        return (self.clock() - self.started_s) * 1e3

"""How a connection that is served speaks with the door: it wants in, it showed a wrong token, it is over."""

from __future__ import annotations

import asyncio
import contextlib

from heliograph.serving.admission.door import Door, Visit
from heliograph.serving.admission.refusals import Refusals
from heliograph.serving.metrics import Metrics


class Guest:
    """One connection; this one stands at no door, and everything is allowed."""

    def admit(self, inherits: bool) -> None:
        """Note its HELLO with a valid token; ``inherits`` where it takes a session over from another connection.

        Raises:
            ServerBusyError: every place is taken.
        """

    async def refuse(self) -> None:
        """Note a missing or wrong token; returns when that may be answered, or when the connection is gone."""

    def over(self) -> None:
        """Note that its session has ended, or that there was none."""


class GuestAtDoor(Guest):
    """One connection at the door of its server.

    Args:
        visit: the connection.
        door: where it stands.
        refusals: what is known of its address.
        metrics: counts wrong tokens.
    """

    def __init__(self, visit: Visit, door: Door, refusals: Refusals, metrics: Metrics) -> None:
        self._visit, self._door, self._refusals, self._metrics = visit, door, refusals, metrics

    def admit(self, inherits: bool) -> None:
        """Give it one of the places of sessions."""
        self._door.admit(self._visit, inherits=inherits)

    async def refuse(self) -> None:
        """Let it wait."""
        self._metrics.tokens_refused_total += 1
        delay_s = self._refusals.note(self._visit.address)
        gone = asyncio.Event()
        self._visit.on_gone = gone.set
        self._door.refuse(self._visit, delay_s)
        if delay_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await gone.wait()

    def over(self) -> None:
        """Give its place back."""
        self._door.over(self._visit)

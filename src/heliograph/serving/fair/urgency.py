"""How urgent a piece of work is, beside other work of the same party. Pure.

::

    another party's turn? --shares--> which party --rank, time to answer in, age of the wait--> which session
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from heliograph.serving.jobs import Purpose

UNHURRIED_S = 10.0
"""What names no time to answer in counts as due so long after its wait began: it goes behind what is due sooner, and no
stream of hurried questions holds it up for longer."""


class Rank(IntEnum):
    """What goes first. A device waits for answers and looks; drafts are for whatever time the model has left.

    Attributes:
        ANSWER: a final answer, from the photo or from photo and region together.
        LOOK: whether, and where, to look again; the final answer comes after it.
        DRAFT: an answer while the photo still comes.
    """

    ANSWER = 0
    LOOK = 1
    DRAFT = 2


_RANKS = {
    Purpose.FINAL: Rank.ANSWER,
    Purpose.SECOND: Rank.ANSWER,
    Purpose.LOOK: Rank.LOOK,
    Purpose.DRAFT: Rank.DRAFT,
}


@dataclass(frozen=True)
class Urgency:
    """How urgent one piece of work is.

    Attributes:
        rank: what goes first.
        since_s: when its wait began.
        due_s: when the device wants its answer; infinity where it names no time.
    """

    rank: Rank
    since_s: float
    due_s: float = math.inf

    @property
    def awaited(self) -> bool:
        """A device waits for it."""
        return self.rank is not Rank.DRAFT

    def order(self, now: float) -> tuple[Rank, float]:
        """Smaller goes first: earliest time first, where it can still be kept. What is late already gains nothing by
        being done first, and would make others late."""
        unhurried_s = self.since_s + UNHURRIED_S
        return self.rank, min(self.due_s, unhurried_s) if self.due_s > now else unhurried_s


def rank_of(purpose: Purpose) -> Rank:
    """The rank of a job for a purpose."""
    return _RANKS[purpose]

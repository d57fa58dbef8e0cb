"""How long the final answers of one party wait for the model, and what is left undone for it while that is too long.

Load is a party's own: who floods the cloud makes its own answers wait, has its own drafts dropped and its own new
questions refused. Only where everybody waits is everybody's work shed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

_MEMORY = 0.25  # weight of the newest wait in the running mean
_HALF_LIFE_S = 10.0  # a wait that is over counts half after so long, where no newer one is known
_BACK_SHARE = 0.5  # of a threshold: below it, what was shed is done again


class Shed(IntEnum):
    """What is left undone, in the order in which it is.

    Attributes:
        NOTHING: everything is done.
        DRAFTS: no drafts are made.
        LOOKS: nor are regions of the original asked for.
        QUESTIONS: nor are new sessions and questions taken.
    """

    NOTHING = 0
    DRAFTS = 1
    LOOKS = 2
    QUESTIONS = 3


@dataclass(frozen=True)
class Thresholds:
    """Seconds that final answers wait, from which on something is shed.

    Attributes:
        drafts_s, looks_s, questions_s: for each; one that is below the one before counts as equal to it.
    """

    drafts_s: float = math.inf
    looks_s: float = math.inf
    questions_s: float = math.inf

    @property
    def rising(self) -> tuple[float, float, float]:
        """They in the order of shedding, never falling."""
        looks_s = max(self.drafts_s, self.looks_s)
        return self.drafts_s, looks_s, max(looks_s, self.questions_s)


class Load:
    """The smoothed queueing time of one party's final answers, and what follows from it.

    Args:
        thresholds: of the server.
    """

    def __init__(self, thresholds: Thresholds = Thresholds()) -> None:
        self._rising_s = thresholds.rising
        self._smoothed_s, self._noted_s = 0.0, -math.inf
        self._shed = Shed.NOTHING

    @property
    def known(self) -> bool:
        """Whether anything of this party ever waited."""
        return self._noted_s > -math.inf

    def note(self, waited_s: float, now: float) -> None:
        """A final answer, or a look before it, is begun after it waited so long."""
        kept = (1 - _MEMORY) * self._freshness(now)
        self._smoothed_s = kept * self._smoothed_s + (1 - kept) * waited_s
        self._noted_s = now

    def queueing_s(self, now: float) -> float:
        """Seconds that a final answer of this party is expected to wait."""
        return self._smoothed_s * self._freshness(now)

    def _freshness(self, now: float) -> float:
        """What the newest wait still counts, 1 to 0; 0 where there is none."""
        return float(2.0 ** (-max(now - self._noted_s, 0.0) / _HALF_LIFE_S))

    def shed(self, now: float) -> Shed:
        """What is left undone now. It is taken up again when the wait is half of what it was given up at."""
        waiting_s = self.queueing_s(now)
        begun = sum(waiting_s >= limit_s for limit_s in self._rising_s)
        kept = sum(waiting_s >= _BACK_SHARE * limit_s for limit_s in self._rising_s)
        self._shed = Shed(max(begun, min(self._shed, kept)))
        return self._shed

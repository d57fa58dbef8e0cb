"""A byte budget and a deadline around any controller: whatever it waits for, the question ends there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from heliograph.codec.calibration import Calibration
from heliograph.controllers.base import Controller, Decision, Enough, Observation, Wish
from heliograph.controllers.fixed import budget_bytes
from heliograph.errors import UsageError
from heliograph.registry import CONTROLLERS

_S_PER_MS = 1e-3


@dataclass(frozen=True)
class BoundedController(Controller):
    """``inner`` until a bound is reached.

    Attributes:
        inner: decides within the bounds.
        byte_budget: payload bytes at most; 0 for no bound.
        deadline_s: seconds from the question to the answer; 0 for no bound. It stops an answer's usual time before.
    """

    inner: Controller
    byte_budget: int = 0
    deadline_s: float = 0.0
    name: ClassVar[str] = "bounded"

    @classmethod
    def from_target(cls, target: int) -> Self:
        """Not one that a question can name.

        Raises:
            UsageError: always.
        """
        raise UsageError

    def reads(self) -> frozenset[str]:
        """As ``inner``."""
        return self.inner.reads()

    def decide(self, observation: Observation) -> Decision:
        """As ``inner``; enough at the budget, and when an answer begun later would miss the deadline."""
        decided = self.inner.decide(observation)
        if isinstance(decided, Enough):
            return decided
        spent = 0 < self.byte_budget <= observation.received_bytes
        late = 0 < self.deadline_s <= observation.elapsed_s + observation.answer_s
        return Enough() if spent or late else decided


def controller_for(name: str, wish: Wish, calibration: Calibration | None) -> Controller:
    """The controller behind a question's name and wish, kept within its bounds.

    Raises:
        UnknownNameError: no such controller.
        UsageError: target, budget or deadline is not one byte.
    """
    inner: Controller = CONTROLLERS.load(name).from_wish(wish, calibration)
    if not wish.byte_budget and not wish.deadline:
        return inner
    budget = max(budget_bytes(wish.byte_budget), 0)
    return BoundedController(inner, budget, max(budget_bytes(wish.deadline), 0) * _S_PER_MS)

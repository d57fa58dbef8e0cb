"""A byte budget and a time to answer in around any controller: whatever it waits for, it is enough there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from heliograph.codec.calibration import Calibration
from heliograph.controllers.base import Controller, Decision, Enough, Observation
from heliograph.errors import UsageError
from heliograph.question import Question
from heliograph.registry import CONTROLLERS


@dataclass(frozen=True)
class BoundedController(Controller):
    """``inner`` until a bound is reached.

    Attributes:
        inner: decides within the bounds.
        byte_budget: payload bytes at most; None for no bound.
        answer_within_s: seconds from the question to the answer; None for no bound. It stops an answer's usual time
            before.
    """

    inner: Controller
    byte_budget: int | None = None
    answer_within_s: float | None = None
    name: ClassVar[str] = "bounded"

    @classmethod
    def from_target(cls, target: int) -> Self:
        """Always refused: a question cannot name this controller.

        Raises:
            UsageError: always.
        """
        raise UsageError().noted("bounded wraps another controller and cannot be chosen by name.")

    def reads(self) -> frozenset[str]:
        """The same as ``inner`` reads."""
        return self.inner.reads()

    def reads_undrafted(self) -> frozenset[str]:
        """The same as ``inner`` reads then."""
        return self.inner.reads_undrafted()

    def decide(self, observation: Observation) -> Decision:
        """Decide like ``inner``; enough at the budget, and when an answer begun later would come too late."""
        decided = self.inner.decide(observation)
        if isinstance(decided, Enough):
            return decided
        spent = self.byte_budget is not None and self.byte_budget <= observation.received_bytes
        answer_at_s = observation.elapsed_s + observation.answer_s
        late = self.answer_within_s is not None and self.answer_within_s <= answer_at_s
        return Enough() if spent or late else decided


def controller_for(question: Question, calibration: Calibration | None) -> Controller:
    """The controller that a question names, kept within the question's bounds.

    Raises:
        UnknownNameError: no such controller.
    """
    inner: Controller = CONTROLLERS.load(question.effective_controller).from_question(question, calibration)
    if question.byte_budget is None and question.answer_within_s is None:
        return inner
    return BoundedController(inner, question.byte_budget, question.answer_within_s)

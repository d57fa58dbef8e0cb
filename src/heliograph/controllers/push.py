"""Let the device push at link speed until an answer is likely enough to be the one from uncompressed tokens.

No refinement waits for a round trip, and after "enough" at most what is on its way, a bandwidth-delay product, is
wasted. The chance comes from a :class:`heliograph.codec.calibration.Calibration`; min-entropy as the sign of a sure
answer is arXiv 2512.16349's, the error head is after arXiv 2604.26508.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from heliograph.codec.calibration import COMBINED, Calibration
from heliograph.controllers.base import (
    EXPECTATION,
    MAX_TARGET,
    Controller,
    Decision,
    Enough,
    Observation,
    Wait,
    checked_target,
)
from heliograph.controllers.energy import EnergyController
from heliograph.question import DEFAULT_TARGETS, Question
from heliograph.question import ENERGY as ENERGY_CONTROLLER

ERROR_HEAD = "error-head"
"""The one confidence that needs no answer: it reads what the codec predicts of a prefix."""


@dataclass(frozen=True)
class PushController(Controller):
    """Stops when the chance reaches what ``quality`` asks for, or when the image is finished.

    Attributes:
        quality: share of answers that are to be those from uncompressed tokens, 0 to 1.
        confidence: which of the calibration's chances.
        calibration: None answers from the finished image alone.
    """

    quality: float
    confidence: str = COMBINED
    calibration: Calibration | None = None
    name: ClassVar[str] = "push"
    judges_answers: ClassVar[bool] = True

    @classmethod
    def from_target(cls, target: int) -> Self:
        """``target`` / 255 is the quality."""
        return cls(checked_target(target) / MAX_TARGET)

    @classmethod
    def from_question(cls, question: Question, calibration: Calibration | None) -> Controller:
        """A controller with the cloud's calibration; without one by retained energy, which every codec knows."""
        if calibration is None:
            return EnergyController.from_target(DEFAULT_TARGETS[ENERGY_CONTROLLER])
        return cls(question.effective_target / MAX_TARGET, question.confidence, calibration)

    def reads(self) -> frozenset[str]:
        """What the codec predicts, where no draft is needed."""
        return frozenset({EXPECTATION} if self.confidence == ERROR_HEAD else ())

    def reads_undrafted(self) -> frozenset[str]:
        """What the codec predicts: without drafts there is nothing else to judge by."""
        return frozenset({EXPECTATION} if self.calibration is not None else ())

    def decide(self, observation: Observation) -> Decision:
        """Decide: enough with a likely enough draft; the error head needs none, and stops at the newest prefix. It
        judges in place of drafts where none are made."""
        if observation.image_finished:
            return Enough()
        predicted = self.confidence == ERROR_HEAD or not observation.drafting
        signals = observation.arrived if predicted else observation.draft
        if self.calibration is None or signals is None or (predicted and signals.answer_differs is None):
            return Wait()
        if not self.calibration.enough(ERROR_HEAD if predicted else self.confidence, signals, self.quality):
            return Wait()
        return Enough(take_draft=not predicted)

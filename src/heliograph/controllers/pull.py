"""Ask and wait, after arXiv 2604.26508: four chunks, and a request for each next one until the error head is content.

Kept as the policy to measure against. It is given the best case: the first chunk comes with the photo's announcement,
because there is nothing to decide before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from heliograph.codec.calibration import Calibration
from heliograph.controllers.base import (
    ENERGY,
    EXPECTATION,
    MAX_TARGET,
    Controller,
    Decision,
    Enough,
    More,
    Observation,
    Wait,
    checked_target,
)
from heliograph.controllers.push import ERROR_HEAD
from heliograph.question import Question

CHUNKS = 4


def chunk_segments(total_segments: int) -> int:
    """Segments of a chunk: a quarter of the stream, rounded up, at least 1."""
    return max(1, -(-total_segments // CHUNKS))


@dataclass(frozen=True)
class PullController(Controller):
    """Stops when the error head expects ``quality``, or when the image is finished; looks at whole chunks.

    Attributes:
        quality: chance that the answer is the one from uncompressed tokens, 0 to 1. Where no error head is known it
            is the share of token energy to retain.
        calibration: corrects the error head's chance; None takes it as it is.
    """

    quality: float
    calibration: Calibration | None = None
    name: ClassVar[str] = "pull"
    asks: ClassVar[bool] = True

    @classmethod
    def from_target(cls, target: int) -> Self:
        """``target`` / 255 is the quality."""
        return cls(checked_target(target) / MAX_TARGET)

    @classmethod
    def from_question(cls, question: Question, calibration: Calibration | None) -> Controller:
        """A controller with the cloud's calibration, where it holds one."""
        return cls(question.effective_target / MAX_TARGET, calibration)

    def reads(self) -> frozenset[str]:
        """What the codec predicts, and the energy where it predicts nothing."""
        return frozenset({EXPECTATION, ENERGY})

    def decide(self, observation: Observation) -> Decision:
        """Decide at the end of every requested chunk: enough, or a request for the next one."""
        if observation.image_finished:
            return Enough()
        chunk = chunk_segments(observation.total_segments)
        if observation.segments < (observation.asked_segments or chunk):
            return Wait()
        if self._is_good(observation):
            return Enough()
        return More(min(chunk, max(observation.total_segments - observation.segments, 1)))

    def _is_good(self, observation: Observation) -> bool:
        signals = observation.arrived
        if signals is None or signals.answer_differs is None:
            return (observation.retained_energy or 0.0) >= self.quality
        if self.calibration is not None:
            return self.calibration.enough(ERROR_HEAD, signals, self.quality)
        return 1 - signals.answer_differs >= self.quality

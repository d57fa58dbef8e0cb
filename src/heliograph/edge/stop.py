"""Where the cloud's controller will have enough, as far as the device can know it beforehand.

Controllers are pure functions of observations and the device has made the stream itself, so it can run the same
controller on its own prediction. Stopping there by itself saves what would otherwise be in flight when ENOUGH comes:
a bandwidth-delay product, more than the whole payload on a slow link.
"""

from __future__ import annotations

from collections.abc import Callable

from heliograph.codec.calibration import Calibration
from heliograph.codec.expectation import Expectation
from heliograph.controllers.base import EXPECTATION, Enough, Observation
from heliograph.controllers.bounds import controller_for
from heliograph.controllers.foresight import predicted_signals
from heliograph.controllers.pull import chunk_segments
from heliograph.question import Question
from heliograph.registry import CONTROLLERS
from heliograph.types import EncodedImage

Foresight = Callable[[EncodedImage], Expectation | None]
"""What the device's own codec predicts of a prefix and the question."""


def expected_segments(
    encoded: EncodedImage,
    question: Question,
    calibration: Calibration | None = None,
    foresee: Foresight = lambda prefix: None,
) -> int:
    """The number of segments, at least 1 where there is one, after which the question's controller will have enough.

    All of them where only the cloud can know: it judges an answer, or holds a calibration that the device does not.

    Args:
        encoded: the whole stream.
        question: as the cloud hears it.
        calibration: that the controller reads.
        foresee: what the codec predicts of a prefix.

    Raises:
        UnknownNameError: no such controller.
    """
    deciding = controller_for(question, calibration)
    total = len(encoded.segments)
    if calibration is None and CONTROLLERS.load(question.effective_controller).judges_answers:
        return total
    received_bytes = len(encoded.header)
    for count, segment in enumerate(encoded.segments, start=1):
        received_bytes += len(segment)
        energy = encoded.predicted_quality[count - 1] if encoded.predicted_quality else None
        expectation = foresee(encoded.prefix(count)) if EXPECTATION in deciding.reads() else None
        agreement = encoded.predicted_agreement[count - 1] if encoded.predicted_agreement else None
        observation = Observation(
            received_bytes,
            count,
            energy,
            image_finished=count == total,
            arrived=None if expectation is None else predicted_signals(expectation, received_bytes, question.text),
            total_segments=total,
            asked_segments=total,
            agreement=agreement,
        )
        if isinstance(deciding.decide(observation), Enough):
            return count
    return total


def chunk_end(encoded: EncodedImage, sent: int) -> int:
    """Segments up to the end of the chunk that begins after ``sent``, for a controller that asks for every chunk."""
    chunk = chunk_segments(len(encoded.segments))
    return min(len(encoded.segments), (sent // chunk + 1) * chunk)

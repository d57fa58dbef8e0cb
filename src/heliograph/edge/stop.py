"""Where the cloud's controller will have enough, as far as the device can know it beforehand.

Controllers are pure functions of observations and the device has made the stream itself, so it can run the same
controller on its own prediction. Stopping there by itself saves what would otherwise be in flight when ENOUGH comes:
a bandwidth-delay product, more than the whole payload on a slow link.
"""

from __future__ import annotations

from heliograph.controllers.base import Enough, Observation
from heliograph.registry import CONTROLLERS
from heliograph.types import EncodedImage


def expected_segments(encoded: EncodedImage, controller: str, target: int) -> int:
    """The number of segments, at least 1 where there is one, after which ``controller`` will have enough.

    Raises:
        UnknownNameError: no such controller.
        UsageError: the target is not one byte.
    """
    deciding = CONTROLLERS.load(controller).from_target(target)
    received_bytes = len(encoded.header)
    for count, segment in enumerate(encoded.segments, start=1):
        received_bytes += len(segment)
        energy = encoded.predicted_quality[count - 1] if encoded.predicted_quality else None
        observation = Observation(received_bytes, count, energy, image_finished=count == len(encoded.segments))
        if isinstance(deciding.decide(observation), Enough):
            return count
    return len(encoded.segments)

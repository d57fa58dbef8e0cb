"""What a controller sees and what it may decide. Pure: no clock, no socket, no random source.

One drawing of the loop that a controller closes::

    segments so far --cloud--> Observation --Controller.decide--> Wait (let the stream run on)
                                                             \\--> Enough (stop the device, answer now)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

from heliograph.errors import UsageError


@dataclass(frozen=True)
class Observation:
    """What the cloud knows about one question's image at one moment.

    Attributes:
        received_bytes: payload bytes that have arrived (header and segments).
        segments: whole segments that have arrived.
        retained_energy: share of the token energy that this prefix restores, 0 to 1; None where the strategy
            cannot know it (pixels).
        image_finished: the device has said that nothing more follows.
        draft_confidence: confidence of the newest draft answer, 0 to 1; None before the first draft.
    """

    received_bytes: int
    segments: int
    retained_energy: float | None = None
    image_finished: bool = False
    draft_confidence: float | None = None


@dataclass(frozen=True)
class Wait:
    """Let the stream run on; drafts may be shown meanwhile."""


@dataclass(frozen=True)
class Enough:
    """What has arrived is enough: stop the device and make the answer on this prefix the final one."""


Decision = Wait | Enough


class Controller(ABC):
    """Decides, from observations only, when what has arrived is enough for one question."""

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def from_target(cls, target: int) -> Self:
        """The controller for the one target byte of a QUESTION frame.

        Raises:
            UsageError: ``target`` is not in 0 to 255.
        """

    @abstractmethod
    def decide(self, observation: Observation) -> Decision:
        """Enough or wait. A finished image is always enough: nothing more can come."""


def checked_target(target: int) -> int:
    """``target`` if it is one byte.

    Raises:
        UsageError: ``target`` is not in 0 to 255.
    """
    if not 0 <= target <= 255:
        raise UsageError
    return target

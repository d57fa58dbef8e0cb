"""What a controller sees and what it may decide. Pure: no clock, no socket, no random source.

One drawing of the loop that a controller closes::

    segments so far --cloud--> Observation --Controller.decide--> Wait (let the stream run on)
                                                             \\--> More (the device waits for this before it goes on)
                                                             \\--> Enough (stop the device, answer now)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

from heliograph.codec.calibration import Calibration, Signals
from heliograph.errors import UsageError
from heliograph.question import MAX_TARGET as MAX_TARGET
from heliograph.question import Question

ENERGY, EXPECTATION, AGREEMENT = "energy", "expectation", "agreement"


@dataclass(frozen=True)
class Observation:
    """What the cloud knows about one question's image at one moment.

    Attributes:
        received_bytes: payload bytes that have arrived (header and segments).
        segments: whole segments that have arrived.
        retained_energy: share of the token energy that this prefix restores, 0 to 1; None where the strategy
            cannot know it (pixels).
        image_finished: the device has announced that nothing more follows.
        draft_confidence: confidence of the newest draft answer, 0 to 1; None before the first draft.
        arrived: what the codec predicts of all that has arrived (``token_error``, ``answer_differs``), without an
            answer; None where the controller does not read it.
        draft: signals of the newest draft, which was made from the same or a shorter prefix; None before the first.
        draft_segments: segments of that prefix.
        total_segments: of the whole stream; 0 where the device has not stated it.
        asked_segments: up to which segment the cloud has asked the device to go on; 0 before it asked.
        elapsed_s: seconds since the question came.
        answer_s: seconds that an answer usually takes; 0 where unknown.
        agreement: share of answers from this prefix, 0 to 1, that are expected to be those from uncompressed tokens, by
            its level; None where nobody has measured that, or the controller does not read it.
        drafting: drafts are made; False while the cloud is too busy for them, and then what a controller
            ``reads_undrafted`` is measured.
    """

    received_bytes: int
    segments: int
    retained_energy: float | None = None
    image_finished: bool = False
    draft_confidence: float | None = None
    arrived: Signals | None = None
    draft: Signals | None = None
    draft_segments: int = -1
    total_segments: int = 0
    asked_segments: int = 0
    elapsed_s: float = 0.0
    answer_s: float = 0.0
    agreement: float | None = None
    drafting: bool = True


@dataclass(frozen=True)
class Wait:
    """Let the stream run on; drafts may be shown meanwhile."""


@dataclass(frozen=True)
class More:
    """Ask a device that waits for it for so many further segments, at least 1."""

    segments: int


@dataclass(frozen=True)
class Enough:
    """What has arrived is enough: stop the device.

    Attributes:
        take_draft: the newest draft is the final answer as it is; otherwise the final answer is made from everything
            that has arrived.
    """

    take_draft: bool = False


Decision = Wait | More | Enough


class Controller(ABC):
    """Decides, from observations only, when what has arrived is enough for one question.

    Attributes:
        name: registry name, also the key of its pinned wire id.
        asks: the device sends a chunk and waits for MORE.
        judges_answers: by more than the codec tells, so that only the cloud can know when it has enough.
        wire_id: of a plug-in, its number in QUESTION frames, 12 to 15; those of Heliograph's own are in
            :mod:`heliograph.protocol.wire_ids`.
    """

    name: ClassVar[str]
    asks: ClassVar[bool] = False
    judges_answers: ClassVar[bool] = False
    wire_id: ClassVar[int | None] = None

    @classmethod
    @abstractmethod
    def from_target(cls, target: int) -> Self:
        """The controller for the one target byte of a QUESTION frame.

        Raises:
            UsageError: ``target`` is not in 0 to 255.
        """

    @classmethod
    def from_question(cls, question: Question, calibration: Calibration | None) -> Controller:
        """The controller for a question; :func:`heliograph.controllers.bounds.controller_for` keeps the question's byte
        budget and time around it.

        Args:
            question: its target, and what else this controller reads.
            calibration: None where the cloud holds none.
        """
        return cls.from_target(question.effective_target)

    def reads(self) -> frozenset[str]:
        """What is to be measured of every new prefix, of ``ENERGY``, ``EXPECTATION`` and ``AGREEMENT``; costs a
        decoding each."""
        return frozenset()

    def reads_undrafted(self) -> frozenset[str]:
        """What is to be measured in place of :meth:`reads` while the cloud is too busy for drafts."""
        return self.reads()

    @abstractmethod
    def decide(self, observation: Observation) -> Decision:
        """Decide: enough, more or wait. A finished image is always enough: nothing more can come."""


def checked_target(target: int) -> int:
    """``target`` if it is one byte.

    Raises:
        UsageError: ``target`` is not in 0 to 255.
    """
    if not 0 <= target <= MAX_TARGET:
        raise UsageError.of_argument("target", f"0 to {MAX_TARGET}", target)
    return target


def share_code(share: float) -> int:
    """The target byte for a share of 0 to 1, rounded up so that the target is never missed.

    Raises:
        UsageError: ``share`` is not within 0 to 1.
    """
    if not 0.0 <= share <= 1.0:
        raise UsageError.of_argument("share", "0 to 1", share)
    return min(MAX_TARGET, int(-(-share * MAX_TARGET // 1)))

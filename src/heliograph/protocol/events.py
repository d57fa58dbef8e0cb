"""What a session reports to its owner, one sentence each. Frozen; text in them is untrusted."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.boxes import WireBox
from heliograph.errors import HeliographError
from heliograph.protocol.frames import NO_FLAGS, AnswerFlag, HeldImage
from heliograph.question import Question


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """A device greeted with the right version and access token; ``resumed`` with its earlier session, ``resumable`` if
    this one can be taken up again."""

    bundle_hash: bytes
    resumed: bool = False
    resumable: bool = False


@dataclass(frozen=True, slots=True)
class WelcomeReceived:
    """The cloud accepted the greeting; ``bundle_hash`` is the cloud's own (8 bytes, or empty).

    ``session_token`` is empty where the session cannot be taken up again; ``held`` is what the cloud kept of a session
    that is taken up, None where this is a new one.
    """

    model_name: str
    bundle_hash: bytes
    session_token: bytes = b""
    held: tuple[HeldImage, ...] | None = None


@dataclass(frozen=True, slots=True)
class ImageAnnounced:
    """A photo begins: its strategy and its header (at most 16 bytes); segments follow, ``total_segments`` of them
    where the device says so, else 0."""

    image_id: int
    strategy: str
    header: bytes
    total_segments: int = 0


@dataclass(frozen=True, slots=True)
class QuestionAsked:
    """A question, complete, was asked about a photo that is held or (``image_follows``) is announced next."""

    question_id: int
    image_id: int
    question: Question
    image_follows: bool = False


@dataclass(frozen=True, slots=True)
class SegmentReceived:
    """The next segment of a photo arrived; ``late`` if it was on its way when the cloud said enough."""

    image_id: int
    index: int
    payload: bytes
    late: bool = False


@dataclass(frozen=True, slots=True)
class ImageFinished:
    """The device has no further segments for this photo."""

    image_id: int


@dataclass(frozen=True, slots=True)
class ImageForgotten:
    """The photo's place is free again: the device gave it up, or the session refused it half way."""

    image_id: int


@dataclass(frozen=True, slots=True)
class QuestionCancelled:
    """The device no longer wants an answer to this question."""

    question_id: int


@dataclass(frozen=True, slots=True)
class DraftReceived:
    """An answer from the first ``segments_used`` segments; a better one may follow."""

    question_id: int
    text: str
    confidence: float
    segments_used: int


@dataclass(frozen=True, slots=True)
class FinalReceived:
    """The last answer to this question, from the first ``segments_used`` segments of its photo."""

    question_id: int
    text: str
    confidence: float
    segments_used: int
    flags: AnswerFlag = NO_FLAGS


@dataclass(frozen=True, slots=True)
class EnoughReceived:
    """The cloud needs no further segments of this photo; stop sending them."""

    image_id: int


@dataclass(frozen=True, slots=True)
class MoreRequested:
    """The cloud asks for ``segments`` further segments of this photo."""

    image_id: int
    segments: int


@dataclass(frozen=True, slots=True)
class RegionRequested:
    """The cloud asks for a crop of the question's photo."""

    question_id: int
    box: WireBox


@dataclass(frozen=True, slots=True)
class CropAnnounced:
    """The crop that was asked for is this photo, held or announced next; None where it does not come."""

    question_id: int
    image_id: int | None


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """The peer reported a failure, of one question or (``question_id`` None) of the whole session."""

    error_class: type[HeliographError]
    question_id: int | None


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The session is over; ``error_class`` says why, None after an orderly end."""

    error_class: type[HeliographError] | None


Event = (
    HelloReceived
    | WelcomeReceived
    | ImageAnnounced
    | QuestionAsked
    | SegmentReceived
    | ImageFinished
    | ImageForgotten
    | QuestionCancelled
    | DraftReceived
    | FinalReceived
    | EnoughReceived
    | MoreRequested
    | RegionRequested
    | CropAnnounced
    | ErrorReceived
    | SessionClosed
)

"""The frames of the protocol and their bytes.

A frame is ``head, body``. There are two kinds of head::

    1LLLLLLL                  SEGMENT of the photo announced last, L bytes long (0 to 127): one byte
    0TTTTSSS  varint length   every other frame: type T (1 to 15), small field S (0 to 7), length of the body

The small field carries an identifier of 0 to 6; with 7 the identifier is a varint at the start of the body.
``docs/protocol.md`` has the table of every body.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from heliograph.boxes import WireBox
from heliograph.protocol.fields import read_varint, write_varint
from heliograph.protocol.limits import PROTOCOL_VERSION

SHORT_SEGMENT_FLAG = 0x80
SHORT_SEGMENT_MAX_BYTES = 127
SMALL_FIELD_MASK = 0x07
ID_IN_BODY = 7
"""Value of the small field that says: the identifier is a varint at the start of the body."""

IMAGE_FOLLOWS, OPTIONS_FOLLOW, CONTROLLER_MASK = 0x80, 0x10, 0x0F
"""Bits of a question's mode."""
CONFIDENCE_MASK, BUDGET_FOLLOWS, ANSWER_WITHIN_FOLLOWS, REGION_FOLLOWS = 0x07, 0x08, 0x10, 0x20
"""Bits of a question's options."""
HELLO_RESUMABLE, HELLO_RESUMES = 1, 2
"""Small field of HELLO: it asks for a session token; it shows one."""
WELCOME_TOKEN, WELCOME_RESUMED = 1, 2
"""Small field of WELCOME: the token of a new session follows; the session goes on, what is held follows."""
HELLO_AUTHENTICATED = 4
"""Added to the small field of HELLO: the session is authenticated by a key, a nonce and a tag follow."""
SEAL, SEAL_AND_END = 0, 1
"""First byte of a seal, whose tag follows without a length; the second kind also says IMAGE_END of the last photo."""
TOTAL_FOLLOWS = 0x80
"""Bit of a photo's strategy: the number of its segments follows."""
FLAGS_FOLLOW = 1 << 13
"""Bit of an answer's number of segments: a byte of flags follows the confidence."""


class FrameType(IntEnum):
    """Types on the wire; 0 is never sent, SEGMENT also has the one-byte head."""

    HELLO = 1
    WELCOME = 2
    QUESTION = 3
    IMAGE = 4
    SEGMENT = 5
    IMAGE_END = 6
    CANCEL = 7
    FORGET = 8
    DRAFT = 9
    FINAL = 10
    ENOUGH = 11
    MORE = 12
    REGION = 13
    ERROR = 14
    CROP = 15


class AnswerFlag(IntFlag):
    """What there is to say about an answer.

    Attributes:
        LOOKED: made from the whole photo and the region together.
        CONTROLLER_FAILED: the controller or the region policy failed; the answer that was there is kept.
        REGION_MISSED: a region was wanted and did not come, or came to nothing; the first answer is kept.
    """

    LOOKED = 1
    CONTROLLER_FAILED = 2
    REGION_MISSED = 4


NO_FLAGS = AnswerFlag(0)


@dataclass(frozen=True, slots=True)
class HelloFrame:
    """Device's greeting. For a foreign ``version`` the other fields stay empty: their layout is unknown.

    ``resumable`` asks for a session token; a ``session_token`` (16 bytes) takes that session up again. With a ``nonce``
    (8 bytes) the session is authenticated, and ``tag`` (8 bytes) vouches for the frame up to it.
    """

    bundle_hash: bytes
    access_token: str
    version: int = PROTOCOL_VERSION
    resumable: bool = False
    session_token: bytes = b""
    nonce: bytes = b""
    tag: bytes = b""


@dataclass(frozen=True, slots=True)
class HeldImage:
    """A photo of which the cloud holds the first ``segments`` segments; ``finished`` if IMAGE_END came."""

    image_id: int
    segments: int
    finished: bool


@dataclass(frozen=True, slots=True)
class WelcomeFrame:
    """Cloud's reply to HELLO: of a new session, with its token where one was asked for, or of one taken up again
    (``held`` is not None), with all that arrived of its photos."""

    bundle_hash: bytes
    model_name: str
    session_token: bytes = b""
    held: tuple[HeldImage, ...] | None = None


@dataclass(frozen=True, slots=True)
class QuestionOptions:
    """How a question is to be stopped besides its target: pinned numbers, codes of :mod:`heliograph.protocol.codes`;
    0 where nothing is stated."""

    confidence_id: int = 0
    byte_budget_code: int = 0
    answer_within_code: int = 0
    region_id: int = 0


NO_OPTIONS = QuestionOptions()


@dataclass(frozen=True, slots=True)
class QuestionFrame:
    """A question; ``text`` stays bytes so that its length is judged before it is decoded."""

    question_id: int
    image_id: int
    controller_id: int
    target: int
    max_answer_tokens: int
    image_follows: bool
    text: bytes
    options: QuestionOptions = NO_OPTIONS


@dataclass(frozen=True, slots=True)
class ImageFrame:
    """A photo begins."""

    image_id: int
    strategy_id: int
    header: bytes
    total_segments: int = 0


@dataclass(frozen=True, slots=True)
class SegmentFrame:
    """Next segment; ``image_id`` None is the photo announced last (one-byte head)."""

    image_id: int | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class AnswerFrame:
    """DRAFT or FINAL: the text is the first ``shared`` bytes of the previous draft, then ``rest``."""

    question_id: int
    segments_used: int
    confidence: int
    shared: int
    rest: bytes
    final: bool
    flags: AnswerFlag = NO_FLAGS


@dataclass(frozen=True, slots=True)
class IdFrame:
    """A frame that only names something: IMAGE_END, FORGET, ENOUGH (a photo) or CANCEL (a question)."""

    type: FrameType
    id: int


@dataclass(frozen=True, slots=True)
class LastImageEndFrame:
    """IMAGE_END of the photo announced last, said by the seal before it; never encoded by itself."""


@dataclass(frozen=True, slots=True)
class MoreFrame:
    """Cloud asks for further segments."""

    image_id: int
    segments: int


@dataclass(frozen=True, slots=True)
class RegionFrame:
    """Cloud asks for a crop of the question's photo."""

    question_id: int
    box: WireBox


@dataclass(frozen=True, slots=True)
class CropFrame:
    """Device's reply to REGION: the crop is this photo, which is held or announced next; None where it will not."""

    question_id: int
    image_id: int | None


@dataclass(frozen=True, slots=True)
class ErrorFrame:
    """A failure by its number in :func:`heliograph.errors.all_errors`; no text travels."""

    code: int
    question_id: int | None


Frame = (
    HelloFrame
    | WelcomeFrame
    | QuestionFrame
    | ImageFrame
    | SegmentFrame
    | AnswerFrame
    | IdFrame
    | LastImageEndFrame
    | MoreFrame
    | RegionFrame
    | CropFrame
    | ErrorFrame
)


def frame_type(frame: Frame) -> FrameType:
    """The wire type of a frame object."""
    match frame:
        case IdFrame():
            return frame.type
        case AnswerFrame():
            return FrameType.FINAL if frame.final else FrameType.DRAFT
        case _:
            return _TYPE_OF_CLASS[type(frame)]


_TYPE_OF_CLASS: dict[type, FrameType] = {
    HelloFrame: FrameType.HELLO,
    WelcomeFrame: FrameType.WELCOME,
    QuestionFrame: FrameType.QUESTION,
    ImageFrame: FrameType.IMAGE,
    SegmentFrame: FrameType.SEGMENT,
    LastImageEndFrame: FrameType.IMAGE_END,
    MoreFrame: FrameType.MORE,
    RegionFrame: FrameType.REGION,
    CropFrame: FrameType.CROP,
    ErrorFrame: FrameType.ERROR,
}


# ---- objects to bytes --------------------------------------------------------------------------------
def _with_head(type_: FrameType, small: int, body: bytes) -> bytes:
    return bytes([type_ << 3 | small]) + write_varint(len(body)) + body


def _with_id(type_: FrameType, identifier: int, body: bytes = b"") -> bytes:
    if identifier < ID_IN_BODY:
        return _with_head(type_, identifier, body)
    return _with_head(type_, ID_IN_BODY, write_varint(identifier) + body)


def encode_frame(frame: Frame) -> bytes:
    """The bytes of a frame; exact inverse of :func:`parse_body` behind its head.

    Raises:
        ValueError: a field is outside its range; sessions check theirs before.
    """
    match frame:
        case SegmentFrame():
            if frame.image_id is None:
                return bytes([SHORT_SEGMENT_FLAG | len(frame.payload)]) + frame.payload
            return _with_id(FrameType.SEGMENT, frame.image_id, frame.payload)
        case IdFrame():
            return _with_id(frame.type, frame.id)
        case AnswerFrame():
            flags = bytes([frame.flags]) if frame.flags else b""
            used = write_varint(frame.segments_used | (FLAGS_FOLLOW if frame.flags else 0))
            fields = used + bytes([frame.confidence]) + flags + write_varint(frame.shared)
            return _with_id(frame_type(frame), frame.question_id, fields + frame.rest)
        case QuestionFrame():
            return _with_id(FrameType.QUESTION, frame.question_id, _question_fields(frame) + frame.text)
        case ImageFrame():
            total = write_varint(frame.total_segments) if frame.total_segments else b""
            strategy = frame.strategy_id | (TOTAL_FOLLOWS if total else 0)
            return _with_id(FrameType.IMAGE, frame.image_id, bytes([strategy]) + total + frame.header)
        case HelloFrame():
            return _encode_hello(frame)
        case WelcomeFrame():
            return _encode_welcome(frame)
        case MoreFrame():
            return _with_id(FrameType.MORE, frame.image_id, write_varint(frame.segments))
        case RegionFrame():
            return _with_id(FrameType.REGION, frame.question_id, b"".join(map(write_varint, frame.box)))
        case CropFrame():
            crop = b"" if frame.image_id is None else write_varint(frame.image_id)
            return _with_id(FrameType.CROP, frame.question_id, crop)
        case ErrorFrame():
            about = b"" if frame.question_id is None else write_varint(frame.question_id)
            return _with_head(FrameType.ERROR, 0 if frame.question_id is None else 1, bytes([frame.code]) + about)
        case LastImageEndFrame():
            raise ValueError("a seal says it")


def _question_fields(frame: QuestionFrame) -> bytes:
    options = frame.options
    follows = (IMAGE_FOLLOWS if frame.image_follows else 0) | (OPTIONS_FOLLOW if options != NO_OPTIONS else 0)
    fields = write_varint(frame.image_id) + bytes([frame.controller_id | follows, frame.target])
    fields += write_varint(frame.max_answer_tokens)
    if options == NO_OPTIONS:
        return fields
    given = (
        (BUDGET_FOLLOWS, options.byte_budget_code),
        (ANSWER_WITHIN_FOLLOWS, options.answer_within_code),
        (REGION_FOLLOWS, options.region_id),
    )
    mode = options.confidence_id | sum(bit for bit, value in given if value)
    return fields + bytes([mode, *(value for _, value in given if value)])


def _encode_hello(frame: HelloFrame) -> bytes:
    small = HELLO_RESUMES if frame.session_token else HELLO_RESUMABLE if frame.resumable else 0
    small |= HELLO_AUTHENTICATED if frame.nonce else 0
    body = bytes([frame.version, len(frame.bundle_hash)]) + frame.bundle_hash + frame.session_token + frame.nonce
    return _with_head(FrameType.HELLO, small, body + frame.access_token.encode() + frame.tag)


def with_tag_room(frame: bytes, tag_bytes: int) -> bytes:
    """An encoded frame whose length counts a tag that is to be put behind its body."""
    head = read_varint(frame, 1)
    assert head is not None, "the frame is whole"
    length, start = head
    return frame[:1] + write_varint(length + tag_bytes) + frame[start:]


def _encode_welcome(frame: WelcomeFrame) -> bytes:
    body = bytes([len(frame.bundle_hash)]) + frame.bundle_hash
    small = WELCOME_RESUMED if frame.held is not None else WELCOME_TOKEN if frame.session_token else 0
    if frame.held is not None:
        body += write_varint(len(frame.held))
        body += b"".join(write_varint(h.image_id) + write_varint(h.segments << 1 | h.finished) for h in frame.held)
    else:
        body += frame.session_token
    return _with_head(FrameType.WELCOME, small, body + frame.model_name.encode())

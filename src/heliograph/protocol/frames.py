"""The frames of the protocol and their bytes.

A frame is ``head, body``. There are two kinds of head::

    1LLLLLLL                  SEGMENT of the photo announced last, L bytes long (0 to 127): one byte
    0TTTTSSS  varint length   every other frame: type T (1 to 15), small field S (0 to 7), length of the body

The small field carries an identifier of 0 to 6; with 7 the identifier is a varint at the start of the body.
``docs/protocol.md`` has the table of every body.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from heliograph.errors import FrameDamagedError, FrameTooLargeError
from heliograph.protocol.fields import FieldReader, decode_text, write_varint
from heliograph.protocol.limits import (
    BUNDLE_HASH_BYTES,
    MAX_ACCESS_TOKEN_BYTES,
    MAX_ANSWER_CHARACTERS,
    MAX_ANSWER_TOKENS,
    MAX_FRAME_BODY_BYTES,
    MAX_IMAGE_HEADER_BYTES,
    MAX_MODEL_NAME_BYTES,
    MAX_PIXEL_COORDINATE,
    MAX_SEGMENT_BYTES,
    MAX_SEGMENTS_PER_IMAGE,
    MAX_UTF8_BYTES_PER_CHARACTER,
    PROTOCOL_VERSION,
    VARINT_MAX_BYTES,
)

SHORT_SEGMENT_FLAG = 0x80
SHORT_SEGMENT_MAX_BYTES = 127
SMALL_FIELD_MASK = 0x07
ID_IN_BODY = 7
"""Value of the small field that says: the identifier is a varint at the start of the body."""

_IMAGE_FOLLOWS = 0x80
_CONTROLLER_MASK = 0x0F
_MAX_ANSWER_BYTES = MAX_ANSWER_CHARACTERS * MAX_UTF8_BYTES_PER_CHARACTER


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


_MAX_BODY_BYTES = {
    FrameType.HELLO: 2 + BUNDLE_HASH_BYTES + MAX_ACCESS_TOKEN_BYTES,
    FrameType.WELCOME: 1 + BUNDLE_HASH_BYTES + MAX_MODEL_NAME_BYTES,
    FrameType.QUESTION: MAX_FRAME_BODY_BYTES,
    FrameType.IMAGE: VARINT_MAX_BYTES + 1 + MAX_IMAGE_HEADER_BYTES,
    FrameType.SEGMENT: MAX_FRAME_BODY_BYTES,
    FrameType.IMAGE_END: VARINT_MAX_BYTES,
    FrameType.CANCEL: VARINT_MAX_BYTES,
    FrameType.FORGET: VARINT_MAX_BYTES,
    FrameType.DRAFT: 3 * VARINT_MAX_BYTES + 1 + _MAX_ANSWER_BYTES,
    FrameType.FINAL: 3 * VARINT_MAX_BYTES + 1 + _MAX_ANSWER_BYTES,
    FrameType.ENOUGH: VARINT_MAX_BYTES,
    FrameType.MORE: 2 * VARINT_MAX_BYTES,
    FrameType.REGION: 5 * VARINT_MAX_BYTES,
    FrameType.ERROR: 1 + VARINT_MAX_BYTES,
}


@dataclass(frozen=True, slots=True)
class HelloFrame:
    """Device's greeting. For a foreign ``version`` the other fields stay empty: their layout is unknown."""

    bundle_hash: bytes
    access_token: str
    version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class WelcomeFrame:
    """Cloud's reply to HELLO."""

    bundle_hash: bytes
    model_name: str


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


@dataclass(frozen=True, slots=True)
class ImageFrame:
    """A photo begins."""

    image_id: int
    strategy_id: int
    header: bytes


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


@dataclass(frozen=True, slots=True)
class IdFrame:
    """A frame that only names something: IMAGE_END, FORGET, ENOUGH (a photo) or CANCEL (a question)."""

    type: FrameType
    id: int


@dataclass(frozen=True, slots=True)
class MoreFrame:
    """Cloud asks for further segments."""

    image_id: int
    segments: int


@dataclass(frozen=True, slots=True)
class RegionFrame:
    """Cloud asks for a crop: (left, top, right, bottom) in photo pixels."""

    image_id: int
    box: tuple[int, int, int, int]


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
    | MoreFrame
    | RegionFrame
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
    MoreFrame: FrameType.MORE,
    RegionFrame: FrameType.REGION,
    ErrorFrame: FrameType.ERROR,
}


def check_body_length(type_number: int, length: int) -> None:
    """Refuse a head before its body is waited for.

    Raises:
        FrameDamagedError: no frame has this type.
        FrameTooLargeError: longer than this type may be.
    """
    most = _MAX_BODY_BYTES.get(type_number)  # type: ignore[call-overload]
    if most is None:
        raise FrameDamagedError
    if length > most:
        raise FrameTooLargeError


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
            fields = write_varint(frame.segments_used) + bytes([frame.confidence]) + write_varint(frame.shared)
            return _with_id(frame_type(frame), frame.question_id, fields + frame.rest)
        case QuestionFrame():
            mode = frame.controller_id | (_IMAGE_FOLLOWS if frame.image_follows else 0)
            fields = write_varint(frame.image_id) + bytes([mode, frame.target]) + write_varint(frame.max_answer_tokens)
            return _with_id(FrameType.QUESTION, frame.question_id, fields + frame.text)
        case ImageFrame():
            return _with_id(FrameType.IMAGE, frame.image_id, bytes([frame.strategy_id]) + frame.header)
        case HelloFrame():
            return _encode_hello(frame)
        case WelcomeFrame():
            body = bytes([len(frame.bundle_hash)]) + frame.bundle_hash + frame.model_name.encode()
            return _with_head(FrameType.WELCOME, 0, body)
        case MoreFrame():
            return _with_id(FrameType.MORE, frame.image_id, write_varint(frame.segments))
        case RegionFrame():
            return _with_id(FrameType.REGION, frame.image_id, b"".join(map(write_varint, frame.box)))
        case ErrorFrame():
            about = b"" if frame.question_id is None else write_varint(frame.question_id)
            return _with_head(FrameType.ERROR, 0 if frame.question_id is None else 1, bytes([frame.code]) + about)


def _encode_hello(frame: HelloFrame) -> bytes:
    body = bytes([frame.version, len(frame.bundle_hash)]) + frame.bundle_hash + frame.access_token.encode()
    return _with_head(FrameType.HELLO, 0, body)


# ---- bytes to objects --------------------------------------------------------------------------------
def parse_body(type_number: int, small: int, body: bytes) -> Frame:
    """The frame behind a head. ``body`` has the length that the head claimed.

    Raises:
        FrameDamagedError: unknown type, or a field is missing, out of range, or followed by extra bytes.
    """
    read = FieldReader(body)
    match type_number:
        case FrameType.SEGMENT:
            return SegmentFrame(_read_id(read, small), _at_most(read.rest(), MAX_SEGMENT_BYTES))
        case FrameType.IMAGE_END | FrameType.CANCEL | FrameType.FORGET | FrameType.ENOUGH:
            identifier = _read_id(read, small)
            read.end()
            return IdFrame(FrameType(type_number), identifier)
        case FrameType.DRAFT | FrameType.FINAL:
            return _parse_answer(read, small, final=type_number == FrameType.FINAL)
        case FrameType.QUESTION:
            return _parse_question(read, small)
        case FrameType.IMAGE:
            image_id, strategy_id = _read_id(read, small), read.byte()
            return ImageFrame(image_id, strategy_id, _at_most(read.rest(), MAX_IMAGE_HEADER_BYTES))
        case FrameType.MORE:
            more = MoreFrame(_read_id(read, small), read.varint(least=1, most=MAX_SEGMENTS_PER_IMAGE))
            read.end()
            return more
        case FrameType.REGION:
            return _parse_region(read, small)
        case FrameType.HELLO | FrameType.WELCOME | FrameType.ERROR:
            return _parse_session_frame(type_number, read, small)
        case _:
            raise FrameDamagedError


def _read_id(read: FieldReader, small: int) -> int:
    return small if small != ID_IN_BODY else read.varint(least=ID_IN_BODY)


def _at_most(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise FrameTooLargeError
    return data


def _parse_answer(read: FieldReader, small: int, *, final: bool) -> AnswerFrame:
    question_id = _read_id(read, small)
    segments_used = read.varint(most=MAX_SEGMENTS_PER_IMAGE)
    confidence = read.byte()
    shared = read.varint(most=_MAX_ANSWER_BYTES)
    return AnswerFrame(question_id, segments_used, confidence, shared, read.rest(), final)


def _parse_question(read: FieldReader, small: int) -> QuestionFrame:
    question_id, image_id, mode, target = _read_id(read, small), read.varint(), read.byte(), read.byte()
    if mode & ~(_CONTROLLER_MASK | _IMAGE_FOLLOWS):
        raise FrameDamagedError
    max_answer_tokens = read.varint(least=1, most=MAX_ANSWER_TOKENS)
    follows = bool(mode & _IMAGE_FOLLOWS)
    controller = mode & _CONTROLLER_MASK
    return QuestionFrame(question_id, image_id, controller, target, max_answer_tokens, follows, read.rest())


def _parse_region(read: FieldReader, small: int) -> RegionFrame:
    image_id = _read_id(read, small)
    left, top, right, bottom = (read.varint(most=MAX_PIXEL_COORDINATE) for _ in range(4))
    read.end()
    if left >= right or top >= bottom:
        raise FrameDamagedError
    return RegionFrame(image_id, (left, top, right, bottom))


def _parse_session_frame(type_number: int, read: FieldReader, small: int) -> Frame:
    if type_number == FrameType.ERROR:
        if small > 1:
            raise FrameDamagedError
        error = ErrorFrame(read.byte(), read.varint() if small else None)
        read.end()
        return error
    if type_number == FrameType.HELLO:
        version = read.byte()
        if version != PROTOCOL_VERSION:  # the layout behind a foreign version is not ours to judge
            return HelloFrame(b"", "", version)
    if small:
        raise FrameDamagedError
    bundle_hash = _read_bundle_hash(read)
    if type_number == FrameType.HELLO:
        return HelloFrame(bundle_hash, decode_text(_at_most(read.rest(), MAX_ACCESS_TOKEN_BYTES)))
    return WelcomeFrame(bundle_hash, decode_text(_at_most(read.rest(), MAX_MODEL_NAME_BYTES)))


def _read_bundle_hash(read: FieldReader) -> bytes:
    length = read.byte()
    if length not in (0, BUNDLE_HASH_BYTES):
        raise FrameDamagedError
    return read.take(length)

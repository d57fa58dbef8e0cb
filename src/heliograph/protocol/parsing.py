"""Bytes of a frame to its object: lengths and every field are checked before anything is kept."""

from __future__ import annotations

from itertools import pairwise

from heliograph.boxes import WireBox
from heliograph.errors import FrameDamagedError, FrameTooLargeError
from heliograph.protocol.authentication import HELLO_TAG_BYTES, NONCE_BYTES
from heliograph.protocol.fields import FieldReader, decode_text
from heliograph.protocol.frames import (
    ANSWER_WITHIN_FOLLOWS,
    BUDGET_FOLLOWS,
    CONFIDENCE_MASK,
    CONTROLLER_MASK,
    FLAGS_FOLLOW,
    HELLO_AUTHENTICATED,
    HELLO_RESUMES,
    ID_IN_BODY,
    IMAGE_FOLLOWS,
    NO_FLAGS,
    NO_OPTIONS,
    OPTIONS_FOLLOW,
    REGION_FOLLOWS,
    TOTAL_FOLLOWS,
    WELCOME_RESUMED,
    WELCOME_TOKEN,
    AnswerFlag,
    AnswerFrame,
    CropFrame,
    ErrorFrame,
    Frame,
    FrameType,
    HeldImage,
    HelloFrame,
    IdFrame,
    ImageFrame,
    MoreFrame,
    QuestionFrame,
    QuestionOptions,
    RegionFrame,
    SegmentFrame,
    WelcomeFrame,
)
from heliograph.protocol.limits import (
    BUNDLE_HASH_BYTES,
    MAX_ACCESS_TOKEN_BYTES,
    MAX_ANSWER_CHARACTERS,
    MAX_ANSWER_TOKENS,
    MAX_FRAME_BODY_BYTES,
    MAX_IMAGE_HEADER_BYTES,
    MAX_IMAGES,
    MAX_MODEL_NAME_BYTES,
    MAX_SEGMENT_BYTES,
    MAX_SEGMENTS_PER_IMAGE,
    MAX_UTF8_BYTES_PER_CHARACTER,
    PROTOCOL_VERSION,
    REGION_SCALE,
    SESSION_TOKEN_BYTES,
    VARINT_MAX_BYTES,
)

_MAX_ANSWER_BYTES = MAX_ANSWER_CHARACTERS * MAX_UTF8_BYTES_PER_CHARACTER
_MAX_HELD_BYTES = 1 + MAX_IMAGES * (VARINT_MAX_BYTES + 2)
_ALL_FLAGS = int(AnswerFlag.LOOKED | AnswerFlag.CONTROLLER_FAILED | AnswerFlag.REGION_MISSED)

_MAX_BODY_BYTES = {
    FrameType.HELLO: 2
    + BUNDLE_HASH_BYTES
    + SESSION_TOKEN_BYTES
    + NONCE_BYTES
    + MAX_ACCESS_TOKEN_BYTES
    + HELLO_TAG_BYTES,
    FrameType.WELCOME: 1 + BUNDLE_HASH_BYTES + _MAX_HELD_BYTES + MAX_MODEL_NAME_BYTES,
    FrameType.QUESTION: MAX_FRAME_BODY_BYTES,
    FrameType.IMAGE: 2 * VARINT_MAX_BYTES + 1 + MAX_IMAGE_HEADER_BYTES,
    FrameType.SEGMENT: MAX_FRAME_BODY_BYTES,
    FrameType.IMAGE_END: VARINT_MAX_BYTES,
    FrameType.CANCEL: VARINT_MAX_BYTES,
    FrameType.FORGET: VARINT_MAX_BYTES,
    FrameType.DRAFT: 3 * VARINT_MAX_BYTES + 2 + _MAX_ANSWER_BYTES,
    FrameType.FINAL: 3 * VARINT_MAX_BYTES + 2 + _MAX_ANSWER_BYTES,
    FrameType.ENOUGH: VARINT_MAX_BYTES,
    FrameType.MORE: 2 * VARINT_MAX_BYTES,
    FrameType.REGION: 5 * VARINT_MAX_BYTES,
    FrameType.CROP: 2 * VARINT_MAX_BYTES,
    FrameType.ERROR: 1 + VARINT_MAX_BYTES,
}


def max_body_bytes(type_number: int) -> int:
    """Bytes that the body of a frame of this type may have, so that a head is judged before its body is waited for.

    Raises:
        FrameDamagedError: no frame has this type.
    """
    most: int | None = _MAX_BODY_BYTES.get(type_number)  # type: ignore[call-overload]
    if most is None:
        raise FrameDamagedError
    return most


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
            return _parse_image(read, small)
        case FrameType.MORE:
            more = MoreFrame(_read_id(read, small), read.varint(minimum=1, maximum=MAX_SEGMENTS_PER_IMAGE))
            read.end()
            return more
        case FrameType.REGION:
            return _parse_region(read, small)
        case FrameType.CROP:
            return _parse_crop(read, small)
        case FrameType.HELLO | FrameType.WELCOME | FrameType.ERROR:
            return _parse_session_frame(type_number, read, small)
        case _:
            raise FrameDamagedError


def _read_id(read: FieldReader, small: int) -> int:
    return small if small != ID_IN_BODY else read.varint(minimum=ID_IN_BODY)


def _at_most(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise FrameTooLargeError
    return data


def _parse_image(read: FieldReader, small: int) -> ImageFrame:
    image_id, strategy = _read_id(read, small), read.byte()
    total = read.varint(minimum=1, maximum=MAX_SEGMENTS_PER_IMAGE) if strategy & TOTAL_FOLLOWS else 0
    return ImageFrame(image_id, strategy & ~TOTAL_FOLLOWS, _at_most(read.rest(), MAX_IMAGE_HEADER_BYTES), total)


def _parse_answer(read: FieldReader, small: int, *, final: bool) -> AnswerFrame:
    question_id = _read_id(read, small)
    flagged = read.varint()
    segments_used, confidence = flagged & ~FLAGS_FOLLOW, read.byte()
    if segments_used > MAX_SEGMENTS_PER_IMAGE:
        raise FrameDamagedError
    flags = NO_FLAGS
    if flagged & FLAGS_FOLLOW:
        flags = AnswerFlag(_bits(read.byte(), _ALL_FLAGS))
        if not flags:
            raise FrameDamagedError
    shared = read.varint(maximum=_MAX_ANSWER_BYTES)
    return AnswerFrame(question_id, segments_used, confidence, shared, read.rest(), final, flags)


def _bits(byte: int, known: int) -> int:
    """``byte`` if it has no other bits than ``known``: what the rest may mean one day is not ours to guess."""
    if byte & ~known:
        raise FrameDamagedError
    return byte


def _parse_question(read: FieldReader, small: int) -> QuestionFrame:
    question_id, image_id = _read_id(read, small), read.varint()
    mode = _bits(read.byte(), CONTROLLER_MASK | IMAGE_FOLLOWS | OPTIONS_FOLLOW)
    target = read.byte()
    max_answer_tokens = read.varint(minimum=1, maximum=MAX_ANSWER_TOKENS)
    options = _parse_options(read) if mode & OPTIONS_FOLLOW else NO_OPTIONS
    follows, controller = bool(mode & IMAGE_FOLLOWS), mode & CONTROLLER_MASK
    return QuestionFrame(question_id, image_id, controller, target, max_answer_tokens, follows, read.rest(), options)


def _parse_options(read: FieldReader) -> QuestionOptions:
    mode = _bits(read.byte(), CONFIDENCE_MASK | BUDGET_FOLLOWS | ANSWER_WITHIN_FOLLOWS | REGION_FOLLOWS)
    if mode == 0:
        raise FrameDamagedError
    budget, answer_within, region = (
        _not_zero(read.byte()) if mode & bit else 0 for bit in (BUDGET_FOLLOWS, ANSWER_WITHIN_FOLLOWS, REGION_FOLLOWS)
    )
    return QuestionOptions(mode & CONFIDENCE_MASK, budget, answer_within, region)


def _not_zero(byte: int) -> int:
    if byte == 0:
        raise FrameDamagedError
    return byte


def _parse_region(read: FieldReader, small: int) -> RegionFrame:
    question_id = _read_id(read, small)
    left, top, right, bottom = (read.varint(maximum=REGION_SCALE) for _ in range(4))
    read.end()
    if left >= right or top >= bottom:
        raise FrameDamagedError
    return RegionFrame(question_id, WireBox(left, top, right, bottom))


def _parse_crop(read: FieldReader, small: int) -> CropFrame:
    question_id, data = _read_id(read, small), read.rest()
    if not data:
        return CropFrame(question_id, None)
    image = FieldReader(data)
    crop = CropFrame(question_id, image.varint())
    image.end()
    return crop


def _parse_session_frame(type_number: int, read: FieldReader, small: int) -> Frame:
    if type_number == FrameType.ERROR:
        if small > 1:
            raise FrameDamagedError
        error = ErrorFrame(read.byte(), read.varint() if small else None)
        read.end()
        return error
    if type_number == FrameType.HELLO:
        return _parse_hello(read, small)
    return _parse_welcome(read, small)


def _parse_hello(read: FieldReader, small: int) -> HelloFrame:
    version = read.byte()
    if version != PROTOCOL_VERSION:  # the layout behind a foreign version is not ours to judge
        return HelloFrame(b"", "", version)
    authenticated, asks = bool(small & HELLO_AUTHENTICATED), small & ~HELLO_AUTHENTICATED
    if asks > HELLO_RESUMES:
        raise FrameDamagedError
    bundle_hash = _read_bundle_hash(read)
    session_token = read.take(SESSION_TOKEN_BYTES) if asks == HELLO_RESUMES else b""
    nonce, rest, tag = read.take(NONCE_BYTES) if authenticated else b"", read.rest(), b""
    if authenticated:
        if len(rest) < HELLO_TAG_BYTES:
            raise FrameDamagedError
        rest, tag = rest[:-HELLO_TAG_BYTES], rest[-HELLO_TAG_BYTES:]
    access_token = decode_text(_at_most(rest, MAX_ACCESS_TOKEN_BYTES))
    return HelloFrame(bundle_hash, access_token, version, asks != 0, session_token, nonce, tag)


def _parse_welcome(read: FieldReader, small: int) -> WelcomeFrame:
    if small > WELCOME_RESUMED:
        raise FrameDamagedError
    bundle_hash = _read_bundle_hash(read)
    session_token = read.take(SESSION_TOKEN_BYTES) if small == WELCOME_TOKEN else b""
    held = _read_held(read) if small == WELCOME_RESUMED else None
    return WelcomeFrame(bundle_hash, decode_text(_at_most(read.rest(), MAX_MODEL_NAME_BYTES)), session_token, held)


def _read_held(read: FieldReader) -> tuple[HeldImage, ...]:
    held = []
    for _ in range(read.varint(maximum=MAX_IMAGES)):
        image_id, state = read.varint(), read.varint(maximum=MAX_SEGMENTS_PER_IMAGE << 1 | 1)
        held.append(HeldImage(image_id, state >> 1, bool(state & 1)))
    if any(later.image_id <= earlier.image_id for earlier, later in pairwise(held)):
        raise FrameDamagedError
    return tuple(held)


def _read_bundle_hash(read: FieldReader) -> bytes:
    length = read.byte()
    if length not in (0, BUNDLE_HASH_BYTES):
        raise FrameDamagedError
    return read.take(length)

"""The largest and smallest of every field that the parser takes, and the next one, which it refuses.

The numbers are those of ``docs/protocol.md``, written out.
"""

from __future__ import annotations

import pytest

from heliograph.boxes import WireBox
from heliograph.errors import FrameDamagedError, FrameTooLargeError
from heliograph.protocol.authentication import FROM_CLOUD, Chain
from heliograph.protocol.buffer import FrameBuffer
from heliograph.protocol.fields import FieldReader, read_varint, write_varint
from heliograph.protocol.frames import (
    AnswerFlag,
    AnswerFrame,
    ErrorFrame,
    Frame,
    FrameType,
    HeldImage,
    HelloFrame,
    IdFrame,
    ImageFrame,
    LastImageEndFrame,
    MoreFrame,
    QuestionFrame,
    QuestionOptions,
    RegionFrame,
    WelcomeFrame,
    encode_frame,
    with_tag_room,
)
from heliograph.protocol.sealed_buffer import TaggedFrameBuffer

MIB = 1 << 20
ID = 4  # bytes of the longest varint
LONGEST = {
    FrameType.HELLO: 1 + 1 + 8 + 16 + 8 + 256 + 8,  # version, hash, session token, nonce, access token, tag
    FrameType.WELCOME: 1 + 8 + 1 + 64 * (ID + 2) + 128,  # hash, held photos, model name
    FrameType.QUESTION: MIB + ID,
    FrameType.IMAGE: ID + 1 + ID + 16,
    FrameType.SEGMENT: MIB + ID,
    FrameType.IMAGE_END: ID,
    FrameType.CANCEL: ID,
    FrameType.FORGET: ID,
    FrameType.DRAFT: ID + ID + 1 + 1 + ID + 4 * 4000,  # id, segments, confidence, flags, shared, text
    FrameType.FINAL: ID + ID + 1 + 1 + ID + 4 * 4000,
    FrameType.ENOUGH: ID,
    FrameType.MORE: ID + ID,
    FrameType.REGION: ID + 4 * ID,
    FrameType.ERROR: 1 + ID,
    FrameType.CROP: ID + ID,
}


def varint(value: int) -> bytes:
    """Seven bits a byte, low bits first."""
    return bytes((value,)) if value < 128 else bytes((value % 128 + 128,)) + varint(value // 128)


def whole(type_: FrameType, body: bytes, small: int = 0) -> bytes:
    return bytes([type_ * 8 + small]) + varint(len(body)) + body


def parsed(data: bytes) -> Frame:
    (frame,) = FrameBuffer().feed(data)
    return frame


@pytest.mark.parametrize("type_", list(FrameType))
def test_a_length_is_judged_to_the_byte(type_: FrameType) -> None:
    head, most = bytes([type_ * 8]), LONGEST[type_]
    assert list(FrameBuffer().feed(head + varint(most))) == []
    with pytest.raises(FrameTooLargeError):
        list(FrameBuffer().feed(head + varint(most + 1)))


@pytest.mark.parametrize("type_", list(FrameType))
def test_a_tag_of_four_bytes_has_its_room_behind_the_longest_body(type_: FrameType) -> None:
    def tagged() -> TaggedFrameBuffer:
        return TaggedFrameBuffer(Chain(bytes(16), FROM_CLOUD))

    head, most = bytes([type_ * 8]), LONGEST[type_] + 4
    assert list(tagged().feed(head + varint(most))) == []
    with pytest.raises(FrameTooLargeError):
        list(tagged().feed(head + varint(most + 1)))


NONCE, TAG = b"8 random", b"the tag."
ALLOWED: list[tuple[str, Frame]] = [
    ("48 04 8020 00 00", AnswerFrame(0, 4096, 0, 0, b"", False)),
    ("48 05 8060 00 01 00", AnswerFrame(0, 4096, 0, 0, b"", False, AnswerFlag.LOOKED)),
    ("50 05 8140 01 07 00", AnswerFrame(0, 1, 1, 0, b"", True, AnswerFlag(7))),
    ("48 05 00 00 807d 61", AnswerFrame(0, 0, 0, 16_000, b"a", False)),
    ("60 01 01", MoreFrame(0, 1)),
    ("60 02 8020", MoreFrame(0, 4096)),
    ("18 06 00 01 00 8008 61", QuestionFrame(0, 0, 1, 0, 1024, False, b"a")),
    ("18 05 00 0f ff 01 61", QuestionFrame(0, 0, 15, 255, 1, False, b"a")),
    ("18 06 00 90 01 01 07 61", QuestionFrame(0, 0, 0, 1, 1, True, b"a", QuestionOptions(7))),
    ("18 08 00 10 01 01 18 01 ff 61", QuestionFrame(0, 0, 0, 1, 1, False, b"a", QuestionOptions(0, 1, 255))),
    ("18 07 00 10 01 01 20 ff 61", QuestionFrame(0, 0, 0, 1, 1, False, b"a", QuestionOptions(region_id=255))),
    ("20 02 81 01", ImageFrame(0, 1, b"", 1)),
    ("20 03 ff 8020", ImageFrame(0, 127, b"", 4096)),
    ("20 11 01" + "bb" * 16, ImageFrame(0, 1, b"\xbb" * 16)),
    ("36 00", IdFrame(FrameType.IMAGE_END, 6)),
    ("37 01 07", IdFrame(FrameType.IMAGE_END, 7)),
    ("68 06 00 00 8008 8008", RegionFrame(0, WireBox(0, 0, 1024, 1024))),
    ("68 06 ff07 04 8008 05", RegionFrame(0, WireBox(1023, 4, 1024, 5))),
    ("70 01 ff", ErrorFrame(255, None)),
    ("71 02 00 00", ErrorFrame(0, 0)),
    ("12 06 00 01 05 8140 6d", WelcomeFrame(b"", "m", held=(HeldImage(5, 4096, True),))),
    ("12 06 00 02 05 00 06 00", WelcomeFrame(b"", "", held=(HeldImage(5, 0, False), HeldImage(6, 0, False)))),
    ("0c 12 02 00" + (NONCE + TAG).hex(), HelloFrame(b"", "", nonce=NONCE, tag=TAG)),
    ("0d 13 02 00" + (NONCE + b"t" + TAG).hex(), HelloFrame(b"", "t", resumable=True, nonce=NONCE, tag=TAG)),
    ("08 05 01 ff ff ff ff", HelloFrame(b"", "", 1)),  # another version: its fields are not looked at
    ("0f 01 03", HelloFrame(b"", "", 3)),
]


@pytest.mark.parametrize(("text", "frame"), ALLOWED)
def test_the_last_value_of_a_field_is_allowed(text: str, frame: Frame) -> None:
    assert parsed(bytes.fromhex(text)) == frame
    if not isinstance(frame, HelloFrame) or frame.version == 2:
        assert encode_frame(frame) == bytes.fromhex(text)


@pytest.mark.parametrize(
    "text",
    [
        "48 05 8160 00 01 00",  # 4097 segments, and flags
        "48 05 818001 00 00",  # bit 14 of the segments
        "48 05 00 00 817d 61",  # 16,001 bytes shared
        "60 02 8120",  # 4097 further segments
        "60 02 01 00",  # a byte behind MORE
        "68 06 00 00 8108 8008",  # 1025 to the right
        "68 06 00 00 8008 8108",
        "68 06 8008 00 8008 05",  # no width at the right edge
        "68 05 00 00 05 05 00",  # a byte behind the region
        "71 03 00 00 00",  # a byte behind an error
        "12 06 00 02 06 00 05 00",  # held photos that go down
        "0c 11 02 00" + "00" * 15,  # a tag of seven bytes
        "0f 2b 02 00" + "00" * 41,  # no such greeting, and a key
        "08 01 02",  # no bundle hash
        "10 00",
    ],
)
def test_the_value_behind_it_is_damage(text: str) -> None:
    with pytest.raises(FrameDamagedError):
        parsed(bytes.fromhex(text))


def test_access_tokens_and_model_names_are_bounded_to_the_byte() -> None:
    assert parsed(whole(FrameType.HELLO, b"\x02\x00" + b"a" * 256)) == HelloFrame(b"", "a" * 256)
    assert parsed(whole(FrameType.WELCOME, b"\x00" + b"m" * 128)) == WelcomeFrame(b"", "m" * 128)
    for data in (
        whole(FrameType.HELLO, b"\x02\x00" + b"a" * 257),
        whole(FrameType.WELCOME, b"\x00" + b"m" * 129),
        whole(FrameType.IMAGE, b"\x01" + b"h" * 17),
    ):
        with pytest.raises(FrameTooLargeError):
            parsed(data)


@pytest.mark.parametrize("length", [1, 7, 9])
def test_a_bundle_hash_has_eight_bytes_or_none(length: int) -> None:
    """At the head of WELCOME, with a text of as many bytes behind it that nothing would be missing."""
    with pytest.raises(FrameDamagedError):
        parsed(whole(FrameType.WELCOME, bytes((length,)) + b"h" * length + b"model"))


def test_sixty_four_photos_can_be_held() -> None:
    held = b"".join(varint(image_id) + b"\x02" for image_id in range(64))
    frame = parsed(whole(FrameType.WELCOME, b"\x00" + varint(64) + held, small=2))
    assert isinstance(frame, WelcomeFrame)
    assert frame.held == tuple(HeldImage(image_id, 1, False) for image_id in range(64))


@pytest.mark.parametrize(
    ("value", "wire"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (16_384, "808001"), (2**28 - 1, "ffffff7f")],
)
def test_varints_both_ways(value: int, wire: str) -> None:
    data = bytes.fromhex(wire)
    assert write_varint(value) == data
    assert read_varint(b"xx" + data + b"y", 2) == (value, 2 + len(data))
    for cut in range(len(data)):
        assert read_varint(data[:cut], 0) is None


@pytest.mark.parametrize("value", [-1, 2**28])
def test_a_varint_holds_28_bits(value: int) -> None:
    with pytest.raises(ValueError, match=r"0 to 2\*\*28 - 1"):
        write_varint(value)


@pytest.mark.parametrize("wire", ["8000", "ff8000", "8080808001", "ffffffff"])
def test_a_varint_has_its_shortest_form_and_at_most_four_bytes(wire: str) -> None:
    with pytest.raises(FrameDamagedError):
        read_varint(bytes.fromhex(wire), 0)


def test_fields_are_read_in_order_and_to_the_end() -> None:
    read = FieldReader(b"\x05\x81\x01abcd")
    assert (read.byte(), read.varint(minimum=129, maximum=129), read.take(2)) == (5, 129, b"ab")
    with pytest.raises(FrameDamagedError):
        read.end()
    with pytest.raises(FrameDamagedError):
        read.take(3)
    assert (read.rest(), read.rest()) == (b"cd", b"")
    read.end()
    with pytest.raises(FrameDamagedError):
        read.byte()
    for bounds in ({"minimum": 6}, {"maximum": 4}):
        with pytest.raises(FrameDamagedError):
            FieldReader(b"\x05").varint(**bounds)


def test_a_tag_can_make_the_length_longer() -> None:
    body = bytes(124)
    assert with_tag_room(whole(FrameType.DRAFT, body[:123]), 4) == b"\x48\x7f" + body[:123]
    assert with_tag_room(whole(FrameType.DRAFT, body), 4) == b"\x48\x80\x01" + body


def test_the_end_that_a_seal_says_has_no_bytes_of_its_own() -> None:
    with pytest.raises(ValueError, match="seal"):
        encode_frame(LastImageEndFrame())

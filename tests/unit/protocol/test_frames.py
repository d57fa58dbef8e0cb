"""Golden bytes of every frame, and what the parser refuses."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.boxes import WireBox
from heliograph.errors import FrameDamagedError, FrameTooLargeError
from heliograph.protocol.buffer import FrameBuffer
from heliograph.protocol.frames import (
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
    encode_frame,
    frame_type,
)

HASH = bytes(range(8))
TOKEN = bytes(range(16, 32))

# Golden vectors: a change here is a change of the wire format and belongs in the CHANGELOG.
GOLDEN: list[tuple[Frame, str]] = [
    (HelloFrame(HASH, "key"), "08 0d 02 08 0001020304050607 6b6579"),
    (HelloFrame(b"", ""), "08 02 02 00"),
    (HelloFrame(b"", "key", resumable=True), "09 05 02 00 6b6579"),
    (HelloFrame(b"", "key", resumable=True, session_token=TOKEN), f"0a 15 02 00 {TOKEN.hex()} 6b6579"),
    (WelcomeFrame(HASH, "reference"), "10 12 08 0001020304050607 7265666572656e6365"),
    (WelcomeFrame(b"", "ref", TOKEN), f"11 14 00 {TOKEN.hex()} 726566"),
    (WelcomeFrame(b"", "ref", held=()), "12 05 00 00 726566"),
    (WelcomeFrame(b"", "", held=(HeldImage(1, 3, False), HeldImage(300, 64, True))), "12 08 00 02 01 06 ac02 8101"),
    (QuestionFrame(0, 0, 1, 230, 64, True, b"what?"), "18 09 00 81 e6 40 77 68 61 74 3f"),
    (QuestionFrame(300, 129, 0, 7, 1000, False, b"?"), "1f 09 ac02 8101 00 07 e807 3f"),
    (QuestionFrame(0, 0, 2, 243, 64, True, b"?", QuestionOptions(confidence_id=4)), "18 06 00 92 f3 40 04 3f"),
    (QuestionFrame(1, 0, 2, 243, 64, False, b"?", QuestionOptions(0, 99, 133, 4)), "19 09 00 12 f3 40 38 63 85 04 3f"),
    (ImageFrame(3, 1, b"\xaa\xbb"), "23 03 01 aa bb"),
    (ImageFrame(3, 1, b"\xaa", 300), "23 04 81 ac02 aa"),
    (ImageFrame(7, 2, b""), "27 02 07 02"),
    (SegmentFrame(None, b"\x01\x02"), "82 0102"),
    (SegmentFrame(None, b""), "80"),
    (SegmentFrame(6, b"\x01" * 128), "2e 8001 " + "01" * 128),
    (IdFrame(FrameType.IMAGE_END, 0), "30 00"),
    (IdFrame(FrameType.CANCEL, 2), "3a 00"),
    (IdFrame(FrameType.FORGET, 2**28 - 1), "47 04 ffffff7f"),
    (AnswerFrame(1, 12, 255, 4, b"red", False), "49 06 0c ff 04 726564"),
    (AnswerFrame(1, 300, 0, 0, b"", True), "51 04 ac02 00 00"),
    (AnswerFrame(1, 20, 255, 3, b"", True, AnswerFlag.CONTROLLER_FAILED), "51 05 9440 ff 02 03"),
    (IdFrame(FrameType.ENOUGH, 1), "59 00"),
    (MoreFrame(1, 5), "61 01 05"),
    (RegionFrame(1, WireBox(0, 8, 200, 512)), "69 06 00 08 c801 8004"),
    (CropFrame(1, 9), "79 01 09"),
    (CropFrame(300, None), "7f 02 ac02"),
    (ErrorFrame(33, None), "70 01 21"),
    (ErrorFrame(21, 300), "71 03 15 ac02"),
]


def feed(data: bytes) -> list[Frame]:
    return list(FrameBuffer().feed(data))


@pytest.mark.parametrize(("frame", "text"), GOLDEN)
def test_golden_bytes_both_ways(frame: Frame, text: str) -> None:
    data = bytes.fromhex(text)
    assert encode_frame(frame) == data
    assert feed(data) == [frame]


def test_every_frame_type_has_a_golden_vector() -> None:
    assert {frame_type(frame) for frame, _ in GOLDEN} == set(FrameType)


@pytest.mark.parametrize(("frame", "text"), GOLDEN)
def test_a_truncated_frame_waits_and_then_completes(frame: Frame, text: str) -> None:
    data = bytes.fromhex(text)
    for cut in range(1, len(data)):
        buffer = FrameBuffer()
        assert list(buffer.feed(data[:cut])) == []
        assert buffer.held_bytes == cut
        assert list(buffer.feed(data[cut:])) == [frame]
        assert buffer.held_bytes == 0


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(st.lists(st.sampled_from([frame for frame, _ in GOLDEN]), max_size=12), st.integers(0, 2**32))
def test_any_portions_give_the_same_frames(frames: list[Frame], seed: int) -> None:
    source = random.Random(seed)
    data = b"".join(map(encode_frame, frames))
    buffer, found, position = FrameBuffer(), [], 0
    while position < len(data):
        size = source.randint(1, 9)
        found += buffer.feed(data[position : position + size])
        position += size
    assert found == frames


@pytest.mark.parametrize("first", [number << 3 | small for number in (0,) for small in range(8)])
def test_an_unknown_type_is_refused_at_its_first_byte(first: int) -> None:
    with pytest.raises(FrameDamagedError):
        feed(bytes([first]))


@pytest.mark.parametrize("type_", list(FrameType))
def test_a_length_beyond_the_bound_is_refused_before_the_body(type_: FrameType) -> None:
    buffer = FrameBuffer()
    with pytest.raises(FrameTooLargeError):
        list(buffer.feed(bytes([type_ << 3]) + bytes.fromhex("ffffff7f")))  # claims 256 MiB
    assert buffer.held_bytes <= 5


@pytest.mark.parametrize(
    "head", ["08 ab02", "10 8b04", "20 1a", "30 05", "40 05", "58 05", "60 09", "68 15", "70 06", "78 09"]
)
def test_one_byte_beyond_the_bound_of_its_type_is_refused_at_the_head(head: str) -> None:
    data = bytearray.fromhex(head)
    with pytest.raises(FrameTooLargeError):
        feed(bytes(data))
    data[1] -= 1
    assert feed(bytes(data)) == []


@pytest.mark.parametrize("length", ["80808080808040", "ffffffffffffff7f", "ffffffffff"])
def test_terabytes_do_not_fit_a_length(length: str) -> None:
    with pytest.raises(FrameDamagedError):
        feed(bytes([FrameType.SEGMENT << 3]) + bytes.fromhex(length))


@pytest.mark.parametrize(
    "text",
    [
        "30 8000",  # length not in its shortest form
        "30 01 00",  # extra byte behind the fields
        "37 01 06",  # identifier in the body that would fit the head
        "37 00",  # identifier missing
        "08 02 02 07",  # bundle hash of 7 bytes claimed
        "08 05 02 08 000000",  # bundle hash cut off
        "08 03 02 00 ff",  # token is not UTF-8
        "0b 02 02 00",  # unknown form of greeting
        "0a 08 02 00 000000000000",  # session token cut off
        "11 08 00 00000000000000",  # session token cut off
        "13 01 00",  # unknown form of welcome
        "12 02 00 41",  # 65 photos held
        "12 06 00 02 05 02 05 02",  # the same photo twice
        "12 05 00 01 05 8240",  # 4097 segments held
        "18 06 00 91 f3 40 00 61",  # options that say nothing
        "18 07 00 91 f3 40 40 61 61",  # unknown option
        "18 07 00 91 f3 40 08 00 61",  # a budget of nothing
        "18 05 00 91 f3 40 20",  # region policy missing
        "20 02 81 00",  # a photo of no segments
        "20 03 81 8120",  # 4097 segments
        "50 05 9440 ff 00 03",  # flags that say nothing
        "50 05 9440 ff 08 03",  # unknown flag
        "78 02 09 00",  # extra byte behind the crop's photo
        "78 02 8900",  # photo id not in its shortest form
        "10 02 00 ff",  # model name is not UTF-8
        "18 05 00 41 e6 40 61",  # unknown mode bit
        "18 05 00 01 e6 00 61",  # no answer tokens at all
        "18 06 00 01 e6 8108 61",  # 1025 answer tokens
        "20 00",  # photo without strategy
        "48 02 00 00",  # draft without shared length
        "49 04 8120 00 00",  # 4097 segments used
        "60 01 00",  # zero further segments
        "68 04 05 00 05 09",  # region without width
        "68 04 00 09 05 09",  # region without height
        "70 00",  # error without number
        "71 01 21",  # error whose question is missing
        "72 01 21",  # unknown error form
    ],
)
def test_fields_out_of_order_or_range_are_damage(text: str) -> None:
    with pytest.raises(FrameDamagedError):
        feed(bytes.fromhex(text))


def test_segment_and_header_sizes_are_bounded_to_the_byte() -> None:
    largest = SegmentFrame(0, b"\0" * (1 << 20))
    assert feed(encode_frame(largest)) == [largest]
    with pytest.raises(FrameTooLargeError):
        feed(encode_frame(SegmentFrame(0, b"\0" * ((1 << 20) + 1))))
    with pytest.raises(FrameTooLargeError):
        feed(encode_frame(ImageFrame(0, 1, b"\0" * 17)))


def test_frames_before_the_damage_are_still_given() -> None:
    frames = FrameBuffer().feed(bytes.fromhex("82 0102 30 01 00"))
    assert next(frames) == SegmentFrame(None, b"\x01\x02")
    with pytest.raises(FrameDamagedError):
        next(frames)

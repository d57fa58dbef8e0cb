"""What a buffer holds and still misses of a frame, in numbers."""

from __future__ import annotations

import pytest

from heliograph.errors import FrameDamagedError, FrameTooLargeError
from heliograph.protocol.buffer import FrameBuffer
from heliograph.protocol.frames import SegmentFrame, encode_frame

SEGMENT = bytes([5 << 3])


def fed(buffer: FrameBuffer, data: bytes) -> tuple[list[object], int, int]:
    """Frames, and how many bytes are held and missing after them."""
    frames: list[object] = list(buffer.feed(data))
    assert buffer.unfinished_bytes == buffer.held_bytes
    return frames, buffer.held_bytes, buffer.missing_bytes


def test_nothing_is_held_or_missing_before_anything_came() -> None:
    buffer = FrameBuffer()
    assert (buffer.held_bytes, buffer.missing_bytes, buffer.unfinished_bytes) == (0, 0, 0)


def test_a_short_segment_misses_what_its_one_byte_head_says() -> None:
    buffer = FrameBuffer()
    assert fed(buffer, b"\x85ab") == ([], 3, 3)  # five bytes, two are here
    assert fed(buffer, b"cd") == ([], 5, 1)
    assert fed(buffer, b"e") == ([SegmentFrame(None, b"abcde")], 0, 0)


def test_a_long_one_misses_nothing_that_is_known_until_its_length_is_there() -> None:
    whole = encode_frame(SegmentFrame(3, b"x" * 300))  # head with the photo, length in two bytes, payload
    assert whole[:3] == bytes([SEGMENT[0] | 3, 0x80 | 300 & 0x7F, 300 >> 7])
    buffer = FrameBuffer()
    assert fed(buffer, whole[:1]) == ([], 1, 0)
    assert fed(buffer, whole[1:2]) == ([], 2, 0)
    assert fed(buffer, whole[2:3]) == ([], 3, 300)
    assert fed(buffer, whole[3:-1]) == ([], 302, 1)
    assert fed(buffer, whole[-1:] + b"\x82a") == ([SegmentFrame(3, b"x" * 300)], 2, 1)
    buffer.clear()
    assert buffer.held_bytes == 0


def test_a_long_input_is_taken_in_portions_of_64_kib() -> None:
    buffer, held = FrameBuffer(), []
    for _ in buffer.feed(b"\x81x" * 100_000):
        held.append(len(buffer._data))
    assert len(held) == 100_000
    assert max(held) == 64 << 10


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (bytes([0 << 3]), FrameDamagedError),  # no such type: refused without waiting for its length
        (SEGMENT + b"\xff\xff\xff\x7f", FrameTooLargeError),  # 256 MiB
    ],
)
def test_heads_are_judged_as_soon_as_they_can_be_read(wire: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(FrameBuffer().feed(wire))

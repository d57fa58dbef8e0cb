"""The ``.hgs`` file: cut anywhere, damaged anywhere, lying about lengths."""

from __future__ import annotations

import tracemalloc
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec.container import read_stream, write_stream
from heliograph.codec.header import write_varint
from heliograph.codec.klt import KltCodec
from heliograph.errors import (
    HeliographError,
    PayloadTooLargeError,
    StreamDamagedError,
    StreamTruncatedError,
    StreamVersionError,
)
from heliograph.types import EncodedImage, VisualTokens


@pytest.fixture(scope="module")
def encoded(codec: KltCodec, photos: list[VisualTokens]) -> EncodedImage:
    return replace(codec.encode(photos[2], max_bytes=60), predicted_quality=(), bundle_hash=bytes(range(1, 9)))


@settings(max_examples=60)
@given(
    st.sampled_from(["klt", "jpeg", "webp", "avif", "rgb", "int8", "local"]),
    st.binary(max_size=16),
    st.lists(st.binary(max_size=200), max_size=300),
    st.sampled_from([b"", b"12345678"]),
)
def test_round_trip(strategy: str, header: bytes, segments: list[bytes], bundle_hash: bytes) -> None:
    stream = EncodedImage(strategy, header, tuple(segments), bundle_hash=bundle_hash)
    assert read_stream(write_stream(stream)) == stream


def test_every_cut_gives_the_whole_segments_before_it_or_says_truncated(encoded: EncodedImage, codec: KltCodec) -> None:
    data = write_stream(encoded)
    body = sum(len(segment) + 1 for segment in encoded.segments)
    ends = [len(data) - body]
    for segment in encoded.segments:
        ends.append(ends[-1] + len(segment) + 1)
    for cut in range(len(data)):
        if cut < ends[0]:
            with pytest.raises(StreamTruncatedError):
                read_stream(data[:cut])
        else:
            whole = sum(end <= cut for end in ends[1:])
            found = read_stream(data[:cut])
            assert found == encoded.prefix(whole)
            assert codec.decode(found.header, found.segments).values.shape == (20, 12)


@pytest.mark.parametrize(
    ("kept", "note"),
    [
        (13, "The file ends before the header's length."),
        (14, "The file ends within the strategy's header."),
        (16, "The file ends within the strategy's header."),
    ],
)
def test_a_file_that_ends_within_its_fixed_part_says_where(kept: int, note: str) -> None:
    """Magic and version take 4 bytes, strategy 1, hash 8, the header's length 1; then come its three bytes."""
    data = write_stream(EncodedImage("klt", b"abc", (b"segment",), bundle_hash=bytes(8)))
    with pytest.raises(StreamTruncatedError) as caught:
        read_stream(data[:kept])
    assert note in caught.value.__notes__


def test_every_flip_of_a_byte_is_detected(encoded: EncodedImage) -> None:
    data = write_stream(encoded)
    for position in range(len(data)):
        for flip in (0x01, 0x80, 0xFF, 0x24):
            damaged = bytearray(data)
            damaged[position] ^= flip
            with pytest.raises((StreamDamagedError, StreamVersionError, StreamTruncatedError)):
                read_stream(bytes(damaged))


def test_segments_cannot_change_places(encoded: EncodedImage) -> None:
    segments = (b"one....1", b"two....2", *encoded.segments[2:])
    data = write_stream(replace(encoded, segments=segments))
    first, second = data.index(b"one....1"), data.index(b"two....2")
    swapped = bytearray(data)
    swapped[first : first + 9], swapped[second : second + 9] = data[second : second + 9], data[first : first + 9]
    with pytest.raises(StreamDamagedError):
        read_stream(bytes(swapped))


def sealed(*tail: bytes, strategy: int = 1, header: bytes = b"abc", version: int = 1) -> bytes:
    prologue = b"HGS" + bytes((version, strategy)) + bytes(8) + bytes((len(header),)) + header + b"".join(tail)
    return prologue + zlib.crc32(prologue).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (sealed(b"\0", version=2), StreamVersionError),
        (sealed(b"\0", strategy=250), StreamVersionError),
        (sealed(b"\0", header=bytes(17)), StreamDamagedError),
        (sealed(b"\xff\xff\x7f"), StreamDamagedError),  # two million segments
        (sealed(b"\xff\xff\xff\xff\xff\x7f"), StreamDamagedError),  # terabytes of segments
        (sealed(b"\x01" + b"\xff\xff\xff\xff\xff\x3f"), StreamDamagedError),  # a segment of terabytes
        (sealed(b"\x01" + write_varint((1 << 24) + 1)), StreamDamagedError),
        (sealed(b"\0") + b"x", StreamDamagedError),
        (b"PNG" + sealed(b"\0"), StreamDamagedError),
        (b"", StreamTruncatedError),
    ],
)
def test_lies_meet_named_errors(data: bytes, error: type[HeliographError]) -> None:
    with pytest.raises(error):
        read_stream(data)


def test_claimed_lengths_take_no_memory() -> None:
    data = sealed(write_varint(60_000) + write_varint(1 << 24) * 60_000)
    tracemalloc.start()
    try:
        assert read_stream(data).segments == ()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * len(data)


@settings(max_examples=300)
@given(st.binary(max_size=120), st.booleans())
def test_random_files_meet_named_errors(data: bytes, with_magic: bool) -> None:
    try:
        found = read_stream((b"HGS\x01" if with_magic else b"") + data)
    except (StreamDamagedError, StreamTruncatedError, StreamVersionError):
        return
    assert found.payload_bytes <= len(data)


def test_streams_too_large_for_the_format_are_not_written(encoded: EncodedImage) -> None:
    for wrong in (replace(encoded, header=bytes(17)), replace(encoded, segments=(b"",) * 65537)):
        with pytest.raises(PayloadTooLargeError):
            write_stream(wrong)
    with pytest.raises(StreamDamagedError):
        write_stream(replace(encoded, bundle_hash=b"123"))

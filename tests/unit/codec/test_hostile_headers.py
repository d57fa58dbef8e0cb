"""Every bound of a stream's header and of the file around it: the last value that is taken, the first that is not.

The bytes are written out from ``docs/bitstream.md``; checksums come from a second implementation, bit by bit.
"""

from __future__ import annotations

import zlib

import pytest

from heliograph.codec.container import read_stream, write_stream
from heliograph.codec.header import (
    Header,
    crc8,
    marked_as_fallback,
    pack_header,
    parse_header,
    read_varint,
    stated_extra,
    stated_small,
    unmarked,
    with_extra,
)
from heliograph.errors import PayloadTooLargeError, StreamDamagedError, StreamTruncatedError, StreamVersionError
from heliograph.reasons import ForgedFault, StreamFault
from heliograph.types import EncodedImage, Grid

FITTED = Grid(8, 8)


def crc8_of(data: bytes) -> int:
    """Long division by x^8 + x^2 + x + 1, start 0xFF, one bit at a time."""
    remainder = 0xFF
    for byte in data:
        for bit in range(7, -1, -1):
            carry = (remainder >> 7) ^ (byte >> bit & 1)
            remainder = remainder << 1 & 0xFF
            if carry:
                remainder ^= 0x07
    return remainder


def header(*body: int) -> bytes:
    """A header with the checksum that follows sizes."""
    return bytes(body) + (bytes((crc8_of(bytes(body)),)) if body[0] & 3 else b"")


def fault(data: bytes) -> StreamFault | None:
    with pytest.raises(StreamDamagedError) as found:
        parse_header(data, FITTED)
    assert isinstance(found.value.fault, StreamFault)
    return found.value.fault


def test_the_checksum_of_the_document() -> None:
    assert crc8(b"123456789") == crc8_of(b"123456789") == 0xFB
    for length in range(40):
        data = bytes((37 * place + length) & 0xFF for place in range(length))
        assert crc8(data) == crc8_of(data)


# 0x80 is version 2 and 0xC0 version 3; 16,384 as a varint is 80 80 01; 2,097,151 is FF FF 7F.
WITHIN = [
    (header(0x80), Header(0, 0, FITTED)),
    (header(0xB8), Header(7, 0, FITTED)),
    (header(0xC0, 1), Header(0, 1, FITTED)),
    (header(0xE8, 255), Header(5, 255, FITTED)),
    (header(0x89, 1, 1, 1), Header(1, 0, Grid(1, 1, 1))),
    (header(0x81, 0x80, 0x80, 1, 1, 1), Header(0, 0, Grid(16384, 1, 1))),
    (header(0x81, 1, 0x80, 0x80, 1, 1), Header(0, 0, Grid(1, 16384, 1))),
    (header(0x81, 1, 1, 0x80, 0x80, 1), Header(0, 0, Grid(1, 1, 16384))),
    (header(0x81, 0x80, 1, 0x80, 1, 1), Header(0, 0, Grid(128, 128, 1))),
    (header(0x82, 0, 0), Header(0, 0, FITTED)),
    (header(0x82, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0x7F), Header(0, 0, Grid(8, 8, 1, 2097151, 2097151))),
    (header(0xC1, 1, 2, 3, 200), Header(0, 200, Grid(1, 2, 3))),
    (
        header(0xFB, 0x80, 0x80, 1, 1, 1, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0x7F, 255),
        Header(7, 255, Grid(16384, 1, 1, 2097151, 2097151)),
    ),
]
BEYOND = [
    (header(0x81, 0, 1, 1), StreamFault.GRID),
    (header(0x81, 1, 0, 1), StreamFault.GRID),
    (header(0x81, 1, 1, 0), StreamFault.GRID),
    (header(0x81, 0x81, 0x80, 1, 1, 1), StreamFault.GRID),  # 16,385 rows
    (header(0x81, 1, 0x81, 0x80, 1, 1), StreamFault.GRID),
    (header(0x81, 1, 1, 0x81, 0x80, 1), StreamFault.GRID),
    (header(0x81, 0x80, 1, 0x80, 1, 2), StreamFault.GRID),  # 128 x 128 x 2
    (header(0x81, 0x80, 0x80, 0x80, 1, 1, 1), StreamFault.NUMBER),  # a varint of four bytes
    (header(0x81, 0x81, 0x00, 1, 1), StreamFault.NUMBER),  # longer than it must be
    (header(0x82, 0xFF, 0xFF, 0xFF, 0x01, 0), StreamFault.NUMBER),
    (header(0x80, 9), StreamFault.LENGTH),  # bytes that no flag announces
    (header(0xC0, 9, 9), StreamFault.LENGTH),
    (header(0x81, 1, 1, 1, 1), StreamFault.LENGTH),
    (header(0xC1, 1, 1, 1, 1, 9), StreamFault.LENGTH),
    (header(0x84), StreamFault.HEADER),  # the mark, which whoever asks for a codec's own header has taken off
    (header(0x86, 0, 0), StreamFault.HEADER),
    (header(0xC0, 0), StreamFault.HEADER),  # an extra byte that says nothing
    (header(0xC1, 1, 1, 1, 0), StreamFault.HEADER),
    (bytes((0x80,)) * 17, StreamFault.LENGTH),
    (bytes((0x00,)) * 17, StreamFault.LENGTH),
    (bytes((0x82, 0, 0, crc8_of(b"\x82\0\0") ^ 1)), StreamFault.CHECKSUM),
    (bytes((0x82, 0)), StreamFault.CHECKSUM),
]


@pytest.mark.parametrize(("data", "found"), WITHIN)
def test_the_last_headers_within(data: bytes, found: Header) -> None:
    assert len(data) <= 16
    assert parse_header(data, FITTED) == found
    if found.grid != FITTED or len(data) <= 2:  # sizes that are the fitted ones are left out by who writes
        assert pack_header(found.grid, FITTED, small=found.small, extra=found.extra) == data


@pytest.mark.parametrize(("data", "reason"), BEYOND)
def test_the_first_headers_beyond(data: bytes, reason: StreamFault) -> None:
    assert fault(data) is reason


def test_headers_that_end_too_early() -> None:
    cut = (b"", b"\x81", b"\x82", b"\xc0", b"\xc1", header(0xC1))
    for data in (*cut, header(0x81), header(0x81, 1), header(0x81, 1, 1), header(0xC1, 1, 1, 1), header(0x82, 0x80)):
        with pytest.raises(StreamTruncatedError):
            parse_header(data, FITTED)


def test_headers_of_versions_before_are_refused_by_name() -> None:
    """Three bytes and more, the last one always a checksum; in version 1 with a misfit before it."""
    bodies = (
        b"\x00\x90",
        b"\x01\x90\x07\x07\x01",
        b"\x03\x9a\x02\x03\x02\x80\x05\xe0\x03",
        b"\x40\x90\xc8",
        b"\x04\x90",
    )
    for body in bodies:
        data = body + bytes((crc8_of(body),))
        for given in (data, data[:1], data[:-1], data[:-1] + b"?"):
            with pytest.raises(StreamVersionError):
                parse_header(given, FITTED)


# What a mark and an extra byte do to a header.
CHANGED = [
    (header(0x80), header(0x84), header(0xC0, 9)),
    (header(0xB8), header(0xBC), header(0xF8, 9)),
    (header(0x82, 0, 0), header(0x86, 0, 0), header(0xC2, 0, 0, 9)),
    (header(0xA1, 1, 2, 3), header(0xA5, 1, 2, 3), header(0xE1, 1, 2, 3, 9)),
]


@pytest.mark.parametrize(("plain", "marked", "longer"), CHANGED)
def test_marks_and_extra_bytes(plain: bytes, marked: bytes, longer: bytes) -> None:
    assert marked_as_fallback(plain) == marked
    assert unmarked(marked) == plain
    assert unmarked(plain) is None
    assert with_extra(plain, 9) == longer
    assert (stated_extra(plain), stated_extra(longer)) == (0, 9)
    assert stated_small(plain) == stated_small(marked) == stated_small(longer) == plain[0] >> 3 & 7
    both = marked_as_fallback(longer)
    assert (both[0], both[1:-1]) == (longer[0] | 4, longer[1:-1])
    assert unmarked(both) == longer


def test_numbers_end_where_they_may() -> None:
    assert read_varint(b"\x7f", 0, 1) == (127, 1)
    assert read_varint(b"\xff\x7f", 0, 2) == (16383, 2)
    assert read_varint(b"..\x80\x01", 2, 2) == (128, 4)
    assert read_varint(b"\0", 0, 1) == (0, 1)
    for data, most in ((b"\x80\x01", 1), (b"\xff\xff\x01", 2)):
        with pytest.raises(StreamDamagedError) as found:
            read_varint(data, 0, most)
        assert found.value.fault is StreamFault.NUMBER


# ---- the file -----------------------------------------------------------------------------------------
def file_of(*tail: bytes, head: bytes = b"abc", strategy: int = 1, number: int | None = None) -> bytes:
    prologue = b"HGS" + bytes((1, strategy)) + bytes(8) + bytes((len(head) if number is None else number,)) + head
    prologue += b"".join(tail)
    return prologue + zlib.crc32(prologue).to_bytes(4, "little")


MAX_SEGMENTS = b"\x80\x80\x04"  # 65,536
MAX_BYTES = b"\x80\x80\x80\x08"  # 16,777,216


def test_files_at_their_bounds() -> None:
    assert read_stream(file_of(b"\0", head=bytes(16))).header == bytes(16)
    assert read_stream(file_of(MAX_SEGMENTS, b"\0" * 65536)).segments == ()
    assert read_stream(file_of(b"\x01", MAX_BYTES)).segments == ()
    one = file_of(b"\x01", b"\x01") + b"x" + bytes((crc8_of(b"\0x"),))
    assert read_stream(one).segments == (b"x",)
    assert write_stream(read_stream(one)) == one


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (file_of(b"\0", head=bytes(17)), StreamFault.HEADER),
        (file_of(b"\x81\x80\x04", b"\0" * 65537), StreamFault.TOO_LARGE),
        (file_of(b"\x80\x80\x80\x01"), StreamFault.NUMBER),  # a number of segments in four bytes
        (file_of(b"\x01", b"\x81\x80\x80\x08"), StreamFault.TOO_LARGE),
        (file_of(b"\x01", b"\x80\x80\x80\x80\x01"), StreamFault.NUMBER),
        (file_of(b"\0") + b"x", StreamFault.LENGTH),
        (file_of(b"\0")[:-1] + b"x", StreamFault.CHECKSUM),
        (file_of(b"\x01", b"\x01") + b"x" + bytes((crc8_of(b"\x01x"),)), StreamFault.CHECKSUM),  # that of segment 1
        (b"HGT" + file_of(b"\0")[3:], StreamFault.NOT_A_STREAM),
        (b"\xff\xd8\xff\xe0 a photo", StreamFault.NOT_A_STREAM),
        (b"H?", StreamFault.NOT_A_STREAM),
    ],
)
def test_files_beyond_their_bounds(data: bytes, reason: StreamFault) -> None:
    with pytest.raises(StreamDamagedError) as found:
        read_stream(data)
    assert found.value.fault is reason
    assert str(found.value) == f"The stream is damaged: {reason}."


def test_the_number_of_a_segment_is_counted_modulo_256() -> None:
    """Segment 256 has the checksum of number 0; one with that of number 1 is damaged."""
    sizes = b"\x01" * 257
    before = b"".join(b"x" + bytes((crc8_of(bytes((n, ord("x")))),)) for n in range(256))
    whole = file_of(b"\x81\x02", sizes) + before
    assert len(read_stream(whole + b"x" + bytes((crc8_of(b"\0x"),))).segments) == 257
    with pytest.raises(StreamDamagedError):
        read_stream(whole + b"x" + bytes((crc8_of(b"\x01x"),)))


def test_what_is_written_has_the_same_bounds() -> None:
    largest = EncodedImage("jpeg", bytes(16), (bytes(1 << 24),), bundle_hash=bytes(range(8)))
    assert read_stream(write_stream(largest)) == largest
    write_stream(EncodedImage("jpeg", b"", (b"",) * 65536))
    for wrong in (
        EncodedImage("jpeg", bytes(17), ()),
        EncodedImage("jpeg", b"", (bytes((1 << 24) + 1),)),
        EncodedImage("jpeg", b"", (b"",) * 65537),
    ):
        with pytest.raises(PayloadTooLargeError):
            write_stream(wrong)
    for length in (1, 7, 9):
        with pytest.raises(StreamDamagedError) as found:
            write_stream(EncodedImage("jpeg", b"", (), bundle_hash=bytes(length)))
        assert found.value.fault is StreamFault.HASH


def test_a_reason_for_every_file_that_no_key_vouches_for() -> None:
    from heliograph.errors import StreamForgedError

    plain = write_stream(EncodedImage("jpeg", b"", (b"x",)))
    signed = write_stream(EncodedImage("jpeg", b"", (b"x",)), key=b"k" * 16)
    assert read_stream(signed, keys=[b"k" * 16]).segments == (b"x",)
    for data, reason in ((plain, ForgedFault.NO_TAG), (signed, ForgedFault.OTHER_KEY)):
        with pytest.raises(StreamForgedError) as found:
            read_stream(data, keys=[b"q" * 16])
        assert found.value.fault is reason

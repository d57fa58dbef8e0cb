"""``.hgs`` files with a key: nothing but what a tag vouches for is read from them."""

from __future__ import annotations

import hmac
import zlib

import pytest

from heliograph.codec.container import carries_tags, read_stream, write_stream
from heliograph.codec.header import crc8
from heliograph.errors import HeliographError, StreamForgedError, UsageError
from heliograph.types import EncodedImage

KEY, OTHER_KEY = bytes(range(16)), bytes(range(1, 17))
SEGMENTS = (b"one", b"three", b"fifth", b"x" * 40, b"last")
STREAM = EncodedImage("klt", b"\x00\x80\x4f", SEGMENTS, bundle_hash=b"8 bytes!")
PROLOGUE_BYTES = 4 + 1 + 8 + 1 + 3 + 1 + 5 + 4


def test_tags_are_hmacs_of_all_before_them() -> None:
    """The right values by the standard library's HMAC alone, as docs/bitstream.md tells."""
    data = write_stream(STREAM, KEY)
    plain = bytearray(write_stream(STREAM))
    plain[4] |= 0x80
    plain[PROLOGUE_BYTES - 4 : PROLOGUE_BYTES] = zlib.crc32(plain[: PROLOGUE_BYTES - 4]).to_bytes(4, "little")
    derived = hmac.digest(KEY, b"heliograph hgs 1", "sha256")
    half = PROLOGUE_BYTES + sum(len(segment) + 1 for segment in SEGMENTS[:4])
    state = hmac.digest(derived, plain[:half], "sha256")
    expected = bytes(plain[:half]) + state[:4] + bytes(plain[half:])
    expected += hmac.digest(derived, state + plain[half:], "sha256")[:4]
    assert data == expected


@pytest.mark.parametrize("segments", [(), (b"",), (b"one",), (b"", b"two"), (b"a", b"a"), SEGMENTS])
def test_round_trip_with_any_of_the_keys_and_without(segments: tuple[bytes, ...]) -> None:
    stream = EncodedImage("jpeg", b"", segments)
    data = write_stream(stream, KEY)
    assert carries_tags(data)
    assert read_stream(data, [OTHER_KEY, KEY]) == read_stream(data) == stream
    assert len(data) - len(write_stream(stream)) in (4, 8)


def test_only_what_a_tag_vouches_for_remains_of_a_cut_file() -> None:
    data = write_stream(STREAM, KEY)
    first = PROLOGUE_BYTES + sum(len(segment) + 1 for segment in SEGMENTS[:4]) + 4
    for cut in range(PROLOGUE_BYTES, len(data)):
        if cut < first:
            with pytest.raises(StreamForgedError):
                read_stream(data[:cut], [KEY])
        else:
            assert read_stream(data[:cut], [KEY]).segments == SEGMENTS[:4]


def test_no_change_of_a_byte_is_believed() -> None:
    data = write_stream(STREAM, KEY)
    for place in range(len(data)):
        for change in (1, 0x80, 0xFF):
            with pytest.raises(HeliographError):
                read_stream(data[:place] + bytes((data[place] ^ change,)) + data[place + 1 :], [KEY])


def test_a_change_with_checksums_made_anew_is_believed_without_a_key_alone() -> None:
    data = bytearray(write_stream(STREAM, KEY))
    data[PROLOGUE_BYTES] ^= 4
    data[PROLOGUE_BYTES + 3] = crc8(b"\0" + data[PROLOGUE_BYTES : PROLOGUE_BYTES + 3])
    assert read_stream(bytes(data)).segments[0] == b"kne"
    with pytest.raises(StreamForgedError):
        read_stream(bytes(data), [KEY])


@pytest.mark.parametrize("header", [b"\x00\x81\x48", b""])
def test_another_header_is_not_believed(header: bytes) -> None:
    """A forger who makes every checksum anew and keeps both tags."""
    honest = write_stream(STREAM, KEY)
    forged = bytearray(write_stream(EncodedImage("klt", header, SEGMENTS, bundle_hash=b"8 bytes!"), OTHER_KEY))
    forged[-4:] = honest[-4:]
    with pytest.raises(StreamForgedError):
        read_stream(bytes(forged), [KEY])


def test_a_file_without_tags_and_one_of_another_key_are_refused() -> None:
    for data in (write_stream(STREAM), write_stream(STREAM, OTHER_KEY)):
        with pytest.raises(StreamForgedError):
            read_stream(data, [KEY])


def test_a_tag_cannot_be_dropped_by_clearing_its_bit() -> None:
    data = bytearray(write_stream(STREAM, KEY))
    data[4] &= 0x7F
    data[PROLOGUE_BYTES - 4 : PROLOGUE_BYTES] = zlib.crc32(data[: PROLOGUE_BYTES - 4]).to_bytes(4, "little")
    with pytest.raises(HeliographError):
        read_stream(bytes(data), [KEY])


@pytest.mark.parametrize("key", [b"short", bytes(65)])
def test_keys_of_another_length_are_refused(key: bytes) -> None:
    with pytest.raises(UsageError):
        write_stream(STREAM, key)

"""The ``.hgs`` file: a stream to store and forward. Cut anywhere after its prologue, the whole segments remain.

=========  ====================================================================================
bytes      meaning
=========  ====================================================================================
4          ``HGS`` and the format version, 1
1          strategy number (:mod:`heliograph.protocol.wire_ids`); bit 7: authenticated
8          bundle hash, zeros where the strategy needs no bundle
1, n       header length (at most 16) and header
varint     number of segments, then each segment's length as a varint
4          CRC-32 of everything before it, little-endian
each       segment, then CRC-8 of the segment's number (one byte, modulo 256) and its bytes
=========  ====================================================================================

In a file that is authenticated by a key, a tag of 4 bytes follows the first segments that hold half of the bytes, and
another the last segment. A tag vouches for all that lies before it: of a cut file the segments up to a tag can be used.

A CRC-8 or CRC-32 finds every flipped byte in what it covers, and all lengths lie under the CRC-32, so a damaged
length cannot pass for another cut of the same bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import accumulate

from heliograph.codec.base import MAX_HEADER_BYTES
from heliograph.codec.header import crc8, read_varint, write_varint
from heliograph.errors import (
    PayloadTooLargeError,
    StreamDamagedError,
    StreamForgedError,
    StreamTruncatedError,
    StreamVersionError,
    UnknownNameError,
)
from heliograph.protocol.authentication import FILE, TAG_BYTES, Chain
from heliograph.protocol.wire_ids import STRATEGY_WIRE_IDS
from heliograph.reasons import ForgedFault, StreamFault
from heliograph.types import EncodedImage

MAGIC = b"HGS"
VERSION = 1
MAX_SEGMENTS = 1 << 16
MAX_SEGMENT_BYTES = 1 << 24
HASH_BYTES = 8
_CRC_BYTES = 4
_STRATEGY_PLACE, _TAGS_FOLLOW = len(MAGIC) + 1, 0x80
_NO_BUNDLE = bytes(HASH_BYTES)


def write_stream(encoded: EncodedImage, key: bytes = b"") -> bytes:
    """The whole file of one encoded photo.

    Args:
        encoded: the stream.
        key: 16 to 64 bytes that authenticate it; empty for a file without.

    Raises:
        UnknownNameError: the strategy has no number.
        PayloadTooLargeError: header, a segment or their number is larger than the format allows.
        StreamDamagedError: the bundle hash is neither empty nor 8 bytes.
    """
    sizes = [len(segment) for segment in encoded.segments]
    too_large = len(encoded.header) > MAX_HEADER_BYTES or max(sizes, default=0) > MAX_SEGMENT_BYTES
    if too_large or len(sizes) > MAX_SEGMENTS:
        raise PayloadTooLargeError
    if len(encoded.bundle_hash) not in (0, HASH_BYTES):
        raise StreamDamagedError(StreamFault.HASH)
    number = STRATEGY_WIRE_IDS.of(encoded.strategy) | (_TAGS_FOLLOW if key else 0)
    prologue = bytearray(MAGIC + bytes((VERSION, number)))
    prologue += encoded.bundle_hash or _NO_BUNDLE
    prologue += bytes((len(encoded.header),)) + encoded.header
    prologue += write_varint(len(sizes)) + b"".join(write_varint(size) for size in sizes)
    prologue += zlib.crc32(prologue).to_bytes(_CRC_BYTES, "little")
    parts = [segment + bytes((_segment_crc(number, segment),)) for number, segment in enumerate(encoded.segments)]
    if not key:
        return bytes(prologue) + b"".join(parts)
    data, chain, at = bytearray(), Chain(key, FILE), 0
    for end in _tag_places(sizes):
        covered = (b"" if at else bytes(prologue)) + b"".join(parts[at:end])
        chain.update(covered)
        data += covered + chain.tag()
        at = end
    return bytes(data)


def read_stream(data: bytes, keys: Sequence[bytes] = ()) -> EncodedImage:
    """The stream in a file, or as many whole segments as a cut file holds. ``predicted_quality`` is empty.

    Args:
        data: the file.
        keys: take only what one of them authenticates: of a cut file the segments up to its last tag. Without keys
            tags are passed over.

    Raises:
        StreamForgedError: there are keys, and the file is authenticated by none of them, or by none in this place.
        StreamTruncatedError: the file ends inside the prologue.
        StreamVersionError: another format version, or a strategy that this version does not know.
        StreamDamagedError: not such a file, or a checksum or a length does not fit.
    """
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise StreamDamagedError(StreamFault.NOT_A_STREAM)
    if len(data) <= len(MAGIC):
        raise StreamTruncatedError().noted(
            f"The file has {len(data)} bytes, and its beginning alone takes {len(MAGIC) + 1}."
        )
    if data[len(MAGIC)] != VERSION:
        raise StreamVersionError
    number, bundle_hash, header, position = _fixed_part(data)
    sizes, position = _sizes(data, position)
    if len(data) < position + _CRC_BYTES:
        raise StreamTruncatedError().noted("The file ends within the list of its segments' sizes.")
    if zlib.crc32(data[:position]).to_bytes(_CRC_BYTES, "little") != data[position : position + _CRC_BYTES]:
        raise StreamDamagedError(StreamFault.CHECKSUM)
    try:
        strategy = STRATEGY_WIRE_IDS.name_of(number & ~_TAGS_FOLLOW)
    except UnknownNameError as error:
        raise StreamVersionError from error
    tags = _tag_places(sizes) if carries_tags(data) else []
    segments, found = _segments(data, position + _CRC_BYTES, sizes, tags)
    if keys:
        segments = segments[: _authenticated(data, found, keys)]
    return EncodedImage(strategy, header, segments, bundle_hash=b"" if bundle_hash == _NO_BUNDLE else bundle_hash)


def _fixed_part(data: bytes) -> tuple[int, bytes, bytes, int]:
    start = len(MAGIC) + 1
    hash_end = start + 1 + HASH_BYTES
    if len(data) <= hash_end:
        raise StreamTruncatedError().noted("The file ends before the header's length.")
    header_length = data[hash_end]
    if header_length > MAX_HEADER_BYTES:
        raise StreamDamagedError(StreamFault.HEADER)
    end = hash_end + 1 + header_length
    if len(data) < end:
        raise StreamTruncatedError().noted("The file ends within the strategy's header.")
    return data[start], data[start + 1 : hash_end], data[hash_end + 1 : end], end


def _sizes(data: bytes, position: int) -> tuple[list[int], int]:
    count, position = read_varint(data, position, 3)
    if count > MAX_SEGMENTS:
        raise StreamDamagedError(StreamFault.TOO_LARGE)
    sizes = []
    for _ in range(count):
        size, position = read_varint(data, position, 4)
        if size > MAX_SEGMENT_BYTES:
            raise StreamDamagedError(StreamFault.TOO_LARGE)
        sizes.append(size)
    return sizes, position


def carries_tags(data: bytes) -> bool:
    """Whether a file that ``read_stream`` takes can be authenticated."""
    return bool(data[_STRATEGY_PLACE] & _TAGS_FOLLOW)


def _tag_places(sizes: Sequence[int]) -> list[int]:
    """The counts of segments after which a tag stands, given the segments' lengths: half of the bytes, and all."""
    ends = list(accumulate(sizes, initial=0))
    half = next(count for count, end in enumerate(ends) if 2 * end >= ends[-1])
    return [half, len(sizes)] if 0 < half < len(sizes) else [len(sizes)]


def _segments(
    data: bytes, position: int, sizes: list[int], tags: list[int]
) -> tuple[tuple[bytes, ...], list[tuple[int, int]]]:
    """Whole segments, and of every whole tag how many segments it vouches for and where it begins."""
    segments: list[bytes] = []
    found: list[tuple[int, int]] = []
    for number in range(len(sizes) + 1):
        if number in tags:
            if position + TAG_BYTES > len(data):
                return tuple(segments), found
            found.append((number, position))
            position += TAG_BYTES
        if number == len(sizes):
            break
        end = position + sizes[number]
        if end >= len(data):
            return tuple(segments), found
        segment = data[position:end]
        if _segment_crc(number, segment) != data[end]:
            raise StreamDamagedError(StreamFault.CHECKSUM)
        segments.append(segment)
        position = end + 1
    if position != len(data):
        raise StreamDamagedError(StreamFault.LENGTH)
    return tuple(segments), found


def _authenticated(data: bytes, tags: list[tuple[int, int]], keys: Sequence[bytes]) -> int:
    """How many segments one of the keys vouches for.

    Raises:
        StreamForgedError: none does for any, or a tag is wrong.
    """
    if not tags:
        raise StreamForgedError(ForgedFault.NO_TAG)
    right = [_vouches(data, tags, key) for key in keys]  # all, so that the time does not tell which one it was
    if not any(right):
        raise StreamForgedError(ForgedFault.OTHER_KEY)
    return tags[-1][0]


def _vouches(data: bytes, tags: list[tuple[int, int]], key: bytes) -> bool:
    chain, at, right = Chain(key, FILE), 0, True
    for _, place in tags:
        chain.update(data[at:place])
        at = place + TAG_BYTES
        try:
            chain.check(data[place:at])
        except StreamForgedError:
            right = False
    return right


def _segment_crc(number: int, segment: bytes) -> int:
    return crc8(bytes((number & 0xFF,)) + segment)

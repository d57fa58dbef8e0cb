"""The ``.hgs`` file: a stream to store and forward. Cut anywhere after its prologue, the whole segments remain.

=========  ====================================================================================
bytes      meaning
=========  ====================================================================================
4          ``HGS`` and the format version, 1
1          strategy number (:mod:`heliograph.strategies.wire_ids`)
8          bundle hash, zeros where the strategy needs no bundle
1, n       header length (at most 16) and header
varint     number of segments, then each segment's length as a varint
4          CRC-32 of everything before it, little-endian
each       segment, then CRC-8 of the segment's number (one byte, modulo 256) and its bytes
=========  ====================================================================================

A CRC-8 or CRC-32 finds every flipped byte in what it covers, and all lengths lie under the CRC-32, so a damaged
length cannot pass for another cut of the same bytes.
"""

from __future__ import annotations

import zlib

from heliograph.codec.base import MAX_HEADER_BYTES
from heliograph.codec.header import crc8, read_varint, write_varint
from heliograph.errors import (
    PayloadTooLargeError,
    StreamDamagedError,
    StreamTruncatedError,
    StreamVersionError,
    UnknownNameError,
)
from heliograph.strategies.wire_ids import strategy_name, strategy_wire_id
from heliograph.types import EncodedImage

MAGIC = b"HGS"
VERSION = 1
MAX_SEGMENTS = 1 << 16
MAX_SEGMENT_BYTES = 1 << 24
HASH_BYTES = 8
_CRC_BYTES = 4
_NO_BUNDLE = bytes(HASH_BYTES)


def write_stream(encoded: EncodedImage) -> bytes:
    """The whole file of one encoded photo.

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
        raise StreamDamagedError
    prologue = bytearray(MAGIC + bytes((VERSION, strategy_wire_id(encoded.strategy))))
    prologue += encoded.bundle_hash or _NO_BUNDLE
    prologue += bytes((len(encoded.header),)) + encoded.header
    prologue += write_varint(len(sizes)) + b"".join(write_varint(size) for size in sizes)
    prologue += zlib.crc32(prologue).to_bytes(_CRC_BYTES, "little")
    return bytes(prologue) + b"".join(
        segment + bytes((_segment_crc(number, segment),)) for number, segment in enumerate(encoded.segments)
    )


def read_stream(data: bytes) -> EncodedImage:
    """The stream in a file, or as many whole segments as a cut file holds. ``predicted_quality`` is empty.

    Raises:
        StreamTruncatedError: the file ends inside the prologue.
        StreamVersionError: another format version, or a strategy that this version does not know.
        StreamDamagedError: not such a file, or a checksum or a length does not fit.
    """
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise StreamDamagedError
    if len(data) <= len(MAGIC):
        raise StreamTruncatedError
    if data[len(MAGIC)] != VERSION:
        raise StreamVersionError
    number, bundle_hash, header, position = _fixed_part(data)
    sizes, position = _sizes(data, position)
    if len(data) < position + _CRC_BYTES:
        raise StreamTruncatedError
    if zlib.crc32(data[:position]).to_bytes(_CRC_BYTES, "little") != data[position : position + _CRC_BYTES]:
        raise StreamDamagedError
    try:
        strategy = strategy_name(number)
    except UnknownNameError as error:
        raise StreamVersionError from error
    segments = _segments(data, position + _CRC_BYTES, sizes)
    return EncodedImage(strategy, header, segments, bundle_hash=b"" if bundle_hash == _NO_BUNDLE else bundle_hash)


def _fixed_part(data: bytes) -> tuple[int, bytes, bytes, int]:
    start = len(MAGIC) + 1
    hash_end = start + 1 + HASH_BYTES
    if len(data) <= hash_end:
        raise StreamTruncatedError
    header_length = data[hash_end]
    if header_length > MAX_HEADER_BYTES:
        raise StreamDamagedError
    end = hash_end + 1 + header_length
    if len(data) < end:
        raise StreamTruncatedError
    return data[start], data[start + 1 : hash_end], data[hash_end + 1 : end], end


def _sizes(data: bytes, position: int) -> tuple[list[int], int]:
    count, position = read_varint(data, position, 3)
    if count > MAX_SEGMENTS:
        raise StreamDamagedError
    sizes = []
    for _ in range(count):
        size, position = read_varint(data, position, 4)
        if size > MAX_SEGMENT_BYTES:
            raise StreamDamagedError
        sizes.append(size)
    return sizes, position


def _segments(data: bytes, position: int, sizes: list[int]) -> tuple[bytes, ...]:
    segments: list[bytes] = []
    for number, size in enumerate(sizes):
        end = position + size
        if end >= len(data):
            return tuple(segments)
        segment = data[position:end]
        if _segment_crc(number, segment) != data[end]:
            raise StreamDamagedError
        segments.append(segment)
        position = end + 1
    if position != len(data):
        raise StreamDamagedError
    return tuple(segments)


def _segment_crc(number: int, segment: bytes) -> int:
    return crc8(bytes((number & 0xFF,)) + segment)

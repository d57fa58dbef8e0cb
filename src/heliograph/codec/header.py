"""The stream header: one byte for a photo on the fitted grid, at most sixteen for any other.

======  ===============================================================================================
byte    meaning
======  ===============================================================================================
0       bits 7..6 version (2, or 3 where an extra byte follows); bits 5..3 ``klt``: fineness, ``meta``: part
        of the fitted range that the misfit lies in (0 for none), ``pq``: 0;
        bit 2: ``meta`` left this photo to ``klt``; bit 1: photo size follows; bit 0: grid follows
1..     if bit 0: rows, columns, tiles; if bit 1: photo width, photo height; all as varints (LEB128)
then    in version 3 alone: the extra byte, never 0. ``klt``, ``meta``: misfit of the photo
        (:mod:`heliograph.codec.familiarity`); ``pq``: bytes per token
last    where sizes follow: CRC-8 (polynomial 0x07) of all bytes before it
======  ===============================================================================================

A header travels in a frame or a file that has a check of its own; only sizes, which decide how much memory a stream
takes, are checked once more. Versions 0 and 1 belong to codecs that no longer exist.
"""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.codec.base import MAX_HEADER_BYTES
from heliograph.errors import ShapeError, StreamDamagedError, StreamTruncatedError, StreamVersionError
from heliograph.reasons import StreamFault
from heliograph.types import Grid

MAX_TOKENS = 1 << 14
MAX_SMALL = 7
_MAX_PIXELS = (1 << 21) - 1  # three varint bytes
_HAS_GRID, _HAS_PHOTO, _FALLBACK, _SMALL_SHIFT, _VERSION_SHIFT = 1, 2, 4, 3, 6
_HAS_SIZES = _HAS_GRID | _HAS_PHOTO
_PLAIN, _WITH_EXTRA = 2, 3
"""Versions: of a header without and with an extra byte."""


@dataclass(frozen=True)
class Header:
    """A header as it is understood.

    Attributes:
        small: 0 to 7, of the codec's own meaning.
        extra: 1 to 255, of the codec's own meaning; 0 where there is none.
        grid: of the photo.
    """

    small: int
    extra: int
    grid: Grid


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value << 1) ^ 0x107 if value & 0x80 else value << 1
        table.append(value)
    return tuple(table)


_CRC = _crc_table()


def crc8(data: bytes) -> int:
    """CRC-8 with polynomial 0x07, start value 0xFF; finds every error burst of up to eight bits."""
    value = 0xFF
    for byte in data:
        value = _CRC[value ^ byte]
    return value


def write_varint(value: int) -> bytes:
    """Non-negative integer as LEB128, seven bits a byte, low bits first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, position: int, max_bytes: int) -> tuple[int, int]:
    """(value, next position).

    Raises:
        StreamTruncatedError: the data end inside the number.
        StreamDamagedError: more than ``max_bytes``, or a needless last zero byte.
    """
    value = 0
    for count in range(max_bytes):
        if position + count >= len(data):
            raise StreamTruncatedError().noted("It ends within a number of a header.")
        byte = data[position + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            if byte == 0 and count > 0:
                raise StreamDamagedError(StreamFault.NUMBER)
            return value, position + count + 1
    raise StreamDamagedError(StreamFault.NUMBER)


def pack_header(grid: Grid, fitted: Grid, *, small: int = 0, extra: int = 0) -> bytes:
    """Header of a stream on ``grid``; parts equal to the fitted grid are left out.

    Args:
        grid: of the photo.
        fitted: that the codec was made for.
        small, extra: see :class:`Header`.

    Raises:
        ShapeError: the grid has no tokens or too many, or the photo is too large to state.
    """
    check_grid(grid)
    flags, sizes = 0, b""
    if (grid.rows, grid.columns, grid.tiles) != (fitted.rows, fitted.columns, fitted.tiles):
        flags |= _HAS_GRID
        sizes += write_varint(grid.rows) + write_varint(grid.columns) + write_varint(grid.tiles)
    if (grid.photo_width, grid.photo_height) != (fitted.photo_width, fitted.photo_height):
        flags |= _HAS_PHOTO
        sizes += write_varint(grid.photo_width) + write_varint(grid.photo_height)
    version = _WITH_EXTRA if extra else _PLAIN
    return _joined(version << _VERSION_SHIFT | small << _SMALL_SHIFT | flags, sizes, extra)


def _joined(flags: int, sizes: bytes, extra: int) -> bytes:
    body = bytes((flags,)) + sizes + (bytes((extra,)) if extra else b"")
    return body + bytes((crc8(body),)) if sizes else body


def _parted(header: bytes) -> tuple[int, bytes, int]:
    """Flags, sizes and extra byte.

    Raises:
        StreamTruncatedError: it is empty, or ends before what its flags announce.
        StreamVersionError: of another version.
        StreamDamagedError: the checksum of its sizes does not fit.
    """
    if not header:
        raise StreamTruncatedError().noted("The codec's header is empty; the shortest has 1 byte.")
    flags, body = header[0], header[1:]
    version = flags >> _VERSION_SHIFT
    if version not in (_PLAIN, _WITH_EXTRA):
        raise StreamVersionError
    if not body and (flags & _HAS_SIZES or version == _WITH_EXTRA):
        raise StreamTruncatedError().noted("The codec's header ends after its first byte, which announces more.")
    if flags & _HAS_SIZES:
        if crc8(header[:-1]) != header[-1]:
            raise StreamDamagedError(StreamFault.CHECKSUM)
        body = body[:-1]
    if version == _PLAIN:
        return flags, body, 0
    if not body:
        raise StreamTruncatedError().noted("The codec's header ends before its extra byte.")
    return flags, body[:-1], body[-1]


def _parted_or_none(header: bytes) -> tuple[int, bytes, int] | None:
    """The same parts; None of a header that is not intact."""
    try:
        return _parted(header)
    except (StreamTruncatedError, StreamVersionError, StreamDamagedError):
        return None


def marked_as_fallback(header: bytes) -> bytes:
    """An intact ``klt`` header, marked as written in the place of ``meta``."""
    flags, sizes, extra = _parted(header)
    return _joined(flags | _FALLBACK, sizes, extra)


def unmarked(header: bytes) -> bytes | None:
    """The ``klt`` header behind the mark; None where there is no mark, or where the header is damaged."""
    parts = _parted_or_none(header)
    if parts is None or not parts[0] & _FALLBACK:
        return None
    flags, sizes, extra = parts
    return _joined(flags & ~_FALLBACK, sizes, extra)


def with_extra(header: bytes, extra: int) -> bytes:
    """An intact header without an extra byte, with one of 1 to 255."""
    flags, sizes, _ = _parted(header)
    return _joined(flags | _WITH_EXTRA << _VERSION_SHIFT, sizes, extra)


def stated_extra(header: bytes) -> int:
    """The extra byte of an intact header; 0 where it has none."""
    parts = _parted_or_none(header)
    return 0 if parts is None else parts[2]


def stated_small(header: bytes) -> int:
    """The number of 0 to 7 of an intact header; 0 of any other."""
    parts = _parted_or_none(header)
    return 0 if parts is None else parts[0] >> _SMALL_SHIFT & MAX_SMALL


def check_grid(grid: Grid) -> None:
    """Refuse grids that no stream can state.

    Raises:
        ShapeError: see above.
    """
    sides = (grid.rows, grid.columns, grid.tiles)
    if min(sides) < 1 or max(sides) > MAX_TOKENS or grid.tokens > MAX_TOKENS:
        raise ShapeError().noted(
            f"a grid has 1 to {MAX_TOKENS} tokens, in rows, columns and tiles of at least one; this one is {grid}."
        )
    if not (0 <= grid.photo_width <= _MAX_PIXELS and 0 <= grid.photo_height <= _MAX_PIXELS):
        raise ShapeError().noted(
            f"a photo has up to {_MAX_PIXELS} pixels a side, not {grid.photo_width}x{grid.photo_height}."
        )


def parse_header(header: bytes, fitted: Grid) -> Header:
    """What a header says.

    Raises:
        StreamTruncatedError: it is empty, or ends before what its flags announce.
        StreamVersionError: of another version.
        StreamDamagedError: checksum, flags or numbers do not fit.
    """
    if len(header) > MAX_HEADER_BYTES:
        raise StreamDamagedError(StreamFault.LENGTH)
    flags, sizes, extra = _parted(header)
    has_extra = flags >> _VERSION_SHIFT == _WITH_EXTRA
    if flags & _FALLBACK or has_extra != bool(extra):
        raise StreamDamagedError(StreamFault.HEADER)
    position = 0
    numbers = [fitted.rows, fitted.columns, fitted.tiles, fitted.photo_width, fitted.photo_height]
    wanted = ([0, 1, 2] if flags & _HAS_GRID else []) + ([3, 4] if flags & _HAS_PHOTO else [])
    for which in wanted:
        numbers[which], position = read_varint(sizes, position, 3)
    if position != len(sizes):
        raise StreamDamagedError(StreamFault.LENGTH)
    grid = Grid(*numbers)
    try:
        check_grid(grid)
    except ShapeError as error:
        raise StreamDamagedError(StreamFault.GRID) from error
    return Header(flags >> _SMALL_SHIFT & MAX_SMALL, extra, grid)

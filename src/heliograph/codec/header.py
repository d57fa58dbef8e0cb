"""The stream header: three bytes for a photo on the fitted grid, at most sixteen for any other.

======  ===============================================================================================
byte    meaning
======  ===============================================================================================
0       bits 7..6 version (0); bit 2: ``meta`` left this photo to ``klt``; bit 1: photo size follows;
        bit 0: grid follows; other bits 0
1       total token energy, logarithmic
2..     if bit 0: rows, columns, tiles; if bit 1: photo width, photo height; all as varints (LEB128)
last    CRC-8 (polynomial 0x07) of all bytes before it
======  ===============================================================================================
"""

from __future__ import annotations

from heliograph.codec.base import MAX_HEADER_BYTES
from heliograph.errors import ShapeError, StreamDamagedError, StreamTruncatedError, StreamVersionError
from heliograph.reasons import StreamFault
from heliograph.types import Grid

MAX_TOKENS = 1 << 14
_MAX_PIXELS = (1 << 21) - 1  # three varint bytes
_HAS_GRID, _HAS_PHOTO, _FALLBACK, _VERSION_SHIFT = 1, 2, 4, 6
_SHORTEST = 3


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


def pack_header(energy: int, grid: Grid, fitted: Grid) -> bytes:
    """Header of a stream on ``grid``; parts equal to the fitted grid are left out.

    Raises:
        ShapeError: the grid has no tokens or too many, or the photo is too large to state.
    """
    check_grid(grid)
    flags, extension = 0, b""
    if (grid.rows, grid.columns, grid.tiles) != (fitted.rows, fitted.columns, fitted.tiles):
        flags |= _HAS_GRID
        extension += write_varint(grid.rows) + write_varint(grid.columns) + write_varint(grid.tiles)
    if (grid.photo_width, grid.photo_height) != (fitted.photo_width, fitted.photo_height):
        flags |= _HAS_PHOTO
        extension += write_varint(grid.photo_width) + write_varint(grid.photo_height)
    body = bytes((flags, energy)) + extension
    return body + bytes((crc8(body),))


def marked_as_fallback(header: bytes) -> bytes:
    """A ``klt`` header, marked as written in the place of ``meta``."""
    return _with_flags(header, header[0] | _FALLBACK)


def unmarked(header: bytes) -> bytes | None:
    """The ``klt`` header behind the mark; None where there is no mark, or where the header is damaged."""
    if len(header) < _SHORTEST or not header[0] & _FALLBACK or crc8(header[:-1]) != header[-1]:
        return None
    return _with_flags(header, header[0] & ~_FALLBACK)


def _with_flags(header: bytes, flags: int) -> bytes:
    body = bytes((flags,)) + header[1:-1]
    return body + bytes((crc8(body),))


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


def parse_header(header: bytes, fitted: Grid) -> tuple[int, Grid]:
    """(energy byte, grid) of a header.

    Raises:
        StreamTruncatedError: too short.
        StreamVersionError: intact, but of another version.
        StreamDamagedError: checksum, flags or numbers do not fit.
    """
    if len(header) < _SHORTEST:
        raise StreamTruncatedError().noted(f"The codec's header has {len(header)} bytes; the shortest has {_SHORTEST}.")
    if len(header) > MAX_HEADER_BYTES:
        raise StreamDamagedError(StreamFault.LENGTH)
    if crc8(header[:-1]) != header[-1]:
        raise StreamDamagedError(StreamFault.CHECKSUM)
    flags, body = header[0], header[:-1]
    if flags >> _VERSION_SHIFT:
        raise StreamVersionError
    if flags & ~(_HAS_GRID | _HAS_PHOTO):
        raise StreamDamagedError(StreamFault.HEADER)
    position = 2
    numbers = [fitted.rows, fitted.columns, fitted.tiles, fitted.photo_width, fitted.photo_height]
    wanted = ([0, 1, 2] if flags & _HAS_GRID else []) + ([3, 4] if flags & _HAS_PHOTO else [])
    for which in wanted:
        numbers[which], position = read_varint(body, position, 3)
    if position != len(body):
        raise StreamDamagedError(StreamFault.LENGTH)
    grid = Grid(*numbers)
    try:
        check_grid(grid)
    except ShapeError as error:
        raise StreamDamagedError(StreamFault.GRID) from error
    return header[1], grid

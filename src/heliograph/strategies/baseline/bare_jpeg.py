"""JPEG: what libjpeg writes for a 4:2:0 colour picture at a quality of 1 to 100, without what both ends know (T.81).

Three files of the same picture can be rebuilt: sequential with the standard Huffman tables, which are not sent at all;
sequential with tables of its own; progressive, whose beginning can be rebuilt from the beginning of the stream.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from heliograph.errors import StreamDamagedError
from heliograph.reasons import StreamFault
from heliograph.strategies.baseline.bare_file import BareFile, side
from heliograph.strategies.baseline.bits import BitReader, BitsEndError, BitWriter
from heliograph.strategies.baseline.huffman_tables import (
    AC_ORDER,
    DC_ORDER,
    REFINEMENT_ORDER,
    STANDARD_TABLES,
    HuffmanTable,
    read_table,
    write_table,
)
from heliograph.strategies.baseline.pictures import MAX_PICTURE_BYTES, MAX_PICTURE_SIDE

_STANDARD, _OWN, _PROGRESSIVE = range(3)

_START, _END, _TABLES, _SCAN = b"\xff\xd8", b"\xff\xd9", b"\xff\xc4", b"\xff\xda"
_MARKER = re.compile(rb"\xff[^\x00]", re.DOTALL)
_QUANTISERS_END = 140
_FRAME_END = 159
_MAX_ORDER_ZERO_BITS = 26
_SCAN_BYTES_ORDER = 6
"""The lengths of scans are in exponential Golomb code of this order: seven bits up to 63 bytes, nine up to 191."""

_ZIGZAG = (
    *(0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21),
    *(28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61),
    *(54, 47, 55, 62, 63),
)
_LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)
"""Table K.1 and K.2, row by row."""


@dataclass(frozen=True)
class _Scan:
    """A scan.

    Attributes:
        tables: (class and number as DHT has them, order in which symbols are expected), in the file's order.
        parameters: of its SOS segment, behind the length.
    """

    tables: tuple[tuple[int, tuple[int, ...]], ...]
    parameters: bytes

    @property
    def head(self) -> bytes:
        return _SCAN + (len(self.parameters) + 2).to_bytes(2, "big") + self.parameters


_DC, _AC, _CHROMA_DC, _CHROMA_AC = (0x00, DC_ORDER), (0x10, AC_ORDER), (0x01, DC_ORDER), (0x11, AC_ORDER)
_REFINED_AC, _REFINED_CHROMA_AC = (0x10, REFINEMENT_ORDER), (0x11, REFINEMENT_ORDER)
_SEQUENTIAL_SCANS = (_Scan((_DC, _AC, _CHROMA_DC, _CHROMA_AC), bytes.fromhex("03 0100 0211 0311 003f00")),)
_PROGRESSIVE_SCANS = (
    _Scan((_DC, _CHROMA_DC), bytes.fromhex("03 0100 0210 0310 000001")),
    _Scan((_AC,), bytes.fromhex("01 0100 010502")),
    _Scan((_CHROMA_AC,), bytes.fromhex("01 0301 013f01")),
    _Scan((_CHROMA_AC,), bytes.fromhex("01 0201 013f01")),
    _Scan((_AC,), bytes.fromhex("01 0100 063f02")),
    _Scan((_REFINED_AC,), bytes.fromhex("01 0100 013f21")),
    _Scan((), bytes.fromhex("03 0100 0200 0300 000010")),
    _Scan((_REFINED_CHROMA_AC,), bytes.fromhex("01 0301 013f10")),
    _Scan((_REFINED_CHROMA_AC,), bytes.fromhex("01 0201 013f10")),
    _Scan((_REFINED_AC,), bytes.fromhex("01 0100 013f10")),
)


def stripped_jpeg(file: bytes) -> BareFile | None:
    """Quality, width - 1 and height - 1; then Huffman tables and data of every scan."""
    quality = _qualities().get(file[:_QUANTISERS_END])
    height, width = (int.from_bytes(file[place : place + 2], "big") for place in (145, 147))
    if quality is None or not 0 < width <= MAX_PICTURE_SIDE or not 0 < height <= MAX_PICTURE_SIDE:
        return None
    numbers, rest = (quality, width - 1, height - 1), file[_FRAME_END : -len(_END)]
    standard = _standard_head()
    if rest.startswith(standard):
        return BareFile(_STANDARD, numbers, _unstuffed(rest[len(standard) :]))
    flags = _PROGRESSIVE if file[_QUANTISERS_END : _QUANTISERS_END + 2] == b"\xff\xc2" else _OWN
    body = _stripped_scans(rest, _scans(flags))
    return None if body is None else BareFile(flags, numbers, body)


def rebuilt_jpeg(bare: BareFile) -> bytes:
    """The file; of a stream that is not complete as much of it as there is, without its end marker.

    Raises:
        StreamDamagedError: ``bare`` is what no file gives.
    """
    quality, width, height = bare.numbers
    if bare.flags > _PROGRESSIVE or not 1 <= quality <= 100:
        raise StreamDamagedError(StreamFault.HEADER)
    if len(bare.body) + bare.body.count(b"\xff") > MAX_PICTURE_BYTES:
        raise StreamDamagedError(StreamFault.LENGTH)
    head = _start(quality) + _frame(side(width), side(height), bare.flags == _PROGRESSIVE)
    if bare.flags == _STANDARD:
        parts = [_standard_head(), _stuffed(bare.body)]
    else:
        parts = _rebuilt_scans(bare, _scans(bare.flags))
    return head + b"".join(parts) + (_END if bare.complete else b"")


def quantiser_steps(quality: int) -> tuple[bytes, bytes]:
    """64 steps of luma and of chroma, row by row: the standard's tables, scaled as libjpeg does, within 1 to 255."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    luma, chroma = (bytes(min(max((step * scale + 50) // 100, 1), 255) for step in one) for one in (_LUMA, _CHROMA))
    return luma, chroma


def _stripped_scans(rest: bytes, scans: tuple[_Scan, ...]) -> bytes | None:
    body, position = [], 0
    for scan in scans:
        writer = BitWriter()
        for name, order in scan.tables:
            found = _table_at(rest, position, name)
            if found is None or not set(found[0].symbols) <= set(order):
                return None
            write_table(writer, found[0], order)
            position = found[1]
        if not rest.startswith(scan.head, position):
            return None
        start = position + len(scan.head)
        marker = _MARKER.search(rest, start)
        position = marker.start() if marker else len(rest)
        data = _unstuffed(rest[start:position])
        if scan is not scans[-1]:
            writer.exponential_golomb(len(data), _SCAN_BYTES_ORDER)
        body.append(writer.finished() + data)
    return b"".join(body) if position == len(rest) else None


def _rebuilt_scans(bare: BareFile, scans: tuple[_Scan, ...]) -> list[bytes]:
    parts: list[bytes] = []
    position = 0
    for scan in scans:
        reader = BitReader(bare.body, position)
        try:
            tables = [(name, read_table(reader, order)) for name, order in scan.tables]
            length = len(bare.body)
            if scan is not scans[-1]:
                length = reader.exponential_golomb(_SCAN_BYTES_ORDER, _MAX_ORDER_ZERO_BITS)
        except BitsEndError as error:
            if bare.complete:
                raise StreamDamagedError(StreamFault.PICTURE) from error
            return parts
        start = reader.next_byte
        data = bare.body[start : start + length]
        position = start + len(data)
        parts += [_segment(name, table) for name, table in tables] + [scan.head, _stuffed(data)]
        if len(data) < length and scan is not scans[-1]:
            if bare.complete:
                raise StreamDamagedError(StreamFault.PICTURE)
            return parts
    return parts


def _scans(flags: int) -> tuple[_Scan, ...]:
    return _PROGRESSIVE_SCANS if flags == _PROGRESSIVE else _SEQUENTIAL_SCANS


def _table_at(data: bytes, position: int, name: int) -> tuple[HuffmanTable, int] | None:
    """The one table of a DHT segment and where the next segment begins."""
    end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    content = data[position + 4 : end]
    if not data.startswith(_TABLES, position) or len(content) < 17 or content[0] != name:
        return None
    counts, symbols = tuple(content[1:17]), tuple(content[17:])
    if sum(counts) != len(symbols) or len(set(symbols)) != len(symbols) or not 0 < len(symbols) < 256:
        return None
    return HuffmanTable(counts, symbols), end


def _segment(name: int, table: HuffmanTable) -> bytes:
    content = bytes([name, *table.counts, *table.symbols])
    return _TABLES + (len(content) + 2).to_bytes(2, "big") + content


@lru_cache(maxsize=1)
def _standard_head() -> bytes:
    (scan,) = _SEQUENTIAL_SCANS
    tables = zip(scan.tables, STANDARD_TABLES, strict=True)
    return b"".join(_segment(name, table) for (name, _), table in tables) + scan.head


@lru_cache(maxsize=1)
def _qualities() -> dict[bytes, int]:
    return {_start(quality): quality for quality in range(1, 101)}


def _start(quality: int) -> bytes:
    """SOI and both DQT segments."""
    parts = [_START]
    for number, steps in enumerate(quantiser_steps(quality)):
        parts.append(b"\xff\xdb\x00\x43" + bytes([number, *(steps[place] for place in _ZIGZAG)]))
    return b"".join(parts)


def _frame(width: int, height: int, progressive: bool) -> bytes:
    sides = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    marker = b"\xff\xc2" if progressive else b"\xff\xc0"
    return marker + b"\x00\x11\x08" + sides + bytes.fromhex("03 012200 021101 031101")


def _unstuffed(data: bytes) -> bytes:
    return data.replace(b"\xff\x00", b"\xff")


def _stuffed(data: bytes) -> bytes:
    """Data as a scan has them: a byte 255 is followed by a zero, so that it is no marker."""
    return data.replace(b"\xff", b"\xff\x00")

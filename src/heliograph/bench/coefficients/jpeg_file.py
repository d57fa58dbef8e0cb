"""A JPEG file of given coefficients: sequential, one scan, the standard's Huffman tables (ITU-T T.81, annex F).

What a decoder makes of it is what the tokens of coefficients are compared with. Nothing is quantised anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from heliograph.strategies.baseline.huffman_tables import STANDARD_TABLES, HuffmanTable
from heliograph.strategies.compressed_domain.coefficients import BLOCK, COMPONENTS, Coefficients
from heliograph.strategies.jpeg_quantisers import ZIGZAG, quantisers

_ZEROS, _MAX_ZEROS, _END_OF_BLOCK = 0xF0, 15, 0x00
_TABLE_NUMBERS = (0x00, 0x10, 0x01, 0x11)


def jpeg_file(coefficients: Coefficients) -> bytes:
    """The file.

    Args:
        coefficients: whole numbers, as :func:`heliograph.strategies.compressed_domain.coefficients.quantised` gives.
    """
    shape = coefficients.shape
    sides = shape.height.to_bytes(2, "big") + shape.width.to_bytes(2, "big")
    sampling = 0x22 if shape.halved else 0x11
    parts = [b"\xff\xd8"]
    for number, steps in enumerate(quantisers(coefficients.quality)):
        parts.append(_segment(0xDB, bytes([number, *(steps[place] for place in ZIGZAG)])))
    parts.append(_segment(0xC0, b"\x08" + sides + bytes([3, 1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1])))
    for name, table in zip(_TABLE_NUMBERS, STANDARD_TABLES, strict=True):
        parts.append(_segment(0xC4, bytes([name, *table.counts, *table.symbols])))
    parts.append(_segment(0xDA, bytes([3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0])))
    return b"".join(parts) + _scan(coefficients) + b"\xff\xd9"


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def _scan(coefficients: Coefficients) -> bytes:
    codes = [_codes(table) for table in STANDARD_TABLES]
    before = [0] * COMPONENTS
    bits: list[str] = []
    for component, block in _blocks(coefficients):
        means, rest = codes[0:2] if component == 0 else codes[2:4]
        bits += _block_bits(block, before[component], means, rest)
        before[component] = block[0]
    joined = "".join(bits)
    data = int(joined.ljust(-(-len(joined) // 8) * 8, "1"), 2).to_bytes(-(-len(joined) // 8), "big")
    return data.replace(b"\xff", b"\xff\x00")


def _blocks(coefficients: Coefficients) -> Iterator[tuple[int, list[int]]]:
    """Component and 64 levels in zigzag order, as the units of a scan have them: four of Y, one of Cb, one of Cr, or
    one of each where chroma is in full. Blocks that only fill a unit repeat the mean before them."""
    side = 2 if coefficients.shape.halved else 1
    shaped = [one.astype(np.int64).reshape(*one.shape[:2], BLOCK * BLOCK) for one in coefficients.levels]
    levels = [one[..., list(ZIGZAG)] for one in shaped]  # (R, C, 64) each
    rows, columns = (-(-count // side) for count in levels[0].shape[:2])
    mean = 0
    for row in range(rows):
        for column in range(columns):
            for y, x in ((side * row + n // side, side * column + n % side) for n in range(side * side)):
                inside = y < levels[0].shape[0] and x < levels[0].shape[1]
                block = levels[0][y, x].tolist() if inside else [mean, *[0] * 63]
                mean = block[0]
                yield 0, block
            yield 1, levels[1][row, column].tolist()
            yield 2, levels[2][row, column].tolist()


def _block_bits(block: Sequence[int], before: int, means: dict[int, str], rest: dict[int, str]) -> Iterator[str]:
    difference = block[0] - before
    yield means[abs(difference).bit_length()] + _magnitude(difference)
    zeros = 0
    for level in block[1:]:
        if level == 0:
            zeros += 1
            continue
        while zeros > _MAX_ZEROS:
            yield rest[_ZEROS]
            zeros -= _MAX_ZEROS + 1
        yield rest[zeros << 4 | abs(level).bit_length()] + _magnitude(level)
        zeros = 0
    if zeros:
        yield rest[_END_OF_BLOCK]


def _magnitude(value: int) -> str:
    """The bits behind a category: of a negative value those of one less."""
    length = abs(value).bit_length()
    return f"{value if value > 0 else value + (1 << length) - 1:0{length}b}" if length else ""


def _codes(table: HuffmanTable) -> dict[int, str]:
    codes, code, symbols = {}, 0, iter(table.symbols)
    for length, count in enumerate(table.counts, 1):
        for _ in range(count):
            codes[next(symbols)] = f"{code:0{length}b}"
            code += 1
        code <<= 1
    return codes

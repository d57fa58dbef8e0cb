"""Huffman tables of JPEG in few bits: symbols as ranks among those that are left, code lengths as steps."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.strategies.baseline.bits import BitReader, BitsEndError, BitWriter

_LENGTHS = 16


@dataclass(frozen=True)
class HuffmanTable:
    """A table as DHT has it (T.81, B.2.4.2).

    Attributes:
        counts: of codes of 1 to 16 bits.
        symbols: in order of their codes.
    """

    counts: tuple[int, ...]
    symbols: tuple[int, ...]


def _table(counts: str, symbols: str) -> HuffmanTable:
    return HuffmanTable(tuple(bytes.fromhex(counts)), tuple(bytes.fromhex(symbols)))


STANDARD_TABLES = (
    _table("00010501010101010100000000000000", "000102030405060708090a0b"),
    _table(
        "0002010303020403050504040000017d",
        "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738"
        "393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5"
        "a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa",
    ),
    _table("00030101010101010101010000000000", "000102030405060708090a0b"),
    _table(
        "00020102040403040705040400010277",
        "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a353637"
        "38393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3"
        "a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa",
    ),
)
"""Table K.3, K.5, K.4 and K.6: luminance DC and AC, chrominance DC and AC."""

_RUNS = tuple(run << 4 for run in range(1, 15))
"""Progressive scans alone have them: so many blocks end here."""

DC_ORDER = (2, 3, 1, 4, 0, *range(5, 12))
AC_ORDER = (
    *(symbol for pair in zip(STANDARD_TABLES[1].symbols, _RUNS, strict=False) for symbol in pair),
    *STANDARD_TABLES[1].symbols[len(_RUNS) :],
)
REFINEMENT_ORDER = tuple(symbol for run in range(16) for symbol in (run << 4 | 1, run << 4))
"""Symbols of a kind of table, the likeliest first."""


def write_table(writer: BitWriter, table: HuffmanTable, order: tuple[int, ...]) -> None:
    """The table, whose symbols are all in ``order``: their number, then length and symbol of each."""
    left, length, symbols = list(order), 1, iter(table.symbols)
    writer.number(len(table.symbols), 8)
    for bits, count in enumerate(table.counts, 1):
        for symbol in (next(symbols) for _ in range(count)):
            writer.unary(bits - length)
            length = bits
            rank = left.index(symbol)
            writer.exponential_golomb(rank, 0)
            del left[rank]


def read_table(reader: BitReader, order: tuple[int, ...]) -> HuffmanTable:
    """The inverse of :func:`write_table`.

    Raises:
        BitsEndError: the bits end, or they are no table.
    """
    left, length, symbols = list(order), 1, []
    counts = [0] * _LENGTHS
    total = reader.number(8)
    if total == 0:
        raise BitsEndError
    for _ in range(total):
        length += reader.unary(_LENGTHS - length)
        counts[length - 1] += 1
        rank = reader.exponential_golomb(0, _LENGTHS)
        if rank >= len(left):
            raise BitsEndError
        symbols.append(left.pop(rank))
    return HuffmanTable(tuple(counts), tuple(symbols))

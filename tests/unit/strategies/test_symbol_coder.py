"""The arithmetic coder of symbols: what went in comes out, of every prefix what is certain, and in few bytes."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.strategies.semantic.symbol_coder import TOTAL, SymbolDecoder, SymbolEncoder
from heliograph.strategies.semantic.templates import sums_of

tables = st.lists(st.integers(1, 4000), min_size=1, max_size=90).map(sums_of)
messages = st.lists(st.tuples(tables, st.integers(0, 10**6), st.booleans()), max_size=60)


@settings(deadline=None, max_examples=60)
@given(messages)
def test_every_prefix_gives_what_is_certain(message: list[tuple[list[int], int, bool]]) -> None:
    chosen = []
    for table, number, likeliest in message:
        sizes = [high - low for low, high in pairwise(table)]
        chosen.append((table, sizes.index(max(sizes)) if likeliest else number % len(sizes)))
    encoder, bits = SymbolEncoder(), 0.0
    for table, symbol in chosen:
        encoder.encode(symbol, table)
        encoder.mark()
        bits -= math.log2((table[symbol + 1] - table[symbol]) / TOTAL)
    codeword, needed = encoder.finish()
    assert 8 * len(codeword) < bits + 17
    assert needed == sorted(needed)
    for length in range(len(codeword) + 1):
        decoder, found = SymbolDecoder(codeword[:length]), []
        for table, _ in chosen:
            symbol_or_none = decoder.decode(table)
            if symbol_or_none is None:
                break
            found.append(symbol_or_none)
        assert found == [symbol for _, symbol in chosen][: len(found)]
        assert len(found) == sum(one <= length for one in needed)


def test_a_codeword_is_pinned() -> None:
    encoder = SymbolEncoder()
    for symbol in (0, 2, 1, 1, 0, 2):
        encoder.encode(symbol, [0, 1000, 60000, TOTAL])
        encoder.mark()
    assert encoder.finish() == (bytes.fromhex("0396ef"), [2, 2, 2, 2, 2, 3])


def test_bytes_that_no_encoder_writes_end_the_message() -> None:
    table = [0, 1 << 14, 1 << 15, TOTAL]
    assert SymbolDecoder(b"\xff" * 40).decode(table) == 2
    decoder = SymbolDecoder(b"")
    assert [decoder.decode(table), decoder.decode(table)] == [None, None]
    assert decoder.decode([0, TOTAL]) == 0  # certain without a byte

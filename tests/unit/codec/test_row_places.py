"""Places of chosen tokens: what they cost, and that every prefix tells the first of them."""

from __future__ import annotations

from math import comb, log2, perm

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec.row_places import ChosenPlaces, Places, SortedPlaces
from heliograph.codec.symbols import SymbolDecoder, SymbolEncoder


def coded(places: list[int], order: Places) -> tuple[bytes, SymbolEncoder]:
    encoder = SymbolEncoder()
    for place in places:
        order.encode(encoder, place)
    return encoder.finish(), encoder


@pytest.mark.parametrize(("tokens", "kept"), [(64, 1), (64, 16), (64, 63), (1088, 100), (16384, 9)])
def test_what_places_cost(tokens: int, kept: int) -> None:
    """The best that can be is log2 of how many such sets, or orders, there are."""
    places = np.random.default_rng(tokens + kept).permutation(tokens)[:kept].tolist()
    chosen, ordered = (len(coded(*one)[0]) for one in sent(places, tokens))
    assert log2(comb(tokens, kept)) / 8 - 1 < ordered < log2(comb(tokens, kept)) * 1.01 / 8 + 2
    assert log2(perm(tokens, kept)) / 8 - 1 < chosen < log2(perm(tokens, kept)) * 1.01 / 8 + 2


def sent(places: list[int], tokens: int) -> tuple[tuple[list[int], Places], tuple[list[int], Places]]:
    return (places, ChosenPlaces(tokens)), (sorted(places), SortedPlaces(tokens, len(places)))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 40))
def test_any_prefix_tells_the_first_places(data: st.DataObject, tokens: int) -> None:
    places = data.draw(st.lists(st.integers(0, tokens - 1), unique=True, max_size=tokens))
    for wanted, order in sent(places, tokens):
        again = ChosenPlaces(tokens) if isinstance(order, ChosenPlaces) else SortedPlaces(tokens, len(places))
        codeword, encoder = coded(wanted, order)
        length = data.draw(st.integers(0, len(codeword)))
        decoder, found = SymbolDecoder(codeword[:length]), []
        while len(found) < len(wanted) and (place := again.decode(decoder)) is not None:
            found.append(place)
        assert found == wanted[: len(found)]
        if length == len(codeword):
            assert found == wanted
        if isinstance(order, ChosenPlaces):
            _, needed = encoder.certain_bytes(codeword)
            assert len(found) >= (needed <= length).sum()


def test_all_tokens_need_no_bits_once_sorted() -> None:
    assert coded(list(range(64)), SortedPlaces(64, 64))[0] == b""


def test_bytes_that_no_encoder_writes_end_the_places() -> None:
    decoder, order = SymbolDecoder(b"\xff" * 40), ChosenPlaces(5)
    found = [order.decode(decoder) for _ in range(9)]
    assert found[5:] == [None] * 4
    assert sorted(one for one in found if one is not None) == sorted({one for one in found if one is not None})

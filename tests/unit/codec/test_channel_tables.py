"""Integer tables of a factorised prior: counted, checked, and coded with."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.codec.channel_tables import ChannelTables, decode_channels, encode_channels, fit_channel_tables
from heliograph.codec.symbols import TOTAL
from heliograph.errors import BundleDamagedError, ShapeError, StreamTruncatedError


def counted(seed: int = 4) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [np.clip(np.rint(random.laplace(0, scale, (50, 4, 9))), -7, 7).astype(np.int64) for scale in (0.4, 1.5)]


def test_tables_hold_every_integer_and_cost_what_they_say() -> None:
    tables = fit_channel_tables(counted(), 8)
    assert (tables.rates, tables.channels, tables.reach) == (2, 4, 8)
    assert (tables.borders[..., -1] == TOTAL).all()
    for rate, integers in enumerate(counted(9)):
        size = len(encode_channels(integers[0], tables, rate))
        assert tables.bits(integers[0], rate) / 8 <= size <= tables.bits(integers[0], rate) / 8 + 2


def test_integers_come_back_and_those_beyond_reach_are_brought_to_it() -> None:
    tables = fit_channel_tables(counted(), 8)
    integers = counted(9)[1][3]
    integers[2, 4] = -99
    found = decode_channels(encode_channels(integers, tables, 1), tables, 1, 9)
    assert np.array_equal(found, np.clip(integers, -8, 8))


def test_a_codeword_that_is_cut_names_what_is_missing() -> None:
    tables = fit_channel_tables(counted(), 8)
    codeword = encode_channels(counted(9)[1][3], tables, 1)
    for length in range(len(codeword)):
        with pytest.raises(StreamTruncatedError):
            decode_channels(codeword[:length], tables, 1, 9)
    with pytest.raises(ShapeError):
        encode_channels(np.zeros((3, 9), np.int64), tables, 1)


@pytest.mark.parametrize(
    "borders",
    [
        np.zeros((2, 4, 18), np.int64),
        np.zeros((4, 18), np.int64),
        np.linspace(0, TOTAL, 17).astype(np.int64)[None, None],
        np.linspace(1, TOTAL, 18).astype(np.int64)[None, None],
        np.linspace(0, TOTAL - 1, 18).astype(np.int64)[None, None],
        np.repeat(np.linspace(0, TOTAL, 9).astype(np.int64), 2)[None, None],
        np.linspace(0, TOTAL, 2 * 512 + 2).astype(np.int64)[None, None],
    ],
)
def test_borders_that_no_fit_makes_are_refused(borders: np.ndarray) -> None:
    with pytest.raises(BundleDamagedError):
        ChannelTables(borders).check()

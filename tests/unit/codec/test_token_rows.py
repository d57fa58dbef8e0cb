"""Single tokens in a codeword: values by numpy's arithmetic, prefixes, statistics of every kind of transform."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec, LayoutTables
from heliograph.codec.symbols import SymbolDecoder, SymbolEncoder
from heliograph.codec.token_rows import RowCoder, RowStatistics, row_statistics
from heliograph.types import FloatArray, Grid, VisualTokens
from integer_codec import integer_codec, integer_tokens

GRID = Grid(4, 5)


def photos(count: int = 40) -> list[VisualTokens]:
    """Few things behind many channels, alike next to each other, livelier on the left."""
    random = np.random.default_rng(3)
    mixing = random.normal(size=(5, 12)) * np.array([8, 4, 2, 1, 0.5])[:, None]
    made = []
    for _ in range(count):
        things = random.laplace(size=(4, 5, 5)) * np.linspace(2, 0.2, 5)[None, :, None]
        things[:, 1:] += things[:, :-1]
        made.append(VisualTokens((things.reshape(20, 5) @ mixing + 3).astype(np.float32), GRID))
    return made


@pytest.fixture(scope="module")
def codec() -> KltCodec:
    return fit_klt(photos(), modes=("none",), contexts=False, restore=False)


def codeword(coder: RowCoder, integers: list[list[int]], places: list[int]) -> bytes:
    encoder = SymbolEncoder()
    for row, place in zip(integers, places, strict=True):
        coder.encode(encoder, row, place)
    return encoder.finish()


def coefficients(statistics: RowStatistics, values: FloatArray, places: list[int]) -> FloatArray:
    transform = statistics.transform
    return np.asarray((values - statistics.mean[places]) @ transform.forward / np.float32(transform.step), np.float32)


@pytest.mark.parametrize("level", [0, 5, 16, 30])
def test_integers_are_whole_thresholds_and_values_lie_within_one(codec: KltCodec, level: int) -> None:
    values, places = photos()[7].values, [3, 0, 19, 8]
    statistics = row_statistics(codec, GRID)
    coder, exact = RowCoder(statistics, level), coefficients(statistics, values[places], places)
    integers = coder.quantised(values[places], places)
    assert np.array_equal(integers, np.trunc(exact.astype(np.float64) * 2 ** (-level / 8)))
    threshold = codec.transform.step * 2 ** (level / 8)
    error = np.abs(coder.restored(integers, places) - exact * codec.transform.step) / threshold
    assert error.max() < 1
    assert integers.any() == (level < 30)


@pytest.mark.parametrize("level", [0, 16, 40])
def test_any_prefix_gives_the_first_tokens(codec: KltCodec, level: int) -> None:
    statistics, places = row_statistics(codec, GRID), [4, 17, 2, 9, 11, 0]
    coder = RowCoder(statistics, level)
    integers = coder.quantised(photos()[1].values[places], places).tolist()
    data = codeword(coder, integers, places)
    known = []
    for length in range(len(data) + 1):
        decoder, found = SymbolDecoder(data[:length]), []
        for place in places:
            row = coder.decode(decoder, place)
            if row is None:
                break
            found.append(row)
        assert found == integers[: len(found)]
        known.append(len(found))
    assert known == sorted(known)
    assert known[-1] == len(places)
    assert len(data) < 12 or known[len(data) // 2] > 0


def test_a_codeword_is_nearly_as_long_as_the_entropy(codec: KltCodec) -> None:
    """Of the coder's own geometric law at the true scales of this source; contexts may only help."""
    coder, statistics = RowCoder(row_statistics(codec, GRID), 12), row_statistics(codec, GRID)
    bits, size = 0.0, 0
    for photo in photos():
        integers = coder.quantised(photo.values, list(range(20)))
        tail = np.exp(-(2 ** ((12 - statistics.scale_bin) / 8)))
        chance = (1 - tail) * tail ** np.abs(integers)
        bits += float(-np.log2(chance).sum()) + np.count_nonzero(integers)
        size += len(codeword(coder, integers.tolist(), list(range(20))))
    assert 0.8 * bits / 8 < size < 1.05 * bits / 8 + 60


@pytest.mark.parametrize("mode", ["dct", "learned"])
def test_scales_without_a_transform_over_the_grid(mode: str) -> None:
    """Both modes keep scales of frequencies; what follows of them for places is the mean over places."""
    made = fit_klt(photos(40), modes=(mode,), contexts=False, restore=False)
    statistics = row_statistics(made, GRID)
    everything = np.stack([one.values for one in photos(40)])
    spectrum = (everything - made.transform.mean) @ made.transform.forward / made.transform.step
    measured = 4 * np.log2(np.square(spectrum).mean(axis=(0, 1)) / 2)  # Laplacian: E[x^2] = 2 E[|x|]^2
    assert np.abs(statistics.scale_bin - measured).max() < 5  # eighth octaves
    assert np.array_equal(statistics.scale_bin, np.tile(statistics.scale_bin[0], (20, 1)))
    assert (statistics.minus == 32768).all()


def test_statistics_of_another_grid(codec: KltCodec) -> None:
    other = row_statistics(codec, Grid(2, 3, 4))
    assert other.mean.shape == (6, 12)
    assert np.allclose(other.mean, codec.transform.mean.mean(axis=0))
    assert other.scale_bin.shape == (6, codec.components)


def test_averages_have_the_mean_of_their_windows() -> None:
    made = integer_codec(contexts=False, grid=Grid(3, 4))
    mean = np.arange(48, dtype=np.float32).reshape(12, 4)
    made.transform = replace(made.transform, mean=mean)
    bins = np.arange(12)[:, None] + np.zeros(4, np.int64)
    made.layouts = LayoutTables(bins, made.layouts.skew_bin, bins)
    found = row_statistics(made, Grid(3, 4)).averaged(Grid(3, 4), 2, 2)  # rows 0 and 1, then row 2
    assert found.mean[:, 0].tolist() == [(0 + 4 + 16 + 20) / 4, (8 + 12 + 24 + 28) / 4, (32 + 36) / 2, (40 + 44) / 2]
    assert found.scale_bin[:, 0].tolist() == [(0 + 1 + 4 + 5) // 4, (2 + 3 + 6 + 7) // 4, (8 + 9) // 2, (10 + 11) // 2]


def test_what_lies_beyond_the_planes_is_capped() -> None:
    made = integer_codec(contexts=False)
    coder = RowCoder(row_statistics(made, made.grid), 0)
    integers = coder.quantised(np.full((1, 4), 1e6, np.float32), [2])
    assert integers.tolist() == [[31, 31, 15, 7]]  # of 5, 5, 4 and 3 planes
    decoder = SymbolDecoder(codeword(coder, [[-31, 31, -15, 7]], [2]))
    assert coder.decode(decoder, 2) == [-31, 31, -15, 7]


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_read_without_a_crash(seed: int) -> None:
    made = integer_codec(contexts=False)
    coder = RowCoder(row_statistics(made, made.grid), 3)
    decoder = SymbolDecoder(np.random.default_rng(seed).bytes(200))
    rows = [coder.decode(decoder, place % 6) for place in range(400)]
    for row in (row for row in rows if row is not None):
        assert np.isfinite(coder.restored(np.array([row]), [0])).all()
    assert rows[-1] is None


def test_integers_of_whole_numbers_come_back() -> None:
    made = integer_codec(contexts=False)
    values = integer_tokens(7).values
    coder = RowCoder(row_statistics(made, made.grid), 8)
    integers = coder.quantised(values, list(range(6)))
    assert np.array_equal(integers, np.clip(np.trunc(values / 2), *(np.array([[-15], [15]]) * [1, 1, 7 / 15, 3 / 15])))

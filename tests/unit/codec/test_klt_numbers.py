"""The closed-form codec's borders: how far planes are known, which photos and headers are too large, other grids."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from heliograph.codec.header import pack_header
from heliograph.codec.klt import KltCodec
from heliograph.errors import ShapeError, StreamDamagedError
from heliograph.reasons import StreamFault
from heliograph.types import Grid, VisualTokens


def test_a_pass_without_decisions_counts_as_whole(codec: KltCodec) -> None:
    """Every class is in the first pass and every coefficient is zero: no second pass has anything to decide."""
    tables = replace(codec.tables, split=np.zeros_like(codec.tables.split))
    eager = KltCodec(codec.grid, codec.transform, tables, codec.layouts)
    nothing = np.zeros((1, 20, codec.components), np.float32)
    codeword = eager.encode_coefficients(nothing, codec.grid)
    found = eager.decode_state(codec.grid, codeword.data)
    assert not found.state.known.any()
    assert (found.planes, found.retained) == (0.0, 0.0)
    unknown = eager.decode_state(codec.grid, b"")
    assert (unknown.planes, unknown.retained) == (float(tables.planes), 0.0)


# ---- sizes ---------------------------------------------------------------------------------------------------
def with_components(codec: KltCodec, components: int) -> KltCodec:
    made = copy.copy(codec)
    made.components = components
    return made


SIXTEEN = Grid(4, 4)  # tokens: with 2^20 components they have 2^24 coefficients


def test_a_photo_has_at_most_two_to_the_24_coefficients(codec: KltCodec) -> None:
    tokens = VisualTokens(np.ones((16, 12), np.float32), SIXTEEN)
    header = pack_header(SIXTEEN, codec.grid)
    largest, beyond = with_components(codec, 1 << 20), with_components(codec, (1 << 20) + 1)
    assert largest.analyse(tokens).shape[:2] == (1, 16)
    assert largest.stated_grid(header) == SIXTEEN
    with pytest.raises(ShapeError) as refused:
        beyond.analyse(tokens)
    assert "has over 16777216 coefficients" in " ".join(refused.value.__notes__)
    with pytest.raises(StreamDamagedError) as damaged:
        beyond.stated_grid(header)
    assert damaged.value.fault is StreamFault.GRID


def test_a_header_states_at_most_two_to_the_24_values(codec: KltCodec) -> None:
    """Of tokens as of coefficients: the wider of the two counts."""
    header = pack_header(SIXTEEN, codec.grid)
    for size, fits in ((1 << 20, True), ((1 << 20) + 1, False)):
        made = copy.copy(codec)
        made.transform = replace(codec.transform, forward=np.broadcast_to(np.float32(0), (size, codec.components)))
        if fits:
            assert made.stated_grid(header) == SIXTEEN
            continue
        with pytest.raises(StreamDamagedError) as damaged:
            made.stated_grid(header)
        assert damaged.value.fault is StreamFault.GRID


@pytest.mark.parametrize(
    ("values", "grid", "said"),
    [
        (np.zeros((20, 11)), Grid(4, 5), "have the shape (20, 12), not (20, 11)"),
        (np.zeros((19, 12)), Grid(4, 5), "have the shape (20, 12), not (19, 12)"),
        (np.zeros(240), Grid(4, 5), "have the shape (20, 12), not (240,)"),
        (np.zeros((0, 12)), Grid(0, 5), "a photo of 0 tokens is empty"),
        (np.full((20, 12), np.nan), Grid(4, 5), "not finite"),
        (np.full((20, 12), 2.0**30), Grid(4, 5), "larger than a vision tower makes"),
    ],
)
def test_photos_that_are_refused_say_why(codec: KltCodec, values: np.ndarray, grid: Grid, said: str) -> None:
    with pytest.raises(ShapeError) as refused:
        codec.encode(VisualTokens(values.astype(np.float32), grid))
    assert said in " ".join(refused.value.__notes__)


# ---- grids ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("mode", "spatial", "neighbours"), [("none", True, True), ("dct", False, True), ("learned", False, False)]
)
def test_statistics_of_the_fitted_and_of_another_grid(
    codec: KltCodec, mode: str, spatial: bool, neighbours: bool
) -> None:
    """Without a transform over the grid places keep their skew; frequencies of another grid have none, which is 4."""
    components = codec.components
    numbers = np.arange(20 * components).reshape(20, components)
    layouts = replace(codec.layouts, scale_bin=numbers % 7, skew_bin=numbers % 9, other_scale_bin=numbers % 11)
    made = KltCodec(codec.grid, replace(codec.transform, mode=mode), codec.tables, layouts)
    own = made.model_for(Grid(4, 5, tiles=3)).layout
    assert (own.rows, own.columns, own.neighbours) == (4, 5, neighbours)
    np.testing.assert_array_equal(own.scale_bin, numbers % 7)
    np.testing.assert_array_equal(own.skew_bin, numbers % 9)
    for sides, places in (((2, 5), [*range(5), *range(10, 15)]), ((4, 1), [0, 5, 10, 15])):
        other = made.model_for(Grid(*sides)).layout
        assert (other.rows, other.columns, other.neighbours) == (*sides, True)
        np.testing.assert_array_equal(other.scale_bin, (numbers % 11)[places])
        skew = (numbers % 9)[places] if spatial else np.full((len(places), components), 4)
        np.testing.assert_array_equal(other.skew_bin, skew)

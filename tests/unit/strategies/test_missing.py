"""Tokens that did not come: three ways, by hand."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import numpy as np
import pytest

from heliograph.codec.token_rows import RowStatistics, row_statistics
from heliograph.strategies.missing import WAYS, filled_tokens
from heliograph.types import FloatArray, Grid
from integer_codec import integer_codec

GRID = Grid(2, 3, 2)


def statistics(grid: Grid = GRID) -> RowStatistics:
    """Means 0, 1, 2 ... over the places of a tile, in every channel."""
    positions = grid.rows * grid.columns
    made = row_statistics(integer_codec(contexts=False, grid=Grid(grid.rows, grid.columns)), grid)
    means = np.arange(positions, dtype=np.float32)[:, None] + np.zeros(4, np.float32)
    return replace(made, mean=means)


def column(values: list[float]) -> FloatArray:
    return np.array(values, dtype=np.float32)[:, None] + np.zeros(4, np.float32)


@pytest.mark.parametrize(
    ("way", "first", "second"),
    [
        ("mean", [11.5, 11.5, 12, 11.5, 11.5, 11], [11.5] * 6),
        ("place", [0, 1, 12, 3, 4, 11], [0, 1, 2, 3, 4, 5]),
        ("nearest", [12, 12, 12, 11, 11, 11], [0, 1, 2, 3, 4, 5]),
    ],
)
def test_what_is_put_without_a_prediction(way: str, first: list[float], second: list[float]) -> None:
    """In the first tile come place 5, as 11, and place 2, as 12; of the second nothing comes."""
    found = filled_tokens(column([6, 10]), [5, 2], statistics(), GRID, way)
    assert np.allclose(found.values, column(first + second))
    assert found.grid == GRID


def test_prediction_from_one_token_falls_off_with_distance() -> None:
    found = filled_tokens(column([10]), [0], statistics(), GRID)
    near = 10 / 1.05  # its own share of the variance is one, and a twentieth more that nobody shares
    steps = [1, 2, 1, 2**0.5, 5**0.5]
    expected = [10, *(place + near * exp(-far) for place, far in zip(range(1, 6), steps, strict=True))]
    assert np.allclose(found.values[:6], column(expected), atol=1e-5)
    assert np.allclose(found.values[6:], statistics().mean)


def test_prediction_from_two_tokens() -> None:
    """Places 0 and 2 of a row, and 1 between them: both weigh alike, e^-1 / (1.05 + e^-2)."""
    grid = Grid(1, 3)
    found = filled_tokens(column([4, 8]), [0, 2], statistics(grid), grid)
    assert np.allclose(found.values, column([4, 1 + 12 * exp(-1) / (1.05 + exp(-2)), 10]), atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_all_tokens_stay_and_none_are_the_means(way: str) -> None:
    values = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    order = np.random.default_rng(1).permutation(12).tolist()
    means = np.tile(statistics().mean, (2, 1))
    assert np.allclose(filled_tokens(values[order], order, statistics(), GRID, way).values, values + means, atol=1e-5)
    empty = filled_tokens(np.zeros((0, 4), np.float32), [], statistics(), GRID, way)
    assert np.array_equal(empty.values, means)


def test_large_grids_are_predicted_block_by_block_as_in_one() -> None:
    """What lies beyond the halo hardly counts, so borders of blocks are not seen."""
    grid = Grid(24, 24)
    made = replace(statistics(grid), mean=np.zeros((576, 4), np.float32))
    random = np.random.default_rng(2)
    places = random.permutation(576)[:150]
    values = random.normal(size=(150, 4)).astype(np.float32)
    found = filled_tokens(values, places.tolist(), made, grid).values
    down, across = np.divmod(np.arange(576), 24)
    weights = np.exp(-np.hypot(down[:, None] - down[places], across[:, None] - across[places]))
    whole = weights @ np.linalg.solve(weights[places] + 0.05 * np.eye(150), values)
    whole[places] = values
    assert np.abs(found - whole).max() < 0.05

"""A small codec fitted on sparse objects over a smooth background, shared by the codec tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.types import Grid, VisualTokens

ROWS, COLUMNS, SIZE = 4, 5, 12
GRID = Grid(ROWS, COLUMNS)


def scene_tokens(seed: int, rows: int = ROWS, columns: int = COLUMNS, tiles: int = 1) -> VisualTokens:
    """A smooth field, one or two objects, a little noise: (N, 12) float32."""
    fixed = np.random.default_rng(1)
    field, objects = fixed.normal(size=(3, SIZE)), fixed.normal(size=(6, SIZE)) * 2
    random = np.random.default_rng(seed)
    values = np.zeros((tiles, rows, columns, SIZE))
    for tile in values:
        tile += np.linspace(-1, 1, rows)[:, None, None] * random.normal() * field[0]
        tile += np.linspace(-1, 1, columns)[None, :, None] * random.normal() * field[1] + random.normal() * field[2]
        for _ in range(2):
            row, column = random.integers(rows), random.integers(columns)
            tile[row : row + 2, column : column + 2] = objects[random.integers(6)]
    values += random.normal(size=values.shape) * 0.1
    return VisualTokens(values.reshape(-1, SIZE).astype(np.float32), Grid(rows, columns, tiles))


@pytest.fixture(scope="session")
def make_tokens() -> Callable[..., VisualTokens]:
    return scene_tokens


@pytest.fixture(scope="session")
def photos() -> list[VisualTokens]:
    """Tokens that the codec has not been fitted on."""
    return [scene_tokens(seed) for seed in range(1000, 1024)]


@pytest.fixture(scope="session")
def codec() -> KltCodec:
    made = fit_klt([scene_tokens(seed) for seed in range(72)], finest_retained=0.995)
    assert made.contexts is not None
    return made

"""What the cloud puts where no token came, told apart by measurement (docs/experiments.md).

::

    mean       the mean of the tokens that came
    place      the mean token of the place, from the codec's tables
    nearest    the token that came nearest to the place, in rows and columns of its tile
    predicted  best linear prediction from those that came, channel coefficient by channel coefficient

The prediction is simple kriging (Krige, 1951; Gaussian-process regression with a fixed covariance): a coefficient has
the mean token of its place as its mean, and deviations from it correlate by exp(-distance) over the tile, in cells. The
codec's tables hold the mean and no correlations; one cell was the best length on scenes that no figure is taken from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heliograph.codec.token_rows import RowStatistics
from heliograph.types import FloatArray, Grid, VisualTokens

MEAN, PLACE, NEAREST, PREDICTED = "mean", "place", "nearest", "predicted"
WAYS = (MEAN, PLACE, NEAREST, PREDICTED)

_NOISE = 0.05  # share of a coefficient's variance that no neighbour shares, or that quantisation adds
_BLOCK, _HALO = 16, 4  # cells: exp(-4) of what lies further away is left out, which bounds systems to 576 tokens


def filled_tokens(
    spectrum: FloatArray, places: Sequence[int], statistics: RowStatistics, grid: Grid, way: str = PREDICTED
) -> VisualTokens:
    """All N tokens; those that came as they are.

    Args:
        spectrum: (k, R) float32 channel coefficients of the tokens that came.
        places: (k,) of these among all N, each once.
        statistics: of the P places of a tile.
        grid: of the photo.
        way: one of ``WAYS``. Where nothing came to go by, the mean token of the place is put.
    """
    inverse, positions = statistics.transform.inverse, grid.rows * grid.columns
    means, kept = np.tile(statistics.mean, (grid.tiles, 1)), np.array(places, dtype=np.int64)  # (N, D), (k,)
    known = means[kept] + spectrum @ inverse  # (k, D)
    whole = means
    if way == MEAN and len(kept):
        whole = np.tile(known.mean(axis=0), (grid.tokens, 1))
    for tile in np.unique(kept // positions) if way in (NEAREST, PREDICTED) else ():
        here = kept // positions == tile
        part, cells = slice(tile * positions, (tile + 1) * positions), kept[here] % positions
        if way == NEAREST:
            whole[part] = _nearest(known[here], cells, grid)
        else:
            whole[part] += _predicted(spectrum[here], cells, grid) @ inverse
    whole[kept] = known
    return VisualTokens(np.ascontiguousarray(whole, dtype=np.float32), grid)


def _nearest(known: FloatArray, cells: np.ndarray, grid: Grid) -> FloatArray:
    """(P, D): of the (k, D) tokens at cells of one tile the nearest to each cell; of two the one that came first."""
    rows = [
        _distances(np.arange(start, start + grid.columns), cells, grid).argmin(axis=1) for start in _row_starts(grid)
    ]
    return np.asarray(known[np.concatenate(rows)])


def _predicted(spectrum: FloatArray, cells: np.ndarray, grid: Grid) -> FloatArray:
    """(P, R): deviations from the mean token, predicted from the (k, R) at cells of one tile, block by block."""
    found = np.zeros((grid.rows * grid.columns, spectrum.shape[1]), dtype=np.float32)
    down, across = np.divmod(cells, grid.columns)
    for top in range(0, grid.rows, _BLOCK):
        for left in range(0, grid.columns, _BLOCK):
            inside = (down >= top - _HALO) & (down < top + _BLOCK + _HALO)
            near = inside & (across >= left - _HALO) & (across < left + _BLOCK + _HALO)
            known = cells[near]
            if not len(known):
                continue
            rows, columns = (
                np.arange(top, min(top + _BLOCK, grid.rows)),
                np.arange(left, min(left + _BLOCK, grid.columns)),
            )
            block = (rows[:, None] * grid.columns + columns).reshape(-1)
            among = np.exp(-_distances(known, known, grid)) + _NOISE * np.eye(len(known))
            weights = np.linalg.solve(among, spectrum[near].astype(np.float64))
            found[block] = np.exp(-_distances(block, known, grid)) @ weights
    return found


def _distances(cells: np.ndarray, others: np.ndarray, grid: Grid) -> np.ndarray:
    """(n, k) float64, in cells."""
    (down, across), (below, beside) = np.divmod(cells, grid.columns), np.divmod(others, grid.columns)
    return np.asarray(np.hypot(down[:, None] - below, across[:, None] - beside))


def _row_starts(grid: Grid) -> range:
    return range(0, grid.rows * grid.columns, grid.columns)

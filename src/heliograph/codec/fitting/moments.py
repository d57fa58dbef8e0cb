"""What fitting needs to know of all tokens, gathered in one pass over them: mean, second moment, and a sample.

::

    token sets, one at a time --onto the common grid--> tiles (P, D) --> running sums; every so-and-so-manieth tile kept

So a fit takes as much memory for a hundred thousand photos as for a thousand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from heliograph.codec.transform import DoubleArray, dct_matrix
from heliograph.errors import CodecNotFittedError, ShapeError
from heliograph.types import FloatArray, Grid, VisualTokens

MAX_SAMPLED = 1 << 26  # values in the sample: 256 MB


@dataclass(frozen=True)
class Moments:
    """Moments of all tiles.

    Attributes:
        grid: the common one; photo size 0 where photos differ.
        mean: (P, D) at each position.
        scatter: (D, D) sum over tiles and positions of (x - mean)(x - mean)^T, the error weighed over positions.
        sample: (I, P, D) float32 tiles, evenly spread over all.
        one_grid: no token set was on another grid.
    """

    grid: Grid
    mean: FloatArray
    scatter: DoubleArray
    sample: FloatArray
    one_grid: bool


def common_grid(grids: Iterable[Grid]) -> Grid:
    """The grid that most photos have, the larger one of two; without photo size where that differs.

    Raises:
        CodecNotFittedError: there is none.
    """
    found = list(grids)
    if not found:
        raise CodecNotFittedError
    counts = Counter((grid.rows, grid.columns) for grid in found)
    rows, columns = max(counts, key=lambda sides: (counts[sides], sides[0] * sides[1], sides))
    same = [grid for grid in found if (grid.rows, grid.columns) == (rows, columns)]
    tiles = {grid.tiles for grid in same}
    grid = replace(same[0], tiles=same[0].tiles if len(tiles) == 1 else 1)
    photos = {(one.photo_width, one.photo_height) for one in found}
    return grid if len(photos) == 1 else Grid(grid.rows, grid.columns, grid.tiles)


def gather_moments(token_sets: Sequence[VisualTokens], grids: Sequence[Grid], root: DoubleArray | None) -> Moments:
    """One pass over all token sets.

    Args:
        token_sets: finite, of one D; read in order, each once.
        grids: of each of them, known before.
        root: (P, P) square root of the weights over positions; None weighs all alike.

    Raises:
        ShapeError: a set does not fit its grid or the others' D.
        CodecNotFittedError: a value is not finite, or nothing varies.
    """
    grid = common_grid(grids)
    total = sum(one.tiles for one in grids)
    sums: _Sums | None = None
    for tokens in token_sets:
        for tile in _tiles(tokens, grid):
            if sums is None:
                sums = _Sums(tile, root, total)
            sums.add(tile)
    if sums is None:
        raise CodecNotFittedError
    one_grid = all((one.rows, one.columns) == (grid.rows, grid.columns) for one in grids)
    return sums.moments(grid, one_grid)


def onto_grid(tile: FloatArray, before: Grid, after: Grid) -> FloatArray:
    """(p, D) tokens to (P, D) on a grid of other sides: the same picture in as many cosines as both grids have."""
    low = min(before.rows, after.rows), min(before.columns, after.columns)
    gain = np.sqrt(after.rows * after.columns / (before.rows * before.columns))
    down = (dct_matrix(after.rows)[: low[0]].T @ dct_matrix(before.rows)[: low[0]]) * gain  # (R, r)
    across = dct_matrix(after.columns)[: low[1]].T @ dct_matrix(before.columns)[: low[1]]  # (C, c)
    cells = tile.reshape(before.rows, before.columns, -1)
    moved = np.einsum("Rr,rcd->Rcd", down.astype(np.float32), cells, optimize=True)
    moved = np.einsum("Cc,Rcd->RCd", across.astype(np.float32), moved, optimize=True)
    return np.ascontiguousarray(moved.reshape(after.rows * after.columns, -1), dtype=np.float32)


def _tiles(tokens: VisualTokens, grid: Grid) -> Iterator[FloatArray]:
    """(P, D) float32 of each tile on the common grid."""
    own = tokens.grid
    values = np.asarray(tokens.values, dtype=np.float32)
    if values.ndim != 2 or values.shape[0] != own.tokens or not own.tokens:
        raise ShapeError().noted(f"tokens of {own} are a matrix with {own.tokens} rows, not {values.shape}.")
    if not np.all(np.isfinite(values)):
        raise CodecNotFittedError().noted("A photo's tokens are not finite.")
    same = (own.rows, own.columns) == (grid.rows, grid.columns)
    for tile in values.reshape(own.tiles, own.rows * own.columns, -1):
        yield tile if same else onto_grid(tile, own, grid)


class _Sums:
    """Running sums, taken about the first tile's mean so that nothing cancels."""

    def __init__(self, first: FloatArray, root: DoubleArray | None, total: int) -> None:
        positions, size = first.shape
        self._shape, self._root = first.shape, None if root is None else root.astype(np.float32)
        self._first, self._varies = np.array(first), False
        self._shift = first.mean(axis=0)
        self._sum = np.zeros((positions, size))
        self._second = np.zeros((size, size))
        self._sample: list[FloatArray] = []
        self._total, self._kept = total, min(total, max(1, MAX_SAMPLED // first.size))
        self.count = 0

    def add(self, tile: FloatArray) -> None:
        """One more (P, D) tile."""
        if tile.shape != self._shape:
            raise ShapeError().noted(f"tiles have the shape {self._shape}, not {tile.shape}.")
        self._varies = self._varies or not np.array_equal(tile, self._first)
        centred = tile - self._shift
        self._sum += centred
        weighed = centred if self._root is None else self._root @ centred
        self._second += weighed.T @ weighed
        if (self.count + 1) * self._kept // self._total > self.count * self._kept // self._total:
            self._sample.append(np.array(tile))  # a copy: the photo's other tiles go
        self.count += 1

    def moments(self, grid: Grid, one_grid: bool) -> Moments:
        """What was summed up."""
        mean = self._sum / self.count  # (P, D)
        weighed = mean if self._root is None else self._root.astype(np.float64) @ mean
        scatter = self._second - self.count * (weighed.T @ weighed)
        if not self._varies or not np.isfinite(scatter).all():
            raise CodecNotFittedError().noted("The tokens are the same in every photo, or not finite.")
        sample = np.stack(self._sample)
        return Moments(grid, (mean + self._shift).astype(np.float32), scatter, sample, one_grid)

"""Grids of visual tokens averaged down, and enlarged linearly: for strategies that send a smaller grid."""

from __future__ import annotations

import numpy as np

from heliograph.types import FloatArray, Grid


def shrunk_tokens(values: FloatArray, grid: Grid, rows: int, columns: int) -> FloatArray:
    """(N, D) tokens of a grid to (N', D): area averages, ``rows`` x ``columns`` to a tile; smaller or equal sides."""
    return _resampled(values, grid, _averaging(grid.rows, rows), _averaging(grid.columns, columns))


def enlarged_tokens(values: FloatArray, grid: Grid, rows: int, columns: int) -> FloatArray:
    """The way back: (N', D) averages to all (N, D) tokens of ``grid``, linear between the averages' centres."""
    small = Grid(rows, columns, grid.tiles)
    return _resampled(values, small, _bilinear(rows, grid.rows), _bilinear(columns, grid.columns))


def _resampled(values: FloatArray, grid: Grid, over_rows: FloatArray, over_columns: FloatArray) -> FloatArray:
    """(N, D) on ``grid`` to (N', D): the two small matrices applied along rows and columns of each tile."""
    cube = values.reshape(grid.tiles, grid.rows, grid.columns, -1)  # (T, R, C, D)
    small = np.einsum("ar,bc,trcd->tabd", over_rows, over_columns, cube, optimize=True)
    return np.ascontiguousarray(small.reshape(-1, values.shape[1]), dtype=np.float32)


def _averaging(size: int, small: int) -> FloatArray:
    """(small, size) float32: each row the mean over an equal share of the axis, parts of cells counted by part."""
    edges = np.arange(small + 1) * size / small
    cells = np.arange(size)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return np.asarray(np.clip(overlap, 0, None) * small / size, dtype=np.float32)


def _bilinear(small: int, size: int) -> FloatArray:
    """(size, small) float32: linear interpolation between cell centres, constant beyond the outer ones."""
    centres = np.clip((np.arange(size) + 0.5) * small / size - 0.5, 0, small - 1)
    distance = np.abs(centres[:, None] - np.arange(small))
    return np.asarray(np.clip(1 - distance, 0, None), dtype=np.float32)

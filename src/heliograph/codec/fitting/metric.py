"""The error metric: how much the language model notices an error in a channel and at a place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliograph.codec.transform import DoubleArray, grid_dct
from heliograph.errors import ShapeError
from heliograph.types import FloatArray

_CHANNEL_FLOOR = 0.01  # part of the mean weight that every direction keeps
_GRID_FLOOR = 0.01
_FLIP_FLOPS = 4


@dataclass(frozen=True)
class Metric:
    """Error metric ``|| grid_root E channel_root ||^2`` of a token error E (P, D); traces are P and D."""

    channel_root: DoubleArray
    channel_root_inverse: DoubleArray
    grid_root: DoubleArray
    grid_root_inverse: DoubleArray
    weighs_grid: bool

    def energy(self, error: FloatArray) -> float:
        """Squared length of (P, D) in the metric."""
        return float(((self.grid_root @ error @ self.channel_root) ** 2).sum())


def make_metric(
    size: int, grid: tuple[int, int], sensitivity: FloatArray | None, grid_sensitivity: FloatArray | None
) -> Metric:
    """Square roots of the sensitivities, see :meth:`heliograph.codec.fitting.fit.fit_klt`.

    Raises:
        ShapeError: a sensitivity has the wrong shape, is not finite or is nowhere positive.
    """
    positions = grid[0] * grid[1]
    channels: FloatArray | DoubleArray | None = sensitivity
    places: FloatArray | DoubleArray | None = grid_sensitivity
    if sensitivity is not None and sensitivity.ndim == 3:
        if sensitivity.shape != (positions, size, size) or grid_sensitivity is not None:
            raise ShapeError().noted(
                f"sensitivity by place has the shape {(positions, size, size)} and no grid_sensitivity; it is "
                f"{sensitivity.shape}."
            )
        channels, places = _separate(np.asarray(sensitivity, dtype=np.float64), grid)
    elif sensitivity is not None and sensitivity.ndim == 1:
        channels = np.diag(sensitivity)
    channel_root, channel_inverse = _roots(channels, size, _CHANNEL_FLOOR)
    grid_root, grid_inverse = _roots(places, positions, _GRID_FLOOR)
    return Metric(channel_root, channel_inverse, grid_root, grid_inverse, places is not None)


def _separate(by_frequency: DoubleArray, grid: tuple[int, int]) -> tuple[DoubleArray, DoubleArray]:
    """The nearest product of one channel matrix and one weight per frequency (flip-flop for Kronecker models)."""
    size = by_frequency.shape[1]
    weight = np.trace(by_frequency, axis1=1, axis2=2)
    if not np.all(np.isfinite(by_frequency)) or weight.max() <= 0:
        raise ShapeError().noted("the sensitivity must be finite and above 0 somewhere.")
    weight = np.maximum(weight / weight.mean(), 1e-6)
    for _ in range(_FLIP_FLOPS):
        channels = (by_frequency / weight[:, None, None]).mean(axis=0)
        floor = np.eye(size) * np.trace(channels) / size * _CHANNEL_FLOOR
        inverse = np.linalg.inv(channels + floor)
        weight = np.maximum(np.einsum("de,fed->f", inverse, by_frequency) / size, 1e-12)
        weight = np.maximum(weight / weight.mean(), 1e-6)
    basis = grid_dct(*grid)
    return channels, basis.T @ (weight[:, None] * basis)


def _roots(matrix: FloatArray | DoubleArray | None, size: int, floor: float) -> tuple[DoubleArray, DoubleArray]:
    """Symmetric square root and its inverse of a second-moment matrix scaled to mean weight 1."""
    if matrix is None:
        return np.eye(size), np.eye(size)
    if matrix.shape != (size, size) or not np.all(np.isfinite(matrix)):
        raise ShapeError().noted(
            f"a sensitivity is a finite matrix of shape {(size, size)}; this one is {matrix.shape}, or not finite."
        )
    wide = np.asarray(matrix, dtype=np.float64)
    trace = float(np.trace(wide))
    if trace <= 0:
        raise ShapeError().noted("a sensitivity's trace must be above 0.")
    values, vectors = np.linalg.eigh((wide + wide.T) / 2 * (size / trace))
    roots = np.sqrt((np.maximum(values, 0) + floor) / (1 + floor))
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T

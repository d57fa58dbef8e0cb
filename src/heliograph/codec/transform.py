"""Tokens to decorrelated coefficients and back: mean, channel KLT in the model's metric, transform over the grid.

With an error metric A over channels and B over positions (square roots of what the language model notices), the
coefficients are ``M B (X - mean) A U``: U and M are the eigenvectors of the weighted covariances, so that equal
errors in all coefficients hurt the model equally. Floats live here only; they never decide a probability. A device
whose encoder differs in the last bits sends slightly other integers; the stream decodes to exactly those.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from heliograph.codec.checks import check_shape, check_tokens, check_weights
from heliograph.codec.tables import Int
from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundleFault, BundlePart
from heliograph.types import LARGEST_WEIGHT, FloatArray, Grid

DoubleArray = npt.NDArray[np.float64]
MODES = ("none", "dct", "learned")
_SMALLEST_STEP = 1 / LARGEST_WEIGHT


@lru_cache(maxsize=64)
def dct_matrix(size: int) -> DoubleArray:
    """The orthonormal DCT-II, (size, size): row k holds the k-th cosine."""
    k, n = np.arange(size)[:, None], np.arange(size)[None]
    matrix: DoubleArray = np.sqrt(2 / size) * np.cos(np.pi * (n + 0.5) * k / size)
    matrix[0] /= np.sqrt(2)
    return matrix


def grid_dct(rows: int, columns: int) -> DoubleArray:
    """The separable DCT-II over a grid, (P, P), row-major in both indices."""
    return np.asarray(np.kron(dct_matrix(rows), dct_matrix(columns)), dtype=np.float64)


@dataclass(frozen=True)
class Transform:
    """The linear part of the codec.

    Attributes:
        mode: ``none``, ``dct`` or ``learned``: what happens over the grid.
        step: the finest quantiser step, in weighted coefficients.
        mean: (P, D) f32 mean token at each position of the fitted grid.
        forward: (D, R) f32 channel analysis; ``inverse``: (R, D) f32 its synthesis.
        grid_forward, grid_inverse: (P, P) f32 over the positions of the fitted grid.
    """

    mode: str
    step: float
    mean: FloatArray
    forward: FloatArray
    inverse: FloatArray
    grid_forward: FloatArray
    grid_inverse: FloatArray

    def check(self, positions: int) -> None:
        """Refuse what no fit makes, for a grid of so many positions.

        Raises:
            BundleDamagedError: an unknown mode, or shapes or values out of bounds.
        """
        if self.mode not in MODES:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.UNKNOWN)
        if self.forward.ndim != 2:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.SHAPE)
        size, components = self.forward.shape
        wanted = {
            "mean": (positions, size),
            "inverse": (components, size),
            "grid_forward": (positions, positions),
            "grid_inverse": (positions, positions),
        }
        for name, shape in wanted.items():
            check_shape(BundlePart.TABLES, getattr(self, name), shape)
        # With P * D <= 2**24 the largest tokens then make coefficients below 2**115, and a stream spectra below 2**108.
        check_tokens(BundlePart.TABLES, self.mean)
        check_weights(BundlePart.TABLES, self.forward, self.inverse, self.grid_forward, self.grid_inverse)
        if not _SMALLEST_STEP <= self.step < LARGEST_WEIGHT:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.RANGE)

    def analyse(self, values: FloatArray, grid: Grid, fitted: bool) -> FloatArray:
        """(N, D) tokens to (T, P, R) coefficients in quantiser steps."""
        positions = grid.rows * grid.columns
        tokens = values.reshape(grid.tiles, positions, -1)
        mean = self.mean if fitted else self.mean.mean(axis=0)
        spectrum = np.matmul(tokens - mean, self.forward)
        if fitted:
            mixed = spectrum if self.mode == "none" else np.matmul(self.grid_forward, spectrum)
        else:
            mixed = self._other_grid(spectrum, grid, inverse=False)
        return np.asarray(mixed / np.float32(self.step), dtype=np.float32)

    def channels(self, tokens: FloatArray) -> FloatArray:
        """(T, P, D) tokens of the fitted grid to (T, P, R) channel coefficients, the grid left as it is."""
        return np.asarray(np.matmul(tokens - self.mean, self.forward), dtype=np.float32)

    def over_channels(self, coefficients: FloatArray, grid: Grid, fitted: bool) -> FloatArray:
        """(T, P, R) coefficients in quantiser steps to (T, P, R) channel coefficients: the grid's part undone."""
        spectrum = coefficients * np.float32(self.step)
        if not fitted:
            return self._other_grid(spectrum, grid, inverse=True)
        mixed = spectrum if self.mode == "none" else np.matmul(self.grid_inverse, spectrum)
        return np.asarray(mixed, dtype=np.float32)

    def synthesise(self, spectrum: FloatArray, grid: Grid, fitted: bool) -> FloatArray:
        """(T, P, R) channel coefficients to (N, D) tokens."""
        mean = self.mean if fitted else self.mean.mean(axis=0)
        tokens = np.matmul(spectrum, self.inverse) + mean
        return np.ascontiguousarray(tokens.reshape(grid.tokens, -1), dtype=np.float32)

    def _other_grid(self, spectrum: FloatArray, grid: Grid, inverse: bool) -> FloatArray:
        """A grid that the codec was not fitted on: the separable DCT, or nothing where nothing was chosen."""
        if self.mode == "none":
            return spectrum
        down, across = dct_matrix(grid.rows).astype(np.float32), dct_matrix(grid.columns).astype(np.float32)
        if inverse:
            down, across = down.T, across.T
        shape = spectrum.shape
        cells = spectrum.reshape(shape[0], grid.rows, grid.columns, shape[2])
        mixed = np.einsum("ij,tjkr->tikr", down, cells)
        mixed = np.einsum("ij,tkjr->tkir", across, mixed)
        return np.ascontiguousarray(mixed.reshape(shape))


def resample(table: Int, fitted: Grid, grid: Grid) -> Int:
    """(P, R) statistics per frequency of one grid to the nearest relative frequency of another."""
    rows = (np.arange(grid.rows) * fitted.rows) // grid.rows
    columns = (np.arange(grid.columns) * fitted.columns) // grid.columns
    index = (rows[:, None] * fitted.columns + columns[None]).reshape(-1)
    return np.ascontiguousarray(table[index])

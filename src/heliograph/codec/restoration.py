"""The cloud's guess at what was not sent: a ridge regression on random features of what was.

Visual tokens are no Gaussian cloud: what a token shows (a red star, a wall) settles many of its coefficients at once,
while the transform knows their variances alone. From the coefficients restored so far, those of the neighbours and
those of the whole photo, the regression predicts the error that is left, separately for every bit plane, because a
rough token and a fine one err differently. Fine planes leave little to guess; where nothing is added, no time is taken.
Random features turn kernel ridge regression into one linear system (Rahimi and Recht, "Random features for large-scale
kernel machines", 2007), so the fit stays closed form.

Only values change, never a decoded integer: floats may differ in the last bits from machine to machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from heliograph.codec.checks import check_bounds, check_shape
from heliograph.reasons import BundlePart
from heliograph.types import FloatArray

MAX_COMPONENTS = 96  # leading components that are looked at and corrected; bounds the tables for large models
VIEWS = 3  # the token itself, its eight neighbours' mean, the photo's mean
_PHOTO_GAIN = 2.0  # a mean over many tokens is small beside one token
_LARGEST = 1e6

_DROPPED_BITS = 6  # of the ten behind the point that float16 has


@dataclass(frozen=True)
class Restoration:
    """Tables of the regression; floats in [-1e6, 1e6], stored as float16.

    Attributes:
        projection: (F, M) f32 from the F = 3 x C looked-at values to M random cosines; C leading components.
        phase: (M,) f32.
        weights: (planes, F + M, C) f32: what to add after each bit plane; zeros where nothing was gained.
    """

    projection: FloatArray
    phase: FloatArray
    weights: FloatArray

    ARRAYS: ClassVar[tuple[str, ...]] = ("projection", "phase", "weights")

    def apply(self, spectrum: FloatArray, sides: tuple[int, int], level: float) -> FloatArray:
        """Add the predicted error.

        Args:
            spectrum: (T, P, R) restored channel coefficients, without a transform over the grid.
            sides: rows and columns of the grid, their product P.
            level: how far the bit planes are known: p after all of plane p, p + 0.5 half way there.
        """
        weights = self._blend(level)
        if weights is None:
            return spectrum
        found = self._features(spectrum, sides) @ weights  # (T * P, C)
        result = spectrum.copy()
        components = weights.shape[1]
        result[:, :, :components] += found.reshape(*spectrum.shape[:2], components)
        return result

    def _blend(self, level: float) -> FloatArray | None:
        """(F + M, C) between the planes on either side of ``level``; above the coarsest plane nothing is known.

        None where nothing is added.
        """
        planes = len(self.weights)
        lower = max(int(level), 0)
        if level >= planes or not self._adds[lower : lower + 2].any():
            return None
        share = np.float32(max(level, 0.0) - lower)
        fine = self.weights[lower]
        coarse = self.weights[lower + 1] if lower + 1 < planes else np.zeros_like(fine)
        return np.asarray(fine + share * (coarse - fine), dtype=np.float32)

    @cached_property
    def _adds(self) -> npt.NDArray[np.bool_]:
        """(planes,) where there is anything to add."""
        return np.asarray(self.weights.any(axis=(1, 2)))

    def _features(self, spectrum: FloatArray, sides: tuple[int, int]) -> FloatArray:
        return random_features(views(spectrum, sides, self.weights.shape[2]), self.projection, self.phase)

    def stored(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays as they go to disk."""
        return {name: getattr(self, name).astype(np.float16) for name in self.ARRAYS}

    @classmethod
    def from_stored(cls, arrays: dict[str, npt.NDArray[Any]], components: int, planes: int) -> Restoration:
        """Rebuild the tables from the arrays on disk.

        Raises:
            BundleDamagedError: shapes or values do not fit the codec.
        """
        made = cls(*(arrays[name].astype(np.float32) for name in cls.ARRAYS))
        looked_at = min(components, MAX_COMPONENTS)
        size, count = VIEWS * looked_at, made.phase.size
        wanted = {"projection": (size, count), "phase": (count,), "weights": (planes, size + count, looked_at)}
        for name, shape in wanted.items():
            values = getattr(made, name)
            check_shape(BundlePart.RESTORATION, values, shape)
            check_bounds(BundlePart.RESTORATION, values, -_LARGEST, _LARGEST)
        return made


def views(spectrum: FloatArray, sides: tuple[int, int], components: int) -> FloatArray:
    """(T * P, 3 * C) what the regression looks at, for each token."""
    own = np.asarray(spectrum[:, :, :components], dtype=np.float32)
    tiles, positions, _ = own.shape
    grid = own.reshape(tiles, *sides, components)
    padded = np.zeros((tiles, sides[0] + 2, sides[1] + 2, components), dtype=np.float32)
    padded[:, 1:-1, 1:-1] = grid
    down = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    around = (down[:, :, :-2] + down[:, :, 1:-1] + down[:, :, 2:] - grid) / np.float32(8)
    seen = np.empty((tiles, positions, VIEWS * components), dtype=np.float32)
    seen[:, :, :components] = own
    seen[:, :, components : 2 * components] = around.reshape(own.shape)
    seen[:, :, 2 * components :] = np.float32(_PHOTO_GAIN) * own.mean(axis=1, keepdims=True)
    return seen.reshape(tiles * positions, VIEWS * components)


def random_features(seen: FloatArray, projection: FloatArray, phase: FloatArray) -> FloatArray:
    """(n, F) to (n, F + M): the values themselves and cosines of random projections of them."""
    return np.asarray(np.concatenate([seen, np.cos(seen @ projection + phase)], axis=1), dtype=np.float32)


def as_stored(values: npt.NDArray[Any]) -> FloatArray:
    """The tables rounded to what the file keeps, so that a fitted codec equals the one loaded from disk.

    That is float16 without its last bits: a guess needs no more, and what is all zeros packs well.
    """
    bits = values.astype(np.float16).view(np.uint16).astype(np.uint32)
    kept = (bits + (1 << _DROPPED_BITS - 1)) >> _DROPPED_BITS << _DROPPED_BITS  # a carry goes on into the exponent
    return np.asarray(kept.astype(np.uint16).view(np.float16).astype(np.float32))

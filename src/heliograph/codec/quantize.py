"""Dead-zone quantisation of coefficients to integers, and back."""

from __future__ import annotations

import numpy as np

from heliograph.codec.planes import Bool
from heliograph.codec.tables import GRAINS, STEPS_PER_OCTAVE, Int, Tables
from heliograph.types import FloatArray

_LARGEST = float(1 << 30)


def magnitude_limits(tables: Tables, components: int) -> Int:
    """(R,) largest magnitude that each component's planes can carry."""
    planes = (tables.active[:, None] > np.arange(components)[None]).sum(axis=0)
    return np.asarray((np.int64(1) << planes) - 1)


def quantize(coefficients: FloatArray, limits: Int) -> tuple[Int, Bool]:
    """(T, P, R) coefficients in steps to flat integer magnitudes (rounded towards zero, capped) and signs."""
    magnitude = np.minimum(np.abs(coefficients), np.float32(_LARGEST)).astype(np.int64)
    return np.minimum(magnitude, limits).reshape(-1), (coefficients < 0).reshape(-1)


def scaled(coefficients: FloatArray, fineness: int) -> FloatArray:
    """Coefficients in finest steps, in the steps of a stream: smaller ones by ``fineness`` eighth octaves."""
    return coefficients * np.float32(2 ** (fineness / STEPS_PER_OCTAVE))


def dequantize(restored: Int, shape: tuple[int, int, int], fineness: int = 0) -> FloatArray:
    """Signed values in grains of a stream to (T, P, R) coefficients in finest steps."""
    grains = GRAINS * 2 ** (fineness / STEPS_PER_OCTAVE)
    return np.asarray(restored.reshape(shape).astype(np.float32) / np.float32(grains))

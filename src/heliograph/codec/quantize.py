"""Dead-zone quantisation to integers, restoration, and the byte that tells the total energy."""

from __future__ import annotations

import numpy as np

from heliograph.codec.planes import Bool
from heliograph.codec.tables import GRAINS, Int, Tables, ladder
from heliograph.types import FloatArray

_MIDDLE = 128
_LARGEST = float(1 << 30)


def magnitude_limits(tables: Tables, components: int) -> Int:
    """(R,) largest magnitude that each component's planes can carry."""
    planes = (tables.active[:, None] > np.arange(components)[None]).sum(axis=0)
    return np.asarray((np.int64(1) << planes) - 1)


def quantize(coefficients: FloatArray, limits: Int) -> tuple[Int, Bool]:
    """(T, P, R) coefficients in steps to flat integer magnitudes (rounded towards zero, capped) and signs."""
    magnitude = np.minimum(np.abs(coefficients), np.float32(_LARGEST)).astype(np.int64)
    return np.minimum(magnitude, limits).reshape(-1), (coefficients < 0).reshape(-1)


def dequantize(restored: Int, shape: tuple[int, int, int]) -> FloatArray:
    """Signed values in grains to (T, P, R) coefficients in steps."""
    return np.asarray(restored.reshape(shape).astype(np.float32) / np.float32(GRAINS))


def total_energy(coefficients: FloatArray) -> int:
    """Energy of all coefficients in squared grains; only the header's byte is made from it."""
    wide = coefficients.astype(np.float64)
    return int(min(float((wide * wide).sum()) * GRAINS * GRAINS, 1e30))


def energy_byte(energy: int, unit: int) -> int:
    """Logarithmic byte: 1..255 in sixteenths of an octave around the mean energy; 0 for no energy at all."""
    if energy <= 0:
        return 0
    low, high = 1, 255
    while low < high:  # the largest byte whose lower edge is not above the energy
        middle = (low + high + 1) // 2
        if _edge(2 * (middle - _MIDDLE) - 1, unit) <= energy:
            low = middle
        else:
            high = middle - 1
    return low


def energy_of(byte: int, unit: int) -> int:
    """The energy that a header byte stands for, in squared grains."""
    return 0 if byte == 0 else max(1, _edge(2 * (byte - _MIDDLE), unit))


def _edge(thirtyseconds: int, unit: int) -> int:
    """``unit * 2 ** (thirtyseconds / 32)``, rounded down to the nearest thirty-second by linear interpolation."""
    eighth, part = divmod(thirtyseconds, 4)
    lower, upper = ladder(eighth, unit << 16), ladder(eighth + 1, unit << 16)
    return (lower + (upper - lower) * part // 4) >> 16


def retained_share(restored_energy: int, byte: int, unit: int) -> float:
    """Restored over total energy, 0 to 1; 1 where there was nothing to send."""
    total = energy_of(byte, unit)
    return 1.0 if total == 0 else min(1.0, max(0.0, restored_energy / total))

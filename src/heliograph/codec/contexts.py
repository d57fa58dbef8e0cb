"""What a token's surroundings tell of the next decision: one linear model per coding pass, in integers.

The transform knows variances; what a token *shows* settles many of its coefficients at once, signs included. So the
log odds that the tables give a decision are corrected by a weighted sum of what is known already: the token's own
coefficients, its neighbours', and the photo's means. (Restoration uses the same knowledge after decoding; here it is
used before coding, where it saves bytes.)

Values are integers of at most 9 bits and weights of 8, so every sum stays below 2**24 and float32 arithmetic is exact
in whatever order a machine adds: the same products on every machine, at the speed of its linear algebra.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from heliograph.codec.checks import check_bounds, check_shape
from heliograph.codec.tables import Int
from heliograph.reasons import BundlePart
from heliograph.types import FloatArray

MAX_LOOKED_AT = 96
"""Leading components that are looked at and corrected: bounds tables, and keeps sums exact."""

VIEWS = 9  # own value and magnitude, four neighbours, magnitudes around, the photo's means of values and magnitudes
SIXTEENTHS = 64  # known values are cut off at four thresholds, in sixteenths of one
MAX_SHIFT = 20
_PHOTO_GAIN = 4  # a mean over many tokens is small beside one token

Signs = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Contexts:
    """Weights of all passes; int8, of F = 9 C views and A <= C corrected components.

    Attributes:
        significance: (planes, 2, F, C) for decisions whether a coefficient becomes significant.
        refinement: (planes, F, C) for the next bit of a significant one.
        sign: (planes, 2, F, C) for the sign of one that has become significant.
        shift: (planes, 5) bits by which the sums are shifted down to log odds in 1/64: of both passes' significance,
            of the refinement, of both passes' signs; -1 where nothing is corrected.
    """

    significance: Signs
    refinement: Signs
    sign: Signs
    shift: Int

    ARRAYS: ClassVar[tuple[str, ...]] = ("significance", "refinement", "sign", "shift")

    @property
    def looked_at(self) -> int:
        """C."""
        return int(self.sign.shape[-1])

    def stored(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays as they go to disk."""
        return {
            "significance": self.significance,
            "refinement": self.refinement,
            "sign": self.sign,
            "shift": self.shift.astype(np.int16),
        }

    @classmethod
    def from_stored(cls, arrays: dict[str, npt.NDArray[Any]], components: int, planes: int) -> Contexts:
        """Rebuild them from the arrays on disk.

        Raises:
            BundleDamagedError: shapes or values do not fit the codec.
        """
        looked_at = min(components, MAX_LOOKED_AT)
        size = VIEWS * looked_at
        shapes = {
            "significance": (planes, 2, size, looked_at),
            "refinement": (planes, size, looked_at),
            "sign": (planes, 2, size, looked_at),
            "shift": (planes, 5),
        }
        for name, shape in shapes.items():
            check_shape(BundlePart.TABLES, arrays[name], shape)
            low, high = (-1, MAX_SHIFT) if name == "shift" else (-127, 127)
            check_bounds(BundlePart.TABLES, arrays[name], low, high)
        weights = (arrays[name].astype(np.int8) for name in ("significance", "refinement", "sign"))
        return cls(*weights, arrays["shift"].astype(np.int64))


@dataclass(frozen=True)
class PassWeights:
    """One pass, ready to multiply.

    Attributes:
        weights: (F, K C) f32, exact integers: of K kinds of decisions beside each other.
        shifts: (K,) of each; kinds that are not corrected have no columns.
        kinds: which kinds those are.
        looked_at: C, components that are looked at.
    """

    weights: FloatArray
    shifts: tuple[int, ...]
    kinds: tuple[int, ...]
    looked_at: int


SIGNIFICANCE, REFINEMENT, SIGN = 0, 1, 2


def pass_weights(contexts: Contexts, plane: int, part: int, active: int) -> PassWeights | None:
    """The weights of one pass for its leading ``active`` components; None where it corrects nothing."""
    shift = contexts.shift[plane]
    every = {
        SIGNIFICANCE: (contexts.significance[plane, part], int(shift[part])),
        REFINEMENT: (contexts.refinement[plane], int(shift[2]) if part == 1 else -1),
        SIGN: (contexts.sign[plane, part], int(shift[3 + part])),
    }
    used = {kind: (weights, bits) for kind, (weights, bits) in every.items() if bits >= 0}
    if not used:
        return None
    columns = [weights[:, :active].astype(np.float32) for weights, _ in used.values()]
    beside = np.ascontiguousarray(np.concatenate(columns, axis=1))
    return PassWeights(beside, tuple(bits for _, bits in used.values()), tuple(used), contexts.looked_at)


def views(restored: Int, plane: int, sides: tuple[int, int], looked_at: int) -> FloatArray:
    """(T * P, 9 C) what every token of a grid sees, as exact integers in float32.

    Args:
        restored: (T, P, R) restored values in grains, signed.
        plane: whose threshold is the unit.
        sides: rows and columns of the grid.
        looked_at: C.
    """
    values = restored[:, :, :looked_at]
    tiles, positions, _ = values.shape
    magnitude = np.minimum(np.abs(values) >> plane, SIXTEENTHS)  # a threshold is 16 << plane grains
    signed = np.where(values < 0, -magnitude, magnitude).astype(np.int16)
    magnitude = magnitude.astype(np.int16)
    seen = np.empty((tiles, *sides, VIEWS, looked_at), dtype=np.float32)
    grid = signed.reshape(tiles, *sides, looked_at)
    seen[..., 0, :] = grid
    seen[..., 1, :] = magnitude.reshape(grid.shape)
    seen[..., 2:6, :] = 0
    seen[:, 1:, :, 2, :] = grid[:, :-1]
    seen[:, :-1, :, 3, :] = grid[:, 1:]
    seen[:, :, 1:, 4, :] = grid[:, :, :-1]
    seen[:, :, :-1, 5, :] = grid[:, :, 1:]
    seen[..., 6, :] = _around(magnitude.reshape(grid.shape)) >> 2
    for view, one in ((7, signed), (8, magnitude)):
        seen[..., view, :] = (_PHOTO_GAIN * one.sum(axis=1, dtype=np.int64) // positions)[:, None, None]
    return seen.reshape(tiles * positions, VIEWS * looked_at)


def _around(magnitude: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """(T, rows, columns, C) sums over the 3 x 3 positions around each one."""
    padded = np.zeros(
        (magnitude.shape[0], magnitude.shape[1] + 2, magnitude.shape[2] + 2, magnitude.shape[3]), np.int16
    )
    padded[:, 1:-1, 1:-1] = magnitude
    down = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return np.asarray(down[:, :, :-2] + down[:, :, 1:-1] + down[:, :, 2:])


def corrections(seen: FloatArray, weights: PassWeights) -> dict[int, Int]:
    """By kind of decision: (T * P, C) corrections of log odds in 1/64."""
    sums = (seen @ weights.weights).astype(np.int64)
    width = sums.shape[1] // len(weights.kinds)
    found = {}
    for place, (kind, shift) in enumerate(zip(weights.kinds, weights.shifts, strict=True)):
        half = (1 << shift) >> 1
        found[kind] = (sums[:, place * width : (place + 1) * width] + half) >> shift
    return found

"""What a token's surroundings tell of the next decision: one small network per coding pass, in integers.

The transform knows variances; what a token *shows* settles many of its coefficients at once, signs included. So the
log odds that the tables give a decision are corrected by what is known already: the token's own coefficients, its
neighbours', and the photo's means. (Restoration uses the same knowledge after decoding; here it is used before coding,
where it saves bytes.)

::

    views (T * P, 9 C), sixteenths of a threshold --hidden, bias--> H values of 0..127 --out--> corrections, 1/64

Views have at most 9 bits, weights 8 and hidden values 7, so every sum stays below 2**24 and float32 arithmetic is exact
in whatever order a machine adds: the same corrections on every machine, at the speed of its linear algebra.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from heliograph.codec.checks import check_bounds, check_shape
from heliograph.codec.tables import Int
from heliograph.reasons import BundlePart
from heliograph.types import FloatArray

MAX_LOOKED_AT = 96
"""Leading components that are looked at and corrected: bounds tables, and keeps sums exact."""

HIDDEN = 64
VIEWS = 9  # own value and magnitude, four neighbours, magnitudes around, the photo's means of values and magnitudes
MAX_VIEW = 64  # known values are cut off at four thresholds, in sixteenths of one
MAX_HIDDEN = 127
HIDDEN_ONE = 16  # hidden value 1
MAX_SHIFT = 20
MAX_BIAS = 1 << 21
_PHOTO_GAIN = 4  # a mean over many tokens is small beside one token

SIGNIFICANCE, REFINEMENT, SIGN = 0, 1, 2
KINDS_OF_DECISIONS = 3

Small = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Contexts:
    """The networks of all passes.

    Attributes:
        hidden: (planes, 2, 9 C, H) int8.
        bias: (planes, 2, H).
        out: (planes, 2, H, 3 C) int8: of significance, refinement and sign beside each other.
        shift: (planes, 2, 2) bits by which the sums of both layers are shifted down; -1 where a pass corrects nothing.
    """

    hidden: Small
    bias: Int
    out: Small
    shift: Int

    ARRAYS: ClassVar[tuple[str, ...]] = ("hidden", "bias", "out", "shift")

    @classmethod
    def none(cls, planes: int, components: int) -> Contexts:
        """Networks that correct nothing, to be fitted."""
        looked_at = min(components, MAX_LOOKED_AT)
        return cls(
            np.zeros((planes, 2, VIEWS * looked_at, HIDDEN), dtype=np.int8),
            np.zeros((planes, 2, HIDDEN), dtype=np.int64),
            np.zeros((planes, 2, HIDDEN, KINDS_OF_DECISIONS * looked_at), dtype=np.int8),
            np.full((planes, 2, 2), -1, dtype=np.int64),
        )

    @cached_property
    def networks(self) -> dict[tuple[int, int, int], PassNetwork | None]:
        """Networks made so far, by plane, part and active components: the same at every fineness."""
        return {}

    @property
    def looked_at(self) -> int:
        """C."""
        return int(self.out.shape[-1]) // KINDS_OF_DECISIONS

    def stored(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays as they go to disk."""
        return {
            "hidden": self.hidden,
            "bias": self.bias.astype(np.int32),
            "out": self.out,
            "shift": self.shift.astype(np.int16),
        }

    @classmethod
    def from_stored(cls, arrays: dict[str, npt.NDArray[Any]], components: int, planes: int) -> Contexts:
        """Rebuild them from the arrays on disk.

        Raises:
            BundleDamagedError: shapes or values do not fit the codec.
        """
        blank = cls.none(planes, components)
        bounds = {"hidden": (-127, 127), "bias": (-MAX_BIAS, MAX_BIAS), "out": (-127, 127), "shift": (-1, MAX_SHIFT)}
        for name, (low, high) in bounds.items():
            check_shape(BundlePart.TABLES, arrays[name], getattr(blank, name).shape)
            check_bounds(BundlePart.TABLES, arrays[name], low, high)
        return cls(*(arrays[name].astype(getattr(blank, name).dtype) for name in cls.ARRAYS))


@dataclass(frozen=True)
class PassNetwork:
    """One pass, ready to multiply: exact integers in float32.

    Attributes:
        hidden: (9 C, H); bias: (H,); hidden_shift: bits.
        out: (H, 3 A) of the kinds beside each other, for A corrected components; out_shift: bits.
        looked_at: C.
    """

    hidden: FloatArray
    bias: FloatArray
    hidden_shift: int
    out: FloatArray
    out_shift: int
    looked_at: int

    def corrections(self, seen: FloatArray) -> Int:
        """(N, 9 C) views to (3, N, A) corrections of log odds, in 1/64."""
        sums = (seen @ self.hidden + self.bias).astype(np.int64) >> self.hidden_shift
        hidden = np.minimum(np.maximum(sums, 0), MAX_HIDDEN).astype(np.float32)  # (N, H)
        half = (1 << self.out_shift) >> 1
        out = ((hidden @ self.out).astype(np.int64) + half) >> self.out_shift
        kinds = out.reshape(len(seen), KINDS_OF_DECISIONS, out.shape[1] // KINDS_OF_DECISIONS)
        return np.asarray(kinds.transpose(1, 0, 2))


def pass_network(contexts: Contexts, plane: int, part: int, active: int) -> PassNetwork | None:
    """The network of one pass for its leading ``active`` components; None where it corrects nothing."""
    hidden_shift, out_shift = contexts.shift[plane, part].tolist()
    if hidden_shift < 0 or out_shift < 0:
        return None
    out = contexts.out[plane, part].reshape(-1, KINDS_OF_DECISIONS, contexts.looked_at)[:, :, :active]  # (H, 3, A)
    return PassNetwork(
        contexts.hidden[plane, part].astype(np.float32),
        contexts.bias[plane, part].astype(np.float32),
        hidden_shift,
        np.ascontiguousarray(out.reshape(len(out), -1), dtype=np.float32),
        out_shift,
        contexts.looked_at,
    )


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
    magnitude = np.minimum(np.abs(values) >> plane, MAX_VIEW)  # a threshold is 16 << plane grains
    signed = np.where(values < 0, -magnitude, magnitude).astype(np.int16)
    magnitude = magnitude.astype(np.int16)
    seen = np.empty((tiles, *sides, VIEWS, looked_at), dtype=np.float32)
    grid, sizes = _bordered(signed, sides), _bordered(magnitude, sides)
    seen[..., 0, :] = grid[:, 1:-1, 1:-1]
    seen[..., 1, :] = sizes[:, 1:-1, 1:-1]
    seen[..., 2, :] = grid[:, :-2, 1:-1]
    seen[..., 3, :] = grid[:, 2:, 1:-1]
    seen[..., 4, :] = grid[:, 1:-1, :-2]
    seen[..., 5, :] = grid[:, 1:-1, 2:]
    down = sizes[:, :-2] + sizes[:, 1:-1] + sizes[:, 2:]
    seen[..., 6, :] = (down[:, :, :-2] + down[:, :, 1:-1] + down[:, :, 2:]) >> 2
    for view, one in ((7, signed), (8, magnitude)):
        mean = _PHOTO_GAIN * one.sum(axis=1, dtype=np.int64) // positions
        seen[..., view, :] = mean[:, None, None]
    return seen.reshape(tiles * positions, VIEWS * looked_at)


def _bordered(values: npt.NDArray[np.int16], sides: tuple[int, int]) -> npt.NDArray[np.int16]:
    """(T, P, C) over a grid to (T, rows + 2, columns + 2, C) with a border of zeros."""
    rows, columns = sides
    found = np.zeros((len(values), rows + 2, columns + 2, values.shape[2]), dtype=np.int16)
    found[:, 1:-1, 1:-1] = values.reshape(len(values), rows, columns, -1)
    return found

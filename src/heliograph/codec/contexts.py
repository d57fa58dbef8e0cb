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
Short = npt.NDArray[np.int32]


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
        hidden: (9, C, H); bias: (H,); hidden_shift: bits.
        out: (3, H, A) by kind of decision, for A corrected components; out_shift: bits.
    """

    hidden: FloatArray
    bias: FloatArray
    hidden_shift: int
    out: FloatArray
    out_shift: int

    def corrections_for(self, restored: Int, plane: int, sides: tuple[int, int]) -> Short:
        """(3, T * P, A) corrections of log odds, in 1/64, by what is known of (T, P, R) coefficients.

        Components of which nothing is known yet, in early passes most of them, show zeros and are left out.

        Args:
            restored: in grains, signed.
            plane: that is coded.
            sides: rows and columns of the grid.
        """
        looked_at = restored[:, :, : self.hidden.shape[1]]
        live = np.flatnonzero(looked_at.any(axis=(0, 1)))
        if len(live):
            return self.corrections(views(looked_at[:, :, live], plane, sides, len(live)), live)
        same = self.corrections(np.zeros((1, 0), dtype=np.float32), live)
        return np.broadcast_to(same, (len(same), restored.shape[0] * restored.shape[1], same.shape[2]))

    def corrections(self, seen: FloatArray, live: Int | slice = slice(None)) -> Short:
        """(N, 9 k) views of the k ``live`` components, of all without, to (3, N, A) corrections in 1/64."""
        hidden = self.hidden[:, live].reshape(-1, self.hidden.shape[2])  # (9 k, H)
        sums = (seen @ hidden + self.bias).astype(np.int32) >> self.hidden_shift
        values = np.minimum(np.maximum(sums, 0), MAX_HIDDEN).astype(np.float32)  # (N, H)
        half = (1 << self.out_shift) >> 1
        return np.asarray(((values @ self.out).astype(np.int32) + half) >> self.out_shift)


def pass_network(contexts: Contexts, plane: int, part: int, active: int) -> PassNetwork | None:
    """The network of one pass for its leading ``active`` components; None where it corrects nothing."""
    hidden_shift, out_shift = contexts.shift[plane, part].tolist()
    if hidden_shift < 0 or out_shift < 0:
        return None
    out = contexts.out[plane, part].reshape(-1, KINDS_OF_DECISIONS, contexts.looked_at)[:, :, :active]  # (H, 3, A)
    hidden = contexts.hidden[plane, part].reshape(VIEWS, contexts.looked_at, -1)  # (9, C, H)
    return PassNetwork(
        hidden.astype(np.float32),
        contexts.bias[plane, part].astype(np.float32),
        hidden_shift,
        np.ascontiguousarray(out.transpose(1, 0, 2), dtype=np.float32),
        out_shift,
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
    rows, columns = sides
    sizes = np.minimum(np.abs(values) >> plane, MAX_VIEW)  # a threshold is 16 << plane grains
    both = np.zeros((tiles, rows + 2, columns + 2, 2, looked_at), dtype=np.float32)  # signed and not, in a border of 0
    within = both[:, 1:-1, 1:-1]
    within[..., 0, :] = (np.sign(values) * sizes).reshape(tiles, rows, columns, looked_at)
    within[..., 1, :] = sizes.reshape(tiles, rows, columns, looked_at)
    signed, size = both[..., 0, :], both[..., 1, :]
    seen = np.empty((tiles, rows, columns, VIEWS, looked_at), dtype=np.float32)
    seen[..., :2, :] = within
    seen[..., 2, :] = signed[:, :-2, 1:-1]
    seen[..., 3, :] = signed[:, 2:, 1:-1]
    seen[..., 4, :] = signed[:, 1:-1, :-2]
    seen[..., 5, :] = signed[:, 1:-1, 2:]
    down = size[:, :-2] + size[:, 1:-1] + size[:, 2:]
    around = down[:, :, :-2] + down[:, :, 1:-1] + down[:, :, 2:]
    np.floor(0.25 * around, out=seen[..., 6, :])
    total = within.sum(axis=(1, 2), dtype=np.float64)  # (T, 2, C)
    seen[..., 7:, :] = np.floor(_PHOTO_GAIN * total / positions)[:, None, None]
    return seen.reshape(tiles * positions, VIEWS * looked_at)

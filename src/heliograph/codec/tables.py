"""Frozen integer tables: everything that decides a symbol's probability, fitted once and shipped in the bundle.

Scales and probabilities live on logarithmic integer ladders. The ladders themselves are made from integer square
roots, so that no machine can round them differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isqrt
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from heliograph.codec.checks import check_bounds, check_shape
from heliograph.codec.range_coder import MAX_COST
from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundleFault, BundlePart

Int = npt.NDArray[np.int64]

MAX_PLANES = 24
GRAINS = 16  # reconstructed magnitudes are in 1/16 of the finest quantiser step
STEPS_PER_OCTAVE = 8  # resolution of scale bins
SCORE_BINS = 64  # significance classes, four per octave of (expected scale / threshold)
REFINE_BINS = 32  # refinement classes, two per octave, for the first and for later refinements
CLASSES = SCORE_BINS + 2 * REFINE_BINS
ACTIVITY_FEATURES = 4  # constant, same component, same position, neighbours in the grid
ACTIVITY_ONE = 256  # activity multiplier 1.0
ACTIVITY_MAX = 4095
WEIGHT_ONE = 256
SKEW_BINS = 9
SQUARE_BITS = 20
LOGIT_ONE = 64  # log odds are in 1/64
RUNGS = 128  # probabilities that are told apart: log odds from -9 to 6.875 in eighths
RUNG_SHIFT = 3
EVEN_RUNG = 72  # both alike
MAX_LOGIT = 12 * LOGIT_ONE
KINDS = 2  # significance, refinement: what orders a pass beside the rung
LOWEST_SCALE_BIN, HIGHEST_SCALE_BIN = -128, 255


@lru_cache(maxsize=1)
def eighth_powers() -> tuple[int, ...]:
    """2 ** (k / 8) for k in 0..7 with 32 fraction bits."""
    return tuple(_eighth_root(1 << k) for k in range(8))


def _eighth_root(value: int) -> int:
    """value ** (1/8) with 32 fraction bits, rounded down."""
    return isqrt(isqrt(isqrt(value << 256)))


def ladder(bin_: int, unit: int) -> int:
    """``unit * 2 ** (bin_ / 8)`` as an integer."""
    octave, part = divmod(bin_, STEPS_PER_OCTAVE)
    product = unit * eighth_powers()[part]
    return product << (octave - 32) if octave >= 32 else product >> (32 - octave)


@lru_cache(maxsize=1)
def log_activity() -> Int:
    """(4096,) quarter octaves of m / 256 for each activity multiplier m, rounded down; m = 0 counts as 1."""
    steps = np.array([ladder(2 * k, ACTIVITY_ONE << 24) for k in range(-32, 17)], dtype=np.int64)
    values = np.maximum(np.arange(ACTIVITY_MAX + 1), 1) << 24
    return np.searchsorted(steps, values, side="right").astype(np.int64) - 33


def rungs(logit: Int) -> Int:
    """The rung of log odds in 1/64, rounded to the nearest."""
    found = logit + ((EVEN_RUNG << RUNG_SHIFT) + (1 << RUNG_SHIFT >> 1))
    found >>= RUNG_SHIFT
    np.maximum(found, 0, out=found)
    return np.asarray(np.minimum(found, RUNGS - 1, out=found))


@lru_cache(maxsize=1)
def expected_magnitudes() -> Int:
    """(384,) prior mean magnitude in grains for each scale bin from ``LOWEST_SCALE_BIN`` up, at least 1."""
    values = [max(1, ladder(k, GRAINS)) for k in range(LOWEST_SCALE_BIN, HIGHEST_SCALE_BIN + 1)]
    return np.array(values, dtype=np.int64)


@dataclass(frozen=True)
class Tables:
    """Integers shared by every grid. Plane 0 is the finest; threshold of plane b is 2 ** b quantiser steps.

    Attributes:
        active: (planes,) how many leading components take part in each plane.
        weights: (planes, 2, 4) mix of the activity features, 256 = 1.
        split: (planes,) significance classes from here on go into the first pass of a plane.
        logit: (planes, 2, 128) log odds of a one per plane, pass and class, in 1/64.
        cost: (128,) cost of a zero by rung, in 1/4096 bit.
        chance: (128,) 65536 * P(one) by rung; for signs.
        rank: (256,) order of significance rungs and, behind them, refinement rungs: best rate-distortion slope first.
        quiet_mean: (64,) mean magnitude below a threshold in 1/1024 of it, by score bin.
        quiet_square: (64,) mean square below a threshold in 2^-20 of the threshold's.
        offset: (2, 64) where in its interval a magnitude is restored, in 1/64, for magnitude 1 and above.
        sign_logit: (9,) log odds of a negative sign by component skew, in 1/64.
    """

    active: Int
    weights: Int
    split: Int
    logit: Int
    cost: Int
    chance: Int
    rank: Int
    quiet_mean: Int
    quiet_square: Int
    offset: Int
    sign_logit: Int

    ARRAYS: ClassVar[tuple[str, ...]] = (
        "active",
        "weights",
        "split",
        "logit",
        "cost",
        "chance",
        "rank",
        "quiet_mean",
        "quiet_square",
        "offset",
        "sign_logit",
    )

    @cached_property
    def small_rank(self) -> npt.NDArray[np.int16]:
        """``rank``, in a type that sorts quickly."""
        return self.rank.astype(np.int16)

    @cached_property
    def order(self) -> Int:
        """(256,) rungs of significance and refinement in the order of their ranks."""
        return self.rank.argsort()

    @cached_property
    def ordered_cost(self) -> Int:
        """(256,) cost of a zero in that order."""
        return self.cost[self.order % RUNGS]

    @property
    def planes(self) -> int:
        """Number of bit planes."""
        return len(self.active)

    def check(self, components: int) -> None:
        """Refuse tables that no fit writes.

        Raises:
            BundleDamagedError: a shape or a value is out of bounds.
        """
        if self.active.ndim != 1:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.SHAPE)
        planes = len(self.active)
        shapes = {
            "active": (planes,),
            "weights": (planes, 2, ACTIVITY_FEATURES),
            "split": (planes,),
            "logit": (planes, 2, CLASSES),
            "cost": (RUNGS,),
            "chance": (RUNGS,),
            "rank": (KINDS * RUNGS,),
            "quiet_mean": (SCORE_BINS,),
            "quiet_square": (SCORE_BINS,),
            "offset": (2, SCORE_BINS),
            "sign_logit": (SKEW_BINS,),
        }
        bounds = {
            "active": (1, components),
            "weights": (-(1 << 15), 1 << 15),
            "split": (0, SCORE_BINS),
            "logit": (-MAX_LOGIT, MAX_LOGIT),
            "cost": (1, MAX_COST),
            "chance": (1, 65535),
            "rank": (0, KINDS * RUNGS - 1),
            "quiet_mean": (0, 1024),
            "quiet_square": (0, 1 << SQUARE_BITS),
            "offset": (0, 64),
            "sign_logit": (-MAX_LOGIT, MAX_LOGIT),
        }
        if not 1 <= planes <= MAX_PLANES:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.RANGE)
        for name, shape in shapes.items():
            check_shape(BundlePart.TABLES, getattr(self, name), shape)
            check_bounds(BundlePart.TABLES, getattr(self, name), *bounds[name])
        permuted = np.array_equal(np.sort(self.rank), np.arange(KINDS * RUNGS))
        if np.any(np.diff(self.active) > 0) or not permuted:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.ORDER)


@dataclass(frozen=True)
class Layout:
    """Static statistics of the coefficients of one grid shape.

    Attributes:
        rows, columns: of one tile; P = rows * columns.
        neighbours: whether positions next to each other in the grid tell about each other's magnitude.
        scale_bin: (P, R) eighth octaves of the mean magnitude over the finest quantiser step.
        skew_bin: (P, R) 0..8, 4 where both signs are equally likely.
    """

    rows: int
    columns: int
    neighbours: bool
    scale_bin: Int
    skew_bin: Int

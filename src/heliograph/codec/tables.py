"""Frozen integer tables: everything that decides a symbol's probability, fitted once and shipped in the bundle.

Scales and probabilities live on logarithmic integer ladders. The ladders themselves are made from integer square
roots, so that no machine can round them differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
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
SKEW_BINS, SIGN_BINS = 9, 5
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
        cost: (planes, 2, 128) cost of a zero per plane, pass and class, in 1/4096 bit.
        rank: (planes, 2, 128) order of the classes within a pass, best rate-distortion slope first.
        quiet_mean: (64,) mean magnitude below a threshold in 1/1024 of it, by score bin.
        offset: (2, 64) where in its interval a magnitude is restored, in 1/64, for magnitude 1 and above.
        sign_chance: (9, 5) 65536 * P(negative) by component skew and by the neighbours' sign.
        energy_unit: mean total energy of the fitted photos, in squared grains.
    """

    active: Int
    weights: Int
    split: Int
    cost: Int
    rank: Int
    quiet_mean: Int
    offset: Int
    sign_chance: Int
    energy_unit: int

    ARRAYS: ClassVar[tuple[str, ...]] = (
        "active",
        "weights",
        "split",
        "cost",
        "rank",
        "quiet_mean",
        "offset",
        "sign_chance",
    )

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
            "cost": (planes, 2, CLASSES),
            "rank": (planes, 2, CLASSES),
            "quiet_mean": (SCORE_BINS,),
            "offset": (2, SCORE_BINS),
            "sign_chance": (SKEW_BINS, SIGN_BINS),
        }
        bounds = {
            "active": (1, components),
            "weights": (-(1 << 15), 1 << 15),
            "split": (0, SCORE_BINS),
            "cost": (1, MAX_COST),
            "rank": (0, CLASSES - 1),
            "quiet_mean": (0, 1024),
            "offset": (0, 64),
            "sign_chance": (1024, 64512),
        }
        if not 1 <= planes <= MAX_PLANES or not 0 < self.energy_unit < 1 << 62:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.RANGE)
        for name, shape in shapes.items():
            check_shape(BundlePart.TABLES, getattr(self, name), shape)
            check_bounds(BundlePart.TABLES, getattr(self, name), *bounds[name])
        permuted = np.array_equal(np.sort(self.rank, axis=2), np.broadcast_to(np.arange(CLASSES), self.rank.shape))
        if np.any(np.diff(self.active) > 0) or not permuted:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.ORDER)


@dataclass(frozen=True)
class Layout:
    """Static statistics of the coefficients of one grid shape.

    Attributes:
        rows, columns: of one tile; P = rows * columns.
        spatial: whether positions are places in the photo (neighbours share a sign) and not frequencies.
        neighbours: whether positions next to each other in the grid tell about each other's magnitude.
        scale_bin: (P, R) eighth octaves of the mean magnitude over the finest quantiser step.
        skew_bin: (P, R) 0..8, 4 where both signs are equally likely.
    """

    rows: int
    columns: int
    spatial: bool
    neighbours: bool
    scale_bin: Int
    skew_bin: Int

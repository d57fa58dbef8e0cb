"""Integer tables for single quantised coefficients: how likely is each magnitude, given the scale that is expected.

A dead-zone quantised coefficient of Laplacian spread is geometric: ``P(q >= n) = t ** n`` with ``t = exp(-1 / m)``, m
its mean magnitude in thresholds. A symbol tells the magnitude's class: 0, 1, 2 to 3, 4 to 7 and so on; the bits below
the leading one follow, from the highest, and are independent of each other: bit k is one with the odds ``t ** (2 **
k)``.

Everything is made from integer roots and products, so no two machines can round it differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from heliograph.codec.range_coder import PROBABILITY_BITS
from heliograph.codec.tables import MAX_PLANES, STEPS_PER_OCTAVE, Int, ladder

LOWEST_BIN, HIGHEST_BIN = -64, 128
"""Expected mean magnitudes that are told apart: 1/256 to 65536 thresholds, in eighth octaves."""

CLASSES = MAX_PLANES + 1
"""Magnitudes lie below 2 ** 24."""

_BITS = 96  # behind the point of all chances below
_HALVINGS = 16  # 1/256 threshold is expected at least, so an exponent of 256 becomes one of 1/256
_TERMS = 12
_TOTAL = 1 << PROBABILITY_BITS


@dataclass(frozen=True)
class MagnitudeTable:
    """Shares of 65536 at one expected scale.

    Attributes:
        borders: (26,) rising from 0 to 65536: class c owns ``borders[c]`` to ``borders[c + 1]``.
        ones: (24,) where bit k of a magnitude is one from; below it the bit is zero.
    """

    borders: tuple[int, ...]
    ones: tuple[int, ...]


@lru_cache(maxsize=HIGHEST_BIN - LOWEST_BIN + 1)
def magnitude_table(scale_bin: int) -> MagnitudeTable:
    """The table of a mean magnitude of ``2 ** (scale_bin / 8)`` thresholds, within ``LOWEST_BIN`` and
    ``HIGHEST_BIN``.
    """
    tail = _decay(ladder(-scale_bin, 1 << _BITS))  # t ** (2 ** c), the chance of that magnitude or a larger one
    borders, ones = [0], []
    room = _TOTAL - CLASSES
    for c in range(CLASSES - 1):
        borders.append(((((1 << _BITS) - tail) * room) >> _BITS) + c + 1)  # every class keeps at least one share
        zero = (_TOTAL << _BITS) // ((1 << _BITS) + tail)
        ones.append(min(max(zero, 1), _TOTAL - 1))
        tail = tail * tail >> _BITS
    return MagnitudeTable((*borders, _TOTAL), tuple(ones))


def _decay(exponent: int) -> int:
    """exp(-exponent), both with 96 bits behind the point: Taylor's series of a small part, squared back."""
    small = exponent >> _HALVINGS
    term = total = 1 << _BITS
    for n in range(1, _TERMS + 1):
        term = -(term * small >> _BITS) // n
        total += term
    for _ in range(_HALVINGS):
        total = total * total >> _BITS
    return total


def mean_square_bins(bins: Int) -> Int:
    """(n, R) eighth octaves of mean magnitudes to (R,) of the root of their mean square, rounded down."""
    found = []
    for column in bins.T:
        values, counts = np.unique(column, return_counts=True)
        squares = zip(values.tolist(), counts.tolist(), strict=True)
        found.append(_bin_of(sum(count * ladder(2 * one, 1 << _BITS) for one, count in squares) // len(column)))
    return np.array(found, dtype=np.int64)


def _bin_of(square: int) -> int:
    """The largest bin whose mean magnitude's square is at most ``square``, which has 96 bits behind the point."""
    low = (square.bit_length() - 1 - _BITS) * STEPS_PER_OCTAVE // 2 - 1  # at most, for a rung is rounded down too
    while ladder(2 * (low + 1), 1 << _BITS) <= square:
        low += 1
    return low

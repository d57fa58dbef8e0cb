"""From coefficients to integers and back, and the energy byte: by the formulas of docs/bitstream.md."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.codec.quantize import (
    dequantize,
    energy_byte,
    energy_of,
    magnitude_limits,
    quantize,
    retained_share,
    total_energy,
)


def ladder(bin_: int, unit: int) -> int:
    """root(k) = floor(2^(32 + k/8)); with o, k = b divmod 8: u x root(k) x 2^(o - 32), rounded down."""
    octave, part = divmod(bin_, 8)
    root = isqrt(isqrt(isqrt(1 << (256 + part))))
    return int(unit * root * Fraction(2) ** (octave - 32) // 1)


def edge(s: int, unit: int) -> int:
    """With o, q = s divmod 4, l and h = ladder(o and o + 1, unit x 2^16): (l + (h - l) q // 4) >> 16."""
    octave, part = divmod(s, 4)
    low, high = ladder(octave, unit << 16), ladder(octave + 1, unit << 16)
    return (low + (high - low) * part // 4) >> 16


UNITS = (1, 3, 1000, 123_456_789, 2**62 - 1)


@pytest.mark.parametrize("unit", UNITS)
def test_the_energy_byte_is_the_largest_whose_edge_is_not_above_the_energy(unit: int) -> None:
    edges = {byte: edge(2 * (byte - 128) - 1, unit) for byte in range(1, 256)}
    energies = {1, 2, 3, 10**30} | {max(one + more, 1) for one in edges.values() for more in (-1, 0, 1)}
    for energy in sorted(energies):
        wanted = max((byte for byte, one in edges.items() if one <= energy), default=1)
        assert energy_byte(energy, unit) == wanted


def test_the_smallest_and_the_largest_energy_byte() -> None:
    """Of a mean of 2^62 - 1 nothing small reaches the first edge; 255 is 127 / 16 octaves above the mean."""
    assert [energy_byte(energy, 2**62 - 1) for energy in (0, -1, 1, 2)] == [0, 0, 1, 1]
    assert [energy_byte(energy, 1000) for energy in (1000, 500, 2000)] == [128, 112, 144]
    assert energy_byte(10**9, 1000) == 255


@pytest.mark.parametrize("unit", UNITS)
def test_what_a_byte_stands_for(unit: int) -> None:
    assert [energy_of(byte, unit) for byte in range(1, 256)] == [
        max(1, edge(2 * (byte - 128), unit)) for byte in range(1, 256)
    ]
    assert energy_of(0, unit) == 0
    assert energy_of(128, unit) == unit


def test_shares_of_the_stated_energy() -> None:
    assert [retained_share(restored, 144, 1000) for restored in (0, 500, 2000, 2001)] == [0.0, 0.25, 1.0, 1.0]
    assert retained_share(-5, 144, 1000) == 0.0
    assert retained_share(7, 0, 1000) == 1.0


def test_energy_is_in_squared_sixteenths() -> None:
    assert total_energy(np.array([[1.5, -2.0]], np.float32)) == 1600  # 256 x 6.25
    assert total_energy(np.array([0.05], np.float32)) == 0  # 0.64 rounded down
    assert total_energy(np.array([1e30], np.float32)) == int(1e30)


def test_magnitudes_are_rounded_towards_zero_and_capped() -> None:
    limits = np.array([7, 2**40])
    magnitude, negative = quantize(np.array([[[1.99, -0.5], [-9.0, -(2.0**35)]]], np.float32), limits)
    assert magnitude.tolist() == [1, 0, 7, 2**30]
    assert negative.tolist() == [False, True, True, True]
    assert quantize(np.zeros((1, 1, 2), np.float32), limits)[1].tolist() == [False, False]
    assert dequantize(np.array([24, -16]), (1, 1, 2)).tolist() == [[[1.5, -1.0]]]


def test_a_component_has_the_planes_in_which_it_takes_part() -> None:
    tables: Any = SimpleNamespace(active=np.array([4, 3, 1]))
    assert magnitude_limits(tables, 5).tolist() == [7, 3, 3, 1, 0]

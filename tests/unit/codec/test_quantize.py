"""From coefficients to integers and back, by the formulas of docs/bitstream.md."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from heliograph.codec.quantize import dequantize, magnitude_limits, quantize, scaled


def test_magnitudes_are_rounded_towards_zero_and_capped() -> None:
    limits = np.array([7, 2**40])
    magnitude, negative = quantize(np.array([[[1.99, -0.5], [-9.0, -(2.0**35)]]], np.float32), limits)
    assert magnitude.tolist() == [1, 0, 7, 2**30]
    assert negative.tolist() == [False, True, True, True]
    assert quantize(np.zeros((1, 1, 2), np.float32), limits)[1].tolist() == [False, False]
    assert dequantize(np.array([24, -16]), (1, 1, 2)).tolist() == [[[1.5, -1.0]]]


def test_a_fineness_of_four_is_half_an_octave_and_comes_back() -> None:
    coefficients = np.array([[[1.0, -2.0]]], np.float32)
    assert np.allclose(scaled(coefficients, 4), [[[2**0.5, -(2**1.5)]]])
    assert np.allclose(dequantize(np.array([16, -32]), (1, 1, 2), 4), [[[2**-0.5, -(2**0.5)]]])


def test_a_component_has_the_planes_in_which_it_takes_part() -> None:
    tables: Any = SimpleNamespace(active=np.array([4, 3, 1]))
    assert magnitude_limits(tables, 5).tolist() == [7, 3, 3, 1, 0]

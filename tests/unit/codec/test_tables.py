"""Integer ladders against exact values, and activity against a slow definition."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.codec.activity import ActivityModel
from heliograph.codec.quantize import dequantize, quantize, scaled
from heliograph.codec.tables import Layout, eighth_powers, expected_magnitudes, ladder, log_activity


def test_ladder_is_the_exact_power_rounded_down() -> None:
    for bin_ in range(-40, 200):
        exact = 1000 * 2.0 ** (bin_ / 8)
        assert abs(ladder(bin_, 1000) - exact) <= 1 + exact * 1e-9
    assert eighth_powers()[0] == 1 << 32


def test_log_of_activity_inverts_the_ladder() -> None:
    table = log_activity()
    assert table[256] == 0
    assert np.all(np.diff(table) >= 0)
    for multiplier in (1, 2, 64, 100, 255, 257, 512, 4095):
        assert table[multiplier] == np.floor(4 * np.log2(multiplier / 256) + 1e-9)


def test_expected_magnitudes_rise_and_are_positive() -> None:
    table = expected_magnitudes()
    assert table.min() == 1
    assert np.all(np.diff(table) >= 0)


def test_expected_magnitudes_are_sixteenths_of_eighth_octaves() -> None:
    table = expected_magnitudes()
    assert table.shape == (384,)  # -128 to 255
    assert [table[128 + bin_] for bin_ in (-32, -8, 0, 8, 80)] == [1, 8, 16, 32, 16 << 10]
    np.testing.assert_allclose(table[128:], 16 * 2.0 ** (np.arange(256) / 8), rtol=1e-9, atol=1)
    assert table[-1] == pytest.approx(16 * 2.0 ** (255 / 8), rel=1e-9)


# 2^(k / 8) to nine digits
EIGHTHS = [1, 1.090507733, 1.189207115, 1.296839555, 1.414213562, 1.542210825, 1.681792831, 1.834008086]


@pytest.mark.parametrize("fineness", range(8))
def test_finer_streams_have_smaller_steps(fineness: int) -> None:
    coefficients = np.array([[[1.0, -1.0, 100.0, -0.4, 0.0, 2.0**115]]], dtype=np.float32)
    found = scaled(coefficients, fineness)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, 0, :5], coefficients[0, 0, :5] * EIGHTHS[fineness], rtol=1e-7)
    magnitude, negative = quantize(coefficients[:, :, :5] * np.float32(EIGHTHS[fineness]), np.array([3, 1, 127, 1, 1]))
    assert magnitude.tolist() == [1, 1, int(100 * EIGHTHS[fineness]) if fineness < 3 else 127, 0, 0]
    assert negative.tolist() == [False, True, False, True, False]
    restored = dequantize(np.array([16, -24, 0, 1]), (1, 2, 2), fineness)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored.reshape(-1) * EIGHTHS[fineness], [1, -1.5, 0, 1 / 16], rtol=1e-6)


def test_activity_is_the_ratio_of_known_to_expected_magnitude() -> None:
    random = np.random.default_rng(0)
    rows, columns, components = 3, 4, 11
    scale = random.integers(-8, 24, (rows * columns, components))
    model = ActivityModel(Layout(rows, columns, True, scale, np.full_like(scale, 4)), components)
    magnitude = random.integers(0, 500, (2, rows * columns, components))
    expected = expected_magnitudes()[scale + 128]
    ratios = model.ratios(magnitude)
    for tile, position, component in ((0, 0, 0), (1, 5, 10), (0, 11, 4), (1, 7, 0)):
        row, column = divmod(position, columns)
        sums = np.zeros((3, 2))
        for which, table in enumerate((magnitude[tile], expected)):
            sums[0, which] = table[:, component].sum() - table[position, component]
            sums[1, which] = table[position].sum() - table[position, component]
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    inside = 0 <= row + down < rows and 0 <= column + right < columns
                    if inside and (down, right) != (0, 0):
                        weight = (2 - abs(down)) * (2 - abs(right))
                        sums[2, which] += weight * table[(row + down) * columns + column + right, component]
        wanted = 256 * sums[:, 0] / sums[:, 1]
        assert np.allclose(ratios[tile, position, component, 1:], wanted, atol=1.5)
        assert ratios[tile, position, component, 0] == 256


@pytest.mark.parametrize("neighbours", [True, False])
def test_multiplier_mixes_the_ratios(neighbours: bool) -> None:
    random = np.random.default_rng(1)
    scale = random.integers(0, 16, (6, 5))
    model = ActivityModel(Layout(2, 3, neighbours, scale, np.full_like(scale, 4)), 5)
    magnitude = random.integers(0, 200, (2, 6, 5))
    weights = np.array([100, 30, 60, 66])
    wanted = (model.ratios(magnitude) * weights).sum(axis=-1) / 256
    assert np.allclose(model.multiplier(magnitude, model.mix(weights)), wanted, atol=2)

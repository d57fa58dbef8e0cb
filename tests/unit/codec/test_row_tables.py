"""Tables of magnitudes: integers that follow the geometric law, by numpy's own exponentials."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.codec.row_tables import CLASSES, HIGHEST_BIN, LOWEST_BIN, magnitude_table, mean_square_bins


@pytest.mark.parametrize("scale_bin", [LOWEST_BIN, -17, 0, 1, 8, 40, HIGHEST_BIN])
def test_classes_and_bits_follow_the_geometric_law(scale_bin: int) -> None:
    table = magnitude_table(scale_bin)
    tail = np.exp(-(2.0 ** np.arange(CLASSES - 1)) / 2 ** (scale_bin / 8))  # P(q >= 2 ** c)
    expected = np.concatenate([[0], 1 - tail, [1]]) * 65536
    assert np.abs(np.array(table.borders) - expected).max() < CLASSES + 1  # each class keeps a share
    assert min(np.diff(table.borders)) >= 1
    assert (table.borders[0], table.borders[-1], len(table.borders)) == (0, 65536, CLASSES + 1)
    assert np.abs(np.array(table.ones) - np.clip(65536 / (1 + tail), 1, 65535)).max() <= 1


def test_a_table_written_down() -> None:
    """A mean of one threshold: below 1, 2, 4, 8 lie 1 - exp(-1) = .63212, .86466, .98168, .99966 of 65511 and a
    share for each class; bits 0, 1, 2 are zero in 1 / (1 + exp(-1)) = .73106, .88080, .98201 of 65536.
    """
    assert magnitude_table(0).borders[:5] == (0, 41410 + 1, 56645 + 2, 64311 + 3, 65489 + 4)
    assert magnitude_table(0).ones[:3] == (47910, 57723, 64357)


def test_scales_join_by_their_squares() -> None:
    """Means of 1 and 2 steps: the root of 2.5, 5.3 eighth octaves; of 4 and 0: half an octave less."""
    bins = np.array([[0, -8, 16], [8, -8, -128], [0, -8, 16], [8, -8, -128]])
    assert mean_square_bins(bins).tolist() == [5, -8, 12]
    random = np.random.default_rng(0).integers(-20, 40, (64, 30))
    exact = 4 * np.log2(np.square(2 ** (random / 8)).mean(axis=0))
    assert np.array_equal(mean_square_bins(random), np.floor(exact))

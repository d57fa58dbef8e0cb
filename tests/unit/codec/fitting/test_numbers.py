"""What a fit reads from its photos, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.codec.fitting import metric as fit_metric
from heliograph.codec.fitting.fit import _scale_bins, _skew_bins
from heliograph.codec.fitting.metric import make_metric
from heliograph.errors import ShapeError


def photos_of(*components: tuple[int, float, float]) -> np.ndarray:
    """(64, 1, R) of coefficients: so many of one value, the other value in all the rest."""
    made = np.empty((64, 1, len(components)), dtype=np.float32)
    for place, (count, one, other) in enumerate(components):
        made[:count, 0, place], made[count:, 0, place] = one, other
    return made


def test_skew_is_a_chance_in_log_odds_drawn_to_the_middle() -> None:
    """32 of 32 that stand out are negative: (32 + 16) / (32 + 32) = 3/4, ln 3 / 0.6 = 1.83, two bins above 4."""
    made = photos_of((32, -3, 0.1), (32, 3, 0.1), (0, 0, 0.1), (32, -0.9, 0.1), (64, -2, 0), (31, -3, 0.1))
    assert _skew_bins(made, False).tolist() == [[6, 2, 4, 4, 4, 6]]  # the last but one: none exceeds the mean


def test_skew_is_bounded() -> None:
    """1,000 of 1,000: ln(1016 / 16) / 0.6 = 6.9, beyond the last of nine bins."""
    many = np.concatenate([np.full(1000, -3.0), np.full(1000, 0.1)]).astype(np.float32).reshape(-1, 1, 1)
    assert _skew_bins(np.concatenate([many, -many], axis=2), False).tolist() == [[8, 0]]


def test_skew_of_places_is_pooled_where_the_grid_has_no_transform() -> None:
    """Two places, 32 negative of 32 and 8 positive of 8: 48 / 72 = 2/3 together, ln 2 / 0.6 = 1.16."""
    made = np.concatenate([photos_of((32, -3, 0.1)), photos_of((8, 3, 0.1))], axis=1)
    assert _skew_bins(made, True).tolist() == [[5], [5]]
    assert _skew_bins(made, False).tolist() == [[6], [3]]  # ln(16 / 24) / 0.6 = -0.68


def test_scales_are_eighth_octaves_drawn_to_the_smaller_mean() -> None:
    """Two photos; magnitudes 4 and 1 at two places, 2.5 on average: (2 x 4 + 2 x 2.5) / 4 = 3.25, and 1 stays 1."""
    made = np.array([[[4.0, 0.0, 2.0**40], [1.0, 0.0, 2.0**40]]] * 2) * np.array([1.0, -1.0])[:, None, None]
    assert _scale_bins(made).tolist() == [[14, -128, 255], [0, -128, 255]]  # 8 log2 3.25 = 13.6


def test_sensitivity_by_frequency_becomes_a_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round of the alternation, by hand, of diag(3, 1) at the mean of a row of two and diag(1, 0) at its slope.

    Traces 4 and 1, scaled to a mean of 1: 1.6 and 0.4. Channels: the mean of diag(3, 1) / 1.6 and diag(1, 0) / 0.4,
    diag(2.1875, 0.3125). With a hundredth of their mean, 0.0125, added: weights (3 / 2.2 + 1 / 0.325) / 2 and
    1 / 2.2 / 2, scaled to a mean of 1.
    """
    monkeypatch.setattr(fit_metric, "_FLIP_FLOPS", 1)
    by_frequency = np.array([np.diag([3.0, 1.0]), np.diag([1.0, 0.0])])
    made = make_metric(2, (1, 2), by_frequency, None)
    weights = np.array([(3 / 2.2 + 1 / 0.325) / 2, 1 / 2.2 / 2])
    weights /= weights.mean()
    channels = np.array([2.1875, 0.3125]) / 1.25
    root = lambda x: np.sqrt((x + 0.01) / 1.01)  # noqa: E731 - a floor of a hundredth
    np.testing.assert_allclose(made.channel_root, np.diag(root(channels)), atol=1e-12)
    np.testing.assert_allclose(made.channel_root_inverse, np.diag(1 / root(channels)), atol=1e-12)
    cosines = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)
    np.testing.assert_allclose(made.grid_root, cosines @ np.diag(root(weights)) @ cosines, atol=1e-12)
    np.testing.assert_allclose(made.grid_root_inverse, cosines @ np.diag(1 / root(weights)) @ cosines, atol=1e-12)
    assert made.weighs_grid


def test_a_product_is_found_as_it_is() -> None:
    """Also one whose second frequency nobody notices."""
    channels = np.array([[2.0, 0.5], [0.5, 1.0]])
    for weights in ([3.0, 1.0], [3.0, 0.0]):
        made = make_metric(2, (2, 1), np.multiply.outer(np.array(weights), channels), None)
        values, vectors = np.linalg.eigh(channels / 1.5)
        root = vectors @ np.diag(np.sqrt((values + 0.01) / 1.01)) @ vectors.T
        np.testing.assert_allclose(made.channel_root, root, atol=1e-6)
        cosines = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)
        share = np.sqrt((np.array(weights) / np.mean(weights) + 0.01) / 1.01)
        np.testing.assert_allclose(made.grid_root, cosines @ np.diag(share) @ cosines, atol=1e-5)


def test_one_number_a_channel_and_none_at_all() -> None:
    made = make_metric(2, (1, 2), np.array([3.0, 1.0]), None)
    np.testing.assert_allclose(made.channel_root, np.diag(np.sqrt([1.51 / 1.01, 0.51 / 1.01])), atol=1e-12)
    np.testing.assert_array_equal(made.grid_root, np.eye(2))
    assert not made.weighs_grid
    error = np.array([[1.0, 2.0], [0.0, 1.0]])
    assert made.energy(error) == pytest.approx(1.51 / 1.01 + 0.51 / 1.01 * 5)
    assert make_metric(2, (1, 2), None, None).energy(error) == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("sensitivity", "grid_sensitivity"),
    [
        (np.zeros((2, 2)), None),
        (None, np.zeros((2, 2))),
        (np.diag([1.0, np.nan]), None),
        (np.eye(3), None),
        (np.zeros((2, 2, 2)), None),
        (np.full((2, 2, 2), np.nan), None),
        (np.ones((3, 2, 2)), None),
        (np.array([np.eye(2)] * 2), np.eye(2)),
    ],
)
def test_what_weighs_nothing_or_does_not_fit_is_refused(
    sensitivity: np.ndarray | None, grid_sensitivity: np.ndarray | None
) -> None:
    with pytest.raises(ShapeError):
        make_metric(2, (1, 2), sensitivity, grid_sensitivity)

"""Intervals against scipy's and numpy's, and against resamples that are made one by one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from heliograph.bench.stats import (
    clustered_interval,
    clustered_mean_interval,
    percentile_interval,
    resampling_weights,
    wilson_interval,
)


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (3, 7), (15, 148), (81, 263), (299, 300), (50, 50)])
def test_wilson_is_scipys(successes: int, trials: int) -> None:
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_resamples_are_numpys_and_the_same_every_day() -> None:
    expected = np.random.default_rng(20_240_601).multinomial(3, [1 / 3] * 3, size=1000)
    assert np.array_equal(resampling_weights(3), expected)
    assert not resampling_weights(3).flags.writeable


def test_the_interval_holds_the_middle_95_per_cent() -> None:
    samples = np.random.default_rng(1).normal(size=501)
    assert percentile_interval(samples) == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])))


@pytest.mark.parametrize(("defined", "exists"), [(100, True), (95, True), (94, False), (0, False)])
def test_a_twentieth_may_be_undefined(defined: int, exists: bool) -> None:
    samples = np.array([1.0] * defined + [np.nan] * (100 - defined))
    assert percentile_interval(samples) == ((1.0, 1.0) if exists else None)


def test_no_samples_give_no_interval() -> None:
    assert percentile_interval(np.zeros(0)) is None


def one_by_one(values: list[float], clusters: list[str]) -> tuple[float, float]:
    """Every resample as a list of drawn clusters' values."""
    names = sorted(set(clusters))
    means = []
    for drawn in resampling_weights(len(names)):
        taken = [v for v, c in zip(values, clusters, strict=True) for _ in range(int(drawn[names.index(c)]))]
        means.append(sum(taken) / len(taken))
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


@pytest.mark.parametrize(
    ("values", "clusters"),
    [
        ([1.0, 0.0, 1.0, 0.5, 0.25], ["b", "b", "a", "c", "a"]),
        ([1.0, 0.0, 1.0, 1.0], ["b", "b", "a", "c"]),  # right or wrong, but not independent
        ([0.2, 0.9, 0.4], ["c", "a", "b"]),  # independent, but no shares
    ],
)
def test_clustered_means_are_those_of_whole_clusters_drawn(values: list[float], clusters: list[str]) -> None:
    assert clustered_mean_interval(values, clusters) == pytest.approx(one_by_one(values, clusters))


def test_independent_answers_have_wilsons_interval() -> None:
    assert clustered_mean_interval([1.0, 0.0, 1.0], ["b", "a", "c"]) == wilson_interval(2, 3)
    assert clustered_mean_interval([1.0], ["a"]) == wilson_interval(1, 1)
    assert clustered_mean_interval([0.5], ["a"]) is None


def test_any_statistic_is_taken_of_every_row_of_weights() -> None:
    weights = resampling_weights(4, 200)
    found = clustered_interval(lambda row: float(row[0] ** 2 + row[3]), 4, 200)
    assert found == pytest.approx(tuple(np.quantile(weights[:, 0] ** 2 + weights[:, 3], [0.025, 0.975])))
    assert clustered_interval(lambda row: float(row[0]), 2) is not None
    assert clustered_interval(lambda row: None, 2) is None
    assert clustered_interval(lambda row: float(row[0]), 1) is None

import numpy as np
import pytest

from heliograph.bench.stats import (
    clustered_interval,
    clustered_mean_interval,
    percentile_interval,
    resampling_weights,
    wilson_interval,
)


def test_wilson_matches_published_values() -> None:
    # Newcombe 1998, table I: 81/263 and 15/148; 0/20 as in Brown, Cai and DasGupta 2001.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 7), (7, 7), (3, 7), (1999, 2000)])
def test_wilson_holds_its_share_and_stays_within_bounds(successes: int, trials: int) -> None:
    low, high = wilson_interval(successes, trials)
    assert 0.0 <= low <= successes / trials <= high <= 1.0
    assert low < high


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="share"):
        wilson_interval(successes, trials)


def test_bootstrap_resamples_whole_clusters() -> None:
    weights = resampling_weights(7, resamples=50)
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == resampling_weights(7, resamples=50)).all()


def test_clustering_widens_the_interval_of_correlated_answers() -> None:
    random = np.random.default_rng(1)
    per_image = random.integers(0, 2, 100).astype(float)  # every image is all right or all wrong
    values = np.repeat(per_image, 10).tolist()
    together = clustered_mean_interval(values, [str(i // 10) for i in range(1000)])
    apart = clustered_mean_interval(values, [str(i) for i in range(1000)])
    assert together is not None
    assert apart is not None
    assert (together[1] - together[0]) > 2.5 * (apart[1] - apart[0])  # sqrt(10) in the limit


def test_bootstrap_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(100):
        image_level = random.normal(0.0, 1.0, 60)
        values = (np.repeat(image_level, 4) + random.normal(0.0, 0.5, 240)).tolist()
        found = clustered_mean_interval(values, [str(i // 4) for i in range(240)])
        assert found is not None
        covered += found[0] <= 0.0 <= found[1]
    assert covered >= 88  # 95 of 100, less three standard errors


def test_one_cluster_or_nothing_gives_no_interval() -> None:
    assert clustered_mean_interval([], []) is None
    assert clustered_mean_interval([0.2, 0.4], ["a", "a"]) is None
    assert clustered_interval(lambda weights: 1.0, 1) is None


def test_statistics_that_often_do_not_exist_get_no_interval() -> None:
    assert percentile_interval(np.array([1.0] * 90 + [np.nan] * 10)) is None
    assert percentile_interval(np.array([1.0] * 97 + [np.nan] * 3)) == (1.0, 1.0)


def test_any_statistic_of_cluster_weights_has_an_interval() -> None:
    values = np.arange(50, dtype=float)
    found = clustered_interval(lambda weights: float(weights @ values / weights.sum()), 50)
    assert found is not None
    assert found[0] < 24.5 < found[1]
    assert 6.5 < found[1] - found[0] < 9.5  # 2 * 1.96 * 14.43 / sqrt(50) = 8.0

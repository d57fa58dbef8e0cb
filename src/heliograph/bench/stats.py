"""Intervals: Wilson for shares of independent items, bootstrap clustered by image for everything else.

Several questions share one image, so their errors are not independent; resampling whole images keeps that. See
``docs/decisions/0006-bench-statistics.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Interval = tuple[float, float]
DoubleArray = npt.NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 1000
_Z = 1.959963984540054  # the normal quantile of 0.975
_SEED = 20_240_601


def wilson_interval(successes: float, trials: int) -> Interval:
    """95 % interval of a share (Wilson 1927): never outside 0..1, and honest near its ends.

    Raises:
        ValueError: ``trials`` is below 1 or ``successes`` is outside 0..trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError("a share needs at least one trial, and successes within 0..trials")
    share = successes / trials
    shrink = 1 + _Z**2 / trials
    centre = (share + _Z**2 / (2 * trials)) / shrink
    half = _Z * float(np.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))) / shrink
    # Rounding may put an end a hair inside the share itself at 0 or 1.
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))


@lru_cache(maxsize=4)
def resampling_weights(clusters: int, resamples: int = RESAMPLES, seed: int = _SEED) -> DoubleArray:
    """How often each cluster is drawn in each bootstrap resample: (resamples, clusters) f64, rows sum to clusters."""
    random = np.random.default_rng(seed)
    weights = random.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples).astype(np.float64)
    weights.flags.writeable = False  # shared by every caller
    return weights


def percentile_interval(samples: DoubleArray) -> Interval | None:
    """The 2.5th and 97.5th percentile of bootstrap samples; None where more than 5 % of them are none (NaN,
    infinite)."""
    defined = samples[np.isfinite(samples)]
    if defined.size < LEVEL * samples.size or not defined.size:
        return None
    low, high = np.percentile(defined, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def clustered_mean_interval(values: Sequence[float], clusters: Sequence[str]) -> Interval | None:
    """95 % interval of the mean of ``values`` where items of one cluster (image) go together.

    Where every cluster has one item and every value is 0 or 1, this is Wilson's interval.
    """
    if not values:
        return None
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    numbers = np.asarray(values, dtype=np.float64)
    if len(names) == len(values) and np.isin(numbers, (0.0, 1.0)).all():
        return wilson_interval(float(numbers.sum()), len(values))
    if len(names) == 1:
        return None
    sums = np.bincount(index, weights=numbers)
    counts = np.bincount(index).astype(np.float64)
    weights = resampling_weights(len(names))
    return percentile_interval((weights @ sums) / (weights @ counts))


def clustered_interval(
    statistic: Callable[[DoubleArray], float | None], clusters: int, resamples: int = RESAMPLES
) -> Interval | None:
    """95 % interval of any statistic that can be computed from one weight per cluster.

    Args:
        statistic: takes (clusters,) weights and gives the figure, or None where it does not exist.
    """
    if clusters < 2:
        return None
    found = [statistic(row) for row in resampling_weights(clusters, resamples)]
    return percentile_interval(np.array(found, dtype=np.float64))  # None becomes NaN

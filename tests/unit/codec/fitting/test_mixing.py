"""The mix of activity features against scipy's optimum, and against many more steps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize as scipy_minimize

from heliograph.codec.fitting.mixing import Decisions, logistic_mix, minimise, projected
from heliograph.codec.transform import DoubleArray


def drawn(wanted: list[float], count: int) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Ratios (N, 4), scales and outcomes of a known mix; the last feature is never there."""
    random = np.random.default_rng(4)
    ratios = np.column_stack([np.ones(count), random.gamma(2, 0.5, (count, 2)), np.zeros(count)])
    scale = random.uniform(-3, 2, count)
    chance = 1 / (1 + np.exp(-(-0.4 + 1.8 * (scale + np.log2(ratios @ np.array(wanted))))))
    return ratios, scale, (random.random(count) < chance).astype(np.float64)


@pytest.mark.parametrize("count", [4000, 40_000])  # without a sample for the first steps, and with one
def test_the_mix_of_features_is_the_likeliest(count: int) -> None:
    """By scipy: the same curve in log2 of scale times mix, its likelihood made as large as can be."""
    ratios, scale, target = drawn([0.2, 0.5, 0.3, 0.0], count)

    def loss(parameters: np.ndarray) -> float:
        mix = np.array([1 - parameters[:2].sum(), *parameters[:2]])
        u = scale + np.log2(np.maximum(ratios[:, :3] @ mix, 0.05))
        logit = parameters[2] + parameters[3] * u + parameters[4] * u * u
        return float(np.logaddexp(0, -np.where(target > 0, logit, -logit)).sum())

    start = [0.3, 0.3, 0.0, 1.5, 0.0]
    best = scipy_minimize(loss, start, method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-5})
    found = logistic_mix(ratios, scale, target)
    assert found[3] == 0  # a feature that is never there
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found[1:3], best.x[:2], atol=0.03)


def test_stopping_early_costs_nothing_to_speak_of() -> None:
    """As good as 200 steps to a thousandth of a bit per decision, and never worse than where it began."""
    ratios, scale, target = drawn([0.2, 0.5, 0.3, 0.0], 8000)
    columns = np.ascontiguousarray(ratios[:, :3].T, dtype=np.float32)
    decisions = Decisions(columns, scale.astype(np.float32), target.astype(np.float32))
    start = np.array([0.0, 1.5, 0.0, 0.7, 0.15, 0.15])

    def bits(place: DoubleArray) -> float:
        u = scale + np.log2(ratios[:, :3] @ place[3:])
        logit = place[0] + place[1] * u + place[2] * u * u
        return float(np.logaddexp(0, np.where(target > 0, -logit, logit)).mean() / np.log(2))

    few, many = minimise(decisions, start, 16), minimise(decisions, start, 200)
    np.testing.assert_allclose(few[3:], many[3:], atol=1e-3)
    assert abs(bits(few) - bits(many)) < 1e-3
    assert bits(few) < bits(start) - 0.01


def test_weights_stay_in_the_box_where_the_likeliest_lie_outside() -> None:
    """Decisions that fall the more often the larger a feature: its weight goes to the border, the sum stays."""
    ratios, scale, _ = drawn([0.2, 0.5, 0.3, 0.0], 4000)
    target = (ratios[:, 1] < 0.6).astype(np.float64)
    found = logistic_mix(ratios, scale, target)
    assert found.min() >= -0.5
    assert found.max() <= 2.0
    assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("weights", "nearest"),
    [
        ([0.4, 0.3, 0.3], [0.4, 0.3, 0.3]),
        ([1.0, 1.0, 0.0], [2 / 3, 2 / 3, -1 / 3]),
        ([5.0, 0.0, 0.0], [2.0, -0.5, -0.5]),
        ([-3.0, 0.5, 0.5], [-0.5, 0.75, 0.75]),
    ],
)
def test_projection_by_hand(weights: list[float], nearest: list[float]) -> None:
    np.testing.assert_allclose(projected(np.array(weights)), nearest, atol=1e-6)

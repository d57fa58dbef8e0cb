"""Curves of stop policies on uneven questions, against numbers made by hand and resamples drawn one by one.

Seven questions about three photos; bytes, right, agreement and drafts all differ::

    photo    c  c  a  b  b  b  c
    task     colour colour colour shape shape colour small-print
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.bench.loop.curves import (
    ACCURACY,
    AGREEMENT,
    BYTES,
    DRAFTS,
    Curve,
    Questions,
    Stopped,
    bytes_ratio,
    difference_interval,
)
from heliograph.bench.metrics import cost_at
from heliograph.bench.stats import resampling_weights

PHOTOS = ["c", "c", "a", "b", "b", "b", "c"]
TASKS = ["colour", "colour", "colour", "shape", "shape", "colour", "small-print"]


class Asked(SimpleNamespace):
    def __len__(self) -> int:
        return len(PHOTOS)


def questions() -> Questions:
    answers: Any = Asked(photo=np.array(PHOTOS), task=np.array(TASKS))
    return Questions(answers)


def stopped(scale: float = 1.0, right: tuple[int, ...] = (1, 0, 1, 0, 1, 1, 0)) -> Stopped:
    return Stopped(
        "it",
        scale * np.array([10.0, 20.0, 30.0, 100.0, 200.0, 40.0, 999.0]),
        np.array(right, dtype=np.float64),
        np.array([1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0]),
        np.array([1.0, 2.0, 3.0, 4.0, 6.0, 2.0, 9.0]),
    )


def test_questions_are_counted_by_task() -> None:
    found = questions()
    assert (found.tasks, found.mean_tasks, found.photos) == (("colour", "shape", "small-print"), ("colour", "shape"), 3)
    counts = [found.count(tasks) for tasks in (("colour",), ("shape",), ("colour", "small-print"), found.mean_tasks)]
    assert counts == [4, 2, 5, 6]


def test_means_are_over_tasks_of_each_tasks_mean() -> None:
    curve = Curve([stopped()], questions())
    assert curve.values(BYTES) == [pytest.approx(((10 + 20 + 30 + 40) / 4 + 150) / 2)]
    assert curve.values(ACCURACY) == [pytest.approx((3 / 4 + 1 / 2) / 2)]
    assert curve.values(AGREEMENT) == [pytest.approx((2 / 4 + 1) / 2)]
    assert curve.values(DRAFTS) == [pytest.approx((8 / 4 + 5) / 2)]


def resampled(values: np.ndarray, tasks: tuple[str, ...]) -> list[float]:
    """Photo by photo as it is drawn; NaN where a task is not among them."""
    found = []
    for drawn in resampling_weights(3):
        weights = [drawn["abc".index(photo)] for photo in PHOTOS]
        means = []
        for task in tasks:
            of_task = [(w, v) for w, v, t in zip(weights, values, TASKS, strict=True) if t == task]
            total = sum(w for w, _ in of_task)
            means.append(sum(w * v for w, v in of_task) / total if total else float("nan"))
        found.append(sum(means) / len(means))
    return found


def test_resamples_draw_whole_photos() -> None:
    sizes = stopped().payload_bytes
    value, samples = questions().mean(sizes, ("colour",))
    assert value == pytest.approx(25.0)
    np.testing.assert_allclose(samples, resampled(sizes, ("colour",)))
    np.testing.assert_allclose(questions().mean(sizes, ("colour", "shape"))[1], resampled(sizes, ("colour", "shape")))
    assert np.isnan(questions().mean(sizes, ("shape",))[1]).any()  # photo b is not always drawn


def test_an_interval_is_that_of_its_own_figure() -> None:
    answers: Any = Asked(photo=np.array(PHOTOS), task=np.array(["colour"] * 7))
    curve, one = Curve([stopped()], Questions(answers)), stopped()
    for kind, values in ((BYTES, one.payload_bytes), (ACCURACY, one.right), (DRAFTS, one.drafts)):
        samples = Questions(answers).mean(values, ("colour",))[1]
        assert curve.intervals(kind) == [pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])))]
    assert Curve([stopped()], questions()).intervals(BYTES) == [None]  # too often without a shape


WRONG, RIGHT = (0, 0, 0, 0, 0, 0, 0), (1, 1, 1, 1, 1, 1, 1)


def test_bytes_at_a_quality_are_read_between_settings() -> None:
    curve = Curve([stopped(1.0, WRONG), stopped(4.0, RIGHT)], questions())
    assert curve.bytes_at(ACCURACY, 0.5) == pytest.approx(2 * 87.5)  # half way in log bytes
    assert curve.bytes_at(ACCURACY, 1.0) == pytest.approx(4 * 87.5)
    assert curve.bytes_at(ACCURACY, 1.01) is None
    assert curve.bytes_at(AGREEMENT, 0.75) == pytest.approx(87.5)  # the first has it already


def test_resampled_bytes_at_a_quality_have_a_target_each() -> None:
    curve = Curve([stopped(1.0, WRONG), stopped(4.0)], questions())
    targets = np.linspace(0.1, 0.9, 1000)
    sizes, rights = (
        [resampled(one, ("colour", "shape")) for one in pair]
        for pair in ((stopped().payload_bytes, stopped(4.0).payload_bytes), (np.zeros(7), stopped().right))
    )
    found = curve.sampled_bytes_at(ACCURACY, targets)
    for i, target in enumerate(targets):
        expected = cost_at([(size[i], right[i]) for size, right in zip(sizes, rights, strict=True)], target)
        assert found[i] == pytest.approx(np.nan if expected is None else expected, nan_ok=True)
    assert 0 < np.isnan(found).sum() < 1000


def test_a_ratio_is_paired_resample_by_resample() -> None:
    answers: Any = Asked(photo=np.array(PHOTOS), task=np.array(["colour"] * 7))
    asked = Questions(answers)
    dear, cheap = (Curve([stopped(scale, WRONG), stopped(4 * scale, RIGHT)], asked) for scale in (3.0, 1.0))
    ratio = bytes_ratio(dear, cheap, ACCURACY, 0.5, np.full(1000, 0.5))
    assert ratio.value == pytest.approx(3.0)
    assert ratio.interval == pytest.approx((3.0, 3.0))  # however photos are drawn
    assert bytes_ratio(cheap, dear, ACCURACY, 0.5, np.full(1000, 0.5)).value == pytest.approx(1 / 3)
    never = Curve([stopped(1.0, WRONG)], asked)
    for pair in ((never, cheap), (cheap, never)):
        ratio = bytes_ratio(*pair, ACCURACY, 0.5, np.full(1000, 0.5))
        assert (ratio.value, ratio.interval) == (None, None)


def test_the_interval_of_a_difference_uses_so_many_resamples() -> None:
    rows = resampling_weights(5)[:40]
    found = difference_interval(lambda row: float(row[0] - 2 * row[1]), 5, 40)
    assert found == pytest.approx(tuple(np.quantile(rows[:, 0] - 2 * rows[:, 1], [0.025, 0.975])))
    assert difference_interval(lambda row: None, 5, 40) is None

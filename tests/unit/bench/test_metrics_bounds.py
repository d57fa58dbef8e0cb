"""Metrics at the very number where they change: slack, spacing, empty answers."""

from __future__ import annotations

import pytest

from heliograph.bench import metrics
from heliograph.types import QuestionRecord


@pytest.mark.parametrize(
    ("points", "kept"),
    [
        ([(100.0, 0.5), (105.0, 0.5)], [0, 1]),  # 5 % dearer
        ([(100.0, 0.5), (104.9, 0.5)], [0]),
        ([(100.0, 0.5), (200.0, 0.5)], [0, 1]),  # twice what the best costs
        ([(100.0, 0.5), (200.1, 0.5)], [0]),
        ([(100.0, 0.5), (150.0, 0.49)], [0, 1]),  # as much below as the slack
        ([(100.0, 0.5), (150.0, 0.489)], [0]),
        ([(100.0, 0.5), (106.0, 0.5), (110.0, 0.5), (112.0, 0.5)], [0, 1, 3]),  # 5 % more than the one kept last
        ([(100.0, 0.5), (101.0, 0.51), (202.0, 0.505)], [0, 1, 2]),
        ([(100.0, 0.5), (100.0, 0.6)], [1]),
        ([(300.0, 0.9), (100.0, 0.5)], [1, 0]),
        ([], []),
    ],
)
def test_near_frontier(points: list[tuple[float, float]], kept: list[int]) -> None:
    assert metrics.near_frontier(points, slack=0.01) == kept


@pytest.mark.parametrize(
    ("points", "kept"),
    [
        ([(1.0, 0.5), (2.0, 0.5)], [(1.0, 0.5)]),
        ([(1.0, 0.5), (1.0, 0.6), (0.5, 0.7)], [(0.5, 0.7)]),
        ([(2.0, 0.6), (1.0, 0.0)], [(1.0, 0.0), (2.0, 0.6)]),
    ],
)
def test_envelope(points: list[tuple[float, float]], kept: list[tuple[float, float]]) -> None:
    assert metrics.envelope(points) == kept


@pytest.mark.parametrize(
    ("target", "cost"),
    [(0.2, 10.0), (0.4, 10.0 * 10**0.5), (0.6, 100.0), (0.7, 200.0), (0.8, 400.0), (0.81, None)],
)
def test_costs_lie_on_lines_in_log_cost(target: float, cost: float | None) -> None:
    found = metrics.cost_at([(400.0, 0.8), (10.0, 0.2), (100.0, 0.6)], target)
    assert found == (None if cost is None else pytest.approx(cost))


def test_what_costs_nothing_has_no_logarithm() -> None:
    assert metrics.cost_at([(0.0, 0.5), (8.0, 0.9)], 0.7) == 8.0
    assert metrics.cost_at([(0.0, 0.5), (8.0, 0.9)], 0.5) == 0.0


@pytest.mark.parametrize(
    ("count", "wanted", "found"),
    [(10, 4, [2, 5, 8, 10]), (1, 3, [1]), (2, 3, [1, 2]), (7, 1, [7]), (100, 3, [33, 67, 100]), (0, 3, [])],
)
def test_evenly_spaced(count: int, wanted: int, found: list[int]) -> None:
    assert metrics.evenly_spaced(count, wanted) == found


@pytest.mark.parametrize(
    ("wanted", "given", "f1"),
    [
        ("", "", 1.0),
        ("...", "!", 1.0),
        ("red", "", 0.0),
        ("", "red", 0.0),
        ("a red star", "a star", 2 * 2 / 5),
        ("red red blue", "red red red", 2 * 2 / 6),
        ("red", "blue", 0.0),
    ],
)
def test_word_f1(wanted: str, given: str, f1: float) -> None:
    assert metrics.word_f1(wanted, given) == pytest.approx(f1)


def test_the_best_of_several_accepted_answers_counts() -> None:
    described = QuestionRecord("scene", "description", "what?", "a ring", accepted=("a red star", "blue"))
    assert metrics.score(described, "a star") == pytest.approx(4 / 5)
    plain = QuestionRecord("scene", "colour", "what?", "grey", accepted=("gray",))
    assert [metrics.score(plain, given) for given in ("grey", "Gray.", "red", "grey gray")] == [1.0, 1.0, 0.0, 0.0]


def test_b99_of_a_model_that_is_hardly_ever_right() -> None:
    assert metrics.b99([(10.0, 0.0)], 1e-9) is None
    assert metrics.b99([(10.0, 1e-9)], 1e-9) == 10.0
    assert metrics.b99([(10.0, 0.5)], -0.1) is None


def test_the_largest_fall() -> None:
    assert metrics.largest_fall([0.9, 0.5, 0.6, 0.1, 0.0]) == pytest.approx(0.5)
    assert metrics.largest_fall([0.3]) == 0.0


def test_what_is_near_the_frontier_is_within_one_per_cent() -> None:
    assert metrics.near_frontier([(100.0, 0.5), (150.0, 0.49)]) == [0, 1]
    assert metrics.near_frontier([(100.0, 0.5), (150.0, 0.489)]) == [0]

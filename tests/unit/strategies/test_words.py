"""Words in the place of a photo: what a model is asked, and how words and tokens go side by side."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.errors import QuestionEmptyError
from heliograph.question import MAX_QUESTION_CHARACTERS
from heliograph.strategies.words import MAX_WORDS, asked_with, shortened
from heliograph.types import Grid, VisualTokens, Words

TOKENS = VisualTokens(np.zeros((4, 2), np.float32), Grid(2, 2))


def test_tokens_alone_leave_the_question_as_it_is() -> None:
    assert asked_with("what?", [TOKENS, TOKENS]) == ("what?", [TOKENS, TOKENS])


def test_words_go_before_the_question() -> None:
    text, seen = asked_with("what does it say?", [Words("large text top left: OPEN")])
    assert seen == []
    assert text.index("cannot see") < text.index("large text top left: OPEN") < text.index("what does it say?")
    assert text.endswith("what does it say?")


def test_a_crop_is_seen_beside_words() -> None:
    text, seen = asked_with("what?", [Words("OPEN"), TOKENS])
    assert seen == [TOKENS]
    assert "OPEN" in text


def test_whatever_is_asked_stays_a_question_that_may_be_asked() -> None:
    lines = "\n".join(f"line {number}" for number in range(900))
    for question in ("what?", "x" * 600, "y" * MAX_QUESTION_CHARACTERS):
        text, _ = asked_with(question, [Words(lines)])
        assert text.endswith(question)
        if len(question) < MAX_QUESTION_CHARACTERS - 100:
            assert len(text) <= MAX_QUESTION_CHARACTERS
            assert "line 0\n" in text
    with pytest.raises(QuestionEmptyError):
        asked_with(" ", [Words("OPEN")])


def test_only_whole_lines_are_left() -> None:
    assert shortened("ab\ncd\nef", 8) == "ab\ncd\nef"
    assert shortened("ab\ncd\nef", 7) == "ab\ncd"
    assert shortened("ab\ncd\nef", 5) == "ab\ncd"
    assert shortened("abcdef", 3) == "abc"
    assert shortened("abcdef", -3) == ""
    assert len(asked_with("q?", [Words("z" * 5000)])[0]) < MAX_WORDS + 200

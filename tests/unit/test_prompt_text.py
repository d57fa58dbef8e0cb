"""No control token comes out of a question, whatever the tokens are, and it always ends."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heliograph.prompt_text import neutralised

LETTERS = st.text(alphabet="ab <>|", max_size=24)
NAMES = st.lists(st.text(alphabet="ab <>|", max_size=5), max_size=6)


def by_replacing(question: str, names: list[str]) -> str:
    """What one repeats by hand until nothing changes, for tokens without spaces."""
    changed = True
    while changed:
        changed = False
        for name in sorted(names, key=len, reverse=True):
            if len(name) > 1 and name in question:
                question, changed = question.replace(name, f"{name[0]} {name[1:]}"), True
    return question


@settings(max_examples=2000, deadline=None)
@given(LETTERS, NAMES)
@example("a  b", ["  "])
@example("<a>", ["<a>", "< a>", "<a >"])
@example("aaaa", ["aa", "a a"])
@example("    ", ["  ", "   "])
@example("abab", ["ab", "a b", "b a", " b"])
def test_nothing_is_left_and_little_is_changed(question: str, names: list[str]) -> None:
    found = neutralised(question, names)
    assert not any(len(name) > 1 and name in found for name in names)
    assert len(found) <= 2 * len(question)
    left = iter(question)
    assert all(character in left for character in found if character != " ")  # only spaces are new
    if not any(len(name) > 1 and name in question for name in names):
        assert found == question
    if not any(" " in name for name in names):
        assert found.replace(" ", "") == question.replace(" ", "")
    if question.strip():
        assert found.strip() or not any(len(name) > 1 and not name.strip() for name in names)


@pytest.mark.parametrize(
    "question", ["<image>", "a <image><image> b", "<<image>image>", "<imag<image>e>", "<|x|><image>"]
)
def test_as_by_replacing(question: str) -> None:
    names = ["<image>", "<|x|>", "<fake_image>"]
    assert neutralised(question, names) == by_replacing(question, names)
    assert neutralised("<image>", names) == "< image>"


def test_the_work_grows_with_the_question_alone() -> None:
    """Tokens that come together again and again in what is left: each character is looked at a few times."""

    class Counted(str):
        looks = 0

        def __iter__(self):  # type: ignore[no-untyped-def]
            for character in str.__iter__(self):
                Counted.looks += 1
                yield character

    names = ["ab", "  ", "a b", *(f"<{number}>" for number in range(500))]
    neutralised(Counted("a" * 1000 + "b" * 1000 + "  " * 500), names)
    assert Counted.looks == 3000


def test_spaces_alone_as_a_token() -> None:
    assert neutralised("what  is   that", ["  "]) == "what is that"
    shown = neutralised("\n\n\n", ["\n\n", "\n \n"])
    assert "\n \n" not in shown
    assert all(pair != ("\n", "\n") for pair in pairwise(shown))

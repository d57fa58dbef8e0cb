"""Which answers count, and when one is legible."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.bench.second_look.questions import Kind, asked_of, legible, load_questions, vqa_form
from heliograph.errors import DataMissingError


def people(**answers: int) -> list[str]:
    return [answer.replace("_", " ") for answer, count in answers.items() for _ in range(count)]


def test_forms_drop_case_punctuation_and_articles_and_write_number_words_as_digits() -> None:
    assert vqa_form("The Two-Way, a 'STREET'!") == "2 way street"
    assert vqa_form("a") == ""


def test_answers_of_three_people_count_the_most_frequent_first() -> None:
    asked = asked_of("1.jpg", "what?", people(coca_cola=3, Coke=5, pepsi=2))
    assert asked.kind is Kind.TEXT
    assert asked.answers == ("coke", "coca cola")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (people(yes=6, coke=4), Kind.YES_NO),
        (people(unanswerable=7, coke=3), Kind.NOT_TEXT),
        (people(a=2, b=2, c=2, d=2, e=2), Kind.NO_AGREEMENT),
    ],
)
def test_other_answers_are_told_apart_and_have_no_text(given: list[str], kind: Kind) -> None:
    asked = asked_of("1.jpg", "what?", given)
    assert (asked.kind, asked.answers) == (kind, ())


def test_yes_beside_a_more_frequent_text_does_not_count_as_text() -> None:
    assert asked_of("1.jpg", "what?", people(coke=6, yes=4)).answers == ("coke",)


@pytest.mark.parametrize(
    ("answer", "texts", "found"),
    [
        ("stop", ["full stop"], True),
        ("stop", ["stopped"], True),  # four letters may stand in a longer run: readers join words
        ("bus", ["business"], False),  # three may not
        ("welcome to dc", ["welcome", "to", "dc"], True),
        ("welcome to dc", ["welcome", "dc"], False),
        ("coca cola", ["cocacola"], True),
        ("555 1234", ["555", "1234"], True),
        ("7", ["17"], False),
        ("", ["anything"], False),
        ("stop", [], False),
    ],
)
def test_an_answer_is_legible_where_its_words_or_its_letters_in_a_row_were_read(
    answer: str, texts: list[str], found: bool
) -> None:
    assert legible([answer], texts) is found


def test_one_legible_answer_of_several_is_enough() -> None:
    assert legible(["pepsi", "coke"], ["diet coke"])
    assert not legible([], ["diet coke"])


def test_questions_are_read_with_answers_as_objects_or_texts(tmp_path: Path) -> None:
    lines = (
        '{"photo": "1.jpg", "question": "q", "answers": [{"answer": "Go"}, {"answer": "go"}, {"answer": "go."}]}',
        '{"photo": "photos/2.jpg", "question": "q", "answers": ["go", "go", "go"]}',
    )
    (tmp_path / "questions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = load_questions(tmp_path)
    assert [(one.photo, one.answers) for one in found] == [("1.jpg", ("go",)), ("2.jpg", ("go",))]


@pytest.mark.parametrize("line", ["no json", "[1]", '{"photo": "1.jpg", "question": "q"}'])
def test_a_line_that_is_no_question_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text(line, encoding="utf-8")
    with pytest.raises(DataMissingError) as caught:
        load_questions(tmp_path)
    assert "questions.jsonl, line 1" in "".join(caught.value.__notes__)


def test_questions_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError) as caught:
        load_questions(tmp_path)
    assert str(tmp_path) in "".join(caught.value.__notes__)

"""Questions of TextVQA, which of their answers count, and when an answer is legible in what a reader read.

An answer counts where at least :data:`MIN_PEOPLE` of the ten people gave it in the same form. It is legible where every
word of it was read, or, from :data:`MIN_JOINED` letters on, where it was read without regard to spaces: readers join
and split words.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from heliograph.bench.data import data_folder
from heliograph.bench.metrics import normal_form
from heliograph.errors import DataMissingError

DATA = "textvqa-dev"
MIN_PEOPLE = 3
MIN_JOINED = 4

_ARTICLES = frozenset(("a", "an", "the"))
_DIGITS = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}
_YES_NO = frozenset(("yes", "no"))
_NOT_TEXT = frozenset(
    ("", "unanswerable", "answering does not require reading text in image", "not a question", "none", "nothing")
)


class Kind(StrEnum):
    """What a question's answer is."""

    TEXT = "an agreed answer that can be text"
    YES_NO = "yes or no"
    NOT_TEXT = "not in the photo, say the people"
    NO_AGREEMENT = "no answer that three people gave"


@dataclass(frozen=True)
class Asked:
    """One question.

    Attributes:
        photo: file name.
        question: as asked.
        answers: normal forms that count, the most frequent first; empty but for :attr:`Kind.TEXT`.
        kind: what its answer is.
    """

    photo: str
    question: str
    answers: tuple[str, ...]
    kind: Kind


def vqa_form(text: str) -> str:
    """What answers and texts are compared by: :func:`normal_form` without articles, number words as digits.

    >>> vqa_form("The 'Two' Dogs!")
    '2 dogs'
    """
    words = (_DIGITS.get(word, word) for word in normal_form(text).split())
    return " ".join(word for word in words if word not in _ARTICLES)


def legible(answers: Iterable[str], texts: Sequence[str]) -> bool:
    """Whether one of the answers can be read in texts.

    Args:
        answers: normal forms.
        texts: lines, in normal form, of everything that arrived.
    """
    words = {word for text in texts for word in text.split()}
    joined = "".join(texts).replace(" ", "")
    for answer in answers:
        letters = answer.replace(" ", "")
        if letters and (words.issuperset(answer.split()) or (len(letters) >= MIN_JOINED and letters in joined)):
            return True
    return False


def asked_of(photo: str, question: str, given: Sequence[str]) -> Asked:
    """A question with the answers that people gave."""
    counts = Counter(map(vqa_form, given))
    agreed = [answer for answer, people in counts.most_common() if people >= MIN_PEOPLE]
    answers = tuple(answer for answer in agreed if answer not in _YES_NO | _NOT_TEXT)
    if not agreed:
        kind = Kind.NO_AGREEMENT
    elif agreed[0] in _YES_NO:
        kind = Kind.YES_NO
    elif agreed[0] in _NOT_TEXT or not answers:
        kind = Kind.NOT_TEXT
    else:
        kind = Kind.TEXT
    return Asked(photo, question, answers if kind is Kind.TEXT else (), kind)


def load_questions(folder: Path | None = None) -> list[Asked]:
    """All questions of a data folder, ``textvqa-dev`` where none is given.

    Raises:
        DataMissingError: it is not there, or a line of ``questions.jsonl`` is no question.
    """
    path = (folder or data_folder(DATA)) / "questions.jsonl"
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataMissingError().noted(f"{path} cannot be read.") from error
    for number, line in enumerate(lines, 1):
        try:
            facts: dict[str, Any] = json.loads(line)
            given = [one["answer"] if isinstance(one, dict) else one for one in facts["answers"]]
            found.append(asked_of(Path(facts["photo"]).name, facts["question"], list(map(str, given))))
        except (ValueError, KeyError, TypeError) as error:
            raise DataMissingError().noted(f"{path}, line {number}: no photo, question and answers.") from error
    return found

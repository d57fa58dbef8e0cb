"""What kind of question this is, recognised by its words: multinomial naive Bayes on counts of a calibration split.

A device that knows that only small print is asked for can send a region at once, and one that is asked for a colour can
stop early. Words that were never seen say nothing; a question of such words alone gets every kind's share of the split.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from math import exp, log
from typing import Any, Self

from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundleFault, BundlePart, FileFault

MAX_KINDS = 32
MAX_WORDS = 4000
_MAX_COUNT = 10**9
_SMOOTHING = 0.5
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_WORD = re.compile(r"[^\W_]{1,32}")

_damaged = partial(BundleDamagedError, BundlePart.CURVES)


@dataclass(frozen=True)
class QuestionKinds:
    """Counts of questions and of their words, per kind.

    Attributes:
        questions: how many of each kind were counted.
        words: per kind, in how many questions each word occurred.
    """

    questions: Mapping[str, int]
    words: Mapping[str, Mapping[str, int]]

    @classmethod
    def counted(cls, asked: Iterable[tuple[str, str]]) -> Self:
        """Counts made from (kind, question) pairs."""
        questions: dict[str, int] = {}
        words: dict[str, dict[str, int]] = {}
        for kind, question in asked:
            questions[kind] = questions.get(kind, 0) + 1
            seen = words.setdefault(kind, {})
            for word in words_of(question):
                seen[word] = seen.get(word, 0) + 1
        return cls(questions, words)

    def shares(self, question: str) -> dict[str, float]:
        """How likely each kind is, adding up to 1; empty where nothing was counted."""
        if not self.questions:
            return {}
        total = sum(self.questions.values())
        known = {word for seen in self.words.values() for word in seen}
        asked = words_of(question) & known
        logs = {}
        for kind, count in self.questions.items():
            seen = self.words.get(kind, {})
            likelihood = sum(log((seen.get(word, 0) + _SMOOTHING) / (count + 2 * _SMOOTHING)) for word in sorted(asked))
            logs[kind] = log(count / total) + likelihood
        peak = max(logs.values())
        weights = {kind: exp(value - peak) for kind, value in logs.items()}
        return {kind: weight / sum(weights.values()) for kind, weight in weights.items()}

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            kind: {"questions": count, "words": dict(sorted(self.words.get(kind, {}).items()))}
            for kind, count in self.questions.items()
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Checked JSON values.

        Raises:
            BundleDamagedError: not what :meth:`to_json` writes, or too much of it.
        """
        if not isinstance(data, dict):
            raise _damaged(FileFault.CONTENT)
        if len(data) > MAX_KINDS:
            raise _damaged(BundleFault.TOO_MANY)
        questions: dict[str, int] = {}
        words: dict[str, dict[str, int]] = {}
        for kind, entry in data.items():
            if not is_kind(kind) or not isinstance(entry, dict) or not isinstance(entry.get("words"), dict):
                raise _damaged(FileFault.CONTENT)
            questions[kind] = _count(entry.get("questions"))
            words[kind] = {word: _count(count) for word, count in entry["words"].items() if _WORD.fullmatch(word)}
            if len(words[kind]) != len(entry["words"]):
                raise _damaged(FileFault.CONTENT)
        if sum(map(len, words.values())) > MAX_WORDS:
            raise _damaged(BundleFault.TOO_MANY)
        return cls(questions, words)


def words_of(question: str) -> set[str]:
    """The different words of a question, in lower case.

    >>> sorted(words_of("What does the small sign say?"))
    ['does', 'say', 'sign', 'small', 'the', 'what']
    """
    return set(_WORD.findall(question.lower()))


def is_kind(name: object) -> bool:
    """Whether this can be a kind's name."""
    return isinstance(name, str) and bool(_NAME.fullmatch(name))


def _count(value: Any) -> int:
    if type(value) is not int:
        raise _damaged(FileFault.CONTENT)
    if not 0 < value <= _MAX_COUNT:
        raise _damaged(BundleFault.RANGE)
    return value

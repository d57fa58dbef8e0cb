"""Answers to the questions of the suite, and what is made of people's sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from heliograph.bench.street.asked import QUESTIONS, Asked, answered
from heliograph.bench.street.sentences import Sentences
from heliograph.training.field.packed import PackedReader
from heliograph.training.field.questions import KIND, NUMBER, PRESENCE, SENTENCE


class FirstWords:
    """Logits by photo number, question and answer."""

    def __init__(self, table: dict[tuple[int, str, str], float]) -> None:
        self._table = table
        self.batches: list[int] = []

    def first_logits(self, visual: Tensor, questions: Sequence[str], answers: Sequence[str]) -> Tensor:
        self.batches.append(len(visual))
        numbers = visual[:, 0, 0].int().tolist()
        return torch.tensor([[[self._table.get((n, q, a), 0.0) for a in answers] for q in questions] for n in numbers])


def photos(count: int) -> np.ndarray[Any, Any]:
    return np.arange(count, dtype=np.float32).reshape(count, 1, 1)


def test_an_answer_is_the_likeliest_of_those_that_its_question_has() -> None:
    asked = (Asked("presence", "dog?", ("no", "yes"), "dog"), Asked("number", "how many?", ("0", "1")))
    table = {(0, "dog?", "yes"): 2.0, (0, "dog?", "1"): 9.0, (1, "dog?", "no"): 1.5, (1, "how many?", "1"): 0.25}
    reader = FirstWords(table)
    found = answered(cast(PackedReader, reader), photos(8), asked)
    assert found.places[:2].tolist() == [[1, 0], [0, 1]]
    assert found.leads[:2].tolist() == [[2.0, 0.0], [1.5, 0.25]]
    assert found.texts(asked)[0] == ["yes", "0"]
    assert sum(reader.batches) == 8


def test_questions_are_worded_as_in_training_and_each_has_two_answers_at_least() -> None:
    wordings = [one.partition("{}") for one in (*PRESENCE, *NUMBER, *KIND)]
    for one in QUESTIONS:
        assert any(one.text.startswith(start) and one.text.endswith(end) for start, _, end in wordings)
        assert len(set(one.answers)) == len(one.answers) >= 2
    assert len({one.text for one in QUESTIONS}) == len(QUESTIONS)


class Captioned:
    """A caption gains a nat a token from the photo of its number, which the mean photo (-1) is not."""

    def pack_answers(self, question: str, answers: Sequence[str]) -> list[str]:
        assert question == SENTENCE[0]
        return list(answers)

    def answer_tokens(self, answer: str) -> int:
        return len(answer.split())

    def losses(self, batch: list[str], visual: Tensor) -> Tensor:
        seen = int(visual[0, 0, 0])
        made = []
        for text in batch:
            made += [3.0 - float(int(text.split()[0]) == seen)] * len(text.split())
        return torch.tensor(made)


def sentences(count: int = 12) -> Sentences:
    captions = [f"{number} {'word ' * (number % 3)}".strip() for number in range(count)]
    return Sentences(cast(PackedReader, Captioned()), captions, np.full((1, 1), -1, np.float32))


def test_the_own_caption_is_picked_where_the_photo_is_the_right_one() -> None:
    made = sentences()
    found = made.scores(photos(12))
    assert found.picked.tolist() == [1.0] * 12
    assert float(found.nats.sum() / made.tokens.sum()) == pytest.approx(2.0)


def test_captions_that_gain_nothing_share_the_pick() -> None:
    made = sentences()
    found = made.scores(np.full((12, 1, 1), 99, np.float32))
    assert found.picked.tolist() == pytest.approx([0.1] * 12)
    assert float(found.nats.sum() / made.tokens.sum()) == pytest.approx(3.0)

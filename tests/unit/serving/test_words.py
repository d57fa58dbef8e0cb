"""A cloud that gets words: a model that reads is asked with them, one that knows pictures alone is shown a drawing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.errors import UsageError
from heliograph.question import Question
from heliograph.serving.cloud import Cloud
from heliograph.serving.jobs import AnswerJob, Purpose
from heliograph.strategies.semantic.lines import PlacedText, encode_lines
from heliograph.strategies.semantic.text_model import text_model
from heliograph.types import Answer, EncodedImage, Grid, VisualTokens, Words
from heliograph.vlm.contract import Verification

CODEWORD = encode_lines([PlacedText("OPEN", 3, 0), PlacedText("K47", 2, 8)], text_model())[0]
READ = EncodedImage("read", b"\x01", (CODEWORD,))
TOKENS = VisualTokens(np.zeros((4, 2), np.float32), Grid(2, 2))


class Model:
    """Remembers what it is asked."""

    grid, hidden_size = Grid(2, 2), 2

    def __init__(self, name: str = "other") -> None:
        self.name = name
        self.asked: list[tuple[str, list[Any]]] = []
        self.encoded: list[Any] = []

    def answer(self, question: str, images: list[Any], *, max_new_tokens: int) -> Answer:
        self.asked.append((question, list(images)))
        return Answer("yes", 0.9, 0.1, (1,))

    def verify_draft(self, question: str, images: list[Any], draft: Answer, *, max_new_tokens: int) -> Verification:
        return Verification(self.answer(question, images, max_new_tokens=max_new_tokens), 1)

    def encode_image(self, photo: Any) -> VisualTokens:
        self.encoded.append(photo)
        return TOKENS


def job(purpose: Purpose, **more: Any) -> AnswerJob:
    return AnswerJob(0, 0, Question("what does it say?"), READ, None, None, purpose, **more)


def test_a_model_that_reads_gets_words_before_the_question() -> None:
    model: Any = Model()
    cloud = Cloud(model)
    assert cloud.restore(READ) == Words("large text top left: OPEN\nmedium text bottom right: K47")
    outcome = cloud.run(job(Purpose.FINAL))
    assert outcome.answer is not None
    assert outcome.tokens is None
    ((question, images),) = model.asked
    assert images == []
    assert "large text top left: OPEN" in question
    assert question.endswith("what does it say?")


def test_the_reference_gets_a_drawing_and_its_own_question() -> None:
    model: Any = Model("reference")
    cloud = Cloud(model)
    outcome = cloud.run(job(Purpose.FINAL))
    assert outcome.tokens is TOKENS
    assert model.asked == [("what does it say?", [TOKENS])]
    assert model.encoded[0].size == (512, 512)
    assert cloud.restore_tokens(READ) is TOKENS


def test_words_have_no_region_and_a_crop_goes_beside_them() -> None:
    model: Any = Model()
    finder: Any = SimpleNamespace(find=lambda *given: pytest.fail("words have no attention"))
    cloud = Cloud(model, finder=finder)
    outcome = cloud.run(job(Purpose.LOOK))
    assert (outcome.box, outcome.error) == (None, None)
    from heliograph.registry import STRATEGIES
    from strategy_tools import Tools, photo

    crop = STRATEGIES.load("webp")().encode(photo(), Tools(), {"size": 32, "quality": 20})
    cloud.run(job(Purpose.SECOND, crop=crop))
    ((question, images),) = model.asked
    assert images == [TOKENS]
    assert "OPEN" in question


def test_a_part_of_a_line_is_no_draft() -> None:
    model: Any = Model()
    cut = EncodedImage("read", b"\x01", (CODEWORD[:1],))
    outcome = Cloud(model).run(AnswerJob(0, 0, Question("what?"), cut, None, None, Purpose.DRAFT))
    assert (outcome.answer, outcome.error, model.asked) == (None, None, [])


def test_whoever_needs_tokens_is_told_that_there_are_none() -> None:
    model: Any = Model()
    with pytest.raises(UsageError) as caught:
        Cloud(model).restore_tokens(READ)
    assert "read holds words" in caught.value.__notes__[0]

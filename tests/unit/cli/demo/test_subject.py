"""What the demo shows where nothing was named: something that its model knows."""

from __future__ import annotations

import argparse

import pytest
from PIL import Image

from heliograph.cli.demo.command import COMMAND, subject
from heliograph.reference.assets import DEMO_QUESTION, FIELD_QUESTIONS


def chosen(*options: str):
    parser = argparse.ArgumentParser()
    COMMAND.add_arguments(parser)
    return subject(parser.parse_args(list(options)))


@pytest.mark.parametrize(
    ("model", "size", "questions"),
    [("reference", (512, 512), (DEMO_QUESTION,)), ("field", (451, 300), FIELD_QUESTIONS)],
)
def test_photo_and_questions_suit_the_model(model, size, questions) -> None:
    photo, asked = chosen("--vlm", model)
    with Image.open(photo) as opened:
        assert opened.size == size
    assert tuple(asked) == questions


def test_what_is_named_is_taken(tmp_path) -> None:
    photo, asked = chosen("--vlm", "field", "--photo", str(tmp_path / "a.jpg"), "--question", "a?", "--question", "b?")
    assert photo == tmp_path / "a.jpg"
    assert asked == ["a?", "b?"]

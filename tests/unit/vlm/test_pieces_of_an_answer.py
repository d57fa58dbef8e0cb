"""Pieces of an answer as they are said; counts of photos and positions at their bounds; no checkpoint is opened."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from heliograph.errors import ModelUnsupportedError, QuestionTooLongError, ShapeError, UsageError
from heliograph.types import Grid
from heliograph.vlm.decoding import Step
from heliograph.vlm.foreign_prompts import in_two
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.model import VisionLanguageModel, _one_frame_per_photo
from heliograph.vlm.prompt import Prompt

END = 0


def quick(**parts: Any) -> VisionLanguageModel:
    """The quick path with parts of a test's own, and nothing loaded."""
    made: Any = object.__new__(VisionLanguageModel)
    made.decoder = SimpleNamespace(end_ids=frozenset({END}))
    for name, part in parts.items():
        setattr(made, name, part)
    return made


def pieces(*texts: str, ended: bool) -> list[str]:
    """What is streamed where the first k tokens read as the k-th text."""
    decode = lambda ids: texts[len(ids) - 1] if ids else ""  # noqa: E731
    steps = [Step(7, 1.0, 1.0, 1.0) for _ in texts] + ([Step(END, 1.0, 1.0, 1.0)] if ended else [])
    model = quick(prompts=SimpleNamespace(decode=decode), _steps=lambda question, images, limit: iter(steps))
    return list(model.stream("what?", []))


@pytest.mark.parametrize("ended", [True, False])
def test_pieces_join_and_none_is_empty(ended: bool) -> None:
    assert pieces("a", "ab", "ab", "abc", ended=ended) == ["a", "b", "c"]
    assert pieces(ended=ended) == []
    assert pieces("", "a", ended=ended) == ["a"]


def test_half_a_character_waits_for_the_rest() -> None:
    assert pieces("a", "a\ufffd", "aé", ended=True) == ["a", "é"]
    assert pieces("a", "a\ufffd", ended=True) == ["a", "\ufffd"]  # it never came


def test_what_does_not_go_on_from_what_was_said_comes_at_the_end() -> None:
    assert pieces("ab", "xyz", "xyzw", ended=True) == ["ab", "zw"]


# ---- bounds ------------------------------------------------------------------------------------------------
def test_prompt_and_answer_may_fill_every_position() -> None:
    model = quick(_positions=20, prompts=SimpleNamespace(build=lambda question, images: Prompt((1,) * 7, (2,) * 8)))
    assert len(model.prompt("what?", 1, 5).tail) == 8
    assert model.prompt("what?", 1, 1).head == (1,) * 7
    with pytest.raises(QuestionTooLongError):
        model.prompt("what?", 1, 6)
    with pytest.raises(UsageError):
        model.prompt("what?", 1, 0)


def general(**parts: Any) -> GeneralModel:
    made: Any = object.__new__(GeneralModel)
    for name, part in parts.items():
        setattr(made, name, part)
    return made


def test_the_general_path_has_the_same_bound() -> None:
    made: Any = {"input_ids": torch.zeros(1, 15)}
    general(_positions=20)._check_length(made, 5)
    general(_positions=None)._check_length(made, 500)
    with pytest.raises(QuestionTooLongError):
        general(_positions=20)._check_length(made, 6)


def test_up_to_eight_photos_and_one_new_token() -> None:
    asked: list[tuple[int, int]] = []
    model = general(
        _processed=lambda question, photos: {"photos": len(photos)},
        _generated=lambda made, limit: asked.append((made["photos"], limit)),
    )
    photo = Image.new("RGB", (4, 4))
    model.answer("what?", [photo], max_new_tokens=1)
    model.answer("what?", [photo] * 8)
    model.answer("what?", [])
    assert asked == [(1, 1), (8, 64), (0, 64)]
    for photos, limit in ((9, 1), (1, 0)):
        with pytest.raises(UsageError):
            model.answer("what?", [photo] * photos, max_new_tokens=limit)


@pytest.mark.parametrize(
    ("template", "start", "written"),
    [
        ("<s>User: what?", "<s>", {"add_special_tokens": False}),  # template and tokenizer would both write it
        ("User: what?", "<s>", {}),
        ("User: what?", None, {}),
        ("User: what?", "", {}),
    ],
)
def test_a_first_token_is_written_once_where_text_and_photos_go_in_apart(
    template: str, start: str | None, written: dict[str, Any]
) -> None:
    seen: list[Any] = []

    class Processor:
        tokenizer = SimpleNamespace(bos_token=start)

        def apply_chat_template(self, messages: Any, **options: Any) -> str:
            assert options == {"add_generation_prompt": True}
            assert [part["type"] for part in messages[0]["content"]] == ["image", "text"]
            return template

        def __call__(self, **given: Any) -> str:
            seen.append(given)
            return "made"

    photo = Image.new("RGB", (4, 4))
    assert in_two(Processor(), "what?", [photo]) == "made"
    assert seen == [{"text": [template], "images": [photo], "return_tensors": "pt", **written}]


def test_grids_of_the_quick_path() -> None:
    model = quick(grid=Grid(8, 8))
    model.check_grid(Grid(8, 8, 1, 640, 480))
    for wrong in (Grid(7, 8), Grid(8, 7), Grid(8, 8, 2)):
        with pytest.raises(ShapeError):
            model.check_grid(wrong)
    model.expect_photos_like(Grid(4, 16))
    with pytest.raises(ModelUnsupportedError):
        model.expect_photos_like(Grid(4, 15))
    assert quick(input_size=96).pixels_read((7, 9)) == 9216


def test_the_quick_path_is_for_one_family_without_tiles() -> None:
    def knows(kind: Any, **processor: Any) -> bool:
        images = SimpleNamespace(**({"do_image_splitting": processor.pop("tiles")} if "tiles" in processor else {}))
        model = SimpleNamespace(config=SimpleNamespace(model_type=kind))
        return _one_frame_per_photo(model, SimpleNamespace(image_processor=images, **processor))

    assert knows("idefics3", image_seq_len=64)
    assert knows("smolvlm", image_seq_len=64, tiles=False)
    assert not knows("smolvlm", image_seq_len=64, tiles=True)
    assert not knows("idefics3")
    assert not knows("llava", image_seq_len=64)
    assert not knows(None, image_seq_len=64)

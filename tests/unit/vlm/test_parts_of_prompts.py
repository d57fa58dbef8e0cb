"""Prompts in parts: blank photos, control tokens, and a question that a tokenizer makes a control token of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from heliograph.errors import ModelUnsupportedError, UsageError
from heliograph.vlm.prompt import PromptBuilder, _count, control_tokens, forget_words, messages_of, placeholder_id


def test_blank_photos_are_white(vlm: Any) -> None:
    """(255 / 255 - 0.5) / 0.5 = 1 in every channel, and no part of a frame is padding."""
    blank = vlm.prompts.blank(2)
    assert blank.pixel_values.shape == (1, 2, 3, 128, 128)
    assert blank.pixel_values.min() == blank.pixel_values.max() == 1
    assert bool(blank.pixel_attention_mask.all())


def test_up_to_eight_photos(vlm: Any) -> None:
    placeholder = vlm.torch_model.config.image_token_id
    for images in (0, 1, 8):
        assert vlm.prompts.build("what?", images).head.count(placeholder) == 64 * images
    with pytest.raises(UsageError):
        vlm.prompts.build("what?", 9)


def test_so_many_questions_are_kept(vlm: Any) -> None:
    kept = (vlm.prompts._cached_tail, vlm.prompts._cached_head, vlm.prompts._cached_blank)
    assert [one.cache_parameters()["maxsize"] for one in kept] == [2048, 9, 9]


class Words:
    """One id a character; 0 for ``#``, and for ``%`` too, which its normaliser makes of it: a control token."""

    all_special_ids, all_special_tokens, added_tokens_decoder = [0], ["#"], dict[int, Any]()

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        assert add_special_tokens is False
        return {"input_ids": [0 if one in "#%" else ord(one) for one in text]}


class Written(PromptBuilder):
    """A builder whose template is a test's own."""

    def __init__(self, before: str, after: str) -> None:
        self._tokenizer, self._control_ids, self._control_names = Words(), frozenset({0}), ("#",)
        self._around = before, after

    def _text_after_images(self, question: str, images: int) -> str:
        return self._around[0] + question + self._around[1]


def test_a_control_token_that_a_tokenizer_makes_of_a_question_is_left_out() -> None:
    for before in ("", "q:"):
        written = Written(before, "#a")
        plain = [*map(ord, before + "ab"), 0, ord("a")]
        assert list(written._make_tail("ab", 1)) == plain
        assert list(written._make_tail("a%b%", 1)) == plain


def test_head_and_tail_are_tried_with_one_photo_and_with_two() -> None:
    tried: list[tuple[str, int]] = []
    made: Any = object.__new__(PromptBuilder)
    made._image_token_id = 5
    made._cached_head = lambda images: (5,) * images
    made._cached_tail = lambda question, images: (7, len(question))
    made._processed_ids = lambda question, images: (
        tried.append((question, images)) or (5,) * images + (7, len(question))
    )
    made._check_split()
    assert len({question for question, _ in tried}) == 3
    assert sorted(images for _, images in tried) == [1, 1, 1, 2, 2, 2]
    made._cached_head = lambda images: (5,) if images == 1 else (6, 6)
    with pytest.raises(ModelUnsupportedError) as caught:
        made._check_split()
    assert caught.value.__notes__ == ["its processor writes no placeholder for 2 photo(s)."]
    made._cached_head = lambda images: (5,)
    with pytest.raises(ModelUnsupportedError):
        made._check_split()


def test_special_tokens_and_markup_are_control_tokens() -> None:
    def added(text: str, special: bool) -> Any:
        return SimpleNamespace(special=special, __str__=None) if text is None else Added(text, special)

    class Added(str):
        special: bool

        def __new__(cls, text: str, special: bool) -> Any:
            made = super().__new__(cls, text)
            made.special = special
            return made

    tokenizer = SimpleNamespace(
        all_special_ids=[1, 2],
        all_special_tokens=["<s>", "</s>"],
        added_tokens_decoder={3: added("<image>", False), 4: added("[INST]", True), 5: added("word", False)},
    )
    assert control_tokens(tokenizer) == {1: "<s>", 2: "</s>", 3: "<image>", 4: "[INST]"}


def test_the_placeholder_has_one_of_two_names() -> None:
    both = SimpleNamespace(image_token_id=7, image_token_index=8)
    assert placeholder_id(both) == 7
    assert placeholder_id(SimpleNamespace(image_token_id=None, image_token_index=8)) == 8
    assert placeholder_id(SimpleNamespace(image_token_index="8")) is None
    assert placeholder_id(SimpleNamespace()) is None


def test_photos_come_before_the_question() -> None:
    photo: Any = object()
    (message,) = messages_of("q", [None, photo])
    assert message["content"] == [{"type": "image"}, {"type": "image", "image": photo}, {"type": "text", "text": "q"}]


def test_a_tokenizer_without_such_a_cache_is_left_alone() -> None:
    forget_words(SimpleNamespace())
    forget_words(SimpleNamespace(backend_tokenizer=SimpleNamespace(model=SimpleNamespace())))
    cleared: list[int] = []
    model = SimpleNamespace(_clear_cache=lambda: cleared.append(1))
    forget_words(SimpleNamespace(backend_tokenizer=SimpleNamespace(model=model)))
    assert cleared == [1]


def test_control_tokens_are_counted() -> None:
    assert _count((1, 2, 9, 2, 3), frozenset({2, 3, 4})) == 3
    assert _count((), frozenset({2})) == 0

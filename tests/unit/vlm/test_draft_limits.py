"""However a draft was changed, and however long it is, the answer is what ``generate`` says within the limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from heliograph.types import Answer, VisualTokens
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.model import VisionLanguageModel

QUESTION = "Describe the picture in many words, please, and say all there is to say."
LONG = 24


@contextmanager
def ending(vlm: VisionLanguageModel, ends: tuple[int, ...]) -> Iterator[None]:
    """With these end tokens alone."""
    config, before = vlm.torch_model.generation_config, vlm.decoder.end_ids
    stated = config.eos_token_id
    config.eos_token_id, vlm.decoder.end_ids = list(ends), frozenset(ends)
    try:
        yield
    finally:
        config.eos_token_id, vlm.decoder.end_ids = stated, before


def generated(vlm: VisionLanguageModel, photo: Image.Image, limit: int) -> tuple[int, ...]:
    """Ids from transformers, without the end."""
    messages = [{"role": "user", "content": [{"type": "image", "image": photo}, {"type": "text", "text": QUESTION}]}]
    made = vlm.processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    out = vlm.torch_model.generate(**made, do_sample=False, max_new_tokens=limit)[0, made["input_ids"].shape[1] :]
    ends = vlm.torch_model.generation_config.eos_token_id
    return tuple(token for token in out.tolist() if token not in ends)


@pytest.fixture(scope="module")
def endless(vlm: VisionLanguageModel, photos: list[Image.Image], tokens: list[VisualTokens]) -> Iterator[Any]:
    """A photo with an answer that does not end by itself, under an end token that it never says."""
    with ending(vlm, (639,)):
        for photo, seen in zip(photos, tokens, strict=True):
            said = generated(vlm, photo, LONG)
            if len(said) == LONG and len(set(said)) > 3:
                yield SimpleNamespace(photo=photo, tokens=seen, said=said)
                return
    raise AssertionError("every answer ends")


def changed(ids: tuple[int, ...], place: int) -> tuple[int, ...]:
    return (*ids[:place], (ids[place] + 7) % 600, *ids[place + 1 :])


def asked(way: str, vlm: VisionLanguageModel, endless: SimpleNamespace) -> tuple[Any, Any]:
    """The model, and the photo as it takes it: tokens of a grid without the photo's size are the quick path's."""
    if way == "quick":
        return vlm, endless.tokens
    return GeneralModel("any", vlm.torch_model, vlm.processor), endless.photo


@pytest.mark.parametrize("way", ["quick", "general"])
@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, LONG])
@pytest.mark.parametrize("limit", [1, 2, 8])
def test_no_draft_lets_the_answer_run_on(
    way: str, length: int, limit: int, vlm: VisionLanguageModel, endless: SimpleNamespace
) -> None:
    with ending(vlm, (639,)):
        model, shown = asked(way, vlm, endless)
        wanted = generated(vlm, endless.photo, limit)
        assert len(wanted) == limit
        draft = endless.said[:length]
        drafts = {None: draft} | {place: changed(draft, place) for place in {0, length // 2, length - 1} if length}
        if way == "general":  # answers anew: one of each kind tells all
            drafts = dict(list(drafts.items())[:2])
        for place, ids in drafts.items():
            checked = model.verify_draft(QUESTION, [shown], Answer("", 0.5, 1.0, ids), max_new_tokens=limit)
            assert checked.answer.token_ids == wanted
            kept = length if place is None else place
            assert checked.kept_tokens == min(kept, limit)
            assert len(checked.answer.token_bits) == limit


@pytest.mark.parametrize("way", ["quick", "general"])
@pytest.mark.parametrize("end_at", [0, 1, 4, 7])
def test_an_end_inside_the_draft_ends_the_answer(
    way: str, end_at: int, vlm: VisionLanguageModel, endless: SimpleNamespace
) -> None:
    """The model now says its end where the draft, made before, goes on; and a draft's own end is no token of it."""
    end = endless.said[end_at]
    place = endless.said.index(end)
    with ending(vlm, (639, end)):
        model, shown = asked(way, vlm, endless)
        wanted = generated(vlm, endless.photo, 8)
        assert wanted == endless.said[:place]
        for ids in (endless.said, endless.said[: place + 1], endless.said[:place], changed(endless.said, 0)):
            checked = model.verify_draft(QUESTION, [shown], Answer("", 0.5, 1.0, ids), max_new_tokens=8)
            assert checked.answer.token_ids == wanted
            assert checked.kept_tokens == (place if ids[:1] == endless.said[:1] else 0)


def test_a_draft_of_another_photo_is_put_right_at_every_limit(
    vlm: VisionLanguageModel, tokens: list[VisualTokens], endless: SimpleNamespace
) -> None:
    with ending(vlm, (639,)):
        other = next(one for one in tokens if one is not endless.tokens)
        draft = vlm.answer(QUESTION, [other], max_new_tokens=LONG)
        draft = replace(draft, token_ids=draft.token_ids[:3] + endless.said[3:12] + draft.token_ids)
        for limit in range(1, 12):
            found = vlm.verify(QUESTION, [endless.tokens], draft, max_new_tokens=limit)
            assert found.token_ids == endless.said[:limit]

"""Families that are not the reference, from a folder to an answer: attention, prompts and answers as the library's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from heliograph.vlm.attention import attention_map
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.opening import open_model

QUESTION = "what is it?"


def judged(model: Any, question: str, photo: Image.Image, **options: Any) -> tuple[list[int], list[int]]:
    """Ids of prompt and answer as the library itself makes them."""
    messages = [{"role": "user", "content": [{"type": "image", "image": photo}, {"type": "text", "text": question}]}]
    made = model.processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    out = model.torch_model.generate(**made, do_sample=False, **options)
    asked = made["input_ids"].shape[1]
    return made["input_ids"][0].tolist(), out[0, asked:].tolist()


@pytest.mark.parametrize("kind", ["got_ocr2", "pp_chart2table"])
def test_a_family_without_fast_attention_is_opened_with_its_own(
    kind: str, tmp_path: Path, write_family: Any, photos: list[Image.Image]
) -> None:
    model = open_model(str(write_family.folder(tmp_path, kind)))
    assert isinstance(model, GeneralModel)
    assert model.torch_model.config._attn_implementation == "eager"
    tokens = model.encode_image(photos[0])
    assert tokens.grid.tokens == write_family.ocr_tokens == 16
    pixels = model.answer(QUESTION, [photos[0]], max_new_tokens=6)
    assert model.answer(QUESTION, [tokens], max_new_tokens=6) == pixels
    assert model.answer(QUESTION, [photos[1]], max_new_tokens=6) != pixels
    if kind == "pp_chart2table":  # the other one's processor takes no photos in this call
        assert pixels.token_ids == tuple(judged(model, QUESTION, photos[0], max_new_tokens=6)[1])
    found = attention_map(model, QUESTION, tokens, layer=1)
    assert found.shape == (4, 4)
    assert 0 < found.sum() < 1


def test_a_family_with_fast_attention_keeps_it(tmp_path: Path, write_family: Any) -> None:
    model = open_model(str(write_family.folder(tmp_path, "llava")))
    assert model.torch_model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("adds_bos", [False, True])
def test_a_first_token_that_template_and_tokenizer_both_write_stands_there_once(
    adds_bos: bool, tmp_path: Path, write_family: Any, photos: list[Image.Image]
) -> None:
    from tokenizers.processors import TemplateProcessing

    folder = write_family.folder(tmp_path, "llava", template_start="{{ bos_token }}")
    model = open_model(str(folder))
    tokenizer = model.processor.tokenizer
    start = tokenizer.bos_token
    if adds_bos:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"{start} $A", special_tokens=[(start, tokenizer.bos_token_id)]
        )
        assert tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id  # else this would prove nothing
    prompt, said = judged(model, QUESTION, photos[0], max_new_tokens=5)
    found = model._processed(QUESTION, [photos[0]])["input_ids"][0].tolist()
    assert found == prompt
    assert found.count(tokenizer.bos_token_id) == 1
    answer = model.answer(QUESTION, [photos[0]], max_new_tokens=5)
    assert answer.token_ids == tuple(i for i in said if i != tokenizer.eos_token_id)

"""The field LLaVA put together from stand-ins of its parts, loaded as any checkpoint, and answering."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor

from heliograph.errors import ModelUnavailableError
from heliograph.training.field.checkpoint import (
    IMAGE,
    REPLACED,
    build_model,
    build_processor,
    language_model,
    read_vision,
)
from heliograph.vlm.efficientnet_lite import register_tower
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.opening import open_model
from tiny_field import (
    GRID,
    SIDE,
    tiny_field,
    tiny_language_model,
    tiny_tokenizer,
    tiny_tower_config,
    tiny_vision,
    write_tiny_field,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_field(tmp_path_factory.mktemp("field"))


def photo(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (30, 50, 3), dtype=np.uint8))


def test_the_placeholder_takes_the_number_of_a_token_that_chats_never_use() -> None:
    before, after = tiny_tokenizer(), build_processor(tiny_tokenizer(), SIDE, GRID).tokenizer
    assert after.convert_tokens_to_ids(IMAGE) == before.convert_tokens_to_ids(REPLACED)
    assert len(after) == len(before)
    text = "<|im_start|>user\nwhat is it?<|im_end|>"
    assert after(text)["input_ids"] == before(text)["input_ids"]
    assert after(f"a{IMAGE}b")["input_ids"][1] == before.convert_tokens_to_ids(REPLACED)


def test_a_tokenizer_without_a_token_to_spare_is_refused() -> None:
    with pytest.raises(ModelUnavailableError) as caught:
        build_processor(tiny_tokenizer(spare=False), SIDE, GRID)
    assert REPLACED in caught.value.__notes__[0]


def test_both_halves_keep_their_weights(folder) -> None:
    register_tower()
    loaded = AutoModelForImageTextToText.from_pretrained(folder).model
    language = loaded.language_model.state_dict()
    for name, value in tiny_language_model(tiny_tokenizer()).model.state_dict().items():
        torch.testing.assert_close(language[name], value)
    tower = loaded.vision_tower.state_dict()
    for name, value in tiny_vision().items():
        torch.testing.assert_close(tower[name], value)


def test_the_library_loads_it_and_makes_one_prompt_of_photo_and_question(folder) -> None:
    register_tower()
    processor, model = AutoProcessor.from_pretrained(folder), AutoModelForImageTextToText.from_pretrained(folder)
    turns = [{"role": "user", "content": [{"type": "image", "image": photo()}, {"type": "text", "text": "a dog?"}]}]
    made = processor.apply_chat_template(
        turns, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    text = processor.tokenizer.decode(made["input_ids"][0])
    assert text == f"<|im_start|>user\n{IMAGE * GRID**2}a dog?<|im_end|>\n<|im_start|>assistant\n"
    assert made["pixel_values"].shape == (1, 3, SIDE, SIDE)
    assert model(**made).logits.shape[-1] == len(processor.tokenizer)
    assert type(model).__module__.startswith("transformers.")


def test_a_photo_is_stretched_and_normalised_as_the_encoder_was_trained() -> None:
    _, processor = tiny_field()
    flat = Image.new("RGB", (90, 20), (255, 127, 0))
    pixels = processor.image_processor(flat, return_tensors="np")["pixel_values"][0]
    expected = (np.array([255, 127, 0]) - 127) / 128
    np.testing.assert_allclose(pixels, np.broadcast_to(expected[:, None, None], (3, SIDE, SIDE)), atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 3), (1200, 8), (8, 1200)])
def test_photos_of_odd_shapes_are_seen_whole(folder, size) -> None:
    model = open_model(str(folder))
    found = model.encode_image(Image.new("RGB", size, (250, 40, 90)))
    square = model.encode_image(Image.new("RGB", (SIDE, SIDE), (250, 40, 90)))
    np.testing.assert_allclose(found.values, square.values, atol=1e-5)


def test_it_answers_from_tokens_as_from_the_photo(folder) -> None:
    model = open_model(str(folder))
    assert isinstance(model, GeneralModel)
    tokens = model.encode_image(photo())
    assert tokens.grid.tokens == GRID**2
    (from_photo,) = model.answer_many([("what is it?", [photo()])], max_new_tokens=6)
    (from_tokens,) = model.answer_many([("what is it?", [tokens])], max_new_tokens=6)
    assert from_tokens.text == from_photo.text


def test_its_configuration_names_no_place_of_this_machine(tmp_path) -> None:
    tokenizer = tiny_tokenizer()
    language = tiny_language_model(tokenizer)
    language.save_pretrained(tmp_path / "where it came from")
    language = AutoModelForCausalLM.from_pretrained(tmp_path / "where it came from")
    image = build_processor(tokenizer, SIDE, GRID).image_token_id
    build_model(language, tiny_vision(), image, tiny_tower_config()).save_pretrained(tmp_path / "made")
    assert "where it came from" not in (tmp_path / "made" / "config.json").read_text()


@pytest.mark.parametrize("content", [b"", b"no model at all"])
def test_files_that_are_no_parts_are_named(tmp_path, content: bytes) -> None:
    path = tmp_path / "part.bin"
    path.write_bytes(content)
    for read in (read_vision, language_model):
        with pytest.raises(ModelUnavailableError) as caught:
            read(path)
        assert caught.value.subject == str(path)

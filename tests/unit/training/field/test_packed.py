"""Many questions in one sequence give what each gives in the processor's own prompt."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.training.field.packed import PackedReader
from tiny_field import GRID, tiny_field

PAIRS = [("Is there a dog?", "yes"), ("How many people are there?", "3"), ("Describe the picture.", "A dog, wet")]


@pytest.fixture(scope="module")
def field():
    return tiny_field()


def photo(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8))


def alone(model, processor, picture: Image.Image, question: str, answer: str) -> torch.Tensor:
    """Cross-entropy of the answer's tokens by transformers' own processor and forward."""
    turns = [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": question}]}]
    made = processor.apply_chat_template(
        turns, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    said = processor.tokenizer(f"{answer}<|im_end|>", add_special_tokens=False, return_tensors="pt")["input_ids"]
    ids = torch.cat([made["input_ids"], said], 1)
    with torch.no_grad():
        logits = model(input_ids=ids, pixel_values=made["pixel_values"]).logits[0, -said.shape[1] - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, said[0], reduction="none")


def visual_tokens(model, processor, pictures) -> torch.Tensor:
    pixels = processor.image_processor(pictures, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        return torch.stack(list(model.get_image_features(pixels).pooler_output))


def test_answers_cost_what_they_cost_in_the_librarys_own_prompts(field) -> None:
    model, processor = field
    reader = PackedReader(model, processor.tokenizer)
    pictures = [photo(0), photo(1)]
    asked = [PAIRS, PAIRS[1:]]
    with torch.no_grad():
        found = reader.losses(reader.pack(asked), visual_tokens(model, processor, pictures))
    expected = [
        alone(model, processor, one, *pair) for one, pairs in zip(pictures, asked, strict=True) for pair in pairs
    ]
    torch.testing.assert_close(found, torch.cat(expected), atol=1e-4, rtol=1e-4)
    assert [reader.answer_tokens(answer) for _, answer in PAIRS] == [len(one) for one in expected[:3]]


def test_the_lean_to_yes_is_a_difference_of_the_models_logits(field) -> None:
    model, processor = field
    reader = PackedReader(model, processor.tokenizer)
    pictures, questions = [photo(0), photo(1)], ["Is there a dog?", "Is it snow?"]
    with torch.no_grad():
        found = reader.lean_to_yes(visual_tokens(model, processor, pictures), questions)
    first = {word: processor.tokenizer(word)["input_ids"][0] for word in ("yes", "no")}
    for row, picture in enumerate(pictures):
        for column, question in enumerate(questions):
            costs = {word: float(alone(model, processor, picture, question, word)[0]) for word in first}
            assert float(found[row, column]) == pytest.approx(costs["no"] - costs["yes"], abs=1e-3)


def test_tokens_of_cells_are_those_of_the_models_own_tower(field) -> None:
    model, processor = field
    reader = PackedReader(model, processor.tokenizer)
    pixels = processor.image_processor([photo(2)], return_tensors="pt")["pixel_values"]
    from heliograph.vlm.efficientnet_lite import pooled

    tower = model.model.vision_tower
    with torch.no_grad():
        cells = pooled(tower.features(pixels), tower.config.grid)
        torch.testing.assert_close(reader.tokens(cells), visual_tokens(model, processor, [photo(2)]))


def test_the_first_tokens_of_answers_without_the_answers_in_the_sequence(field) -> None:
    model, processor = field
    reader = PackedReader(model, processor.tokenizer)
    visual = torch.randn(2, GRID**2, 32, generator=torch.Generator().manual_seed(3))
    questions = ["Is there a dog?", "Do you see snow?"]
    with torch.no_grad():
        found = reader.first_logits(visual, questions, ["yes", "no", "3"])
        lean = reader.lean_to_yes(visual, questions)
    assert found.shape == (2, 2, 3)
    torch.testing.assert_close(found[..., 0] - found[..., 1], lean, atol=1e-4, rtol=1e-4)
    assert float((found[0] - found[1]).abs().max()) > 1e-3


def test_several_answers_to_one_question_cost_what_each_costs_behind_it(field) -> None:
    model, processor = field
    reader = PackedReader(model, processor.tokenizer)
    visual = torch.randn(1, GRID**2, 32, generator=torch.Generator().manual_seed(5))
    answers = ["A dog, wet", "snow", "Nobody is there"]
    with torch.no_grad():
        found = reader.losses(reader.pack_answers("Describe the picture.", answers), visual)
        expected = reader.losses(reader.pack([[("Describe the picture.", one) for one in answers]]), visual)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert len(found) == sum(reader.answer_tokens(one) for one in answers)

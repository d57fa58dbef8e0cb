"""Packing many questions must be, for the weights, exactly the single-question prompt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.reference.recipe import build_model, build_processor
from heliograph.training.reference.packing import PromptPieces, answer_loss, pack

QUESTION = "what colour is the star?"


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any]:
    processor = build_processor()
    return build_model(processor.tokenizer, seed=3), processor


def _processor_inputs(processor: Any, pictures: int) -> Any:
    pixels = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    content = [{"type": "image"}] * pictures + [{"type": "text", "text": QUESTION}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    return processor(text=text, images=[[Image.fromarray(pixels)] * pictures], return_tensors="pt")


@pytest.mark.parametrize("pictures", [1, 2])
def test_ids_equal_the_processors(parts: tuple[Any, Any], pictures: int) -> None:
    _, processor = parts
    pieces = PromptPieces(processor.tokenizer)
    branch, asked = pieces.branch(QUESTION, "red")
    expected = _processor_inputs(processor, pictures)["input_ids"][0].tolist()
    assert pieces.head(pictures) + branch[:asked] == expected


def test_a_branch_sees_only_the_head_and_itself(parts: tuple[Any, Any]) -> None:
    model, processor = parts
    pieces = PromptPieces(processor.tokenizer)
    inputs = _processor_inputs(processor, 1)
    batch = pack(pieces, [(1, [("count the stars.", "3"), (QUESTION, "red")])])
    with torch.no_grad():
        alone = model(**inputs).logits[0, -1]
        visual = torch.cat(model.model.get_image_features(inputs["pixel_values"], return_dict=True).pooler_output)
        text = model.model.text_model
        embeds = text.get_input_embeddings()(batch.ids)
        embeds = embeds.masked_scatter((batch.ids == model.config.image_token_id).unsqueeze(-1), visual)
        hidden = text(
            inputs_embeds=embeds, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
        ).last_hidden_state
        packed = model.lm_head(hidden)[0]
    red = processor.tokenizer.convert_tokens_to_ids("Ġred")
    (place,) = torch.nonzero(batch.targets[0] == red).flatten().tolist()
    torch.testing.assert_close(packed[place], alone, atol=1e-5, rtol=1e-4)


def test_padding_and_weights(parts: tuple[Any, Any]) -> None:
    model, processor = parts
    pieces = PromptPieces(processor.tokenizer)
    long = ", ".join(["a red star top left"] * 6)
    batch = pack(pieces, [(1, [(QUESTION, "red")]), (2, [("describe the picture.", long)])])
    assert batch.ids.shape[0] == 2
    assert (batch.ids[0] == pieces.pad).any()
    assert set(batch.weights[0].unique().tolist()) == {0.0, 1.0}
    assert float(batch.weights[1].max()) < 1.0
    visual = torch.randn(3 * 64, 128)
    loss = answer_loss(model, batch, visual)
    assert torch.isfinite(loss)

"""Fewer visual tokens for the language model: which stay, what they count, and that every path answers the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from heliograph.errors import UsageError
from heliograph.reference.render import render_scene
from heliograph.types import VisualTokens
from heliograph.vlm.merged_tokens import merge_tokens, merged_prompt, weighted_bias
from heliograph.vlm.model import VisionLanguageModel

QUESTIONS = ("what colour is the circle?", "how many shapes are there?", "is there a square?", "describe the picture.")


@pytest.fixture
def merging(vlm: VisionLanguageModel) -> Iterator[VisionLanguageModel]:
    yield vlm
    vlm.merge_visual_tokens(None)


def _tokens(vlm: VisionLanguageModel, seed: int) -> VisualTokens:
    return vlm.encode_image(render_scene(seed).image)


def test_tokens_join_the_kept_one_that_is_most_like_them() -> None:
    corners = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    values = np.repeat(corners, [3, 2, 1], axis=0)
    merged = merge_tokens(values, 3)
    assert merged.sizes.tolist() == [3, 2, 1]
    assert merged.places.tolist() == [0, 3, 5]
    assert merged.values.tolist() == corners.tolist()


def test_what_stands_for_several_is_their_mean() -> None:
    values = np.array([[2, 0], [4, 0], [0, 1]], np.float32)
    merged = merge_tokens(values, 2)
    assert merged.sizes.tolist() == [2, 1]
    assert merged.values.tolist() == [[3, 0], [0, 1]]


def test_equal_tokens_all_stay_where_all_may() -> None:
    merged = merge_tokens(np.ones((4, 3), np.float32), 9)
    assert merged.places.tolist() == [0, 1, 2, 3]
    assert merged.sizes.tolist() == [1, 1, 1, 1]


def test_placeholders_of_others_leave_the_prompt_and_positions_stay() -> None:
    merged = merge_tokens(np.array([[2, 0], [4, 0], [0, 1]], np.float32), 2)
    prompt = merged_prompt(torch.tensor([[7, 9, 9, 9, 8]]), [merged], placeholder=9)
    assert prompt.ids.tolist() == [[7, 9, 9, 8]]
    assert prompt.positions.tolist() == [[0, 1 + int(merged.places[0]), 3, 4]]
    assert prompt.weights[0].exp().tolist() == pytest.approx([1, 2, 1, 1])
    assert prompt.left_out == 1


def test_what_comes_later_is_hidden_and_sizes_count() -> None:
    bias = weighted_bias(torch.tensor([[0.0, 0.5, 0.0]]), 2, torch.float32)
    low = torch.finfo(torch.float32).min
    assert bias.tolist() == [[[[0.0, 0.5, low], [0.0, 0.5, 0.0]]]]


def test_all_tokens_give_the_same_answers_as_without_merging(merging: VisionLanguageModel) -> None:
    """Sizes of one add nothing: through the other passes the answers must be those of the usual ones."""
    tokens = _tokens(merging, 11)
    wanted = [merging.answer(one, [tokens]) for one in QUESTIONS]
    merging.images.visual_tokens = merging.grid.tokens
    for question, answer in zip(QUESTIONS, wanted, strict=True):
        found = merging.answer(question, [tokens])
        assert found.text == answer.text
        assert found.confidence == pytest.approx(answer.confidence, abs=1e-4)


def test_every_path_answers_alike_from_few_tokens(merging: VisionLanguageModel) -> None:
    """One by one, in batches, checked as drafts, from pixels: 16 tokens of each photo."""
    photos = [_tokens(merging, seed) for seed in (12, 13)]
    merging.merge_visual_tokens(16)
    asked = [(question, [tokens]) for tokens in photos for question in QUESTIONS]
    one_by_one = [merging.answer(*one).text for one in asked]
    assert [one.text for one in merging.answer_many(asked)] == one_by_one
    drafts = [merging.answer(QUESTIONS[0], [photos[0]]), merging.answer(QUESTIONS[3], [photos[1]])]
    assert [merging.verify(*one, drafts[0]).text for one in asked] == one_by_one
    assert [merging.verify(*one, drafts[1]).text for one in asked] == one_by_one
    assert merging.answer(QUESTIONS[3], [render_scene(13).image]).text == one_by_one[7]
    both = [(question, photos) for question in QUESTIONS]
    assert [one.text for one in merging.answer_many(both)] == [merging.answer(*one).text for one in both]


def test_the_first_token_is_that_of_a_pass_made_by_hand(merging: VisionLanguageModel) -> None:
    """The language model itself, from embeddings, positions and a mask that are put together here."""
    tokens = _tokens(merging, 14)
    merged = merge_tokens(tokens.values, 12)
    prompt = merging.prompts.build(QUESTIONS[1], 1)
    ids = torch.tensor(prompt.head + prompt.tail)
    image = ids == merging.torch_model.config.image_token_id
    first = int(image.nonzero()[0])
    inner = merging.torch_model.model.text_model
    with torch.inference_mode():
        words = inner.get_input_embeddings()(ids)
        embedded = torch.cat([words[:first], merged.values, words[first + 64 :]])[None]
        positions = torch.cat([torch.arange(first), first + merged.places, torch.arange(first + 64, len(ids))])[None]
        mask = torch.full((embedded.shape[1],) * 2, -torch.inf).triu(1)
        mask[:, first : first + 12] += merged.sizes.log()
        made = inner(inputs_embeds=embedded, position_ids=positions, attention_mask=mask[None, None])
        wanted = int(merging.torch_model.lm_head(made.last_hidden_state[0, -1]).argmax())
    merging.merge_visual_tokens(12)
    assert merging.answer(QUESTIONS[1], [tokens], max_new_tokens=1).token_ids == (wanted,)


def test_fewer_than_one_is_refused(vlm: VisionLanguageModel) -> None:
    with pytest.raises(UsageError):
        vlm.merge_visual_tokens(0)

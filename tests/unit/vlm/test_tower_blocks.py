"""Blocks of towers: found in random models of true architectures, entered behind each, refused where there are none."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from heliograph.errors import ModelUnsupportedError, ShapeError
from heliograph.reference.render import render_scene
from heliograph.vlm.model import VisionLanguageModel
from heliograph.vlm.tower_blocks import find_blocks


@pytest.mark.parametrize("scale_factor", [1, 2])
def test_the_rest_of_a_random_tower_makes_its_own_tokens(scale_factor: int, vlm: VisionLanguageModel) -> None:
    """States of the model itself, entered behind each block; four patches make a token where the factor is 2."""
    config = copy.deepcopy(vlm.torch_model.config)
    config.scale_factor = scale_factor
    processor = copy.deepcopy(vlm.processor)
    processor.image_seq_len = 64 // scale_factor**2
    torch.manual_seed(1)
    model = VisionLanguageModel("random", transformers.Idefics3ForConditionalGeneration(config).eval(), processor)
    reader = model.patch_reader((128, 128))
    assert reader.blocks == 5
    picture = render_scene(5).image
    whole = model.encode_image(picture).values
    layers = model.torch_model.model.vision_model.encoder.layers
    for block in (1, 3, 5):
        seen: list[Any] = []
        hook = layers[block - 1].register_forward_hook(lambda module, given, made, seen=seen: seen.append(made))
        model.encode_image(picture)
        hook.remove()
        entered = reader.tokens_behind(block, seen[0].numpy())
        assert np.abs(entered.values - whole).max() < 1e-5 * np.abs(whole).max()
        assert np.abs(reader.tokens_behind(block, reader.grey_states(block)).values - whole).max() > 1e-2
    assert np.array_equal(model.encode_image(picture).values, whole)
    with pytest.raises(ShapeError):
        reader.tokens_behind(1, np.zeros((1, 63, 160), np.float32))
    with pytest.raises(ModelUnsupportedError, match="6 blocks"):
        reader.grey_states(6)


def test_a_list_that_states_do_not_run_through_is_no_tower() -> None:
    class Parallel(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.beside = torch.nn.ModuleList([torch.nn.Linear(8, 8) for _ in range(3)])

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return sum(one(given) for one in self.beside)  # type: ignore[return-value]

    model = Parallel()
    given = torch.zeros(1, 4, 8)
    found: Any = find_blocks(model, lambda: model(given), lambda: model(given), patches=4)
    assert found.modules == ()
    with pytest.raises(ModelUnsupportedError, match="0 blocks"):
        found.grey_states(1)

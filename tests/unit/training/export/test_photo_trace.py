"""Towers with what ONNX has no operator for are traced from the model's own code and give the same tokens."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import transformers
from torch import Tensor, nn

from heliograph.codec.onnx_session import open_session
from heliograph.training.export.encoder_graph import FeatureGraph, trace_encoder, weights_of
from heliograph.training.export.encoder_weights import store_weights
from heliograph.training.export.photo_trace import PhotoTrace
from heliograph.training.export.pixel_layout import PixelLayout
from heliograph.vlm.families.contract import families
from heliograph.vlm.families.inputs import pixel_inputs
from heliograph.vlm.families.shrink import tiny_config
from heliograph.vlm.image_features import tokens_of
from heliograph.vlm.tap import METHOD, find_owner

KINDS = (
    "qwen2_5_vl",  # windows, lengths of sequences, rotations
    "qwen3_vl",  # interpolated positions, deeper levels
    "mistral3",  # masks by blocks, unfolding of patches
    "llama4",  # complex numbers
    "lfm3_vl",  # heads that share keys and values
    "smolvlm",  # looks for tiles of padding
    "deepseek_vl_hybrid",  # the photo in two sizes
)


def tiny(kind: str) -> Any:
    torch.manual_seed(0)
    model = getattr(transformers, families()[kind])(tiny_config(kind)).eval().float().requires_grad_(False)
    for weight in model.parameters():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=0.05)
    model.set_attn_implementation("sdpa")
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_gives_the_models_tokens(kind: str, tmp_path: Path) -> None:
    model = tiny(kind)
    owner = find_owner(model)
    asked = inspect.signature(getattr(type(owner), METHOD)).parameters

    def inputs(seed: int) -> dict[str, Tensor]:
        made = pixel_inputs(kind, owner, model.config, 1, varied=False, seed=seed)
        return {name: value for name, value in made.items() if name in asked}

    example = inputs(1)
    names = [name for name, value in example.items() if value.is_floating_point()]
    constants = {name: value for name, value in example.items() if name not in names}
    layouts = {
        name: PixelLayout(
            tuple(example[name].shape),
            (place,),
            (example[name].numel(),),
            np.arange(example[name].numel()),
            np.zeros(0, np.float32),
        )
        for place, name in enumerate(names)
    }
    graph = FeatureGraph(owner, {**constants, "return_dict": True}, layouts)
    path = tmp_path / "encoder.onnx"
    trace_encoder(graph, [example[name] for name in names], path)
    store_weights([path], weights_of(graph), tmp_path / "encoder.safetensors")
    session = open_session(path)
    for seed in (1, 7):
        given = inputs(seed)
        with torch.no_grad():
            expected = tokens_of(getattr(owner, METHOD)(**given, return_dict=True)).numpy()
        feeds = {one.name: given[name].numpy() for one, name in zip(session.get_inputs(), names, strict=True)}
        found = session.run(None, feeds)[0]
        assert found.shape == (1, *expected.shape)
        assert np.abs(found[0] - expected).max() < 1e-4 * np.abs(expected).max()
    operators = {node.op_type for node in onnx.load(str(path), load_external_data=False).graph.node}
    assert not operators & {"NonZero", "Loop", "If", "Range"}  # its sizes are fixed


class Written(nn.Module):
    """Writes into constants, asks for shapes, decides by the photo."""

    def forward(self, picture: Tensor) -> Tensor:
        with PhotoTrace([picture]):
            board = torch.zeros(2, 4)
            board[0] = picture.reshape(-1)[:4]
            board[1] += picture.mean()
            if len(picture.shape) == 4 and bool((picture == 9).any()):
                board = board * 0
            return board.mul(torch.arange(board.shape[1]))[None]


def test_what_is_written_into_constants_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    trace_encoder(Written(), [torch.zeros(1, 1, 2, 3)], path)
    picture = torch.rand(1, 1, 2, 3)
    found = open_session(path).run(None, {"pixels": picture.numpy()})[0]
    np.testing.assert_allclose(found, Written()(picture).numpy(), rtol=1e-6)

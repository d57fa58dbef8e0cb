"""Encoders that tell what their tower looks at: the same tokens bit for bit, and torch's own keys and attention."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from heliograph.codec.bundle import Bundle
from heliograph.codec.onnx_session import open_session
from heliograph.edge.device import Device
from heliograph.edge.encoder import TokenEncoder
from heliograph.edge.photos.file import load_photo
from heliograph.errors import AttentionMissingError, BundleDamagedError
from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder
from heliograph.reference.recipe import build_reference_model
from heliograph.training.export.onnx_attention import tell_attention
from heliograph.training.export.onnx_fusion import fuse
from heliograph.training.export.onnx_graphs import trace, trace_square
from heliograph.training.export.onnx_quantise import quantise_encoder
from heliograph.types import Grid
from heliograph.vlm.square_encoder import SquareEncoder

SIDE = 128


class Told:
    """A random Idefics3 with its graph before and after."""

    def __init__(self, folder: Path, scale_factor: int) -> None:
        from transformers import Idefics3Config, Idefics3ForConditionalGeneration

        config = Idefics3Config.from_pretrained(build_reference_model(folder / "model"))
        config.scale_factor = scale_factor
        torch.manual_seed(4)
        self.model = Idefics3ForConditionalGeneration(config).eval()
        self.grid = Grid(8 // scale_factor, 8 // scale_factor)
        self.plain, self.told = folder / "plain.onnx", folder / "told.onnx"
        trace_square(SquareEncoder(self.model), self.plain, SIDE)
        shutil.copyfile(self.plain, self.told)
        assert tell_attention(self.told)
        self.model.set_attn_implementation("eager")  # gives attention away; graphs are traced as models are loaded

    def encoder(self, path: Path) -> TokenEncoder:
        return TokenEncoder(path, self.grid, 128)

    def torch_layer(self, pixels: Any) -> tuple[Any, Any]:
        """Attention (heads, P, P) of the second-last layer, and its keys (P, width)."""
        seen: dict[str, Any] = {}
        layer = self.model.model.vision_model.encoder.layers[-2].self_attn
        hooks = [
            layer.register_forward_hook(lambda module, given, made: seen.update(attention=made[1])),
            layer.k_proj.register_forward_hook(lambda module, given, made: seen.update(keys=made)),
        ]
        with torch.no_grad():
            SquareEncoder(self.model)(torch.from_numpy(pixels))
        for hook in hooks:
            hook.remove()
        return seen["attention"][0].numpy(), seen["keys"][0].numpy()


@pytest.fixture(scope="module", params=[1, 2], ids=["as many tokens as patches", "four patches a token"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    return Told(tmp_path_factory.mktemp("told"), request.param)


def pictures(count: int = 6) -> list[Any]:
    coarse = np.random.default_rng(0).uniform(-1, 1, (count, 1, 3, 16, 16)).astype(np.float32)
    return list(coarse.repeat(SIDE // 16, 3).repeat(SIDE // 16, 4))


def test_tokens_are_the_same_bit_for_bit_and_attention_is_torchs(told: Told) -> None:
    before, after = told.encoder(told.plain), told.encoder(told.told)
    for pixels in pictures(3):
        found = after.attended(pixels)
        assert np.array_equal(before(pixels).values, after(pixels).values)
        assert np.array_equal(before(pixels).values, found.tokens.values)
        attention, keys = told.torch_layer(pixels)
        received, mean = attention.mean(axis=(0, 1)), keys.reshape(64, 5, 32).mean(axis=1)
        # The connector's own merging says which patches a token is made of.
        own = told.model.model.connector
        as_tokens = own.pixel_shuffle(
            torch.from_numpy(np.concatenate([received[:, None], mean], axis=1))[None], own.scale_factor
        )
        merged = as_tokens[0].numpy().reshape(told.grid.tokens, -1, 33).mean(axis=1)
        assert np.abs(found.received - merged[:, 0]).max() < 1e-4 * merged[:, 0].max()
        assert np.abs(found.keys - merged[:, 1:]).max() < 1e-4 * np.abs(merged).max()


def test_the_tokens_cost_no_further_product(told: Told) -> None:
    plain, more = (onnx.load(str(path)).graph for path in (told.plain, told.told))
    assert [node.op_type for node in plain.node] == [node.op_type for node in more.node]
    assert [one.name for one in more.output] == ["tokens", "queries", "keys"]


def test_fused_and_eight_bit_encoders_tell_it_too(told: Told, tmp_path: Path) -> None:
    fused, small = tmp_path / "fused.onnx", tmp_path / "small.onnx"
    fuse(told.plain, fused)
    quantise_encoder(told.plain, small, pictures(), methods=["dynamic int8"])
    exact = told.encoder(told.told)
    for path, error in ((fused, 1e-3), (small, 0.2)):
        before = told.encoder(path)
        given = pictures(1)[0]
        tokens = before(given).values
        assert tell_attention(path)
        found, wanted = told.encoder(path).attended(given), exact.attended(given)
        assert np.array_equal(found.tokens.values, tokens)
        assert np.abs(found.received - wanted.received).max() < error * wanted.received.max()
        assert np.abs(found.keys - wanted.keys).max() < error * np.abs(wanted.keys).max()


def test_it_is_told_once(told: Told, tmp_path: Path) -> None:
    again = Path(shutil.copyfile(told.told, tmp_path / "again.onnx"))
    assert not tell_attention(again)
    assert again.read_bytes() == told.told.read_bytes()


def test_a_network_without_attention_is_left_as_it_is(tmp_path: Path) -> None:
    network, path = nn.Sequential(nn.Conv2d(3, 4, 16, 16), nn.Flatten(2)), tmp_path / "plain.onnx"
    trace(network, (torch.zeros(1, 3, 32, 32),), path, input_names=["pixel_values"], output_names=["tokens"])
    before = path.read_bytes()
    assert not tell_attention(path)
    assert path.read_bytes() == before


def test_an_encoder_that_does_not_tell_says_so(told: Told) -> None:
    with pytest.raises(AttentionMissingError):
        told.encoder(told.plain).attended(pictures(1)[0])


@pytest.mark.parametrize("damage", ["heads", "scale", "output"])
def test_strange_facts_and_outputs(told: Told, tmp_path: Path, damage: str) -> None:
    model = onnx.load(str(told.told))
    if damage == "output":
        del model.graph.output[2]
    else:
        (fact,) = (one for one in model.metadata_props if one.key == f"heliograph.{damage}")
        fact.value = "7"  # heads of 160 channels, or another scale
    path = tmp_path / "strange.onnx"
    onnx.save(model, str(path))
    if damage == "output":
        with pytest.raises(BundleDamagedError):
            told.encoder(path)
    elif damage == "heads":
        with pytest.raises(AttentionMissingError):
            told.encoder(path).attended(pictures(1)[0])
    else:
        assert told.encoder(path).attended(pictures(1)[0]).received.sum() > 0


def test_the_shipped_encoder_tells_it() -> None:
    bundle = Bundle.load(shipped_bundle_folder())
    device, photo = Device(bundle), load_photo(demo_photo_path())
    found = device.encode_attended(photo)
    assert np.array_equal(found.tokens.values, device.encode_tokens(photo).values)
    assert (found.received.shape, found.keys.shape) == ((64,), (64, 32))
    assert found.received.sum() == pytest.approx(1, abs=1e-5)
    names = [one.name for one in open_session(bundle.file("encoder.onnx")).get_outputs()]
    assert names == ["tokens", "queries", "keys"]

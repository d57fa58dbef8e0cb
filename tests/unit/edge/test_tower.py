"""A tower looked into and cut where it was never exported for: torch's own attention, keys and states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from heliograph.codec.bundle import Bundle
from heliograph.codec.onnx_session import load_network, open_part, open_session
from heliograph.edge.attention import AttentionFacts
from heliograph.edge.device import Device
from heliograph.edge.photos.file import load_photo
from heliograph.edge.tower import SquareTower
from heliograph.edge.tower_graph import read_blocks
from heliograph.errors import AttentionMissingError, ModelUnsupportedError, UsageError
from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder
from heliograph.reference.recipe import build_reference_model
from heliograph.strategies.token_compression.tome import merged_pairs
from heliograph.strategies.towers import Shortening
from heliograph.training.export.onnx_fusion import fuse
from heliograph.training.export.onnx_graphs import trace, trace_square
from heliograph.training.export.onnx_quantise import quantise_encoder
from heliograph.types import Grid
from heliograph.vlm.square_encoder import SquareEncoder

SIDE = 128
LAYERS = 6


class Traced:
    """A random Idefics3 and its graphs: as traced, fused, and in eight bits."""

    def __init__(self, folder: Path, scale_factor: int) -> None:
        from transformers import Idefics3Config, Idefics3ForConditionalGeneration

        config = Idefics3Config.from_pretrained(build_reference_model(folder / "model"))
        config.scale_factor = scale_factor
        torch.manual_seed(4)
        self.model = Idefics3ForConditionalGeneration(config).eval()
        self.grid = Grid(8 // scale_factor, 8 // scale_factor)
        self.plain, self.fused, self.small = (folder / f"{name}.onnx" for name in ("plain", "fused", "small"))
        trace_square(SquareEncoder(self.model), self.plain, SIDE)
        fuse(self.plain, self.fused)
        quantise_encoder(self.plain, self.small, pictures(), methods=["dynamic int8"])
        self.model.set_attn_implementation("eager")  # gives attention away; graphs are traced as models are loaded

    def tower(self, path: Path) -> SquareTower:
        return SquareTower(path, lambda pixels: pixels, self.grid)  # type: ignore[arg-type]

    def torch_layer(self, pixels: Any, layer: int = -2) -> tuple[Any, Any, Any]:
        """Attention (heads, P, P) of a layer, its keys (P, width), and the states (P, d) behind it."""
        seen: dict[str, Any] = {}
        block = self.model.model.vision_model.encoder.layers[layer]
        hooks = [
            block.self_attn.register_forward_hook(lambda module, given, made: seen.update(attention=made[1])),
            block.self_attn.k_proj.register_forward_hook(lambda module, given, made: seen.update(keys=made)),
            block.register_forward_hook(lambda module, given, made: seen.update(states=made)),
        ]
        with torch.no_grad():
            SquareEncoder(self.model)(torch.from_numpy(pixels))
        for hook in hooks:
            hook.remove()
        return seen["attention"][0].numpy(), seen["keys"][0].numpy(), seen["states"][0].numpy()


@pytest.fixture(scope="module", params=[1, 2], ids=["as many tokens as patches", "four patches a token"])
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    return Traced(tmp_path_factory.mktemp("traced"), request.param)


def pictures(count: int = 6) -> list[Any]:
    coarse = np.random.default_rng(0).uniform(-1, 1, (count, 1, 3, 16, 16)).astype(np.float32)
    return list(coarse.repeat(SIDE // 16, 3).repeat(SIDE // 16, 4))


def tokens_of(path: Path, pixels: Any) -> Any:
    return open_session(path).run(["tokens"], {"pixel_values": pixels})[0].reshape(-1, 128)


def test_attention_is_torchs(traced: Traced) -> None:
    for pixels in pictures(2):
        found = traced.tower(traced.plain).attended(pixels)
        assert np.abs(tokens_of(traced.plain, pixels) - found.tokens.values).max() < 1e-5
        attention, keys, _ = traced.torch_layer(pixels)
        received, mean = attention.mean(axis=(0, 1)), keys.reshape(64, 5, 32).mean(axis=1)
        # The connector's own merging says which patches a token is made of.
        own = traced.model.model.connector
        as_tokens = own.pixel_shuffle(
            torch.from_numpy(np.concatenate([received[:, None], mean], axis=1))[None], own.scale_factor
        )
        merged = as_tokens[0].numpy().reshape(traced.grid.tokens, -1, 33).mean(axis=1)
        assert np.abs(found.received - merged[:, 0]).max() < 1e-4 * merged[:, 0].max()
        assert np.abs(found.keys - merged[:, 1:]).max() < 1e-4 * np.abs(merged).max()


def test_fused_and_eight_bit_encoders_are_looked_into_too(traced: Traced) -> None:
    pixels = pictures(1)[0]
    exact = traced.tower(traced.plain)
    wanted, states, first = exact.attended(pixels), exact.states(pixels, 3), exact.first_attention(pixels)
    for path, error in ((traced.fused, 1e-3), (traced.small, 0.2)):
        tower = traced.tower(path)
        found = tower.attended(pixels)
        assert np.abs(found.tokens.values - tokens_of(path, pixels)).max() < 1e-5
        assert np.abs(found.received - wanted.received).max() < error * wanted.received.max()
        assert np.abs(found.keys - wanted.keys).max() < error * np.abs(wanted.keys).max()
        assert np.abs(tower.states(pixels, 3) - states).max() < error * np.abs(states).max()
        assert np.abs(tower.first_attention(pixels) - first).max() < error * first.max()


@pytest.mark.parametrize("block", [1, 2, 5])
def test_states_behind_a_block_are_torchs(traced: Traced, block: int) -> None:
    pixels = pictures(1)[0]
    found, wanted = traced.tower(traced.plain).states(pixels, block), traced.torch_layer(pixels, block - 1)[2]
    assert found.shape == (64, 160)
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_what_lies_behind_a_cut_is_not_there(traced: Traced) -> None:
    network = load_network(traced.plain)
    blocks = read_blocks(network)
    assert len(blocks) == LAYERS
    sizes = [len(network.cut([one.after])) for one in blocks]
    steps = np.diff(sizes)
    assert steps.min() > 0.9 * steps.max() > 0  # every block holds as many weights
    part = onnx.load_from_string(network.cut([blocks[1].after]))
    assert sum(node.op_type == "Softmax" for node in part.graph.node) == 2
    late = onnx.load_from_string(network.cut(["tokens"], [blocks[1].after]))
    assert sum(node.op_type == "Softmax" for node in late.graph.node) == LAYERS - 2
    pixels = pictures(1)[0]
    states = open_part(network, [blocks[1].after]).run(None, {"pixel_values": pixels})[0]
    (found,) = open_part(network, ["tokens"], [blocks[1].after]).run(None, {blocks[1].after: states})
    assert np.abs(found.reshape(-1, 128) - tokens_of(traced.plain, pixels)).max() < 1e-4


def test_a_grey_photo_is_looked_at_once(traced: Traced) -> None:
    tower = short_tower(traced, traced.plain)
    grey = tower.grey_states(2)
    assert np.allclose(grey, tower.states(np.zeros((1, 3, SIDE, SIDE), np.float32), 2), atol=1e-5)
    assert tower.grey_states(2) is grey
    assert tower.grey_states(3) is not grey


@pytest.mark.parametrize("block", [0, 6, 7])
def test_a_tower_is_cut_between_its_blocks_alone(traced: Traced, block: int) -> None:
    with pytest.raises(UsageError, match="can be cut behind 1 to 5"):
        traced.tower(traced.plain).states(pictures(1)[0], block)


def test_a_network_without_attention_is_refused_by_name(tmp_path: Path) -> None:
    network, path = nn.Sequential(nn.Conv2d(3, 4, 16, 16), nn.Flatten(2)), tmp_path / "plain.onnx"
    trace(network, (torch.zeros(1, 3, 32, 32),), path, input_names=["pixel_values"], output_names=["tokens"])
    with pytest.raises(ModelUnsupportedError, match="no attention that can be read"):
        read_blocks(load_network(path))


def test_patches_that_make_no_whole_tokens_are_refused(traced: Traced) -> None:
    tower = traced.tower(traced.plain)
    tower.grid = Grid(5, 5)
    with pytest.raises(AttentionMissingError):
        tower.attended(pictures(1)[0])


def test_the_shipped_encoder_is_looked_into_as_it_is() -> None:
    bundle = Bundle.load(shipped_bundle_folder())
    device, photo = Device(bundle), load_photo(demo_photo_path())
    found = device.encode_attended(photo)
    assert np.array_equal(found.tokens.values, device.encode_tokens(photo).values)
    assert (found.received.shape, found.keys.shape) == ((64,), (64, 32))
    assert found.received.sum() == pytest.approx(1, abs=1e-5)
    assert device.tower is device.tower


# ---- fewer units -----------------------------------------------------------------------------------------
class _Square:
    """Preprocessing of a square that is given as pixels, or as a picture for the check of the parts."""

    input_size = SIDE

    def __call__(self, given: Any) -> Any:
        return (
            given
            if isinstance(given, np.ndarray)
            else (np.asarray(given, np.float32) / 128 - 1).transpose(2, 0, 1)[None]
        )


def short_tower(traced: Traced, path: Path) -> SquareTower:
    return SquareTower(path, _Square(), traced.grid)  # type: ignore[arg-type]


def test_block_by_block_a_tower_makes_the_encoders_tokens(traced: Traced) -> None:
    pixels = pictures(1)[0]
    for path, error in ((traced.plain, 1e-4), (traced.fused, 1e-3), (traced.small, 0.02)):
        found = short_tower(traced, path).shortened(pixels, lambda now: None)
        wanted = tokens_of(path, pixels)
        assert np.abs(found.tokens.values - wanted).max() < error * np.abs(wanted).max()
        assert found.clusters.tolist() == list(range(traced.grid.tokens))


def test_equal_units_that_become_one_change_nothing(traced: Traced) -> None:
    """Patches of one colour differ by position alone; without positions merged ones stand for what they were."""
    with torch.no_grad():
        positions = traced.model.model.vision_model.embeddings.position_embedding.weight
        kept = positions.clone()
        positions.zero_()
    path = traced.plain.with_name("unplaced.onnx")
    trace_square(SquareEncoder(traced.model), path, SIDE)
    with torch.no_grad():
        positions.copy_(kept)
    # Two kinds of units, half of them each: the left and the right half of the picture.
    pixels = np.full((1, 3, SIDE, SIDE), 0.3, np.float32)
    pixels[..., SIDE // 2 :] = -0.7
    columns = traced.grid.columns
    halves = (np.arange(traced.grid.tokens) % columns >= columns // 2).astype(np.int64)
    tower, asked = short_tower(traced, path), list[tuple[int, bool, int]]()

    def by_halves(now: Shortening) -> Any:
        asked.append((now.block, now.keys is None, len(now.states)))
        return halves if len(now.states) == len(halves) and now.block == 2 and now.keys is not None else None

    found = tower.shortened(pixels, by_halves)
    count = traced.grid.tokens
    assert asked == [(b, first, count if b < 3 else 2) for b in range(LAYERS) for first in (True, False)]
    wanted = tokens_of(path, pixels)
    assert np.abs(found.tokens.values - wanted).max() < 1e-3 * np.abs(wanted).max()
    assert found.clusters.tolist() == halves.tolist()


def test_what_is_dropped_is_seen_by_nothing_behind(traced: Traced) -> None:
    """Before the first block, so that what is left cannot know of it: another picture there changes no other token."""
    tower, keep = short_tower(traced, traced.plain), np.arange(traced.grid.tokens) >= traced.grid.columns
    becomes = np.where(keep, np.cumsum(keep) - 1, -1)

    def first(now: Shortening) -> Any:
        return becomes if now.block == 0 and now.keys is None else None

    one = pictures(1)[0]
    other = one.copy()
    other[:, :, : SIDE // traced.grid.rows] *= -1
    here, there = tower.shortened(one, first), tower.shortened(other, first)
    assert np.allclose(here.tokens.values[keep], there.tokens.values[keep], atol=1e-5)
    assert not np.allclose(here.tokens.values[~keep], there.tokens.values[~keep], atol=1e-2)
    assert here.clusters.tolist() == becomes.tolist()


def test_a_tower_whose_parts_make_other_tokens_is_refused(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    tower = short_tower(traced, traced.plain)
    blocks = [replace(one, facts=AttentionFacts(7, 1.0, 0)) for one in tower._blocks]
    monkeypatch.setattr(tower, "_blocks", [replace(one, facts=AttentionFacts(5, 9.0)) for one in blocks])
    with pytest.raises(ModelUnsupportedError, match="not of the plain kind"):
        tower.shortened(pictures(1)[0], lambda now: None)


def test_the_shipped_tower_merges_and_puts_back() -> None:
    device, photo = Device(Bundle.load(shipped_bundle_folder())), load_photo(demo_photo_path())
    found = device.tower.shortened(photo, lambda now: merged_pairs(now, 6))
    assert len({*found.clusters.tolist()}) == 64 - 6 * 6
    for cluster in set(found.clusters.tolist()):
        alike = found.tokens.values[found.clusters == cluster]
        assert np.allclose(alike, alike[0], atol=1e-5)

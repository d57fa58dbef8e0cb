"""Work of both ends, from parts whose sums are done by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliograph.bench.families.tower_shape import TowerShape
from heliograph.bench.families.work import ModelWork, reference_work
from heliograph.bench.macs import Prefill
from heliograph.bench.onnx_macs import count_onnx
from heliograph.bench.outcomes import Asked
from heliograph.codec.onnx_session import load_network
from heliograph.edge.tower_graph import read_blocks
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Kind
from heliograph.strategies.towers import BlockUnits

SHAPE = TowerShape(patches=8, patch_values=6, width=4, inner=10, blocks=2, hidden_size=3)
MODEL = ModelWork(
    tower=1000, prefill=Prefill(1, 10, 5), visual_tokens=8, encoders={"meta": 7}, decoders={"meta": 70}, shape=SHAPE
)
ANSWERING = 40 * 40 + 10 * 40 + 5  # 8 visual tokens and 32 of text


def test_work_lies_where_it_is_done() -> None:
    tokens = MODEL.of(Kind.TOKENS, "meta", asked={Asked.TOWER})
    assert (tokens.device_macs, tokens.cloud_macs, tokens.prefill_tokens) == (1007, 70 + ANSWERING, 40)
    closed = MODEL.of(Kind.TOKENS, "klt", asked={Asked.TOWER})
    assert (closed.device_macs, closed.cloud_macs) == (1000, ANSWERING)
    picture = MODEL.of(Kind.PICTURE, "", asked=())
    assert (picture.device_macs, picture.cloud_macs) == (0, 1000 + ANSWERING)
    own = replace(MODEL, parts={"codes": (3, 4)})
    coded = own.of(Kind.TOKENS, "", asked={Asked.TOWER}, strategy="codes")
    assert (coded.device_macs, coded.cloud_macs) == (1003, 4 + ANSWERING)
    assert own.of(Kind.TOKENS, "", asked={Asked.TOWER}, strategy="others").device_macs == 1000
    seen = replace(MODEL, question_map=55)
    looked = seen.of(Kind.PICTURE, "", asked={Asked.TOWER, Asked.QUESTION_MAP})
    assert (looked.device_macs, looked.cloud_macs) == (1055, 1000 + ANSWERING)  # pictures go through the cloud's tower
    glance = seen.of(Kind.PICTURE, "", asked={Asked.FIRST_ATTENTION})
    assert glance.device_macs == 8 * 6 * 4 + 2 * 8 * 16 + 64 * 4
    assert seen.of(Kind.PICTURE, "", asked={Asked.FIRST_ATTENTION, Asked.TOWER}).device_macs == 1000
    words = seen.of(Kind.TEXT, "", asked={Asked.DESCRIPTION})
    assert (words.device_macs, words.cloud_macs) == (1000 + ANSWERING, 1000 + ANSWERING)
    assert seen.of(Kind.TEXT, "", asked={Asked.READER}).device_macs is None
    local = MODEL.of(Kind.LOCAL, "", asked={Asked.TOWER})
    assert (local.device_macs, local.cloud_macs) == (1000 + ANSWERING, 0)


def test_the_reference_model_is_counted_with_the_networks_of_its_bundle() -> None:
    found = reference_work()
    assert found.tower == 115_343_360  # what torch and ONNX count, docs/macs.md
    assert found.encoders.keys() == found.decoders.keys() == {"meta"}
    assert found.visual_tokens == 64
    assert {"tokens-1d", "question-coded", "side-info"} <= found.parts.keys()
    device, cloud = found.parts["tokens-1d"]
    assert 10**6 < device < found.tower
    assert 10**6 < cloud < found.tower
    assert found.parts["question-coded"][1] == found.parts["side-info"][0] == 0
    assert found.in_the_towers_place == {"latent-neck", "feature-adapt", "entropic-student", "frankensplit"}


def test_units_of_a_block_by_hand() -> None:
    assert SHAPE.block(BlockUnits(5, 3)) == 5 * 4 * 16 + 2 * 25 * 4 + 3 * 2 * 40
    assert SHAPE.block(BlockUnits(0, 0, 2)) == 2 * (16 + 8 + 2 + 2)
    cut = MODEL.of(Kind.TOKENS, "", asked=(), units=(BlockUnits(8, 8), BlockUnits(0, 0)))
    assert cut.device_macs == 8 * 6 * 4 + SHAPE.block(BlockUnits(8, 8))
    assert cut.cloud_macs == SHAPE.block(BlockUnits(8, 8)) + 8 * 4 * 3 + ANSWERING
    short = MODEL.of(Kind.TOKENS, "", asked=(), units=(BlockUnits(8, 6), BlockUnits(6, 4)))
    assert short.device_macs == SHAPE.macs((BlockUnits(8, 6), BlockUnits(6, 4)))
    assert short.cloud_macs == ANSWERING


def test_what_guides_pictures_is_what_its_graphs_count(tmp_path: Path) -> None:
    """The first attention of the shipped tower, cut at its scores; the question's map is two passes of part of the
    language model's six layers."""
    found = reference_work()
    network = load_network(shipped_bundle_folder() / "encoder.onnx")
    path = tmp_path / "part.onnx"
    path.write_bytes(network.cut([network.made_by("Softmax")[0]]))
    counted = count_onnx(path, {"pixel_values": np.zeros((1, 3, 128, 128), np.float32)})
    assert found.shape.first_attention == counted.macs
    assert 0 < found.question_map < 2 * found.prefill.macs(96)


@pytest.mark.parametrize("block", [1, 4])
def test_what_a_split_tower_runs_is_what_its_graph_counts(block: int, tmp_path: Path) -> None:
    shape = reference_work().shape
    units = STRATEGIES.load("split-k")().tower_units({"block": block}, 64, 6)
    network = load_network(shipped_bundle_folder() / "encoder.onnx")
    path = tmp_path / "part.onnx"
    path.write_bytes(network.cut([read_blocks(network)[block - 1].after]))
    counted = count_onnx(path, {"pixel_values": np.zeros((1, 3, 128, 128), np.float32)})
    assert shape.macs(units) == counted.macs
    assert shape.macs(units) + shape.left_over(units) == reference_work().tower


def test_fewer_units_are_less_work() -> None:
    shape = reference_work().shape
    whole = shape.macs([BlockUnits(64, 64)] * 6)
    assert whole == reference_work().tower
    tome, dynamic = STRATEGIES.load("tome")(), STRATEGIES.load("dynamicvit")()
    assert tome.tower_units({"merge": 10}, 64, 6)[:2] == (BlockUnits(64, 54), BlockUnits(54, 44))
    assert tome.tower_units({"merge": 10}, 64, 6)[-1] == BlockUnits(14, 7)
    counts = [unit.attention for unit in dynamic.tower_units({"ratio": 50}, 64, 6)]
    assert counts == [64, 32, 32, 16, 8, 8]
    merged = [shape.macs(tome.tower_units({"merge": one}, 64, 6)) for one in (0, 2, 6, 10)]
    assert merged == sorted(merged, reverse=True)
    assert merged[0] == whole
    assert shape.macs(dynamic.tower_units({"ratio": 50}, 64, 6)) < 0.6 * whole


def test_a_bottleneck_is_in_the_towers_place() -> None:
    split = ModelWork(
        *(1000, Prefill(1, 10, 5), 8, {}, {}, SHAPE),
        parts={"frankensplit": (90, 800)},
        in_the_towers_place=frozenset({"frankensplit"}),
    )
    found = split.of(Kind.TOKENS, "", asked=(), strategy="frankensplit")
    assert (found.device_macs, found.cloud_macs) == (90, 800 + ANSWERING)
    other = split.of(Kind.TOKENS, "", asked={Asked.TOWER}, strategy="int8")
    assert other.device_macs == 1000

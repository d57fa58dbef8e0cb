"""Work of both ends, from parts whose sums are done by hand."""

from __future__ import annotations

from dataclasses import replace

from heliograph.bench.families.work import ModelWork, reference_work
from heliograph.bench.macs import Prefill
from heliograph.strategies.base import Kind

MODEL = ModelWork(tower=1000, prefill=Prefill(1, 10, 5), visual_tokens=8, encoders={"meta": 7}, decoders={"meta": 70})
ANSWERING = 40 * 40 + 10 * 40 + 5  # 8 visual tokens and 32 of text


def test_work_lies_where_it_is_done() -> None:
    tokens = MODEL.of(Kind.TOKENS, "meta", tower_on_device=True)
    assert (tokens.device_macs, tokens.cloud_macs, tokens.prefill_tokens) == (1007, 70 + ANSWERING, 40)
    closed = MODEL.of(Kind.TOKENS, "klt", tower_on_device=True)
    assert (closed.device_macs, closed.cloud_macs) == (1000, ANSWERING)
    picture = MODEL.of(Kind.PICTURE, "", tower_on_device=False)
    assert (picture.device_macs, picture.cloud_macs) == (0, 1000 + ANSWERING)
    own = replace(MODEL, parts={"codes": (3, 4)})
    coded = own.of(Kind.TOKENS, "", tower_on_device=True, strategy="codes")
    assert (coded.device_macs, coded.cloud_macs) == (1003, 4 + ANSWERING)
    assert own.of(Kind.TOKENS, "", tower_on_device=True, strategy="others").device_macs == 1000
    local = MODEL.of(Kind.LOCAL, "", tower_on_device=True)
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


def test_a_bottleneck_is_in_the_towers_place() -> None:
    split = ModelWork(1000, Prefill(1, 10, 5), 8, {}, {}, {"frankensplit": (90, 800)})
    found = split.of(Kind.TOKENS, "", tower_on_device=False, strategy="frankensplit")
    assert (found.device_macs, found.cloud_macs) == (90, 800 + ANSWERING)
    other = split.of(Kind.TOKENS, "", tower_on_device=True, strategy="int8")
    assert other.device_macs == 1000

"""The bottlenecks' training on a few scenes and a few channels: starts near the tower, learns, goes on, exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from few_scenes import FEW_SCENES, silent
from heliograph.bench.onnx_macs import count_onnx
from heliograph.codec.parts import Part
from heliograph.errors import ModelUnsupportedError, UsageError
from heliograph.reference.scenes import DEV_START
from heliograph.strategies.part_latents import BottleneckPart
from heliograph.training.bottleneck import train
from heliograph.training.bottleneck.lessons import BottleneckLesson, Material, StagedLesson, relative
from heliograph.training.bottleneck.network import Bottleneck, BottleneckSizes, DeviceEncoder, teacher_blocks
from heliograph.training.bottleneck.scenes import SceneCache
from heliograph.training.bottleneck.start import start_from_patches

SMALL = BottleneckSizes(stem=8, middle=8, last=8, latents=160)
FEW = BottleneckSizes(stem=8, middle=8, last=8, latents=12)


def started(material: Material, sizes: BottleneckSizes) -> Bottleneck:
    torch.manual_seed(1)
    bottleneck = Bottleneck(material.model, sizes)
    start_from_patches(bottleneck, material.model, material.pixels(np.arange(40)), material.variance)
    return bottleneck


def test_with_a_latent_for_every_channel_it_starts_as_the_tower_itself(material: Material) -> None:
    bottleneck, pixels = started(material, SMALL), material.pixels(np.arange(4))
    states, wanted = teacher_blocks(material.model, pixels)
    rates = torch.full((4,), 5)
    with torch.no_grad():
        scaled = bottleneck.encoder(pixels) * bottleneck.gain(rates)
        own, found = bottleneck.blocks(scaled, rates)
        coarse = bottleneck.blocks((scaled * 0.5).round() * 2, rates)[1]
    assert float(relative(found, wanted, material.variance).mean()) < 1e-3
    assert float(relative(own[2], states[2], material.state_variances[2]).mean()) < 1e-3
    assert float(relative(coarse, wanted, material.variance).mean()) > 1e-3


@pytest.mark.parametrize("lesson_class", [BottleneckLesson, StagedLesson])
def test_a_few_steps_lower_the_loss(lesson_class: type[BottleneckLesson], material: Material) -> None:
    lesson = lesson_class(started(material, FEW), material, batch=4)
    optimiser = torch.optim.Adam([{"params": one["params"], "lr": 3e-4 * one["share"]} for one in lesson.groups()])
    losses = []
    for _ in range(10):
        torch.manual_seed(0)
        loss, _ = lesson.loss(np.random.default_rng(0), asks=False)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.98 * losses[0]


def test_in_the_second_stage_encoder_and_prior_stay_and_in_the_first_the_tail(material: Material) -> None:
    bottleneck = started(material, FEW)
    lesson = StagedLesson(bottleneck, material, batch=4)
    for asks, still, moving in (
        (False, [bottleneck.tail], [bottleneck.encoder, bottleneck.prior, bottleneck.synthesis]),
        (True, [bottleneck.encoder, bottleneck.prior], [bottleneck.tail, bottleneck.synthesis]),
    ):
        bottleneck.zero_grad()
        loss, shown = lesson.loss(np.random.default_rng(3), asks=asks)
        loss.backward()
        assert ("divergence" in shown) == asks
        assert all(one.grad is None for part in still for one in part.parameters())
        assert all(any(one.grad is not None for one in part.parameters()) for part in moving)


def test_the_devices_work_is_a_tenth_of_the_towers(tmp_path: Path) -> None:
    from heliograph.training.export.onnx_graphs import trace

    trace(
        DeviceEncoder(BottleneckSizes()), (torch.zeros(1, 3, 128, 128),), tmp_path / "encoder.onnx", input_names=["x"]
    )
    macs = count_onnx(tmp_path / "encoder.onnx", {"x": np.zeros((1, 3, 128, 128), np.float32)}).macs
    assert 0.09 < macs / 115_343_360 < 0.1


def test_a_training_makes_a_part_and_goes_on(
    reference_pair: Any, material: Material, scenes: Path, tmp_path: Path
) -> None:
    name = "entropic-student"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "scenes").symlink_to(scenes)
    how: dict[str, Any] = {"model": str(reference_pair.model), "scenes": FEW_SCENES, "sizes": FEW}
    train.train_in_stages(name, tmp_path, minutes=0.003, progress=silent, **how)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["strategy"] == name
    assert card["steps"] >= 1
    assert len(card["figures"]["held_out_bytes"]) == 6
    halves = BottleneckPart.of(Part.load(name, tmp_path))
    assert halves.cloud_half("decoder", np.zeros((12, 64), np.int64), 2, 64).shape == (64, 128)
    lines: list[str] = []
    train.train_in_stages(name, tmp_path, minutes=0.003, progress=lines.append, **how)
    assert any(line.startswith("going on from step") for line in lines)
    assert json.loads((tmp_path / "card.json").read_text())["steps"] >= card["steps"]
    with pytest.raises(UsageError):
        train.train_in_stages(name, tmp_path, minutes=0.003, progress=silent, **{**how, "sizes": SMALL})


def test_scenes_are_kept_and_stay_in_the_training_split(scenes: Path, material: Material, tmp_path: Path) -> None:
    assert np.array_equal(SceneCache(scenes, FEW_SCENES, 0, silent).pixels(), material._pixels)
    for count, seed in ((0, 0), (DEV_START, 0), (FEW_SCENES, 10_000)):
        with pytest.raises(UsageError):
            SceneCache(tmp_path, count, seed, silent)


def test_a_model_that_reads_other_pictures_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("heliograph.training.bottleneck.scenes.open_model", lambda name: object())
    with pytest.raises(ModelUnsupportedError):
        train.train_part("frankensplit", tmp_path, minutes=0.01)

"""Codec and necks on a few scenes and a few channels: they start near pixels and tower, learn, go on, export."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from few_scenes import FEW_SCENES, silent
from heliograph.codec.parts import Part
from heliograph.errors import ModelUnsupportedError, UsageError
from heliograph.strategies.part_latents import ENTERED_BEHIND, NECK, BottleneckPart
from heliograph.training.bottleneck.lessons import Material, relative
from heliograph.training.bottleneck.network import BottleneckSizes, teacher_blocks
from heliograph.training.latent_neck import train
from heliograph.training.latent_neck.codec import CodecLesson, PictureCodec
from heliograph.training.latent_neck.necks import Adapter, Neck, NeckLesson, examined_neck, tower_behind

WIDE = BottleneckSizes(stem=8, middle=8, last=8, latents=768)
FEW = BottleneckSizes(stem=8, middle=8, last=8, latents=24)
KINDS = pytest.mark.parametrize("kind", [Neck, Adapter])


def started(material: Material, sizes: BottleneckSizes) -> tuple[PictureCodec, CodecLesson]:
    torch.manual_seed(1)
    codec = PictureCodec(sizes)
    lesson = CodecLesson(codec, material._pixels, material.held_out, batch=4)
    codec.start(lesson.pixels(material.some()))
    return codec, lesson


def learned(lesson: CodecLesson | NeckLesson, asks: bool = False) -> list[float]:
    """The loss of one batch while ten steps are made on it."""
    optimiser = torch.optim.Adam([{"params": one["params"], "lr": 3e-4 * one["share"]} for one in lesson.groups()])
    losses = []
    for _ in range(10):
        torch.manual_seed(0)
        loss, _ = lesson.loss(np.random.default_rng(0), asks=asks)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def test_with_a_latent_for_every_value_it_starts_as_the_picture_itself(material: Material) -> None:
    codec, lesson = started(material, WIDE)
    pixels = lesson.pixels(np.arange(4))
    with torch.no_grad():
        shown = codec.picture(codec.encoder(pixels))
    assert float((shown - (pixels / 127.5 - 1.0)).abs().max()) < 1e-3


def test_with_such_latents_the_entry_is_the_towers_first_layer(material: Material) -> None:
    codec, lesson = started(material, WIDE)
    pixels, rates = lesson.pixels(np.arange(4)), torch.zeros(4, dtype=torch.int64)
    neck = Neck(codec, material.model.model.vision_model)
    states, wanted = teacher_blocks(material.model, pixels)
    with torch.no_grad():
        entered = neck.entry(codec.encoder(pixels), rates)
        own, tokens = tower_behind(material.model, states[ENTERED_BEHIND])
        assert torch.allclose(neck(codec.encoder(pixels), rates), neck.block(states[0], None), atol=1e-3)
    assert torch.allclose(entered, states[0], atol=1e-3)
    assert torch.allclose(tokens, wanted, atol=1e-5)
    assert len(own) == len(states) - ENTERED_BEHIND


def test_the_codec_learns_pixels_and_bytes(material: Material) -> None:
    codec, lesson = started(material, FEW)
    losses = learned(lesson)
    assert losses[-1] < losses[0]
    sizes, decibels = zip(*lesson.examined(3), strict=True)
    assert sizes == tuple(sorted(sizes))
    assert decibels == tuple(sorted(decibels))
    assert codec.sizes == FEW


@KINDS
@pytest.mark.parametrize("asks", [False, True])
def test_a_neck_learns_and_codec_and_tower_stay(kind: type[Neck | Adapter], asks: bool, material: Material) -> None:
    codec, _ = started(material, FEW)
    neck = kind(codec, material.model.model.vision_model)
    lesson = NeckLesson(neck, codec, material, batch=4)
    frozen = [one.detach().clone() for one in (*codec.parameters(), *material.model.parameters())]
    losses = learned(lesson, asks)
    assert losses[-1] < 0.98 * losses[0]
    assert all(map(torch.equal, frozen, (*codec.parameters(), *material.model.parameters())))


def test_without_a_neck_the_codecs_pictures_are_seen(material: Material) -> None:
    codec, _ = started(material, WIDE)
    codec.log_gain.data.fill_(6.0)  # next to nothing is rounded away
    pixels = material.pixels(np.arange(3))
    wanted = teacher_blocks(material.model, pixels)[1]
    assert all(error < 1e-3 and alike == 1.0 for error, alike in examined_neck(None, codec, material, 3))
    assert float(relative(wanted, wanted, material.variance).mean()) == 0


@KINDS
def test_a_training_makes_a_part_and_goes_on(
    kind: type[Neck | Adapter], reference_pair: Any, scenes: Path, tmp_path: Path, material: Material
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "scenes").symlink_to(scenes)
    how: dict[str, Any] = {"model": str(reference_pair.model), "scenes": FEW_SCENES, "sizes": FEW, "kind": kind}
    train.train_neck("latent-neck", tmp_path, minutes=0.005, progress=silent, **how)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card.keys() >= {"seed", "data", "minutes", "machine", "figures"}
    assert all(len(card["figures"][name]) == 6 for name in ("held_out_bytes", "answer_tokens_alike", "picture_db"))
    halves = BottleneckPart.of(Part.load("latent-neck", tmp_path))
    assert halves.cloud_half(NECK, np.zeros((24, 64), np.int64), 2, 64).shape == (64, 160)
    lines: list[str] = []
    train.train_neck("latent-neck", tmp_path, minutes=0.005, progress=lines.append, **how)
    assert sum(line.startswith("going on from step") for line in lines) == 2
    assert min(json.loads((tmp_path / "card.json").read_text())["steps"]) >= 1
    with pytest.raises(UsageError):
        train.train_neck("latent-neck", tmp_path, minutes=0.005, progress=silent, **{**how, "sizes": WIDE})


def test_a_model_that_reads_other_pictures_and_a_short_tower_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, material: Material
) -> None:
    tower = copy.deepcopy(material.model.model.vision_model)
    tower.encoder.layers = tower.encoder.layers[:ENTERED_BEHIND]
    with pytest.raises(ModelUnsupportedError):
        Neck(PictureCodec(FEW), tower)
    monkeypatch.setattr("heliograph.training.bottleneck.scenes.open_model", lambda name: object())
    with pytest.raises(ModelUnsupportedError):
        train.train_neck("latent-neck", tmp_path, minutes=0.01)

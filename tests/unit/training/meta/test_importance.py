"""Sketches estimate the sum of squared gradients; pictures without questions weigh nothing; chunks are made once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from heliograph.codec.fitting.fit import fit_klt
from heliograph.reference.recipe import build_reference_model
from heliograph.reference.render import render_scene
from heliograph.training.meta.data import MetaData
from heliograph.training.meta.importance import importance, margin_gradients
from heliograph.training.meta.network import TokenSpace
from heliograph.training.meta.start import token_space
from heliograph.training.meta.teacher import Teacher
from heliograph.vlm.model import VisionLanguageModel

FEATURES = 8


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return Teacher(VisionLanguageModel.load(str(build_reference_model(tmp_path_factory.mktemp("model"), seed=4))))


@pytest.fixture(scope="module")
def data(teacher: Teacher) -> MetaData:
    tokens = teacher.model.encode_images([render_scene(seed).image for seed in range(6)])
    asked = teacher.own_answers(tokens, [("is there a red star?", "how many?")] * 5 + [()])
    return MetaData(torch.stack([torch.from_numpy(one.values) for one in tokens]).half(), asked, tokens[0].grid)


@pytest.fixture(scope="module")
def space(teacher: Teacher) -> TokenSpace:
    token_sets = teacher.model.encode_images([render_scene(seed).image for seed in range(8)])
    codec = fit_klt(token_sets, modes=("none",), max_components=FEATURES, restore=False)
    return token_space(codec, torch.stack([torch.from_numpy(one.values) for one in token_sets]), FEATURES)


def test_sketches_estimate_the_sum_of_squared_gradients(teacher: Teacher, data: MetaData, space: TokenSpace) -> None:
    asked, tokens = data.asked[:1], data.tokens[:1].float()
    batch = teacher.pack(asked)
    given = tokens.clone().requires_grad_(True)
    best = teacher.logits(batch, given).topk(2, dim=-1).values
    weights = batch.weights[batch.targets != -100]
    exact = torch.zeros(1, 64, FEATURES)
    for margin, weight in zip(best[:, 0] - best[:, 1], weights, strict=True):
        (gradient,) = torch.autograd.grad(margin, given, retain_graph=True)
        exact += weight * (gradient @ space.synthesis.T).square()
    generator = torch.Generator().manual_seed(1)
    found = torch.stack([margin_gradients(teacher, asked, tokens, space, generator) for _ in range(60)]).mean(0)
    assert float(found.sum()) == pytest.approx(float(exact.sum()), rel=0.25)
    assert np.corrcoef(found.flatten().log(), exact.flatten().log())[0, 1] > 0.95


def test_pictures_without_questions_weigh_nothing(teacher: Teacher, data: MetaData, space: TokenSpace) -> None:
    generator = torch.Generator().manual_seed(1)
    made = margin_gradients(teacher, data.asked, data.tokens.float(), space, generator)
    assert made.shape == (6, 64, FEATURES)
    assert float(made[5].abs().max()) == 0
    assert torch.all(made[:5].sum(dim=(1, 2)) > 0)
    assert float(margin_gradients(teacher, [[]], data.tokens[:1].float(), space, generator).abs().max()) == 0


def test_chunks_are_made_once(teacher: Teacher, data: MetaData, space: TokenSpace, tmp_path: Path) -> None:
    said: list[str] = []
    first = importance(teacher, data, space, tmp_path, "key", said.append)
    assert first.shape == (6, 64, FEATURES)
    assert said == ["what the model notices: 6 of 6 pictures"]
    assert torch.equal(first, importance(teacher, data, space, tmp_path, "key", said.append))
    assert len(said) == 1
    train, dev = replace(data, noticed=first).split()
    assert train.noticed is not None
    assert dev.noticed is not None
    assert (len(train.noticed), len(dev.noticed)) == (5, 1)

"""The learned codec of suite ``photos``: trains on a network's tail, resumes, and is measured beside klt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from heliograph.bench.photos.codec import RECIPE, FrozenTail, train
from heliograph.bench.photos.mobilenet import CHANNELS, GRID, Activation, SplitFeatures, Tail
from heliograph.bench.photos.suite import figures, measure_codec
from heliograph.codec.meta import MetaCodec
from heliograph.training.progress import Progress
from heliograph.types import VisualTokens

CLASSES = 1001
RECIPE = replace(RECIPE, batch=6, asked_batch=6)


class StandIn:
    """A network of which only the tail is there."""

    def __init__(self, tail: Tail) -> None:
        self.tail = tail


@pytest.fixture(scope="module")
def tail() -> Tail:
    rng = np.random.default_rng(1)
    fine = Activation(1e-4, 0)  # as good as none
    return Tail(
        expand=rng.normal(0, 0.1, (1280, CHANNELS)).astype(np.float32),
        expand_bias=np.ones(1280, np.float32),
        classify=rng.normal(0, 0.2, (CLASSES, 1280)).astype(np.float32),
        classify_bias=np.zeros(CLASSES, np.float32),
        hidden_grid=replace(fine, scale=6 / 255),
        logit_grid=replace(fine, scale=0.05, zero=128),
    )


@pytest.fixture(scope="module")
def features(tail: Tail) -> SplitFeatures:
    rng = np.random.default_rng(2)
    basis = rng.normal(0, 1, (5, CHANNELS))

    def one() -> VisualTokens:
        field = rng.normal(0, 1, (1, 5)) + 0.3 * rng.normal(0, 1, (GRID.tokens, 5))
        return VisualTokens((field @ basis).astype(np.float32), GRID)

    fit, test = tuple(one() for _ in range(40)), tuple(one() for _ in range(4))
    classes = tuple(tail.top1(each.values) for each in test)
    weights = np.eye(CHANNELS, dtype=np.float32)
    network = StandIn(tail)
    by_frequency = np.stack([weights] * GRID.tokens)
    return SplitFeatures(network, fit, test, (), classes, (9,) * 4, weights, by_frequency)  # type: ignore[arg-type]


def test_the_frozen_tail_answers_as_the_tail_and_has_gradients(tail: Tail, features: SplitFeatures) -> None:
    frozen = FrozenTail(tail)
    answers = frozen.own_answers(features.test, [("class",)] * len(features.test))
    assert [own[0][1][0] for own in answers] == list(features.reference_top1)
    exact = torch.from_numpy(np.stack([one.values for one in features.test]))
    np.testing.assert_allclose(
        frozen.logits(exact).numpy(), tail.logits(exact.numpy(), as_stored=False), rtol=1e-3, atol=1e-3
    )
    assert float(frozen.distance(None, exact, exact)) == pytest.approx(0, abs=1e-5)
    moved = (exact + 0.5 * torch.randn_like(exact)).requires_grad_(True)
    distance = frozen.distance(None, exact, moved)
    assert float(distance.detach()) > 0
    distance.backward()  # type: ignore[no-untyped-call]
    assert moved.grad is not None
    assert float(moved.grad.abs().max()) > 0


def test_trains_exports_goes_on_and_is_measured(features: SplitFeatures, tmp_path: Path) -> None:
    said: list[str] = []
    sizes = {"latents": 6, "channels": 2, "width": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    codec = train(features, tmp_path, 0.03, recipe=RECIPE, sizes=sizes, progress=said.append)
    facts = json.loads((tmp_path / "meta.training.json").read_text())
    assert facts["steps"] > 0
    assert facts["pictures"] == 40
    train(features, tmp_path, 0.06, recipe=RECIPE, sizes=sizes, progress=said.append)
    again = json.loads((tmp_path / "meta.training.json").read_text())
    assert again["steps"] > facts["steps"]
    assert any("going on" in line for line in said)
    codec = MetaCodec.load(tmp_path)
    whole, nothing = 0.0, 0.0
    for one in features.test:
        encoded = codec.encode(one)
        whole += float(np.square(codec.decode(encoded.header, encoded.segments).values - one.values).sum())
        nothing += float(np.square(codec.decode(encoded.header, ()).values - one.values).sum())
    assert whole < 0.5 * nothing
    with Progress(quiet=True) as progress:
        measured = measure_codec(codec, features, range(4), progress)
    assert {m.strategy for m in measured} == {"meta"}
    names = {f.name for f in figures([*measured, *(replace(m, strategy="klt") for m in measured)])}
    assert {"bytes of meta / klt at agreement 0.90", "bytes of meta / best pixel codec at agreement 0.85"} <= names

"""The learned codec of suite ``photos``: trains on a network's tail, resumes, and is measured beside klt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from heliograph.bench.opponents import bare_pictures, picture_files
from heliograph.bench.photos import choosing, suite
from heliograph.bench.photos.choosing import Chosen, best, choose, held_out
from heliograph.bench.photos.codec import RECIPE, FrozenTail, MetaSettings, train
from heliograph.bench.photos.families import OtherFamilies
from heliograph.bench.photos.figures import figures
from heliograph.bench.photos.measuring import fit_codec, measure_codec
from heliograph.bench.photos.mobilenet import CHANNELS, GRID, Activation, SplitFeatures, Tail
from heliograph.bench.report import publish
from heliograph.codec.klt import KltCodec
from heliograph.codec.meta import MetaCodec
from heliograph.strategies.base import label
from heliograph.training.progress import Progress
from heliograph.types import VisualTokens

CLASSES = 1001
RECIPE = replace(RECIPE, batch=6, asked_batch=6)
SIZES = {"latents": 6, "channels": 2, "width": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
SETTINGS = MetaSettings(127, 0.3, minutes=0.03)


class StandIn:
    """A network of which only the tail is there."""

    def __init__(self, tail: Tail) -> None:
        self.tail = tail

    def top1(self, pixels: np.ndarray) -> int:
        """Class 7 for what is bright."""
        return 7 * int(pixels.mean() > 100)


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


@pytest.fixture(scope="module")
def trained(features: SplitFeatures, tmp_path_factory: pytest.TempPathFactory) -> tuple[KltCodec, Path]:
    """What a small network starts from, and its folder."""
    klt, folder = fit_codec(features, 0.995), tmp_path_factory.mktemp("meta")
    train(features, klt, folder, SETTINGS, recipe=RECIPE, sizes=SIZES, progress=lambda _: None)
    return klt, folder


def test_trains_exports_goes_on_and_is_measured(features: SplitFeatures, trained: tuple[KltCodec, Path]) -> None:
    said: list[str] = []
    klt, tmp_path = trained
    facts = json.loads((tmp_path / "meta.training.json").read_text())
    assert facts["steps"] > 0
    assert facts["pictures"] == 40
    longer = replace(SETTINGS, minutes=0.06)
    train(features, klt, tmp_path, longer, recipe=RECIPE, sizes=SIZES, progress=said.append)
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
    assert {"bytes of meta / klt at agreement 0.90", "bytes of meta / best bare pixel codec at agreement 0.85"} <= names


def test_tuning_photos_are_fitting_photos_that_the_candidates_never_saw(features: SplitFeatures) -> None:
    known = held_out(replace(features, each=2))  # 20 photos, each with a crop
    assert len(known.fit) == 32
    assert len(known.test) == 8
    names = {id(one) for one in features.fit}
    assert {id(one) for one in (*known.fit, *known.test)} == names
    assert not {id(one) for one in known.fit} & {id(one) for one in known.test}
    assert known.reference_top1 == tuple(features.network.tail.top1(one.values) for one in known.test)
    assert known.frequency_sensitivity.shape == features.frequency_sensitivity.shape


@pytest.mark.parametrize(
    ("curves", "wanted"),
    [
        ([[(100, 0.86)], [(90, 0.86)]], 1),  # fewer bytes at the same level
        ([[(100, 0.86)], [(300, 0.91)]], 1),  # a higher level
        ([[(100, 0.86)], [(100, 0.86)]], 0),
        ([[(100, 0.5)], [(100, 0.7)]], 1),  # none is reached
        ([[(100, 0.5)], [(900, 0.85)]], 1),
    ],
)
def test_the_highest_level_counts_then_bytes(curves: list[list[tuple[float, float]]], wanted: int) -> None:
    assert best(curves) == wanted


def test_settings_are_chosen_without_a_test_photo(
    features: SplitFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test photos that cannot even be read change nothing, and the settings that measured best are taken."""
    blind = replace(features, each=2, test=(None,) * 4, reference_top1=(None,) * 4)  # type: ignore[arg-type]
    asked: list[MetaSettings] = []

    def stand_in(known: SplitFeatures, klt: object, out: Path, settings: MetaSettings, **_: object) -> MetaSettings:
        assert len(known.fit) == 32
        asked.append(settings)
        return settings

    def curve(codec: object, known: SplitFeatures, progress: Progress) -> list[tuple[float, float]]:
        if not isinstance(codec, MetaSettings):
            return [(float(len(asked) + 500), 0.9)]
        worth = codec.reach + 10 * codec.start_step + 5 * codec.eight_bits - codec.minutes
        return [(1000 - worth, 0.91)]

    monkeypatch.setattr(choosing, "train", stand_in)
    monkeypatch.setattr(choosing, "fit_codec", lambda known, share: share)
    monkeypatch.setattr(choosing, "_points", curve)
    with Progress(quiet=True) as progress:
        chosen = choose(blind, tmp_path, progress)
    assert chosen.finest_retained == choosing.FINEST_RETAINED[0]
    assert chosen.meta == MetaSettings(max(choosing.REACHES), max(choosing.START_STEPS), eight_bits=True)
    trained = [one for one in asked if one.minutes]
    assert [(one.minutes, one.answer_rate) for one in trained] == list(choosing.TRAININGS)
    assert "int8" in chosen.note


def test_the_suite_compares_chosen_codecs_with_bare_pictures_first(
    features: SplitFeatures, trained: tuple[KltCodec, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    pixels = tuple(rng.integers(0, 255, (224, 224, 3)).astype(np.uint8) for _ in features.test)
    whole = replace(features, test_pixels=pixels, reference_lead=(9, 9, 9, 1))
    chosen = Chosen(0.995, SETTINGS)
    klt, folder = trained
    monkeypatch.setattr(suite, "load_split_features", lambda *_: whole)
    monkeypatch.setattr(suite, "choose", lambda *_: chosen)
    monkeypatch.setattr(suite, "fit_codec", lambda *_: klt)
    monkeypatch.setattr(suite, "train", lambda *_, **__: MetaCodec.load(folder))
    monkeypatch.setattr(suite, "tune_pixels", lambda *_: [{"size": 32, "quality": 50}])
    result = suite.PhotosSuite().run(quiet=True)
    plan = OtherFamilies.load()
    others = {*plan.fixed, *plan.guided}
    there = {"klt", "meta", *bare_pictures(), *picture_files(), *others}
    assert {row.strategy for row in result.rows} == there == set(result.b99)
    assert {row.setting for row in result.rows if row.strategy == "divprune"} == set(map(label, plan.fixed["divprune"]))
    sizes = {row.setting: row.payload_bytes for row in result.rows if row.strategy == "int4"}
    assert sizes == {"default": 49 * (2 + 320 / 2)}  # of each token a scale in half precision, then halves of bytes
    assert set(result.b99_ci) == set(result.b99)
    assert {row.questions for row in result.rows} == {4}
    assert any(row.sure_agreement != row.agreement for row in result.rows)
    bounded = [figure.name for figure in result.figures if figure.must is not None]
    assert bounded == [
        "bytes of klt / best bare pixel codec at agreement 0.85",
        "bytes of meta / klt at agreement 0.90",
    ]
    assert chosen.note in result.notes
    text = (publish(result, tmp_path)[1]).read_text(encoding="utf-8")
    assert "agreement of sure answers" in text

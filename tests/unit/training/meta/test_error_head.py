"""The error head learns what can be learned, and its figures are those of their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from heliograph.codec.expectation import question_features
from heliograph.codec.fitting.fit import fit_klt
from heliograph.errors import CodecNotFittedError
from heliograph.reference.recipe import build_reference_model
from heliograph.reference.render import render_scene
from heliograph.training.meta import error_head
from heliograph.training.meta.data import MetaData
from heliograph.training.meta.error_head import Judged, auroc, correlation, fit_error_head, judge, reliability
from heliograph.training.meta.network import MetaDecoder, MetaEncoder, MetaSizes, RateModel
from heliograph.training.meta.start import start_from_components, token_space
from heliograph.training.meta.teacher import Teacher
from heliograph.vlm.model import VisionLanguageModel

LATENTS = 8


def judged(pictures: int = 240, seed: int = 1) -> Judged:
    """Answers differ more on short prefixes, on large latents and for one of two questions."""
    rng = np.random.default_rng(seed)
    picture = np.repeat(np.arange(pictures), 10)
    share = rng.random(len(picture))
    size = rng.random(len(picture))
    counting = rng.random(len(picture)) < 0.5
    odds = 3 - 6 * share + 2 * size + 2 * counting - 2
    prefix = np.zeros((len(picture), 3 + LATENTS), np.float32)
    prefix[:, 0], prefix[:, 1], prefix[:, 2], prefix[:, 3] = share, share**2, share**0.5, size
    words = np.stack([question_features("how many?"), question_features("what colour?")])
    return Judged(
        picture,
        np.ceil(share * LATENTS).astype(np.int64),
        prefix,
        words[np.where(counting, 0, 1)],
        (-3 * share + size).astype(np.float32),
        (rng.random(len(picture)) < 1 / (1 + np.exp(-odds))).astype(np.float32),
    )


def test_it_learns_what_there_is_to_learn() -> None:
    _, found = fit_error_head(judged(), seed=0)
    assert found["pictures"] == 60
    assert found["auroc"] > found["auroc_prefix_alone"] > 0.75
    assert found["error_correlation"] > 0.95
    for predicted, real, samples in found["reliability"]:
        assert abs(predicted - real) < 0.2 or samples < 40
    stretches = found["stretches"]
    assert [one["latents"] for one in stretches] == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert stretches[0]["differs"] > stretches[-1]["differs"]
    assert stretches[0]["predicted"] > stretches[-1]["predicted"]


def test_the_same_seed_learns_the_same_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_head, "_STEPS", 300)
    first, second, other = (fit_error_head(judged(40), seed)[0] for seed in (5, 5, 6))
    assert np.array_equal(first.hidden_weights, second.hidden_weights)
    assert not np.array_equal(first.hidden_weights, other.hidden_weights)


def test_figures_are_those_of_their_definitions() -> None:
    scores, truth = np.array([0.1, 0.4, 0.4, 0.9]), np.array([0.0, 0, 1, 1])
    assert auroc(scores, truth) == pytest.approx(3.5 / 4)
    assert auroc(scores, np.ones(4)) is None
    assert correlation(scores, 2 * scores) == pytest.approx(1)
    assert correlation(scores, np.ones(4)) is None
    bins = reliability(np.array([0.05, 0.07, 0.95, 1.0]), np.array([0.0, 1, 1, 1]))
    assert bins == [(pytest.approx(0.06), 0.5, 2), (pytest.approx(0.975), 1.0, 2)]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return Teacher(VisionLanguageModel.load(str(build_reference_model(tmp_path_factory.mktemp("model"), seed=4))))


def test_every_picture_is_judged_at_six_cuts(teacher: Teacher) -> None:
    tokens = teacher.model.encode_images([render_scene(seed).image for seed in range(8)])
    asked = teacher.own_answers(tokens[:2], [("is there a red star?", "how many?"), ("what is this?",)])
    data = MetaData(torch.stack([torch.from_numpy(one.values) for one in tokens[:2]]), asked, tokens[0].grid)
    space = token_space(fit_klt(tokens, modes=("none",), max_components=6, restore=False), data.tokens, 6)
    sizes = MetaSizes(8, 8, 6, latents=LATENTS, channels=2, width=16, encoder_layers=1, decoder_layers=1, heads=2)
    encoder, decoder = MetaEncoder(sizes), MetaDecoder(sizes)
    start_from_components(encoder, decoder, RateModel(sizes), space.features(data.tokens), 0.36)
    found = judge(teacher, space, encoder, decoder, data, seed=1)
    assert found.picture.tolist() == [0] * 12 + [1] * 6
    assert found.prefix.shape == (18, 3 + LATENTS)
    assert set(found.differs.tolist()) <= {0.0, 1.0}
    assert (found.count[[0, 12]] == LATENTS).all()
    for index in (0, 1):
        own = found.where(found.picture == index)
        assert own.error[own.count.argmax()] == pytest.approx(own.error.min(), abs=1e-4)  # sums in another order
    with pytest.raises(CodecNotFittedError):
        judge(teacher, space, encoder, decoder, MetaData(data.tokens, [[], []], data.grid), seed=1)

"""Predictors, and the tower with their decisions: the model's own where all stay, and blind to what has gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from heliograph.edge.short_tower import unit_patches
from heliograph.errors import UsageError
from heliograph.reference.render import render_scene
from heliograph.training.export.onnx_graphs import trace
from heliograph.training.pruning import train
from heliograph.training.pruning.predictor import DecidedTower, Predictor, Scores
from heliograph.vlm.model import VisionLanguageModel


@pytest.fixture(scope="module")
def vlm() -> VisionLanguageModel:
    return VisionLanguageModel.load("reference")


@pytest.fixture
def tower(vlm: VisionLanguageModel) -> DecidedTower:
    torch.manual_seed(0)
    return DecidedTower(vlm.torch_model, (1, 3), torch.from_numpy(unit_patches(vlm.grid, 1)))


def pixels(*seeds: int) -> torch.Tensor:
    photos = np.stack([np.asarray(render_scene(seed).image.resize((128, 128))) for seed in seeds])
    return torch.from_numpy(photos).permute(0, 3, 1, 2).float() / 127.5 - 1


def deciding(tower: DecidedTower, stays: list[torch.Tensor]) -> None:
    """Make the predictors say what is given, by so much that chance plays no part."""
    tower.predictors = [  # type: ignore[assignment]
        lambda states, kept, stay=stay: torch.stack([stay * 1e4, (1 - stay) * 1e4], -1).expand(len(states), -1, -1)
        for stay in stays
    ]


def test_a_tower_whose_tokens_all_stay_is_the_models_own(tower: DecidedTower, vlm: VisionLanguageModel) -> None:
    deciding(tower, [torch.ones(64)] * 2)
    shown = pixels(3, 4)
    with torch.no_grad():
        made, decisions = tower.decided(shown)
        whole = tower.whole(shown)
        own = vlm.torch_model.get_image_features(
            pixel_values=shown[:, None], pixel_attention_mask=torch.ones(2, 1, 128, 128, dtype=torch.bool)
        ).pooler_output
    assert torch.allclose(whole, torch.stack(list(own)).reshape(whole.shape), atol=1e-4)
    assert torch.allclose(made, whole, atol=1e-3)
    assert [one.mean().item() for one in decisions] == [1, 1]


def test_what_has_gone_is_seen_by_nothing_behind_and_does_not_come_back(
    tower: DecidedTower, vlm: VisionLanguageModel
) -> None:
    first, second = (torch.arange(64) >= 8).float(), (torch.arange(64) % 2).float()
    deciding(tower, [first, second])
    with torch.no_grad():
        _, decisions = tower.decided(pixels(5))
    assert torch.equal(decisions[0][0], first)
    assert torch.equal(decisions[1][0], first * second)
    early = DecidedTower(vlm.torch_model, (0,), tower.patches)
    deciding(early, [first])
    one, other = pixels(5), pixels(5)
    other[:, :, :16] *= -1  # the eight patches that go
    with torch.no_grad():
        here, there = early.decided(one)[0], early.decided(other)[0]
    assert torch.allclose(here[:, 8:], there[:, 8:], atol=1e-3)
    assert not torch.allclose(here[:, :8], there[:, :8], atol=0.1)


def test_a_predictor_looks_at_what_is_kept_alone() -> None:
    torch.manual_seed(1)
    predictor = Predictor(16)
    states, kept = torch.randn(1, 10, 16), (torch.arange(10) < 6).float()[None]
    other = states.clone()
    other[:, 6:] = 9.0
    assert torch.allclose(predictor(states, kept)[:, :6], predictor(other, kept)[:, :6], atol=1e-5)
    assert torch.allclose(predictor(states, kept)[:, :6], predictor(states[:, :6]), atol=1e-5)
    assert not torch.allclose(predictor(states)[:, :6], predictor(other)[:, :6], atol=1e-3)


def test_the_graph_takes_any_number_of_patches(tmp_path: Path) -> None:
    predictor, path = Predictor(16), tmp_path / "stage.onnx"
    axes = {"states": {1: "patches"}, "scores": {1: "patches"}}
    given = (torch.zeros(1, 8, 16),)
    trace(Scores(predictor), given, path, input_names=["states"], output_names=["scores"], dynamic_axes=axes)
    session = onnxruntime.InferenceSession(str(path))
    for count in (1, 5, 40):
        states = torch.randn(1, count, 16)
        (found,) = session.run(None, {"states": states.numpy()})
        assert np.allclose(found, predictor(states)[..., 0].detach().numpy(), atol=1e-3)


def test_a_run_goes_on_where_it_was_and_is_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Few:
        first = 6_500_000

        def __init__(self, *given: Any) -> None:
            pass

        def pixels(self) -> np.ndarray:
            return np.random.default_rng(0).integers(0, 256, (4, 128, 128, 3), dtype=np.uint8)

    clock = iter(range(0, 10_000, 5))
    monkeypatch.setattr(train, "SceneCache", Few)
    monkeypatch.setattr(train, "_BATCH", 2)
    monkeypatch.setattr(train, "now_s", lambda: next(clock))
    out, said = tmp_path / "dynamicvit", list[str]()
    given: dict[str, Any] = {"model": "reference", "seed": 2, "progress": said.append}
    first = train.train_part("dynamicvit", out, minutes=0.3, **given)
    more = train.train_part("dynamicvit", out, minutes=0.6, **given)
    assert (first.card["steps"], more.card["steps"]) == (4, 8)
    assert first.card["stages"] == [1, 3, 4]
    assert first.card["data"] == "1500 generated scenes from seed 6500000"
    assert first.card["machine"].endswith(torch.__version__)
    assert set(first.card["figures"]) == {"last_restored", "last_kept", "last_ratio", "last_share"}
    assert first.identity != more.identity
    with pytest.raises(UsageError, match="another run"):
        train.train_part("dynamicvit", out, minutes=0.6, **{**given, "seed": 3})

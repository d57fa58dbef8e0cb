"""A training run trains, stops, goes on where it was, and writes a folder that loads like any checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForImageTextToText, AutoProcessor

from heliograph.reference.scenes import DEV_START
from heliograph.training.reference import language, model_card, phases, scene_shards
from heliograph.training.reference import loop as reference_loop


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_shards, "SHARD_SCENES", 12)
    monkeypatch.setattr(reference_loop, "HELD_OUT_SEEDS", range(DEV_START, DEV_START + 6))
    monkeypatch.setattr(reference_loop, "load_easy_store", lambda seed: None)
    monkeypatch.setattr(model_card, "_mark_easy", lambda model, marks: None)
    monkeypatch.setattr(phases, "TOWER_VIEWS", 3)
    monkeypatch.setattr(phases, "TOWER_CROPS", 1)
    monkeypatch.setattr(language.LanguagePhase, "batch_size", 2)
    monkeypatch.setattr(language.JointPhase, "batch_size", 2)


@pytest.mark.usefixtures("tiny")
def test_a_run_resumes_and_exports(tmp_path: Path) -> None:
    said: list[str] = []
    folder = reference_loop.train_reference(
        tmp_path, minutes=0.02, seed=5, shards=1, card_scenes=2, progress=said.append
    )
    assert any(line.startswith("joint") for line in said)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| existence |" in card
    assert "seed 5;" in card
    again: list[str] = []
    reference_loop.train_reference(tmp_path, minutes=0.02, seed=5, shards=1, card_scenes=0, progress=again.append)
    assert any("going on from joint" in line for line in again)
    assert not any("rendering" in line for line in again)
    model: Any = AutoModelForImageTextToText.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    assert type(model).__name__ == "Idefics3ForConditionalGeneration"
    assert processor.image_seq_len == 64
    assert (folder / "model.safetensors").stat().st_size <= 12_000_000


def test_shards_never_reach_the_dev_split() -> None:
    with pytest.raises(ValueError, match="dev split"):
        scene_shards.shard_seeds(DEV_START // scene_shards.SHARD_SCENES)


@pytest.mark.usefixtures("tiny")
def test_a_rendered_shard_is_reused(tmp_path: Path) -> None:
    path = scene_shards.render_shard(0, tmp_path)
    before = path.stat().st_mtime_ns
    assert scene_shards.render_shard(0, tmp_path) == path
    assert path.stat().st_mtime_ns == before

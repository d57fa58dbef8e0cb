"""``heliograph calibrate`` on scenes, on photos without labels, and where it has to refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from heliograph.cli.main import main
from heliograph.codec.bundle import Bundle
from heliograph.codec.calibration import CALIBRATION, CONFIDENCES, Calibration
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.reference.recipe import build_reference_model
from heliograph.reference.render import render_scene


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(shipped_bundle_folder(), tmp_path_factory.mktemp("bundle") / "bundle"))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["calibrate", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_scenes_give_a_calibration_that_the_bundle_takes(
    bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Bundle.load(bundle_folder)
    shipped = before.calibration
    words = ("--scenes", "4", "--seed", "8090000", "--codec", str(bundle_folder), "--out", str(tmp_path), "--install")
    found = run(capsys, *words)
    after = Bundle.load(bundle_folder)
    assert after.hash == before.hash
    assert after.calibration == Calibration.load(tmp_path / CALIBRATION) != shipped
    assert set(found["targets"]) == {"agrees", "right"}
    assert found["targets"]["right"]["tasks"]["all"]["combined"]["auroc"] > 0.5
    assert all(Path(name).is_file() for name in found["files"])
    assert found["photos"] == 2

    written = (tmp_path / "answers.npz").stat().st_mtime_ns
    assert main(["calibrate", *words]) == 0
    assert (tmp_path / "answers.npz").stat().st_mtime_ns == written  # the second run has only fitted
    assert "AUROC" in capsys.readouterr().out


def test_photos_without_labels_give_the_chance_of_the_same_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(8_090_100, 8_090_106):
        render_scene(seed).image.save(photos / f"{seed}.png")
    (photos / "notes.jpg").write_text("no photo")
    found = run(capsys, "--photos", str(photos), "--scenes", "5", "--out", str(tmp_path / "out"))
    assert list(found["targets"]) == ["agrees"]
    made = Calibration.load(tmp_path / "out" / CALIBRATION)
    assert set(CONFIDENCES) <= set(made.agrees)
    assert made.facts["photos"] == 5


def test_another_model_needs_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = build_reference_model(tmp_path / "model", seed=3)
    assert main(["calibrate", "--vlm", str(other), "--out", str(tmp_path / "out")]) == 2
    assert "--photos" in capsys.readouterr().err

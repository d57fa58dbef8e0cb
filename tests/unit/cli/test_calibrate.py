"""``heliograph calibrate``: what it refuses before it loads a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.cli import calibrate
from heliograph.cli.main import main
from heliograph.codec.bundle import Bundle
from heliograph.codec.levels import LEVELS, LevelCurve, LevelCurves
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.reference.recipe import build_reference_model


@pytest.mark.parametrize(
    "options",
    [["--regions"], ["--curves"], ["--install", "--curves", "--photos", "photos"], ["--photos", "p", "--regions"]],
)
def test_what_needs_scenes_and_a_folder_says_so(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", "--out", str(tmp_path / "out"), *options]) == 2
    assert "need scenes (no --photos) and --install" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_another_model_needs_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = build_reference_model(tmp_path / "model", seed=9)
    assert main(["calibrate", "--vlm", str(model), "--out", str(tmp_path / "out")]) == 2
    assert "only the reference model knows scenes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


CURVES = LevelCurves(
    {"klt": LevelCurve((40, 8), (0.25, 0.754), 30, 90), "meta": LevelCurve((0, 9), (0.1, 1.0), 31, 91)}
)


def test_levels_alone_are_shown_written_and_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "codec", tmp_path / "out"
    shipped = Bundle.load(shipped_bundle_folder())
    shipped.save_pretrained(folder)
    asked = list[int]()
    monkeypatch.setattr(calibrate, "_levels", lambda arguments, bundle, most: asked.append(most) or CURVES)
    words = ["calibrate", "--levels", "--scenes", "30", "--codec", str(folder), "--out", str(out)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "klt: 90 questions about 30 photos" in shown
    assert "75.4%" in shown
    assert LevelCurves.load(out / LEVELS) == CURVES
    assert Bundle.load(folder).levels == shipped.levels != CURVES
    assert main([*words, "--install"]) == 0
    assert Bundle.load(folder).levels == CURVES
    assert Bundle.load(folder).hash == shipped.hash
    assert asked == [30, 30]


def test_too_few_photos_for_levels_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calibrate, "_levels", lambda arguments, bundle, most: None)
    assert main(["calibrate", "--levels", "--scenes", "3", "--out", str(tmp_path / "out")]) == 3
    assert "codec-not-fitted" in capsys.readouterr().err

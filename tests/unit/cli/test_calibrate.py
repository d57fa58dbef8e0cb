"""``heliograph calibrate``: what it refuses before it loads a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.cli.main import main
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

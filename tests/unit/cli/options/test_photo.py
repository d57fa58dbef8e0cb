"""What the command line says of a photo: which one, what is wrong, what to do next, and what to know."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from heliograph.cli.main import main

ENCODE = ("--strategy", "jpeg", "-o")


def cut_jpeg(path: Path) -> Path:
    out = io.BytesIO()
    Image.effect_noise((128, 128), 60).convert("RGB").save(out, "JPEG", quality=90)
    path.write_bytes(out.getvalue()[: len(out.getvalue()) * 3 // 4])
    return path


def test_errors_name_the_photo_and_the_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    path = tmp_path / "sig\x1bn.jpg"
    assert main(["encode", str(path), *ENCODE, str(tmp_path / "out.hgs")]) == 3
    said = capsys.readouterr().err
    assert said.startswith("heliograph: photo-missing: ")
    assert said.startswith(f"heliograph: photo-missing: {tmp_path}/sig\\x1bn.jpg: ")
    assert said.endswith(" Check the path.\n")
    cut_jpeg(path)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "denied")

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", refuse)
        assert main(["encode", str(path), *ENCODE, str(tmp_path / "out.hgs")]) == 3
    said = capsys.readouterr().err
    assert said.startswith("heliograph: photo-forbidden: ")
    assert said.startswith(f"heliograph: photo-forbidden: {tmp_path}/sig\\x1bn.jpg: ")
    assert said.endswith(" Let this user read the file and its folder.\n")


def test_a_cut_photo_is_used_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = cut_jpeg(tmp_path / "photo.jpg"), tmp_path / "out.hgs"
    assert main(["encode", str(path), *ENCODE, str(out)]) == 0
    assert "ends early" in capsys.readouterr().err
    assert main(["encode", str(path), *ENCODE, str(out), "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "ends early" in json.loads(said.out)["photo_notes"][0]

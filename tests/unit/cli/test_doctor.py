"""What the doctor calls ok, absent and broken."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from heliograph.cli import doctor
from heliograph.cli.doctor import ABSENT, BROKEN, OK, check_data, check_module, check_port, picture_round_trip
from heliograph.cli.main import main
from heliograph.errors import BundleDamagedError, PhotoUnreadableError
from heliograph.reasons import BundlePart, FileFault


def test_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert check_module("numpy", "base").status == OK
    absent = check_module("surely_not_installed", "cloud")
    assert (absent.status, absent.needed) == (ABSENT, False)
    assert "heliograph[cloud]" in absent.detail
    (tmp_path / "broken_binary.py").write_text("raise OSError('\\x1b')")
    monkeypatch.syspath_prepend(tmp_path)
    broken = check_module("broken_binary", "edge")
    assert (broken.status, broken.needed) == (BROKEN, True)
    assert "OSError" in broken.detail
    assert "\x1b" not in broken.detail
    assert "torch" not in sys.modules or check_module("torch", "cloud").status == OK


def test_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert check_port(taken.getsockname()[1]).status == ABSENT
    assert check_port(0).status == OK


def test_pictures() -> None:
    assert "Pillow" in picture_round_trip("JPEG")
    with pytest.raises(PhotoUnreadableError):
        picture_round_trip("NO-SUCH-FORMAT")


def test_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HELIOGRAPH_DATA", str(tmp_path))
    assert check_data("kodak").status == ABSENT
    (tmp_path / "kodak").mkdir()
    assert check_data("kodak").status == OK


def test_named_errors_and_missing_packages_become_lines() -> None:
    def damaged() -> str:
        raise BundleDamagedError(BundlePart.MANIFEST, FileFault.NOT_JSON)

    def missing() -> str:
        raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")

    assert doctor._guarded("x", True, damaged).status == BROKEN
    assert doctor._guarded("x", True, missing) == doctor.Check("x", ABSENT, True, "needs onnxruntime")


def test_families_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--vlms"]) == 0
    shown = capsys.readouterr().out
    assert "qwen3_vl" in shown
    assert "are exact." in shown
    assert main(["doctor", "--vlms", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["families"]) > 90

"""What the doctor calls ok, absent and broken."""

from __future__ import annotations

import importlib.util
import json
import re
import socket
import sys
from pathlib import Path

import pytest

from heliograph.cli.doctor import checks as doctor
from heliograph.cli.doctor.abilities import ALONE, BENCH, ENCODE, HEIC, NO, SERVE, TRAIN, YES, abilities_from
from heliograph.cli.doctor.checks import (
    ABSENT,
    BROKEN,
    MODULES,
    OK,
    Check,
    check_data,
    check_module,
    check_port,
    picture_round_trip,
)
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
    assert "OSError" not in broken.detail
    assert "cannot be loaded: \\x1b; pip install --force-reinstall broken_binary" in broken.detail
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


def found(**changed: str) -> list[Check]:
    """What is found where all is well, but for these."""
    names = [module for part in MODULES.values() for module in part]
    names += ["python", "jpeg", "webp", "avif", "reference model", "bundle", "encoding a photo", "local model"]
    plain = {name.replace(" ", "_"): name for name in names}
    return [Check(name, changed.get(key, OK), False, f"of {name}") for key, name in plain.items()]


def test_what_is_missing_for_what_a_person_wants_is_named() -> None:
    assert all(ability.works is YES for ability in abilities_from(found()))
    able = {one.name: one for one in abilities_from(found(torch=ABSENT, uvicorn=ABSENT, pillow_heif=ABSENT))}
    assert able[ENCODE].works is able[ALONE].works is YES
    assert able[SERVE].works is able[TRAIN].works is able[HEIC].works is NO
    assert able[SERVE].found == "torch, uvicorn missing: pip install 'heliograph[cloud]'"
    assert able[TRAIN].found == "torch, uvicorn missing: pip install 'heliograph[train]'"
    assert able[HEIC].found == "pillow_heif missing: pip install 'heliograph[heif]'"


def test_what_a_person_wants_fails_where_what_it_rests_on_fails() -> None:
    able = {one.name: one for one in abilities_from(found(bundle=BROKEN, local_model=ABSENT))}
    assert (able[ENCODE].works, able[ENCODE].found) == (NO, "of bundle")
    able = {one.name: one for one in abilities_from(found(local_model=ABSENT))}
    assert (able[ENCODE].works, able[ALONE].works) == (YES, NO)
    able = {one.name: one for one in abilities_from(found(onnxruntime=BROKEN))}
    assert able[ENCODE].found == "onnxruntime: of onnxruntime"
    plug_in = [*found(), Check("strategy grey", OK, False, "grey 1.0", plug_in=True)]
    assert [one.found for one in abilities_from(plug_in) if one.name == "use strategy grey"] == ["grey 1.0"]
    faulty = [*found(webp=BROKEN), Check("strategy quince", BROKEN, False, "it cannot be imported")]
    assert {"use webp", "use strategy quince"} <= {one.name for one in abilities_from(faulty) if one.works is NO}


def test_what_is_in_the_other_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    able = {one.name: one for one in abilities_from(found())}
    assert able[ENCODE].works is able[SERVE].works is YES
    assert (able[TRAIN].works, able[BENCH].works) == (NO, NO)
    assert "heliograph-cloud" in able[TRAIN].found


def test_rows_for_maintainers_are_shown_where_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HELIOGRAPH_SERVER", raising=False)
    monkeypatch.setattr(doctor, "check_images", lambda: Check("image processor", OK, False, ""))
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "encode a photo" in shown
    assert "not tried" in shown
    assert "onnxruntime" not in shown
    assert main(["doctor", "--verbose", "--port", "0"]) == 0
    shown = capsys.readouterr().out
    assert "encode a photo" in shown
    assert "onnxruntime" in shown


def test_families_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--vlms"]) == 0
    shown = capsys.readouterr().out
    assert "qwen3_vl" in shown
    assert "are exact." in shown
    assert not re.search(r"\w(Error|Exception)\b", shown)
    assert main(["doctor", "--vlms", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["families"]) > 90

"""The scripts in ``examples/`` run as they are, and print what they are there to show."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from heliograph.reference.assets import demo_photo_path
from heliograph.registry import CONTROLLERS, STRATEGIES
from heliograph.serving.cloud import Cloud

EXAMPLES = Path(__file__).parents[2] / "examples"


class Runner:
    """Runs one example in this process, over the model that is loaded already."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, name: str, *arguments: str | Path) -> tuple[int, list[str]]:
        self._monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        except SystemExit as end:
            code = int(end.code or 0)
        return code, self._capsys.readouterr().out.splitlines()


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shared_cloud: Cloud, pair_as_default: object
) -> Runner:
    monkeypatch.setattr("heliograph.testing._cloud", lambda: shared_cloud)
    monkeypatch.setattr("heliograph.vlm.opening.open_model", lambda name: shared_cloud.model)
    for registry in (CONTROLLERS, STRATEGIES):  # what an example registers is gone afterwards
        monkeypatch.setattr(registry, "_registered", [])
        monkeypatch.setattr(registry, "_resolved", None)
    return Runner(monkeypatch, capsys)


def payload_bytes(line: str) -> int:
    found = re.search(r"\(([\d,]+) bytes of photo\)$", line)
    assert found is not None, line
    return int(found[1].replace(",", ""))


def test_loopback(run: Runner) -> None:
    code, lines = run("loopback.py")
    assert code == 0
    assert [line.partition("? ")[2].partition(" (")[0] for line in lines[1:]] == ["4", "K52"]
    assert payload_bytes(lines[0]) > 0
    assert [payload_bytes(line) for line in lines[1:]] == [0, 0]  # the cloud holds the photo


def test_custom_controller(run: Runner) -> None:
    code, lines = run("custom_controller.py")
    assert code == 0
    assert [line.rpartition(": ")[2] for line in lines[:3]] == ["Wait", "Enough", "Enough"]
    assert lines[3].startswith("K52 (")


def test_custom_strategy(run: Runner) -> None:
    code, lines = run("custom_strategy.py")
    assert code == 0
    assert [line.partition(" (")[0] for line in lines] == ["float16: K52", "meta: K52"]
    assert payload_bytes(lines[0]) == 64 * 128 * 2  # tokens, channels, bytes of a half-precision number
    assert payload_bytes(lines[1]) < payload_bytes(lines[0]) / 50


def test_batch_over_a_folder(run: Runner, tmp_path: Path) -> None:
    for name in ("b.jpg", "a.JPG"):
        shutil.copy(demo_photo_path(), tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("left alone")
    code, lines = run("batch_folder.py", tmp_path, "how many objects are there?")
    rows = [json.loads(line) for line in lines]
    assert [row["photo"] for row in rows] == ["a.JPG", "b.jpg", "broken.png"]
    assert [row.get("answer") for row in rows] == ["4", "4", None]
    assert rows[2]["error"] == "photo-unreadable"
    assert code == 1  # not every photo was answered


def test_a_batch_without_a_server_stops_at_once(run: Runner, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(demo_photo_path(), tmp_path / name)
    code, lines = run("batch_folder.py", tmp_path, "how many objects are there?", "--server", "ws://127.0.0.1:9")
    assert code == 1
    assert [json.loads(line) for line in lines] == [{"photo": "a.jpg", "error": "server-unreachable"}]


def test_every_example_is_run_here_and_named_in_the_documentation() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    page = (EXAMPLES.parent / "docs" / "howto" / "library.md").read_text(encoding="utf-8")
    names = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert len(names) >= 4
    assert [name for name in names if f'run("{name}"' not in tested or f"examples/{name})" not in page] == []

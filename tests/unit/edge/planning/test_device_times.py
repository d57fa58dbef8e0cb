"""How long the device takes, kept between runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliograph.controllers.curves import Curve, Curves, Origin, Point
from heliograph.edge.planning.device_times import DeviceTimes, state_path


def curves() -> Curves:
    """``meta`` in 15 ms, ``webp`` in 5 ms."""
    every = (
        Curve("meta", "tokens", (Point({"max_bytes": 60}, 60.0, 15.0, 2.0, {"all": 0.8}),)),
        Curve("webp", "picture", (Point({"size": 50, "quality": 50}, 500.0, 5.0, 0.2, {"all": 0.9}),)),
    )
    return Curves(Origin("2026-11-22", "planner", "a machine", "abc", 1200), every, {"tokens": 20.0})


def test_the_median_is_kept_and_cuts_of_a_codec_share_it() -> None:
    times = DeviceTimes()
    for seconds in (0.1, 0.5, 0.2):
        times.note("meta max_bytes=60", seconds)
    times.note("webp size=50,quality=50", 0.01)
    assert times.encode_s == {"meta": 0.2, "webp size=50,quality=50": 0.01}


def test_the_factor_compares_with_the_curves() -> None:
    times = DeviceTimes()
    assert times.factor(curves()) == (1.0, 0)
    times.note("meta max_bytes=60", 0.060)
    times.note("webp size=50,quality=50", 0.020)
    times.note("loading tokens", 9.0)
    factor, samples = times.factor(curves())
    assert factor == pytest.approx(4.0)
    assert samples == 2


def test_they_are_kept_on_disk(tmp_path: Path) -> None:
    times = DeviceTimes(tmp_path / "a" / "times.json")
    times.note("meta", 0.25)
    times.save()
    assert DeviceTimes.load(tmp_path / "a" / "times.json").encode_s == {"meta": 0.25}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["times.json"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"format": 2, "ways": {"meta": [1]}}', b'{"format": 1, "ways": {"meta": ["x"]}}', b"\xff"],
)
def test_damaged_files_are_no_history(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    path.write_bytes(content)
    assert DeviceTimes.load(path).encode_s == {}


def test_nonsense_is_left_out_and_the_number_of_ways_is_bounded(tmp_path: Path) -> None:
    times = DeviceTimes(tmp_path / "times.json")
    for seconds in (0.0, -1.0, float("nan"), 1e9):
        times.note("meta", seconds)
    assert times.encode_s == {}
    for number in range(400):
        times.note(f"webp size={number}", 0.1)
    times.save()
    assert len(json.loads((tmp_path / "times.json").read_text())["ways"]) == 256


def test_where_it_cannot_be_written_nothing_happens(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for times in (DeviceTimes(tmp_path / "file" / "times.json"), DeviceTimes()):
        times.note("meta", 0.5)
        times.save()
        assert times.encode_s == {"meta": 0.5}
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "kept")]


def test_the_place_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HELIOGRAPH_STATE", str(tmp_path))
    assert state_path(b"\x01\x02") == tmp_path / "times-0102.json"
    assert state_path(b"") != state_path(b"\x01")


def test_folders_that_are_not_there_are_made(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "heliograph" / "times.json"
    times = DeviceTimes(path)
    times.note("meta max_bytes=60", 0.5)
    times.save()
    assert DeviceTimes.load(path).encode_s == times.encode_s

"""Bounds of what is remembered of encoding times, and where it is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliograph.controllers.curves import Curve, Curves, Origin, Point
from heliograph.edge.planning.device_times import DeviceTimes, state_path


@pytest.mark.parametrize(
    ("name", "seconds", "kept"),
    [
        ("webp size=1", 3600.0, True),
        ("webp size=1", 3600.5, False),
        ("webp size=1", 1e-9, True),
        ("webp size=1", 0.0, False),
        ("w" * 200, 1.0, True),
        ("w" * 201, 1.0, False),
    ],
)
def test_up_to_an_hour_under_a_name_of_200_characters(name: str, seconds: float, kept: bool) -> None:
    times = DeviceTimes()
    times.note(name, seconds)
    assert times.encode_s == ({name: seconds} if kept else {})


def test_the_last_nine_count() -> None:
    times = DeviceTimes()
    for seconds in range(1, 11):
        times.note("webp size=1", float(seconds))
    assert times.encode_s == {"webp size=1": 6.0}  # the middle of 2 to 10


def test_the_257th_candidate_takes_the_place_of_the_first_and_a_known_one_takes_none() -> None:
    times = DeviceTimes()
    for number in range(256):
        times.note(f"webp size={number}", 1.0)
    times.note("webp size=0", 3.0)
    assert len(times.encode_s) == 256
    assert times.encode_s["webp size=0"] == 2.0
    times.note("webp size=256", 1.0)
    assert len(times.encode_s) == 256
    assert "webp size=0" not in times.encode_s
    assert "webp size=1" in times.encode_s


def write(path: Path, ways: object, *, size: int = 0) -> Path:
    path.write_text(json.dumps({"format": 1, "ways": ways}).ljust(size))
    return path


def test_of_a_longer_file_the_first_names_and_their_last_times_are_read(tmp_path: Path) -> None:
    ways = {f"webp size={number}": [100.0, *range(1, 10)] for number in range(300)}
    found = DeviceTimes.load(write(tmp_path / "times.json", ways)).encode_s
    assert (len(found), found["webp size=0"], found["webp size=255"]) == (256, 5.0, 5.0)
    assert "webp size=256" not in found


@pytest.mark.parametrize(("size", "read"), [(262_144, True), (262_145, False)])
def test_a_file_has_a_quarter_of_a_megabyte_at_most(size: int, read: bool, tmp_path: Path) -> None:
    found = DeviceTimes.load(write(tmp_path / "times.json", {"webp size=1": [0.5]}, size=size)).encode_s
    assert found == ({"webp size=1": 0.5} if read else {})


def test_what_is_written_names_its_format(tmp_path: Path) -> None:
    times = DeviceTimes(tmp_path / "times.json")
    times.note("webp size=1", 0.5)
    times.save()
    assert json.loads((tmp_path / "times.json").read_text()) == {"format": 1, "ways": {"webp size=1": [0.5]}}


def test_a_device_is_compared_where_the_curves_know_a_time_of_the_whole_photo() -> None:
    """15 ms for ``meta``; crops and points without a time say nothing."""
    every = (
        Curve("meta", "tokens", (Point({"max_bytes": 60}, 60.0, 15.0, 2.0, {"all": 0.8}),)),
        Curve("webp", "picture", (Point({"size": 8}, 60.0, 0.0, 2.0, {"all": 0.8}),)),
        Curve("webp", "picture", (Point({"size": 9}, 60.0, 5.0, 2.0, {"all": 0.8}),), crop="webp"),
    )
    curves = Curves(Origin("2026-11-22", "planner", "a machine", "abc", 1200), every, {"tokens": 20.0})
    times = DeviceTimes()
    for name in ("meta max_bytes=60", "webp size=8", "webp size=9"):
        times.note(name, 0.03)
    assert times.factor(curves) == (2.0, 1)


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"HELIOGRAPH_STATE": "/a/state", "XDG_CACHE_HOME": "/a/cache"}, "/a/state/times-pictures.json"),
        ({"XDG_CACHE_HOME": "/a/cache"}, "/a/cache/heliograph/times-pictures.json"),
        ({"HOME": "/a/home"}, "/a/home/.cache/heliograph/times-pictures.json"),
    ],
)
def test_where_times_are_kept(variables: dict[str, str], path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HELIOGRAPH_STATE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert state_path(b"") == Path(path)

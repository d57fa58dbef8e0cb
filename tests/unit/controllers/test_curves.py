"""The planner's curves: monotone, bounded, refused where they are damaged; and the kinds of questions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heliograph.controllers.curves import Curve, Curves, Origin, Point, candidate_name, monotone
from heliograph.controllers.question_kind import QuestionKinds
from heliograph.errors import BundleDamagedError


def curves() -> Curves:
    """``meta``, a region behind it, and local."""
    tokens = [
        Point({"max_bytes": size}, float(size), 15.0, 2.0, {"all": quality, "small-print": 0.0})
        for size, quality in ((60, 0.8), (120, 0.95), (150, 0.97))
    ]
    crop = Point({"max_bytes": 150}, 150.0, 15.0, 2.0, {"all": 0.97, "small-print": 0.9}, {"size": 128}, 900.0, 3.0)
    picture = Point({"size": 50, "quality": 50}, 500.0, 5.0, 0.2, {"all": 0.9})
    asked = [("colour", "what colour is the heart?")] * 20 + [("small-print", "what does the small sign say?")] * 5
    every = (
        Curve("meta", "tokens", tuple(tokens)),
        Curve("webp", "picture", (picture,)),
        Curve("meta", "region", (crop,), "webp"),
        Curve("local", "local", (Point({}, 0.0, 12.0, 0.0, {"all": 1.0}),)),
    )
    answer_ms = {"tokens": 20.0, "picture": 30.0, "region": 40.0, "local": 20.0}
    return Curves(
        Origin("2026-11-22", "planner", "a machine", "abc", 1200), every, answer_ms, QuestionKinds.counted(asked)
    )


def test_monotone_gives_the_nearest_sequence_that_never_falls() -> None:
    assert monotone([1, 2, 3, 4], [0.1, 0.5, 0.3, 0.9]) == [0.1, 0.4, 0.4, 0.9]
    assert monotone([1, 2, 3], [0.9, 0.6, 0.3]) == pytest.approx([0.6] * 3)
    assert monotone([3, 1, 2], [0.3, 0.1, 0.2]) == [0.1, 0.2, 0.3]  # ordered by cost


def test_quality_grows_with_bytes_and_is_none_below_the_first_point() -> None:
    meta = curves().curves[0]
    values = [meta.quality(size) for size in (59, 60, 80, 120, 150, 10_000)]
    assert values[0] == 0.0
    assert values[1:] == sorted(values[1:])
    assert values[1] == pytest.approx(0.8)
    assert values[-1] == pytest.approx(0.97)


def test_expected_quality_weighs_the_kinds() -> None:
    known = curves()
    region = known.curves[2].points[0]
    assert known.expected_quality(region, {}) == pytest.approx(0.97)
    assert known.expected_quality(region, {"small-print": 1.0}) == pytest.approx(0.9)
    assert known.expected_quality(region, {"small-print": 0.5, "unheard-of": 0.5}) == pytest.approx(0.935)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "curves.json").write_text(json.dumps(curves().to_json()))
    assert Curves.load(tmp_path / "curves.json") == curves()


def test_a_curve_of_another_measurement_says_so_and_can_be_left_out(tmp_path: Path) -> None:
    known, other = curves(), Origin("2026-12-01", "families", "another machine", "def", 626)
    pq = Curve("pq", "tokens", (Point({"token_bytes": 8}, 514.0, 12.0, 0.3, {"all": 0.98}),), origin=other)
    both = replace(known, curves=(*known.curves, pq))
    (tmp_path / "curves.json").write_text(json.dumps(both.to_json()))
    found = Curves.load(tmp_path / "curves.json")
    assert found == both
    assert found.origins == (known.origin, other)
    assert found.own == known
    assert known.origins == (known.origin,)
    broken = both.to_json()
    broken["curves"][-1]["origin"]["date"] = 20261201
    with pytest.raises(BundleDamagedError):
        Curves.from_json(broken)


def _set(path: list[Any], value: Any) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set(["format"], 2),
        _set(["curves"], []),
        _set(["curves"], [{}]),
        _set(["answer_ms"], {}),
        _set(["curves", 0, "strategy"], "../x"),
        _set(["curves", 0, "sight"], "smell"),
        _set(["curves", 0, "points"], []),
        _set(["curves", 0, "points", 0, "payload_bytes"], float("nan")),
        _set(["curves", 0, "points", 0, "payload_bytes"], -1),
        _set(["curves", 0, "points", 0, "encode_ms"], True),
        _set(["curves", 0, "points", 0, "quality"], {"all": 1.5}),
        _set(["curves", 0, "points", 0, "quality"], {"colour": 0.5}),
        _set(["curves", 0, "points", 0, "setting"], {"k" * 300: 1}),
        _set(["curves", 0, "points", 0, "setting"], {"knob": [1]}),
        _set(["origin", "machine"], "x\x1b[2J"),
        _set(["kinds"], []),
        _set(["kinds", "colour", "questions"], -1),
        _set(["kinds", "colour", "words"], {"two words": 1}),
    ],
)
def test_damaged_curves_are_refused_by_name(change: Callable[[Any], None], tmp_path: Path) -> None:
    data = json.loads(json.dumps(curves().to_json()))
    change(data)
    path = tmp_path / "curves.json"
    path.write_text(json.dumps(data))
    with pytest.raises(BundleDamagedError):
        Curves.load(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b" " * (1 << 20) + b"{}"])
def test_what_is_no_curves_file_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "curves.json").write_bytes(content)
    with pytest.raises(BundleDamagedError):
        Curves.load(tmp_path / "curves.json")


def test_kinds_are_told_from_words() -> None:
    kinds = curves().kinds
    shares = kinds.shares("What does the SMALL plate say?")
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["small-print"] > 0.95
    assert kinds.shares("which colour?")["colour"] > 0.95
    assert kinds.shares("xyzzy")["colour"] == pytest.approx(0.8)  # unknown words: what was asked most
    assert QuestionKinds({}, {}).shares("what?") == {}


def test_a_way_has_one_name() -> None:
    assert candidate_name("local", {}) == "local"
    both = candidate_name("meta", {"max_bytes": 150}, "webp", {"size": 128, "quality": 35})
    assert both == "meta max_bytes=150 + webp size=128,quality=35"

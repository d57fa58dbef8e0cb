"""Curves in numbers: read between points by hand, and every bound of what a file may hold, just within and beyond."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from heliograph.controllers.curves import Curve, Curves, Origin, Point, candidate_name, made_monotone, monotone
from heliograph.controllers.question_kind import QuestionKinds
from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundleFault, BundlePart, FileFault

ANSWER_MS = {"tokens": 20.123456, "picture": 30.0, "region": 40.0, "local": 25.0}
QUALITY = {"all": 0.5, "colour": 0.123456}
POINT = Point({"max_bytes": 60}, 123.456789, 15.0, 2.0, QUALITY, {"size": 32}, 900.0, 3.0)
WRITTEN = Curves(
    Origin("2026-11-22", "planner", "a machine", "abc", 1200),
    (Curve("meta", "region", (POINT,), "webp"),),
    ANSWER_MS,
    QuestionKinds({}, {}),
).to_json()


@pytest.mark.parametrize(
    ("payload", "quality"),
    [(0.0, 0.0), (99.0, 0.0), (100.0, 0.5), (200.0, 0.7), (400.0, 0.9), (900.0, 0.9)],
)
def test_between_points_quality_is_linear_in_log_bytes(payload: float, quality: float) -> None:
    points = tuple(Point({}, size, 0.0, 0.0, {"all": value}) for size, value in ((100.0, 0.5), (400.0, 0.9)))
    assert Curve("meta", "tokens", points).quality(payload) == pytest.approx(quality)


def test_what_sends_nothing_has_its_quality_at_nothing() -> None:
    local = Curve("local", "local", (Point({}, 0.0, 0.0, 0.0, {"all": 0.8, "colour": 0.6}),))
    assert local.quality(0.0) == 0.8
    assert local.quality(0.0, "colour") == 0.6
    assert local.quality(0.0, "unheard-of") == 0.8


def test_five_digits_are_written() -> None:
    assert WRITTEN["answer_ms"]["tokens"] == 20.123
    point = WRITTEN["curves"][0]["points"][0]
    assert (point["payload_bytes"], point["quality"]["colour"], point["crop_bytes"]) == (123.46, 0.12346, 900.0)
    assert (WRITTEN["format"], WRITTEN["origin"]["questions"], WRITTEN["kinds"]) == (1, 1200, {})


def test_points_are_ordered_by_all_their_bytes_and_each_kind_by_itself() -> None:
    """By photo and region 90 and 120 bytes; the kinds' values 0.9 and 0.5 become their mean 0.7, 0.1 and 0.3 stay."""
    dear = Point({"n": 1}, 20.0, 0.0, 0.0, {"all": 0.5, "colour": 0.3}, {}, 100.0)
    cheap = Point({"n": 2}, 40.0, 0.0, 0.0, {"all": 0.9, "colour": 0.1}, {}, 50.0)
    first, second = made_monotone([dear, cheap])
    assert (first.setting, second.setting) == ({"n": 2}, {"n": 1})
    assert (first.quality, second.quality) == ({"all": 0.7, "colour": 0.1}, {"all": 0.7, "colour": 0.3})
    lacking = Point({"n": 3}, 300.0, 0.0, 0.0, {"all": 0.8})
    assert made_monotone([cheap, lacking])[1].quality == {"all": 0.85, "colour": 0.8}


def test_monotone_values_have_twelve_digits() -> None:
    assert monotone([1.0, 2.0, 3.0], [0.0, 1.0, 0.0]) == [0.0, 0.5, 0.5]
    assert monotone([3.0, 2.0, 1.0], [0.0, 0.0, 1.0]) == [0.333333333333] * 3


def changed(path: list[Any], value: Any) -> Any:
    data = copy.deepcopy(json.loads(json.dumps(WRITTEN)))
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return data


FIRST = ["curves", 0]
AT = [*FIRST, "points", 0]
CURVE = WRITTEN["curves"][0]


def kinds(count: int) -> dict[str, float]:
    return {"all": 0.5} | {f"k{number}": 0.5 for number in range(count - 1)}


@pytest.mark.parametrize(
    ("path", "fits", "does_not"),
    [
        (["curves"], [CURVE] * 64, [CURVE] * 65),
        ([*FIRST, "points"], CURVE["points"] * 256, CURVE["points"] * 257),
        ([*AT, "setting"], {f"k{n}": n for n in range(8)}, {f"k{n}": n for n in range(9)}),
        ([*AT, "setting"], {"k" * 200: 1}, {"k" * 201: 1}),
        ([*AT, "setting"], {"k": "v" * 200}, {"k": "v" * 201}),
        ([*AT, "crop_setting"], {}, {"no name": 1}),
        ([*AT, "crop_setting"], {"k": 0.5}, {"k": None}),
        ([*AT, "setting"], {"k": True}, []),
        ([*AT, "quality"], kinds(32), kinds(33)),
        ([*AT, "quality"], {"all": 1.0}, {"all": 1.0000001}),
        ([*AT, "quality"], {"all": 0, "Not A Kind": 7}, {"all": -0.1}),
        ([*AT, "payload_bytes"], 1e12, 1.1e12),
        ([*AT, "encode_ms"], 0, -1e-9),
        ([*AT, "restore_ms"], 3, "3"),
        ([*AT, "crop_bytes"], 0.5, False),
        ([*AT, "crop_encode_ms"], 0.5, None),
        ([*FIRST, "strategy"], "x" * 32, "x" * 33),
        ([*FIRST, "strategy"], "7-x", "-x"),
        ([*FIRST, "crop"], "", "../x"),
        ([*FIRST, "crop"], "webp", "w" * 33),
        ([*FIRST, "sight"], "picture", "pictures"),
        (["answer_ms", "local"], 1e12, float("inf")),
        (["origin", "machine"], "m" * 200, "m" * 201),
        (["origin", "commit"], "", 7),
        (["origin", "date"], "someday", "some\nday"),
        (["origin", "questions"], 0, True),
    ],
)
def test_every_bound_of_a_file(path: list[Any], fits: Any, does_not: Any) -> None:
    assert isinstance(Curves.from_json(changed(path, fits)), Curves)
    with pytest.raises(BundleDamagedError):
        Curves.from_json(changed(path, does_not))


def test_every_key_of_a_file_is_needed() -> None:
    for place in ([], ["origin"], ["answer_ms"], FIRST, AT):
        whole = WRITTEN
        for step in place:
            whole = whole[step]
        for key in whole:
            lacking = changed([*place, key], None)
            inner = lacking
            for step in place:
                inner = inner[step]
            del inner[key]
            with pytest.raises(BundleDamagedError):
                Curves.from_json(lacking)


@pytest.mark.parametrize("data", [None, [], "curves", 7])
def test_what_is_no_object_is_refused(data: Any) -> None:
    with pytest.raises(BundleDamagedError):
        Curves.from_json(data)


def test_names_of_ways() -> None:
    assert candidate_name("meta", {"max_bytes": 60}) == "meta max_bytes=60"
    assert candidate_name("local", {}, "webp", {"size": 32}) == "local + webp size=32"
    assert candidate_name("meta", {}, "", {"size": 32}) == "meta"


def test_below_one_byte_every_size_counts_as_one() -> None:
    """Ten bytes lie half way from 1 to 100 in their logarithms."""
    free, dear = (Point({}, size, 0.0, 0.0, {"all": value}) for size, value in ((0.0, 0.4), (100.0, 0.8)))
    curve = Curve("meta", "tokens", (free, dear))
    assert [curve.quality(size) for size in (0.0, 0.5, 1.0)] == [0.4, 0.4, 0.4]
    assert curve.quality(10.0) == pytest.approx(0.6)


def test_a_point_without_a_region_sends_and_encodes_none() -> None:
    assert Point({}, 1.0, 2.0, 3.0, QUALITY) == Point({}, 1.0, 2.0, 3.0, QUALITY, {}, 0.0, 0.0)


def test_a_file_of_one_mebibyte_is_read_and_no_larger_one_nor_a_link(tmp_path: Path) -> None:
    path, text = tmp_path / "curves.json", json.dumps(WRITTEN)
    path.write_text(text.ljust(1 << 20))
    assert Curves.load(path).to_json() == WRITTEN
    path.write_text(text.ljust((1 << 20) + 1))
    with pytest.raises(BundleDamagedError):
        Curves.load(path)
    path.write_text(text)
    (tmp_path / "link.json").symlink_to(path)
    with pytest.raises(BundleDamagedError):
        Curves.load(tmp_path / "link.json")


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (["curves"], [], FileFault.EMPTY),
        (["curves"], [CURVE] * 65, BundleFault.TOO_MANY),
        ([*FIRST, "points"], [], FileFault.EMPTY),
        ([*AT, "quality"], kinds(33), BundleFault.TOO_MANY),
        ([*AT, "quality"], {"colour": 0.5}, FileFault.CONTENT),
        (["format"], 2, BundleFault.FORMAT),
        ([*FIRST, "sight"], "smell", BundleFault.UNKNOWN),
        ([*AT, "encode_ms"], -1, BundleFault.RANGE),
    ],
)
def test_the_reason_is_told(path: list[Any], value: Any, fault: BundleFault | FileFault) -> None:
    with pytest.raises(BundleDamagedError) as caught:
        Curves.from_json(changed(path, value))
    assert caught.value.reason == BundleDamagedError(BundlePart.CURVES, fault).reason

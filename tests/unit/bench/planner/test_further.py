"""Curves of further strategies from a suite's rows: which settings stay, how times are scaled, what is replaced."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heliograph.bench.planner.further import MAX_POINTS, MIN_POINTS, main, time_factor, with_further
from heliograph.codec.bundle import Bundle
from heliograph.codec.manifest import CURVES
from heliograph.controllers.curves import Curve, Curves, Origin, Point
from heliograph.controllers.question_kind import QuestionKinds
from heliograph.errors import FileUnreadableError, UsageError

ANSWER_MS = {"tokens": 20.0, "picture": 30.0, "region": 40.0, "local": 10.0}
KINDS = QuestionKinds.counted([("colour", "what colour is it?"), ("small-print", "what does it say?")])


def known() -> Curves:
    """Two strategies on a machine that takes three and two times as long as :func:`result`'s, and one with a region."""
    webp = Point({"size": 64, "quality": 20}, 400.0, 6.0, 0.2, {"all": 0.9})
    meta = Point({"max_bytes": 120}, 115.0, 10.0, 5.0, {"all": 0.95})
    crop = replace(meta, crop_setting={"size": 128, "quality": 35}, crop_bytes=900.0, crop_encode_ms=3.0)
    every = (
        Curve("webp", "picture", (webp,)),
        Curve("meta", "tokens", (meta,)),
        Curve("meta", "region", (crop,), "webp"),
        Curve("local", "local", (Point({}, 0.0, 12.0, 0.0, {"all": 1.0}),)),
    )
    return Curves(Origin("2026-11-22", "planner", "old", "abc", 1200), every, ANSWER_MS, KINDS)


def rows(
    strategy: str,
    setting: str,
    payload_bytes: float,
    quality: float,
    encode_ms: float = 5.0,
    colour: float | None = None,
    small_print: float = 0.1,
) -> list[dict[str, Any]]:
    kinds = {"all": quality, "colour": quality if colour is None else colour, "small-print": 1.0, "description": 0.5}
    return [
        {
            "strategy": strategy,
            "setting": setting,
            "task": task,
            "questions": 600,
            "agreement": value,
            "accuracy": small_print if task == "small-print" else value,
            "payload_bytes": payload_bytes,
            "encode_ms": encode_ms,
            "decode_ms": 1.0,
            "link_mbit": link,
        }
        for task, value in kinds.items()
        for link in ((None, 1.0) if task == "all" else (None,))
    ]


def result(*more: list[dict[str, Any]]) -> dict[str, Any]:
    every = [
        rows("uncompressed", "default", 0.0, 1.0, 0.0),
        rows("webp", "size=64,quality=20", 400.0, 0.9, 2.0),
        rows("meta", "latents=36", 110.0, 0.96),
        rows("local", "default", 0.0, 1.0, 4.0),
        *more,
    ]
    flat = [row for one in every for row in one]
    return {"suite": "families", "date": "2026-12-01", "machine": "new", "commit": "def", "rows": flat}


def added(*more: list[dict[str, Any]]) -> dict[str, Curve]:
    return {c.strategy: c for c in with_further(known(), result(*more)).curves if c.origin is not None}


def sizes(curve: Curve) -> list[float]:
    return [point.payload_bytes for point in curve.points]


def test_what_the_bundle_measured_itself_stays_as_it_is() -> None:
    found = with_further(known(), result(rows("pq", "token_bytes=1", 66.0, 0.8)))
    assert found.own == known()
    assert found.kinds == KINDS
    assert [(c.strategy, c.origin.suite) for c in found.curves if c.origin] == [
        ("meta", "families"),
        ("pq", "families"),
    ]


def test_a_setting_that_the_bundle_measured_is_there_once() -> None:
    assert "webp" not in added()
    assert added(rows("webp", "size=80,quality=20", 700.0, 0.95))["webp"].points[0].setting == {
        "size": 80,
        "quality": 20,
    }


def test_times_are_scaled_by_what_both_machines_timed() -> None:
    found = with_further(known(), result(rows("pq", "token_bytes=1", 66.0, 0.8, 5.0)))
    pq = found.curves[-1]
    assert pq.points[0].encode_ms == pytest.approx(5.0 * 3.0)  # 3 of webp, 2 of meta, 3 of local: the median
    assert pq.points[0].restore_ms == pytest.approx(3.0)
    assert pq.origin is not None
    assert pq.origin.machine == "new; its times x 3"


def test_without_a_common_strategy_there_is_nothing_to_scale_by() -> None:
    lonely = replace(known(), curves=(Curve("avif", "picture", (Point({}, 9.0, 1.0, 1.0, {"all": 0.5}),)),))
    with pytest.raises(UsageError):
        with_further(lonely, result())
    assert time_factor(known(), known()) == 1.0


def test_run_again_it_replaces_what_it_added() -> None:
    once = with_further(known(), result(rows("pq", "token_bytes=1", 66.0, 0.8)))
    assert with_further(once, result(rows("pq", "token_bytes=1", 66.0, 0.8))) == once
    other = with_further(once, result(rows("int8", "default", 8000.0, 0.99)))
    assert {c.strategy for c in other.curves} == {"webp", "meta", "local", "int8"}


def test_settings_that_cost_more_and_are_no_better_are_left_out() -> None:
    pq = added(
        rows("pq", "token_bytes=1", 66.0, 0.8),
        rows("pq", "token_bytes=2", 130.0, 0.7),
        rows("pq", "token_bytes=4", 258.0, 0.9),
    )["pq"]
    assert sizes(pq) == [66.0, 258.0]


def test_what_others_beat_fills_up_to_a_few_and_what_nothing_beats_stays() -> None:
    """One of the two is beaten everywhere but for one kind of question."""
    steps = [5.0 * place for place in range(1, 21)]
    better = [rows("tokens-1d", f"codes={place}", size, 0.3 + size / 1000) for place, size in enumerate(steps, 1)]
    worse = [
        rows("divprune", f"keep={place}", size + 1, 0.2 + size / 1000, colour=0.9 if size == 75.0 else None)
        for place, size in enumerate(steps, 1)
    ]
    found = added(*better, *worse)
    assert len(sizes(found["tokens-1d"])) == MAX_POINTS
    assert sizes(found["tokens-1d"])[-1] == 100.0
    assert len(sizes(found["divprune"])) == MIN_POINTS
    assert 76.0 in sizes(found["divprune"])


def test_a_quicker_device_is_worth_more_bytes() -> None:
    quick = [rows("webp-bare", f"size={place}", 200.0 + place, 0.5 + place / 100, 1.0) for place in range(1, 10)]
    assert len(sizes(added(*quick)["webp-bare"])) == 9  # meta takes fewer bytes and more of the device's time


def test_qualities_are_the_kinds_that_are_asked_for() -> None:
    pq = added(rows("pq", "token_bytes=1", 66.0, 0.8, small_print=0.25))["pq"]
    assert pq.points[0].quality.keys() == {"all", "colour", "small-print"}
    assert pq.points[0].quality["small-print"] == 0.25  # accuracy, since not even the whole photo shows it
    shown = result(rows("pq", "token_bytes=1", 66.0, 0.8, small_print=0.25))
    for row in shown["rows"]:
        if row["strategy"] == "uncompressed" and row["task"] == "small-print":
            row["accuracy"] = 0.9
    assert with_further(known(), shown).curves[-1].points[0].quality["small-print"] == 1.0


def test_strategies_that_need_more_of_the_cloud_get_no_curve_and_words_are_seen_as_pictures() -> None:
    found = added(
        rows("jpeg-dct", "quality=75,max_bytes=40", 40.0, 0.99),
        rows("nnc", "step=64,rdo=0", 40.0, 0.99),
        rows("no-such-strategy", "default", 1.0, 1.0),
        rows("caption", "base=1,things=3", 5.5, 0.67),
    )
    assert found.keys() == {"meta", "caption"}
    assert found["caption"].sight == "picture"


def test_the_command_keeps_the_hash_of_the_bundle(
    reference_pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = tmp_path / "bundle", tmp_path / "results.json"
    shutil.copytree(reference_pair.bundle, folder)
    before = Bundle.load(folder).with_measured(CURVES, known().to_json())
    file.write_text(json.dumps(result(rows("pq", "token_bytes=1", 66.0, 0.8))))
    monkeypatch.setattr(sys, "argv", ["further", str(folder), str(file)])
    main()
    stored = Bundle.load(folder)
    assert stored.hash == before.hash
    assert [one.suite for one in Curves.load(stored.file(CURVES)).origins] == ["planner", "families"]
    file.write_text('{"rows": [{}]}')
    with pytest.raises(FileUnreadableError):
        main()

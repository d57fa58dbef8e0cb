"""Curves from level to agreement by hand, and what a hostile ``levels.json`` is refused for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heliograph.codec.bundle import write_bundle
from heliograph.codec.klt import KltCodec
from heliograph.codec.levels import LEVELS, LevelCurve, LevelCurves, levels_missing
from heliograph.codec.manifest import MEASURED, shared_hash
from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundleFault, BundlePart, FileFault

KLT = LevelCurve((40, 32, 24, 16), (0.2, 0.6, 0.9, 0.9), 100, 700)
META = LevelCurve((0, 10, 56), (0.2, 0.7, 1.0), 100, 700)


@pytest.mark.parametrize(
    ("curve", "level", "share"),
    [
        (KLT, 99, 0.2),  # coarser than all that was measured
        (KLT, 40, 0.2),
        (KLT, 36, 0.4),
        (KLT, 31, 0.6375),
        (KLT, 24, 0.9),
        (KLT, -7, 0.9),
        (META, 0, 0.2),
        (META, 4, 0.4),
        (META, 33, 0.85),
        (META, 99, 1.0),
    ],
)
def test_between_the_levels_that_were_measured_the_curve_is_straight(
    curve: LevelCurve, level: int, share: float
) -> None:
    assert curve.agreement_at(level) == pytest.approx(share)


@pytest.mark.parametrize(
    ("curve", "share", "level"),
    [
        (KLT, 0.0, 40),
        (KLT, 0.2, 40),
        (KLT, 0.6, 32),
        (KLT, 0.61, 31),
        (KLT, 0.9, 24),  # not the finer one of the same share
        (KLT, 0.95, 16),  # never reached
        (META, 0.2, 0),
        (META, 0.44, 5),
        (META, 0.7, 10),
        (META, 1.0, 56),
    ],
)
def test_the_coarsest_level_that_is_good_enough(curve: LevelCurve, share: float, level: int) -> None:
    assert curve.level_for(share) == level


@pytest.mark.parametrize("curve", [KLT, META])
@pytest.mark.parametrize("target", range(0, 256, 5))
def test_a_stream_that_ends_at_the_level_satisfies_the_controller(curve: LevelCurve, target: int) -> None:
    share = target / 255
    assert curve.agreement_at(curve.level_for(share)) >= min(share, curve.agreement[-1])


def test_curves_come_back(tmp_path: Path) -> None:
    curves = LevelCurves({"klt": KLT, "meta": META})
    curves.save(tmp_path / LEVELS)
    assert LevelCurves.load(tmp_path / LEVELS) == curves


def klt(**changes: Any) -> Any:
    return {"format": 1, "codecs": {"klt": KLT.to_json() | changes}}


def meta(**changes: Any) -> Any:
    return {"format": 1, "codecs": {"meta": META.to_json() | changes}}


TWO = {"agreement": [0.5, 0.6]}
BAD: list[tuple[Any, Any]] = [
    ({}, FileFault.CONTENT),
    ({"format": 2, "codecs": {}}, BundleFault.FORMAT),
    ({"format": 1, "codecs": {}}, FileFault.EMPTY),
    ({"format": 1, "codecs": {str(n): KLT.to_json() for n in range(17)}}, BundleFault.TOO_MANY),
    ({"format": 1, "codecs": []}, FileFault.EMPTY),
    ({"format": 1, "codecs": [1]}, FileFault.CONTENT),
    ({"format": 1, "codecs": {"klt": [1]}}, FileFault.CONTENT),
    ({"format": 1, "codecs": {"klt": {}}}, FileFault.CONTENT),
    (klt(levels="40"), FileFault.CONTENT),
    (klt(agreement=None), FileFault.CONTENT),
    (klt(photos=1.0), FileFault.CONTENT),
    (klt(photos=True), FileFault.CONTENT),
    (klt(questions="700"), FileFault.CONTENT),
    (klt(photos=0), BundleFault.RANGE),
    (klt(questions=(1 << 24) + 1), BundleFault.RANGE),
    (klt(levels=[], agreement=[]), BundleFault.SHAPE),
    (klt(levels=[40], agreement=[0.5]), BundleFault.SHAPE),
    (klt(levels=[40, 32]), BundleFault.SHAPE),
    (klt(levels=[*range(600, 87, -1)], agreement=[0.5] * 513), BundleFault.TOO_MANY),
    (klt(levels=[(1 << 16) + 1, 0], **TWO), BundleFault.RANGE),
    (klt(levels=[0, -(1 << 16) - 1], **TWO), BundleFault.RANGE),
    (klt(levels=[40, 32.0], **TWO), BundleFault.RANGE),
    (klt(levels=[True, 0], **TWO), BundleFault.RANGE),
    (klt(levels=[40, 32], agreement=[0.5, 1.01]), BundleFault.RANGE),
    (klt(levels=[40, 32], agreement=[-0.1, 0.6]), BundleFault.RANGE),
    (klt(levels=[40, 32], agreement=["0", 0.6]), BundleFault.RANGE),
    (klt(levels=[32, 40], **TWO), BundleFault.ORDER),  # of klt lower levels are finer
    (klt(levels=[40, 40], **TWO), BundleFault.ORDER),
    (meta(levels=[10, 4], **TWO), BundleFault.ORDER),
    (meta(levels=[10, 10], **TWO), BundleFault.ORDER),
    (klt(levels=[40, 32], agreement=[0.6, 0.5]), BundleFault.ORDER),
]


@pytest.mark.parametrize(("data", "fault"), BAD)
def test_what_no_fit_writes_is_refused(data: Any, fault: Any, tmp_path: Path) -> None:
    (tmp_path / LEVELS).write_text(json.dumps(data))
    with pytest.raises(BundleDamagedError) as caught:
        LevelCurves.load(tmp_path / LEVELS)
    assert (caught.value.part, caught.value.fault) == (BundlePart.LEVELS, fault)


@pytest.mark.parametrize(
    "data",
    [
        klt(photos=1, questions=1 << 24),
        klt(levels=[1 << 16, -(1 << 16)], agreement=[0, 1]),
        klt(levels=[*range(600, 88, -1)], agreement=[0.5] * 512),
        meta(levels=[0, 1], agreement=[0.5, 0.5]),
        {"format": 1, "codecs": {str(n): META.to_json() for n in range(16)}},
    ],
)
def test_the_bounds_themselves_are_taken(data: Any) -> None:
    assert LevelCurves.from_json(data).to_json() == data


@pytest.mark.parametrize("text", ["", "[]", "1", "{", '{"format": 1, "format": 1}', '{"format": NaN}'])
def test_what_is_no_json_object_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / LEVELS).write_text(text)
    with pytest.raises(BundleDamagedError):
        LevelCurves.load(tmp_path / LEVELS)
    (tmp_path / LEVELS).write_text(" " * (1 << 16) + "{}")
    with pytest.raises(BundleDamagedError) as caught:
        LevelCurves.load(tmp_path / LEVELS)
    assert caught.value.fault is FileFault.TOO_LARGE


def test_the_error_of_missing_levels_names_the_command() -> None:
    error = levels_missing()
    assert error.part is BundlePart.LEVELS
    assert "heliograph calibrate --levels --install" in "".join(error.__notes__)


def test_ends_may_differ_in_their_curves() -> None:
    assert LEVELS in MEASURED
    manifest: Any = {"codecs": ["klt"], "model": "", "files": {"klt.safetensors": "0"}}
    more = manifest | {"files": manifest["files"] | {LEVELS: "1"}}
    assert shared_hash(manifest) == shared_hash(more)


def test_a_bundle_gives_each_codec_its_curve(codec: KltCodec, tmp_path: Path) -> None:
    plain = write_bundle(tmp_path, codecs=[codec], grid=codec.grid, hidden_size=codec.hidden_size)
    assert plain.levels is None
    assert plain.codec("klt").levels is None
    found = plain.with_measured(LEVELS, LevelCurves({"klt": KLT, "meta": META}).to_json())
    assert found.hash == plain.hash
    assert found.codec("klt").levels == KLT
    finer = found.with_measured(LEVELS, LevelCurves({"meta": replace(META, photos=9)}).to_json())
    assert finer.codec("klt").levels is None

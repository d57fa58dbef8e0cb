"""Chances follow their signals, stand in for one another where a signal is unknown, and strange files are refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.codec.calibration import (
    CALIBRATION,
    CONFIDENCES,
    INPUTS,
    WITHOUT_CODEC,
    Calibration,
    Curve,
    Signals,
    input_values,
    products_of,
)
from heliograph.errors import BundleDamagedError, UnknownNameError, UsageError

SURE = Signals(0.02, 0.01, 0.1, 0.97, 1, 4, 0.1, 0.05, 0.9, 100, 24, "how many stars are there?")
UNSURE = replace(SURE, min_entropy_bits=1.2, first_bits=1.4, entropy_bits=2.0, margin=0.1, stable_drafts=1)
NOTHING = replace(SURE, token_error=None, answer_differs=None, retained_energy=None)


def curve(*inputs: str, words: bool = False, weight: float = 1.0) -> Curve:
    size = len(inputs)
    made = tuple(np.random.default_rng(2).normal(size=64).tolist()) if words else ()
    pairs = (0.01,) * (size * (size + 1) // 2) if words else ()
    return Curve(inputs, (0.5,) * size, (2.0,) * size, (weight,) * size, 0.25, made, pairs)


def calibration() -> Calibration:
    curves = {
        "combined": curve("min-entropy", "answer-differs", words=True),
        WITHOUT_CODEC: curve("min-entropy", "margin", "stable-drafts"),
        "min-entropy": curve("min-entropy"),
        "entropy": curve("entropy", weight=-1.0),
        "margin": curve("margin"),
        "error-head": curve("answer-differs"),
        "stability": curve("stable-drafts", "stable-bytes"),
    }
    rights = {name: replace(one, bias=-1.0) for name, one in curves.items()}
    settled = {name: replace(one, bias=1.0) for name, one in curves.items()}
    steps = {"combined": ((0.5, 0.3), (0.9, 0.8))}
    return Calibration(curves, rights, steps, {"scenes": 4}, settled, {"combined": ((0.5, 0.2), (0.9, 0.99))})


@pytest.mark.parametrize("name", CONFIDENCES)
def test_a_more_confident_answer_has_the_higher_chance(name: str) -> None:
    for chance in (calibration().probability, calibration().right):
        sure, unsure = chance(name, SURE), chance(name, UNSURE)
        assert 0 <= unsure <= sure <= 1
        assert sure > unsure or name == "error-head"  # the codec has not seen the answer
    assert calibration().right(name, SURE) < calibration().probability(name, SURE)


def test_every_input_is_a_finite_number_even_at_the_ends() -> None:
    extremes = [
        Signals(0.0, 0.0, 0.0, 1.0, 1, 1, 0.0, 0.0, 0.0, 0),
        Signals(99.0, 99.0, 40.0, 0.0, 10**6, 10**6, 1e9, 1.0, 1.0, 10**9, 10**9, "x " * 1000),
    ]
    assert np.isfinite(input_values([*extremes, SURE, UNSURE], tuple(INPUTS))).all()
    assert all(math.isfinite(calibration().probability(name, one)) for name in CONFIDENCES for one in extremes)


def test_one_answer_and_many_have_the_same_chance() -> None:
    for one in calibration().agrees.values():
        assert one.chances([SURE, UNSURE]).tolist() == pytest.approx([one.chance(SURE), one.chance(UNSURE)])


def test_what_is_unknown_is_stood_in_for() -> None:
    known = calibration()
    stand_in = known.agrees[WITHOUT_CODEC].chance(NOTHING)
    assert known.probability("combined", NOTHING) == stand_in == known.probability("error-head", NOTHING)
    assert known.probability("min-entropy", NOTHING) == known.probability("min-entropy", SURE)
    bits_alone = replace(NOTHING, entropy_bits=math.nan, margin=math.nan)
    assert known.probability("combined", bits_alone) == known.probability("min-entropy", bits_alone)
    assert known.probability("combined", replace(bits_alone, min_entropy_bits=math.nan)) == 0


def test_products_are_of_every_pair() -> None:
    found = products_of(np.array([[2.0, 3.0, 5.0]]))
    assert sorted(found[0].tolist()) == [4.0, 6.0, 9.0, 10.0, 15.0, 25.0]


def test_the_question_counts_where_a_curve_has_words() -> None:
    other = replace(SURE, question="which colour is the heart?")
    assert calibration().probability("combined", other) != calibration().probability("combined", SURE)
    assert calibration().probability("min-entropy", other) == calibration().probability("min-entropy", SURE)


def test_thresholds_are_read_between_what_was_measured() -> None:
    known = calibration()
    assert [known.threshold("combined", q) for q in (0.0, 0.5, 0.7, 0.9, 1.0)] == pytest.approx(
        [0.3, 0.3, 0.55, 0.8, 0.8]
    )
    assert known.threshold("margin", 0.7) == 0.7
    with pytest.raises(UsageError):
        known.threshold("combined", 1.5)
    for call in (lambda: known.threshold("guess", 0.5), lambda: known.right("guess", SURE)):
        with pytest.raises(UnknownNameError):
            call()


def test_enough_asks_whether_the_rest_would_help() -> None:
    known = calibration()
    chance = known.settled["combined"].chance(SURE)
    assert chance is not None
    assert [known.enough("combined", SURE, q) for q in (0.5, 0.9)] == [chance >= 0.2, chance >= 0.99]
    assert not known.enough("combined", UNSURE, 1.0)
    bare = replace(known, settled={}, settled_thresholds={})
    for quality in (0.5, 0.9):
        by_chance = known.probability("combined", SURE) >= known.threshold("combined", quality)
        assert bare.enough("combined", SURE, quality) == by_chance
    with pytest.raises(UnknownNameError):
        known.enough("guess", SURE, 0.5)
    with pytest.raises(UsageError):
        known.enough("combined", SURE, -0.1)


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    calibration().save(tmp_path / CALIBRATION)
    assert Calibration.load(tmp_path / CALIBRATION) == calibration()


def damaged() -> list[Any]:
    good = calibration().to_json()

    def changed(*path: str, value: Any) -> Any:
        copy = json.loads(json.dumps(good))
        place = copy
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        return copy

    first = ("agrees", "combined")
    return [
        [],
        changed("format", value=99),
        changed("facts", value=3),
        changed("agrees", value={}),
        changed("right", value=None),
        changed("settled", value={"margin": good["settled"]["margin"]}),
        changed("settled_thresholds", "combined", value=[[0.5]]),
        changed("agrees", "guess", value=good["agrees"]["margin"]),
        changed(*first, "inputs", value=["unheard-of", "margin"]),
        changed(*first, "inputs", value=["margin"]),
        changed(*first, "inputs", value=[]),
        changed(*first, "spread", value=[1.0, 0.0]),
        changed(*first, "weights", value=[1.0, math.nan]),
        changed(*first, "weights", value=[1.0, 1e30]),
        changed(*first, "weights", value=[1.0, True]),
        changed(*first, "weights", value="ab"),
        changed(*first, "bias", value=None),
        changed(*first, "words", value=[0.0] * 63),
        changed(*first, "products", value=[0.0] * 2),
        changed("thresholds", "combined", value=[]),
        changed("thresholds", "combined", value=[[0.5, 0.3, 0.1]]),
        changed("thresholds", "combined", value=[[0.5, 0.3], [0.4, 0.5]]),
        changed("thresholds", "combined", value=[[0.5, 1.3]]),
        changed("thresholds", "guess", value=[[0.5, 0.3]]),
    ]


@pytest.mark.parametrize("data", damaged())
def test_strange_files_are_refused(data: Any, tmp_path: Path) -> None:
    (tmp_path / CALIBRATION).write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(BundleDamagedError):
        Calibration.load(tmp_path / CALIBRATION)


def test_files_that_are_no_json_or_far_too_long_are_refused(tmp_path: Path) -> None:
    for text in ("", "{", "[" * 100_000, " " * (1 << 20), "\xff"):
        (tmp_path / CALIBRATION).write_bytes(text.encode("latin-1"))
        with pytest.raises(BundleDamagedError):
            Calibration.load(tmp_path / CALIBRATION)
    with pytest.raises(BundleDamagedError):
        Calibration.load(tmp_path / "absent.json")


@pytest.mark.parametrize("name", CONFIDENCES)
def test_an_answer_that_says_nothing_is_never_enough(name: str) -> None:
    empty = replace(SURE, answer_tokens=0)
    for chance in (calibration().probability, calibration().right):
        assert chance(name, empty) == 0
    assert not calibration().enough(name, empty, 0.5)
    assert calibration().enough(name, SURE, 0.0)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(
    "field", ["min_entropy_bits", "first_bits", "entropy_bits", "margin", "token_error", "answer_differs"]
)
def test_no_chance_is_made_of_what_is_no_number(field: str, value: float) -> None:
    broken: Signals = replace(SURE, **{field: value})  # type: ignore[arg-type]
    unknown: Signals = replace(SURE, **{field: math.nan})  # type: ignore[arg-type]
    np.testing.assert_array_equal(input_values([broken], list(INPUTS)), input_values([unknown], list(INPUTS)))
    for name in CONFIDENCES:
        assert calibration().probability(name, broken) == calibration().probability(name, unknown)
    if field == "min_entropy_bits":
        assert calibration().probability("min-entropy", broken) == 0

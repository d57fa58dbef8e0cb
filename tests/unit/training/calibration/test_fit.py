"""Fitted chances are near what is found, stop in time, and say so in the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec.calibration import CALIBRATION, CONFIDENCES, Calibration
from heliograph.errors import CodecNotFittedError
from heliograph.training.calibration.collect import PrefixAnswers
from heliograph.training.calibration.fit import fit_calibration, settled_of
from heliograph.training.calibration.measures import (
    calibration_errors,
    expected_calibration_error,
    false_enough_threshold,
    reached,
    separation,
)
from heliograph.training.calibration.report import report
from heliograph.training.calibration.stopping import DraftTable, at, quality_thresholds, stops


@pytest.fixture(scope="module")
def fitted(answers: PrefixAnswers) -> Calibration:
    return fit_calibration(answers, {"photos": 60})


def test_every_confidence_gets_its_curves(fitted: Calibration, tmp_path: Path) -> None:
    for curves in (fitted.agrees, fitted.rights, fitted.settled):
        assert set(CONFIDENCES) <= set(curves)
    fitted.save(tmp_path / CALIBRATION)
    assert Calibration.load(tmp_path / CALIBRATION) == fitted


def test_chances_are_near_what_is_found(fitted: Calibration, answers: PrefixAnswers) -> None:
    table = DraftTable.every(answers)
    truth = table.column(answers.agrees)
    combined = table.scores(fitted.agrees["combined"])
    assert expected_calibration_error(combined.ravel(), truth.ravel()) < 0.05
    weak = separation(table.scores(fitted.agrees["error-head"]).ravel(), truth.ravel()).auroc
    strong = separation(combined.ravel(), truth.ravel()).auroc
    assert weak is not None
    assert strong is not None
    assert strong > 0.95 > weak


def test_a_wanted_quality_is_reached_with_fewer_bytes_than_the_whole(
    fitted: Calibration, answers: PrefixAnswers
) -> None:
    table = DraftTable.every(answers)
    agrees, size = table.column(answers.agrees), table.column(answers.payload_bytes)
    for quality in (0.6, 0.8):
        enough = np.array([fitted.enough("combined", one, quality) for one in table.signals]).reshape(agrees.shape)
        places = stops(enough.astype(float), 1.0)
        assert at(agrees, places).mean() >= quality
        assert at(size, places).mean() < size[:, -1].mean()


def test_questions_that_no_byte_saves_are_settled() -> None:
    agrees = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 1, 1]])
    assert settled_of(agrees).tolist() == [[False, False, True], [True] * 3, [True] * 3, [False, True, True]]


def test_labels_that_are_missing_leave_the_other_chance(answers: PrefixAnswers) -> None:
    unlabelled = replace(answers, right=np.full_like(answers.right, np.nan))
    made = fit_calibration(unlabelled)
    assert made.rights == made.agrees
    assert list(report(unlabelled)["targets"]) == ["agrees"]


def test_answers_that_all_agree_teach_nothing(answers: PrefixAnswers) -> None:
    with pytest.raises(CodecNotFittedError):
        fit_calibration(replace(answers, agrees=np.ones_like(answers.agrees)))


def test_stops_are_the_first_place_that_is_enough() -> None:
    scores = np.array([[0.1, 0.6, 0.7], [0.1, 0.2, 0.3], [0.9, 0.0, 0.0]])
    assert stops(scores, 0.5).tolist() == [1, 2, 0]
    assert at(np.arange(9).reshape(3, 3), stops(scores, 0.5)).tolist() == [1, 5, 6]
    assert scores[1].tolist() == [0.1, 0.2, 0.3]


def test_thresholds_rise_with_quality_and_leave_out_what_is_never_reached() -> None:
    rng = np.random.default_rng(0)
    scores = np.sort(rng.random((200, 5)), axis=1)
    agrees = (rng.random((200, 5)) < scores).astype(float)
    agrees[:, -1] = np.arange(200) < 190
    found = quality_thresholds(scores, agrees, (0.5, 0.7, 0.9, 0.99))
    assert [quality for quality, _ in found] == [0.5, 0.7, 0.9]
    assert [chance for _, chance in found] == sorted(chance for _, chance in found)
    for quality, chance in found:
        assert at(agrees, stops(scores, chance)).mean() >= quality


def test_a_slow_cloud_drafts_more_seldom_and_always_at_the_end(answers: PrefixAnswers) -> None:
    assert DraftTable.every(answers, 4).drafted == (0, 4, 5)
    assert DraftTable.every(answers, 2, first=1).drafted == (1, 3, 5)


def test_separation_of_the_same_and_of_the_apart() -> None:
    rng = np.random.default_rng(3)
    truth = (np.arange(4000) % 2).astype(float)
    alike, apart = separation(rng.random(4000), truth), separation(truth + 0.1 * rng.random(4000), truth)
    assert alike.overlap == pytest.approx(1, abs=0.1)
    assert alike.distance == pytest.approx(0, abs=0.02)
    assert alike.auroc == pytest.approx(0.5, abs=0.05)
    assert (apart.overlap, apart.auroc, apart.right) == (0, 1, 2000)
    assert apart.distance is not None
    assert apart.distance > 5
    assert separation(truth, np.ones(4000)).auroc is None


def test_overlap_depends_on_the_order_alone() -> None:
    rng = np.random.default_rng(4)
    truth = (rng.random(2000) < 0.6).astype(float)
    scores = rng.normal(truth, 1.0)
    assert separation(scores, truth) == separation(np.exp(3 * scores), truth)


def test_scaling_mends_a_confidence_that_is_too_sure() -> None:
    rng = np.random.default_rng(5)
    odds = rng.normal(0, 1.5, 8000)
    truth = (rng.random(8000) < 1 / (1 + np.exp(-odds))).astype(float)
    raw = 1 / (1 + np.exp(-3 * odds))
    halves = (raw[:4000], raw[4000:]), (truth[:4000], truth[4000:])
    errors = calibration_errors(*halves, curve=1 / (1 + np.exp(-odds[4000:])))
    assert errors.raw is not None
    assert errors.temperature is not None
    assert errors.isotonic is not None
    assert errors.raw > 0.1 > 0.04 > max(errors.temperature, errors.isotonic, errors.curve)
    assert calibration_errors(None, halves[1], raw[4000:]).temperature is None


def test_a_threshold_lets_no_more_wrong_answers_pass_than_asked() -> None:
    scores, truth = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), np.array([1.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    for rate, wrong in ((0.0, 0.0), (0.25, 0.25), (0.5, 0.5), (1.0, 1.0)):
        threshold = false_enough_threshold(scores, truth, rate)
        assert reached(scores, truth, threshold)[0] == wrong
    assert reached(scores, truth, false_enough_threshold(scores, truth, 0.0))[1] == 0.5


def test_the_report_covers_both_chances_and_every_task(answers: PrefixAnswers) -> None:
    found = report(answers)
    assert set(found["targets"]) == {"agrees", "right"}
    right = found["targets"]["right"]
    assert set(right["tasks"]) == {"all", "shape", "colour"}
    assert set(right["tasks"]["all"]) == set(CONFIDENCES)
    assert len(right["per_prefix"]) == answers.prefixes
    assert found["paper"] == {"overlap": 0.47, "distance": 0.33}
    for rates in right["transfer"].values():
        for task in ("shape", "colour"):
            assert rates["false_enough"][task][task] <= found["false_enough"]

"""Simulated stop policies add up, curves are read as B99 is, and a small run of the suite gives every figure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliograph.bench.loop.curves import ACCURACY, AGREEMENT, BYTES, DRAFTS, Curve, Questions, bytes_ratio
from heliograph.bench.loop.policies import BY_CHANCE, FIXED, LEVEL, ORACLE, POLICIES, WHOLE, simulate
from heliograph.bench.loop.suite import LoopSuite
from heliograph.bench.loop.verification import Verifications, verification_figures
from heliograph.bench.report import markdown, write_results
from heliograph.codec.calibration import Calibration
from heliograph.training.calibration.collect import PrefixAnswers
from heliograph.training.calibration.fit import fit_calibration
from heliograph.training.calibration.stopping import DraftTable

PREFIXES, QUESTIONS = 6, 160


@pytest.fixture(scope="module")
def answers() -> PrefixAnswers:
    """Question i is settled from prefix i mod 7 on (never where that is 6) and unsure until then."""
    rng = np.random.default_rng(2)
    settled_at = np.arange(QUESTIONS) % (PREFIXES + 1)
    agrees = np.arange(PREFIXES)[None] >= settled_at[:, None]
    bits = (np.where(agrees, 0.2, 1.5) + rng.exponential(0.2, agrees.shape)).astype(np.float32)
    size = np.tile(11 + 8 * np.arange(PREFIXES), (QUESTIONS, 1))
    return PrefixAnswers(
        photo=(np.arange(QUESTIONS) // 4).astype(np.int32),
        task=np.asarray(["shape", "colour", "count", "small-print"])[np.arange(QUESTIONS) % 4],
        question=np.asarray(["which shape?"] * QUESTIONS),
        whole_right=np.ones(QUESTIONS, np.float32),
        payload_bytes=size.astype(np.int32),
        answer=np.where(agrees, 0, 1 + np.arange(PREFIXES)).astype(np.int32),
        agrees=agrees.astype(np.float32),
        right=agrees.astype(np.float32),
        min_entropy_bits=bits,
        first_bits=bits,
        entropy_bits=2 * bits,
        margin=(2.0 ** (1 - bits) - 1).clip(0).astype(np.float32),
        answer_tokens=np.ones_like(size).astype(np.int32),
        token_error=(1 / size).astype(np.float32),
        answer_differs=rng.uniform(0.3, 0.5, size.shape).astype(np.float32),
        retained_energy=(size / size.max()).astype(np.float32),
        level_agreement=np.linspace(0.3, 0.95, PREFIXES, dtype=np.float32) + np.zeros(size.shape, np.float32),
    )


@pytest.fixture(scope="module")
def calibration(answers: PrefixAnswers) -> Calibration:
    return fit_calibration(answers)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_runs_and_ends_at_the_whole_stream(
    policy: str, answers: PrefixAnswers, calibration: Calibration
) -> None:
    stopped = simulate(policy, DraftTable.every(answers), calibration)
    for one in stopped:
        assert one.payload_bytes.shape == one.right.shape == (QUESTIONS,)
        assert one.payload_bytes.min() >= 11
        assert (one.drafts >= 1).all()
        assert (one.drafts <= PREFIXES).all()
    if policy == ORACLE:
        assert one.agrees.mean() == pytest.approx(answers.agrees[:, -1].mean())
        assert one.payload_bytes.mean() < answers.payload_bytes[:, -1].mean()
        return
    assert stopped[-1].setting == WHOLE
    assert (stopped[-1].payload_bytes == answers.payload_bytes[:, -1]).all()
    assert len({one.setting for one in stopped}) == len(stopped) > 3


def test_fixed_stops_at_the_first_prefix_that_holds_its_bytes(answers: PrefixAnswers, calibration: Calibration) -> None:
    for one in simulate(FIXED, DraftTable.every(answers), calibration)[:-1]:
        wanted = int(one.setting.removeprefix("bytes="))
        assert set(one.payload_bytes.tolist()) == {11.0 + 8 * max(0, -(-(wanted - 11) // 8))}


def test_level_stops_every_photo_at_the_first_prefix_whose_level_is_worth_the_target(
    answers: PrefixAnswers, calibration: Calibration
) -> None:
    found = {one.setting: one for one in simulate(LEVEL, DraftTable.every(answers), calibration)}
    assert list(found)[-1] == WHOLE
    for target, size in (("0.500", 27), ("0.900", 51)):  # levels are worth .30, .43, .56, .69, .82, .95
        assert set(found[f"target={target}"].payload_bytes.tolist()) == {size}
    assert (found["target=0.500"].drafts == 1).all()


def test_level_is_left_out_where_nobody_has_measured_levels(answers: PrefixAnswers, calibration: Calibration) -> None:
    unknown = replace(answers, level_agreement=np.full(answers.payload_bytes.shape, np.nan, np.float32))
    assert [one.setting for one in simulate(LEVEL, DraftTable.every(unknown), calibration)] == [WHOLE]


def test_stopping_by_signals_needs_fewer_bytes(answers: PrefixAnswers, calibration: Calibration) -> None:
    table, questions = DraftTable.every(answers), Questions(answers)
    curves = {p: Curve(simulate(p, table, calibration), questions) for p in (FIXED, "combined", BY_CHANCE)}
    target = max(curves[FIXED].values(ACCURACY)) - 0.05
    sizes = {policy: curve.bytes_at(ACCURACY, target) for policy, curve in curves.items()}
    assert all(size is not None for size in sizes.values())
    assert sizes["combined"] < sizes[FIXED]
    assert sizes[BY_CHANCE] < sizes[FIXED]
    samples = np.full(1000, target)
    ratio = bytes_ratio(curves["combined"], curves[FIXED], ACCURACY, target, samples)
    assert ratio.value == pytest.approx(sizes["combined"] / sizes[FIXED])
    assert ratio.interval is not None
    assert ratio.interval[0] <= ratio.value <= ratio.interval[1]


def test_means_are_over_tasks_of_the_mean_alone(answers: PrefixAnswers) -> None:
    questions = Questions(answers)
    assert "small-print" in questions.tasks
    assert set(questions.mean_tasks) == {"shape", "colour", "count"}
    values = (answers.task == "shape").astype(float) + 100 * (answers.task == "small-print")
    mean, samples = questions.mean(values, questions.mean_tasks)
    assert mean == pytest.approx(1 / 3)
    assert samples == pytest.approx(np.full(1000, 1 / 3))
    assert questions.count(questions.mean_tasks) == QUESTIONS * 3 // 4
    (one,) = simulate(ORACLE, DraftTable.every(answers), fit_calibration(answers))
    curve = Curve([one], questions)
    assert all(len(curve.values(kind)) == 1 for kind in (ACCURACY, AGREEMENT, BYTES, DRAFTS))


def test_verification_is_judged_on_long_answers() -> None:
    found = Verifications(
        [0, 0, 1, 1], [True] * 4, [20, 30, 2, 16], [5, 5, 1, 9], [2.0, 2.0, 1.0, 4.0], [1.0, 0.5, 1.0, 0.5]
    )
    same, cost, short = verification_figures(found)
    assert (same.value, cost.value, short.value) == (1.0, 0.25, 1.0)
    (wrong, *_) = verification_figures(Verifications([0], [False], [1], [0], [1.0], [1.0]))
    assert wrong.value == 0


def test_a_small_run_gives_every_figure_and_picture(tmp_path: Path) -> None:
    result = LoopSuite(kept=tmp_path / "kept").run(limit=14, seed_start=8_199_900, quiet=True)
    assert {row.strategy for row in result.rows} == set(POLICIES)
    assert "existence" in {row.task for row in result.rows}
    same = next(figure for figure in result.figures if figure.name.startswith("verified"))
    assert same.value == 1.0
    assert result.b99[FIXED] is not None
    written = write_results(result, tmp_path / "out")
    assert {path.name for path in written} >= {"rate_accuracy.png", "confidence-right.png", "confidence-agrees.png"}
    assert all(path.stat().st_size > 0 for path in written)
    assert "AUROC" in markdown(result)

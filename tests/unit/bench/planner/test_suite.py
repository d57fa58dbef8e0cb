"""Suite ``planner`` without a model: curves from rows, traces, the oracle, and what is reported."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.bench.exchange_model import Messages
from heliograph.bench.outcomes import Outcome, PhotoOutcome
from heliograph.bench.planner.cells import replay_all
from heliograph.bench.planner.curves import curves_of, main, measured_curves
from heliograph.bench.planner.measure import CropCost, Measured
from heliograph.bench.planner.oracle import by_rule, foresight, oracle
from heliograph.bench.planner.plan import PlannerPlan, planner_plan
from heliograph.bench.planner.replay import CandidateTable, Moment, candidates_of, slowed, window
from heliograph.bench.planner.report import result_of
from heliograph.bench.report import draw_pictures, markdown
from heliograph.bench.results import Provenance
from heliograph.codec.bundle import Bundle
from heliograph.codec.manifest import CURVES
from heliograph.controllers.curves import Curves
from heliograph.controllers.planner import Goal
from heliograph.errors import BundleDamagedError, UsageError
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.training.progress import Progress
from heliograph.transport.links import LinkDirection, read_trace
from heliograph.types import QuestionRecord

ORIGIN = Provenance("m", "c", "2026-11-22")
QUESTIONS = 60


@pytest.fixture(scope="module")
def plan() -> PlannerPlan:
    return PlannerPlan(**(vars(planner_plan()) | {"moments": 8, "device_factors": [1, 16], "rate_shares": [1.0]}))


def made_up(plan: PlannerPlan, seed: int) -> Measured:
    """Ways whose answers are good more often the more bytes they take."""
    chance = np.random.default_rng(seed)
    records = [
        QuestionRecord(
            f"scene-{n}",
            *(("small-print", "what does the small sign say?") if n % 5 == 0 else ("colour", "which colour?")),
            "x",
        )
        for n in range(QUESTIONS)
    ]
    outcomes = [Outcome(candidate) for candidate in plan.candidates]
    found = Measured(outcomes, plan.regions, records)
    found.cloud_ms = {"tokens": 20.0, "picture": 33.0, "region": 40.0, "verify": 12.0}
    for place, outcome in enumerate(outcomes):
        local = outcome.candidate.strategy == "local"
        size = 0.0 if local else 50.0 * (1 + place)
        outcome.answer_ms = [20.0] if local else []
        for record in records:
            good = float(record.task == "colour" and (local or chance.random() < 0.7 + 0.01 * place))
            key = record.image_id, record.task
            outcome.agreements[key], outcome.scores[key] = [good], [good]
            outcome.photos[record.image_id] = PhotoOutcome(size, 12.0, 2.0)
            outcome.messages[record.image_id] = Messages(40, 60, (int(size) + 20,), 20, 8, 30)
    for number, record in enumerate(records):
        for region in plan.regions if record.task == "small-print" else ():
            found.crops[f"{region.crop.strategy}+{region.crop.label}", number] = CropCost(900, 2.0, 0.5)
    shown = [float("nan") if r.task == "colour" else 1.0 for r in records]
    found.region_good = found.region_score = [list(shown) for _ in plan.regions]
    return found


def test_the_plan_keeps_calibration_and_test_apart() -> None:
    plan = planner_plan()
    calibration = range(plan.calibration_seed_start, plan.calibration_seed_start + plan.calibration_scenes)
    assert not set(calibration) & set(range(plan.seed_start, plan.seed_start + plan.scenes))
    assert calibration.start >= 8_010_000
    assert calibration.stop <= 8_100_000 <= plan.seed_start
    assert len(plan.goals) == len(plan.device_factors) == 3


def test_curves_of_a_published_suite() -> None:
    path = Path(__file__).parents[4] / "docs" / "results" / "reference.json"
    curves = curves_of(json.loads(path.read_text()))
    assert {c.strategy for c in curves.curves} == {"klt", "meta", "jpeg", "webp", "avif", "local"}
    for curve in curves.curves:
        values = [p.quality["all"] for p in curve.points]
        assert values == sorted(values)
        assert [p.payload_bytes for p in curve.points] == sorted(p.payload_bytes for p in curve.points)
        assert max(p.quality["small-print"] for p in curve.points) < 0.05  # only a region shows it
    with pytest.raises(UsageError):
        curves_of({"rows": []})


def test_measured_curves_know_regions_and_kinds(plan: PlannerPlan) -> None:
    curves = measured_curves(made_up(plan, 1), ORIGIN)
    region = next(c for c in curves.curves if c.crop)
    assert region.sight == "region"
    assert region.points[0].crop_bytes == pytest.approx(900)
    assert region.points[0].quality["small-print"] == 1.0
    assert region.points[0].quality["colour"] < 1.0
    assert curves.kinds.shares("what does the small sign say?")["small-print"] > 0.9
    assert curves.answer_ms["local"] == 20.0


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "3g-made-up.txt"
    path.write_text("".join(f"{second} {1 + second % 3}\n" for second in range(30)))
    return path


@pytest.mark.parametrize("start_s", [0.0, 7.5, 29.9, 31.0, 95.25])
def test_a_window_is_the_trace_from_there_on(trace: Path, start_s: float) -> None:
    profile = read_trace(trace)
    whole, seen = LinkDirection(profile, up=True), LinkDirection(window(profile, start_s), up=True)
    for wait_s, size in ((0.0, 200), (0.3, 100_000), (4.0, 2_000_000)):
        expected_s = whole.carry(start_s + wait_s, size).arrives_s - start_s
        assert seen.carry(wait_s, size).arrives_s == pytest.approx(expected_s)


def test_a_slowed_trace_takes_longer(trace: Path) -> None:
    profile = read_trace(trace)
    times = [LinkDirection(slowed(profile, share), up=True).carry(0.0, 10_000).arrives_s for share in (1.0, 0.05)]
    assert times[1] > 10 * times[0]


def small_world(seed: int, questions: int = 7) -> tuple[list[Moment], CandidateTable]:
    chance = np.random.default_rng(seed)
    good = (chance.random((questions, 3)) < 0.6).astype(float)
    names = ("a", "b", "c")
    found: Any = SimpleNamespace(records=[SimpleNamespace(task="t")] * questions)
    candidates = CandidateTable(found, names, good, good, np.ones((questions, 3)))
    return [Moment(0.0, q, chance.random(3), np.zeros(3)) for q in range(questions)], candidates


@pytest.mark.parametrize("seed", range(6))
def test_the_oracle_is_the_best_there_is(seed: int) -> None:
    moments, candidates = small_world(seed)
    rows = range(len(moments))
    for wanted in (0.0, 3.0, 5.0):
        chosen = oracle(moments, candidates, wanted)
        total = sum(m.times_s[c] for m, c in zip(moments, chosen, strict=True))
        reachable = min(wanted, candidates.good.max(axis=1).sum())
        assert candidates.good[rows, chosen].sum() >= reachable
        every = (
            sum(m.times_s[c] for m, c in zip(moments, choice, strict=True))
            for choice in itertools.product(range(3), repeat=len(moments))
            if candidates.good[rows, choice].sum() >= reachable
        )
        assert total == pytest.approx(min(every))


def test_foresight_follows_the_rule() -> None:
    times, quality = np.array([3.0, 1.0, 2.0]), np.array([0.99, 0.5, 0.95])
    assert by_rule(times, quality, Goal(0.9, 5.0)) == 2
    assert by_rule(times, quality, Goal(0.9, 1.5)) == 1
    assert by_rule(times, quality, Goal(0.999, 5.0)) == 0
    assert by_rule(times, quality, Goal(0.9, 0.5)) == 1
    moments, candidates = small_world(3)
    assert foresight(moments, candidates, Goal(0.0)).tolist() == [int(m.times_s.argmin()) for m in moments]


def test_a_replay_reports_what_it_found(plan: PlannerPlan, trace: Path, tmp_path: Path) -> None:
    curves = measured_curves(made_up(plan, 1), ORIGIN)
    with Progress(quiet=True) as progress:
        replayed = replay_all(plan, curves, candidates_of(made_up(plan, 2)), [trace], progress)
    assert len(replayed.cells) == 2 * 2 * 3
    for cell in replayed.cells:
        good = cell.of(replayed.candidates.good, cell.planner).sum()
        assert cell.of(replayed.candidates.good, cell.oracle).sum() >= good  # equal quality
        assert cell.times(cell.oracle).sum() <= cell.times(cell.planner).sum() + 1e-9
        if not cell.own_model:
            assert replayed.candidates.place["local"] not in {*cell.planner, *cell.oracle, *cell.foresight}
    result = result_of(replayed, curves, ORIGIN, 8_100_000)
    text = markdown(result)
    assert result.figures[0].must == 1.15
    assert result.figures[0].value is not None
    assert "Targets and devices" in text
    assert "Fixed ways" in text
    assert draw_pictures(result, tmp_path) == [tmp_path / "times.png"]
    assert (tmp_path / "times.png").stat().st_size > 1000
    assert json.loads(json.dumps(result.to_json()))["tables"][0]["head"][0] == "target"


def test_curves_are_stored_beside_the_codecs(
    plan: PlannerPlan, reference_pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(reference_pair.bundle, folder)
    (folder / CURVES).unlink(missing_ok=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"].pop(CURVES, None)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    before = Bundle.load(folder).hash
    with pytest.raises(BundleDamagedError):
        Bundle.load(folder).file(CURVES)
    published = Path(__file__).parents[4] / "docs" / "results" / "reference.json"
    monkeypatch.setattr(sys, "argv", ["planner_curves", str(folder), "--result", str(published)])
    main()
    stored = Bundle.load(folder)
    assert stored.hash == before  # devices without curves and with them find the same cloud
    assert Curves.load(stored.file(CURVES)).origin.suite == "reference"
    (folder / CURVES).write_text("{}")
    with pytest.raises(BundleDamagedError):
        Bundle.load(folder)


def test_the_shipped_curves_are_of_calibration_scenes() -> None:
    bundle = Bundle.load(shipped_bundle_folder())
    assert bundle.hash.hex() == "c4f512ba5f966d4e"
    curves = Curves.load(bundle.file(CURVES))
    assert curves.origin.suite == "planner"
    assert curves.origin.questions > 1000
    kinds = curves.kinds.shares("what does the small plate say?")
    assert max(kinds, key=lambda kind: kinds[kind]) == "small-print"

"""``ask --quality --deadline --explain``: what the options mean and what is shown."""

from __future__ import annotations

import argparse
import json

import pytest

from heliograph.cli.main import build_parser, main
from heliograph.cli.planning import duration, explanation, is_planned, plan_data, representatives
from heliograph.controllers.curves import Curves
from heliograph.controllers.planner import Goal, LinkEstimate, Plan, Situation, make_plan
from heliograph.edge.planning.report import PlannedReport
from heliograph.edge.report import AskReport
from heliograph.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"), [("2s", 2.0), ("500ms", 0.5), ("1.5", 1.5), (" 2S ", 2.0), ("0.001", 0.001), ("86400", 86400)]
)
def test_durations_are_understood(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "-1s", "2m", "s", "1e3", "nan", "inf", "2 s 3", "99999s", "\x1b[2J", "１s"])
def test_nonsense_is_refused_by_name(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        duration(text)
    assert main(["ask", "photo.jpg", "what?", f"--deadline={text}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("heliograph: usage: argument --deadline")
    assert "\x1b" not in said


def parsed(*options: str) -> argparse.Namespace:
    return build_parser("ask")[0].parse_args(["ask", "photo.jpg", "what?", *options])


def test_nothing_is_planned_unless_asked_for() -> None:
    assert not is_planned(parsed())
    assert not is_planned(parsed("--budget", "96"))
    for options in (["--quality", "0.9"], ["--deadline", "2s"], ["--explain"]):
        assert is_planned(parsed(*options))
        for told in (["--budget", "96"], ["--target", "0.9"], ["--setting", "max_bytes=96"]):
            with pytest.raises(UsageError):
                is_planned(parsed(*options, *told))


@pytest.fixture
def plan(reference_pair: object) -> Plan:
    bundle = reference_pair.bundle  # type: ignore[attr-defined]
    curves = Curves.load(bundle / "curves.json")
    situation = Situation(LinkEstimate(1e6, 0.06), kinds=curves.kinds.shares("what does the small plate say?"))
    return make_plan(curves, situation, Goal(0.9, 2.0))


def test_the_shipped_curves_send_a_region_for_small_print(plan: Plan) -> None:
    assert plan.chosen.crop
    assert plan.chosen.quality >= 0.9


def test_the_explanation_shows_every_strategy_once(plan: Plan) -> None:
    shown = representatives(plan)
    assert shown[0] == plan.chosen
    assert len({(c.strategy, c.crop) for c in shown}) == len(shown)
    assert {c.strategy for c in plan.candidates} == {c.strategy for c in shown}
    text = explanation(plan)
    assert text.splitlines()[0] == "plan for 90% within 2 s"
    assert text.splitlines()[-1].startswith(f"decided: {plan.chosen.name}")
    for candidate in shown:
        assert candidate.name in text
    assert "a guess, nothing was sent yet" in text
    assert max(map(len, text.splitlines())) < 180


def test_the_facts_are_json(plan: Plan) -> None:
    report = AskReport("K52", 0.9, "webp", {}, 900, 1200, 100, 9.0, 100.0, 100.0)
    facts = json.loads(json.dumps(plan_data(PlannedReport(report, plan, ("one", "two")))))
    assert facts["chosen"] == plan.chosen.name
    assert facts["goal"] == {"quality": 0.9, "answer_within_s": 2.0}
    assert len(facts["candidates"]) == len(plan.candidates)
    assert facts["candidates"][0]["verdict"] == "chosen"
    assert facts["decisions"] == ["one", "two"]


def test_help_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--quality", "--deadline", "--explain"))

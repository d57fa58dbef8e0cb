"""The planner's rule, and what it takes into account."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heliograph.controllers.curves import Curve, Curves, Origin, Point, made_monotone
from heliograph.controllers.planner import Goal, LinkEstimate, Situation, make_plan
from heliograph.controllers.question_kind import QuestionKinds
from heliograph.errors import UsageError

ORIGIN = Origin("2026-11-22", "planner", "a machine", "abc", 1200)
ANSWER_MS = {"tokens": 20.0, "picture": 30.0, "region": 40.0, "local": 20.0}
FAST = LinkEstimate(5e6, 0.05, samples=9)
SLOW = LinkEstimate(2e4, 0.2, samples=9)


def point(payload: float, quality: float, encode_ms: float, detail: float = 0.0, **more: object) -> Point:
    values = {"all": quality, "small-print": detail}
    return Point({"max_bytes": int(payload)}, payload, encode_ms, 2.0, values, **more)  # type: ignore[arg-type]


def picture(payload: float, quality: float) -> Point:
    setting = {"size": int(payload // 10), "quality": 50}
    return Point(setting, payload, 5.0, 0.2, {"all": quality, "small-print": 0.0})  # type: ignore[arg-type]


def curves(*, local: bool = True) -> Curves:
    """``meta`` (few bytes, slow to encode), ``webp`` (many bytes, quick to encode), a region behind, and local."""
    tokens = made_monotone([point(60, 0.8, 15), point(120, 0.95, 15), point(150, 0.97, 15)])
    pixels = made_monotone([picture(500, 0.9), picture(1000, 0.96), picture(4000, 0.99)])
    crop = point(150, 0.97, 15, 0.9, crop_setting={"size": 128}, crop_bytes=900.0, crop_encode_ms=3.0)
    kinds = QuestionKinds.counted(
        [("colour", "what colour is the heart?")] * 20 + [("small-print", "what does the small sign say?")] * 5
    )
    every = [
        Curve("meta", "tokens", tokens),
        Curve("webp", "picture", pixels),
        Curve("meta", "region", (crop,), "webp"),
    ]
    if local:
        every.append(Curve("local", "local", (Point({}, 0.0, 12.0, 0.0, {"all": 1.0, "small-print": 0.0}),)))
    return Curves(ORIGIN, tuple(every), ANSWER_MS, kinds)


REMOTE = frozenset({"meta", "webp"})
COLOUR, DETAIL = {"colour": 1.0}, {"small-print": 1.0}


def chosen(situation: Situation, goal: Goal, local: bool = True) -> str:
    return make_plan(curves(local=local), situation, goal).chosen.name


def test_the_quickest_way_that_is_good_enough_is_taken() -> None:
    plan = make_plan(curves(), Situation(FAST, strategies=REMOTE), Goal(0.95, 2.0))
    reaching = [c for c in plan.candidates if c.quality >= 0.95]
    assert plan.chosen.quality >= 0.95
    assert plan.chosen.total_s == min(c.total_s for c in reaching)
    assert plan.candidates[0] == plan.chosen
    assert "reach 95% within 2 s" in plan.rule


def test_where_nothing_is_good_enough_the_best_in_time_is_taken() -> None:
    plan = make_plan(curves(local=False), Situation(FAST), Goal(0.999, 2.0))
    assert plan.chosen.quality == max(c.quality for c in plan.candidates)
    assert "no candidate reaches" in plan.rule


def test_where_nothing_is_in_time_the_quickest_is_taken() -> None:
    plan = make_plan(curves(), Situation(SLOW, device_factor=100.0), Goal(0.9, 0.01))
    assert plan.chosen.total_s == min(c.total_s for c in plan.candidates)
    assert "no candidate answers within 10 ms" in plan.rule


def test_a_fast_device_answers_itself_and_a_slow_one_sends_what_is_quick_to_encode() -> None:
    goal = Goal(0.95, 4.0)
    assert chosen(Situation(FAST), goal) == "local"
    assert chosen(Situation(FAST, device_factor=20.0), goal).startswith("webp")


def test_a_slow_link_makes_tokens_worth_their_encoding() -> None:
    situation = Situation(SLOW, device_factor=4.0, strategies=REMOTE)
    assert chosen(situation, Goal(0.95, 4.0)) == "meta max_bytes=120"
    assert chosen(replace(situation, link=FAST), Goal(0.95, 4.0)).startswith("webp")


def test_less_quality_costs_fewer_bytes() -> None:
    situation = Situation(SLOW, strategies=frozenset({"meta"}))
    sent = [make_plan(curves(), situation, Goal(q)).chosen.payload_bytes for q in (0.7, 0.9, 0.96)]
    assert sent == [60, 120, 150]


def test_small_print_brings_a_region_and_other_questions_do_not() -> None:
    goal = Goal(0.85, 2.0)
    assert chosen(Situation(FAST, kinds=DETAIL), goal) == "meta max_bytes=150 + webp size=128"
    assert "+" not in chosen(Situation(FAST, kinds=COLOUR), goal)
    without = make_plan(curves(), Situation(FAST, kinds=DETAIL, region=False), goal)
    assert not any(c.crop for c in without.candidates)


def test_without_a_link_the_device_answers_and_with_neither_there_is_no_way() -> None:
    down = Situation(replace(FAST, up=False), device_factor=50.0)
    plan = make_plan(curves(), down, Goal(0.95, 0.1))
    assert plan.chosen.name == "local"
    assert "the link is down" in plan.notes
    assert chosen(Situation(None), Goal(0.95)) == "local"
    with pytest.raises(UsageError):
        make_plan(curves(local=False), down, Goal(0.95))


def test_opening_runs_beside_encoding() -> None:
    open_, closed = Situation(FAST), Situation(FAST, connected=False)
    times = {
        connected: {c.name: c.total_s for c in make_plan(curves(), s, Goal(0.5)).candidates}
        for connected, s in ((True, open_), (False, closed))
    }
    name = "meta max_bytes=120"
    assert times[False][name] - times[True][name] == pytest.approx(2 * FAST.round_trip_s - 0.015)
    assert times[False]["local"] == times[True]["local"]


def test_what_the_device_measured_goes_before_the_curves() -> None:
    situation = Situation(FAST, encode_s={"webp size=50,quality=50": 0.7, "meta": 0.3}, local_answer_s=0.9)
    found = {c.name: c for c in make_plan(curves(), situation, Goal(0.5)).candidates}
    assert found["webp size=50,quality=50"].encode_s == pytest.approx(0.7)
    assert found["meta max_bytes=60"].encode_s == pytest.approx(0.3)
    assert found["webp size=100,quality=50"].encode_s == pytest.approx(0.005)
    assert found["local"].total_s == pytest.approx(0.912)


def test_a_first_use_costs_loading() -> None:
    found = {
        loading: {c.name: c.total_s for c in make_plan(curves(), s, Goal(0.5)).candidates}
        for loading, s in ((False, Situation(FAST)), (True, Situation(FAST, loading_s={"meta": 0.5})))
    }
    assert found[True]["meta max_bytes=60"] == pytest.approx(found[False]["meta max_bytes=60"] + 0.5)
    assert found[True]["local"] == found[False]["local"]


def test_a_photo_that_the_cloud_holds_is_not_sent_again() -> None:
    situation = Situation(SLOW, strategies=REMOTE, held=frozenset({"webp size=400,quality=50"}))
    plan = make_plan(curves(), situation, Goal(0.9))
    assert plan.chosen.name == "webp size=400,quality=50"
    assert plan.chosen.payload_bytes == 0


def test_loss_makes_large_ways_slower() -> None:
    lossy = replace(FAST, loss=0.05)
    found = [
        {c.name: c.total_s for c in make_plan(curves(), Situation(link), Goal(0.5)).candidates}
        for link in (FAST, lossy)
    ]
    small, large = "meta max_bytes=60", "webp size=400,quality=50"
    assert 0 < found[1][small] - found[0][small] < found[1][large] - found[0][large]
    assert found[1]["local"] == found[0]["local"]


def test_every_candidate_says_why() -> None:
    plan = make_plan(curves(), Situation(LinkEstimate(1e5, 0.1)), Goal(0.96, 0.25))
    verdicts = {c.name: c.verdict for c in plan.candidates}
    assert verdicts[plan.chosen.name] == "chosen"
    assert all(verdicts.values())
    assert "not enough" in verdicts["meta max_bytes=60"]
    assert "too late" in verdicts["webp size=400,quality=50"]
    assert "slower" in verdicts["meta max_bytes=150"]
    assert any("a guess, nothing was sent yet" in note for note in plan.notes)
    assert any("a guess, none was timed yet" in note for note in plan.notes)


@pytest.mark.parametrize(("quality", "within_s"), [(-0.1, 1.0), (1.1, 1.0), (0.9, 0.0), (0.9, -1.0), (float("nan"), 1)])
def test_goals_that_mean_nothing_are_refused(quality: float, within_s: float) -> None:
    with pytest.raises(UsageError):
        Goal(quality, within_s)

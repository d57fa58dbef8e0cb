"""What a plan says about itself: the rule, a verdict for every candidate, and what the numbers rest on, word by word.

The uplink carries 1,000 bytes a second and a round trip takes 0.2 s. A photo of 100 bytes is 152.96 bytes with its
announcement, framing and answer, one of 400 bytes 464.96 and one of 900 bytes 984.96; the cloud's answer takes 20 ms.
So the three candidates below take 0.373, 0.685 and 1.205 s.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from heliograph.controllers.curves import Curve, Curves, Origin, Point
from heliograph.controllers.planner import (
    LONGEST_ANSWER_WITHIN_S,
    Goal,
    LinkEstimate,
    Plan,
    Situation,
    candidates,
    duration_text,
    make_plan,
)
from heliograph.errors import UsageError

LINK = LinkEstimate(8000.0, 0.2)
SITUATION = Situation(LINK)
POINTS = {"small": (0.80, 100.0), "middle": (0.90, 400.0), "large": (0.95, 900.0)}
CURVES_NOTE = "curves of 2026-11-22, 1,200 questions of suite planner"


def curves(points: dict[str, tuple[float, float]]) -> Curves:
    made = [
        Curve(name, "tokens", (Point({}, payload, 0.0, 0.0, {"all": quality}),))
        for name, (quality, payload) in points.items()
    ]
    answer_ms = {"tokens": 20.0, "picture": 30.0, "region": 40.0, "local": 25.0}
    return Curves(Origin("2026-11-22", "planner", "a machine", "abc", 1200), tuple(made), answer_ms)


def plan(goal: Goal, points: dict[str, tuple[float, float]] = POINTS) -> Plan:
    return make_plan(curves(points), SITUATION, goal)


@pytest.mark.parametrize(
    ("goal", "rule", "verdicts"),
    [
        (
            Goal(0.9),
            "2 of 3 candidates reach 90%; the quickest of them",
            {"middle": "chosen", "small": "80.0% is not enough", "large": "520 ms slower"},
        ),
        (
            Goal(0.9, 0.8),
            "1 of 3 candidates reach 90% within 800 ms; the quickest of them",
            {"middle": "chosen", "small": "80.0% is not enough", "large": "1.2 s is too late"},
        ),
        (
            Goal(0.95, 0.8),
            "no candidate reaches 95% within 800 ms; the best quality within 800 ms",
            {"middle": "chosen", "small": "80.0% is worse", "large": "1.2 s is too late"},
        ),
        (
            Goal(0.96),
            "no candidate reaches 96%; the best quality there is",
            {"large": "chosen", "small": "80.0% is worse", "middle": "90.0% is worse"},
        ),
        (
            Goal(0.8, 0.3),
            "no candidate answers within 300 ms; the quickest",
            {"small": "chosen", "middle": "685 ms is too late", "large": "1.2 s is too late"},
        ),
        (
            Goal(0.95),
            "1 of 3 candidates reach 95%; the quickest of them",
            {"large": "chosen", "small": "80.0% is not enough", "middle": "90.0% is not enough"},
        ),
    ],
)
def test_the_rule_and_the_verdicts(goal: Goal, rule: str, verdicts: dict[str, str]) -> None:
    """The chosen candidate first, then by time: the order of the expected verdicts."""
    found = plan(goal)
    assert found.rule == rule
    assert [(c.name, c.verdict) for c in found.candidates] == list(verdicts.items())
    assert found.chosen == found.candidates[0]


def test_as_good_and_slower_is_slower() -> None:
    for goal in (Goal(0.95), Goal(0.9)):  # reached by none, and by both
        found = plan(goal, {"quick": (0.9, 400.0), "slow": (0.9, 900.0)})
        assert [c.verdict for c in found.candidates] == ["chosen", "520 ms slower"]


def test_rounding_does_not_miss_a_quality() -> None:
    assert plan(Goal(0.1 + 0.2), {"it": (0.3, 100.0), "more": (0.4, 400.0)}).chosen.name == "it"
    assert plan(Goal(0.301), {"it": (0.3, 100.0), "more": (0.4, 400.0)}).chosen.name == "more"


def test_the_last_moment_is_in_time() -> None:
    middle = candidates(curves(POINTS), SITUATION)[1]
    assert plan(Goal(0.9, middle.total_s)).rule.startswith("1 of 3 candidates reach 90%")
    assert plan(Goal(0.9, middle.total_s - 1e-6)).rule.startswith("no candidate reaches")


def test_goals_at_their_bounds() -> None:
    for goal in (Goal(0.0), Goal(1.0), Goal(0.5, LONGEST_ANSWER_WITHIN_S), Goal(0.5, 1e-9)):
        assert plan(goal).goal == goal
    with pytest.raises(UsageError):
        Goal(0.5, LONGEST_ANSWER_WITHIN_S + 1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"),
        (0.04, "40 ms"),
        (0.9994, "999 ms"),
        (1.0, "1 s"),
        (2.0, "2 s"),
        (12.34, "12.3 s"),
        (1234.5, "1,234 s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


MEASURED = LinkEstimate(2_500_000.0, 0.05, loss=0.012, samples=9, waiting_s=0.3)
GUESSED = "(a guess, nothing was sent yet)"
DEVICE = "device: 1 times the time of the curves' machine (a guess, none was timed yet)"


@pytest.mark.parametrize(
    ("situation", "notes"),
    [
        (SITUATION, (f"link: 0.008 Mbit/s up, 200 ms round trip {GUESSED}", DEVICE)),
        (
            replace(SITUATION, link=MEASURED),
            ("link: 2.5 Mbit/s up, 50 ms round trip, 300 ms waiting, loss 1.2% (from 9 exchanges)", DEVICE),
        ),
        (
            replace(SITUATION, link=replace(LINK, waiting_s=0.001)),
            (f"link: 0.008 Mbit/s up, 200 ms round trip, 1 ms waiting {GUESSED}", DEVICE),
        ),
        (
            replace(SITUATION, link=replace(LINK, waiting_s=0.0009)),
            (f"link: 0.008 Mbit/s up, 200 ms round trip {GUESSED}", DEVICE),
        ),
        (
            replace(SITUATION, device_factor=2.5, device_samples=4),
            (
                f"link: 0.008 Mbit/s up, 200 ms round trip {GUESSED}",
                "device: 2.5 times the time of the curves' machine (from 4 encodings)",
            ),
        ),
        (
            replace(SITUATION, link=MEASURED, loading_s={"webp": 0.5, "meta": 1.25}),
            (
                "link: 2.5 Mbit/s up, 50 ms round trip, 300 ms waiting, loss 1.2% (from 9 exchanges)",
                DEVICE,
                "first use in this process costs more: meta 1.25 s, webp 500 ms",
            ),
        ),
        (
            replace(SITUATION, link=MEASURED, kinds={"count": 0.1, "colour": 0.6, "shape": 0.3}),
            (
                "link: 2.5 Mbit/s up, 50 ms round trip, 300 ms waiting, loss 1.2% (from 9 exchanges)",
                DEVICE,
                "kind of question: colour 60%, shape 30%",
            ),
        ),
    ],
)
def test_the_notes(situation: Situation, notes: tuple[str, ...]) -> None:
    assert make_plan(curves(POINTS), situation, Goal(0.9)).notes == (CURVES_NOTE, *notes)


@pytest.mark.parametrize(
    ("kinds", "named"),
    [
        ({"colour": 0.99, "shape": 0.01}, "colour 99%, shape 1%"),
        ({"colour": 0.992, "shape": 0.008}, "colour 99%"),
    ],
)
def test_kinds_of_less_than_one_per_cent_are_not_named(kinds: dict[str, float], named: str) -> None:
    notes = make_plan(curves(POINTS), replace(SITUATION, kinds=kinds), Goal(0.9)).notes
    assert notes[-1] == f"kind of question: {named}"


def test_without_a_link_the_notes_say_so() -> None:
    local = replace(curves({}), curves=(Curve("local", "local", (Point({}, 0.0, 12.0, 0.0, {"all": 0.9}),)),))
    alone = make_plan(local, Situation(None), Goal(0.5))
    assert alone.notes == (CURVES_NOTE, "no cloud to ask", DEVICE)
    down = make_plan(local, Situation(replace(LINK, up=False)), Goal(0.5))
    assert down.notes == (CURVES_NOTE, "the link is down", DEVICE)


@pytest.mark.parametrize(
    ("rate_bit_s", "text"),
    [
        (1_234_500_000.0, "1,234 Mbit/s"),
        (99_960_000.0, "100 Mbit/s"),
        (12_340_000.0, "12.3 Mbit/s"),
        (10.0, "1e-05 Mbit/s"),
    ],
)
def test_rates_have_three_digits_or_more(rate_bit_s: float, text: str) -> None:
    notes = make_plan(curves(POINTS), Situation(LinkEstimate(rate_bit_s, 0.2)), Goal(0.5)).notes
    assert notes[1] == f"link: {text} up, 200 ms round trip {GUESSED}"


def test_a_bad_goal_is_named_with_its_bounds() -> None:
    for goal, note in ((lambda: Goal(1.5), "0 to 1"), (lambda: Goal(0.5, 0.0), "above 0, up to 86400 seconds")):
        with pytest.raises(UsageError) as caught:
            goal()
        assert note in str(caught.value.__notes__)


def test_a_situation_is_a_measured_device_in_a_session_unless_it_says_otherwise() -> None:
    assert Situation(LINK) == Situation(LINK, True, 1.0, 0, {}, {}, None, None, True, frozenset(), {})
    assert LinkEstimate(1.0, 2.0) == LinkEstimate(1.0, 2.0, 0.0, True, 0, 0.0)

"""What reports say of an answer, and of a plan beside what it expected."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heliograph.controllers.planner import Candidate
from heliograph.edge.planning.report import outcome_text
from heliograph.edge.region import RegionSending
from heliograph.edge.report import AskReport, Draft
from heliograph.protocol.frames import NO_FLAGS

REPORT = AskReport("blue", 0.75, "webp", {}, 1500, 1600, 30, 12.5, 200.0, 300.0)
CANDIDATE = Candidate("webp", {"size": 64}, "", {}, 0.9, 1200.4, 0.1, 0.2, 1.0, 0.05, 0.75)  # 2 s in all


def test_a_report_that_says_nothing_more_is_of_an_ordinary_answer() -> None:
    assert (REPORT.drafts, REPORT.photo_notes, REPORT.cloud_bundle, REPORT.likelihood) == ((), (), "", None)
    assert (REPORT.stopped_early, REPORT.photo_seen, REPORT.looked) == (False, True, False)
    assert (REPORT.region_missed, REPORT.controller_failed) == (False, False)
    assert (REPORT.regions_sent, REPORT.reconnections) == (0, 0)
    draft = Draft(1.0, 2, 0.5, "blue")
    assert (draft.photo_seen, draft.flags) == (True, NO_FLAGS)


def test_wire_bytes_are_of_both_directions() -> None:
    assert REPORT.wire_bytes == 1630


@pytest.mark.parametrize(("likelihood", "unfamiliar"), [(None, False), (0.49, True), (0.5, False), (1.0, False)])
def test_a_chance_below_a_half_is_an_unfamiliar_photo(likelihood: float | None, unfamiliar: bool) -> None:
    assert replace(REPORT, likelihood=likelihood).unfamiliar is unfamiliar


@pytest.mark.parametrize(
    ("crop", "regions_sent", "looked", "more"),
    [
        ("", 0, False, ""),
        ("", 1, True, ""),
        ("webp", 0, False, "; no region came"),
        ("webp", 1, True, "; 1 region sent, the second answer is more confident"),
        ("webp", 1, False, "; 1 region sent, the first answer stands"),
    ],
)
def test_what_came_of_a_plan(crop: str, regions_sent: int, looked: bool, more: str) -> None:
    report = replace(REPORT, regions_sent=regions_sent, looked=looked)
    assert outcome_text(replace(CANDIDATE, crop=crop), report) == (
        f"answered after 300 ms (expected 2 s) from 1,500 payload bytes (expected 1,200){more}"
    )


def test_regions_travel_as_webp_with_its_defaults() -> None:
    assert RegionSending() == RegionSending("webp", None)

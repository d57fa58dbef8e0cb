"""What a planned question cost, what came back, and what was decided on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from heliograph.controllers.planner import Candidate, Plan, duration_text
from heliograph.edge.report import AskReport


@dataclass(frozen=True)
class PlannedReport:
    """One planned question.

    Attributes:
        report: what it cost and what came back.
        plan: the last plan made for it.
        decisions: what was decided, in order, as sentences with their numbers.
    """

    report: AskReport
    plan: Plan
    decisions: tuple[str, ...] = field(default=())


def outcome_text(candidate: Candidate, report: AskReport) -> str:
    """What came of a plan, beside what it expected, as one sentence."""
    found = (
        f"answered after {duration_text(report.final_ms / 1000)} (expected {duration_text(candidate.total_s)}) "
        f"from {report.payload_bytes:,} payload bytes (expected {candidate.payload_bytes:,.0f})"
    )
    if not candidate.crop:
        return found
    kept = "the second answer is more confident" if report.looked else "the first answer stands"
    return f"{found}; {report.regions_sent} region sent, {kept}" if report.regions_sent else f"{found}; no region came"

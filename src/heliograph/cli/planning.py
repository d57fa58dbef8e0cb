"""``ask --quality --deadline --explain``: the options, the planned question, and the plan in words and numbers."""

from __future__ import annotations

import argparse
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from heliograph.cli.command import note, share
from heliograph.cli.links import retry_notes
from heliograph.cli.options.key import first_key
from heliograph.cli.options.stopping import question_from
from heliograph.cli.text import byte_count, milliseconds, printable, table
from heliograph.errors import UsageError
from heliograph.question import NO_REGION

if TYPE_CHECKING:
    from heliograph.cli.live import DraftDisplay
    from heliograph.controllers.planner import Candidate, Plan
    from heliograph.edge.device import Device
    from heliograph.edge.planning.report import PlannedReport
    from heliograph.tracing.table import TraceSink
    from heliograph.transport.base import Connection

DEFAULT_QUALITY = 0.95

_DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s|)")
_LONGEST_S = 86_400.0


def duration(text: str) -> float:
    """Argument type: seconds from ``2s``, ``500ms`` or ``1.5``; above 0, a day at most.

    >>> duration("500ms")
    0.5
    """
    found = _DURATION.fullmatch(text.strip().lower())
    value = float(found[1]) * (0.001 if found[2] == "ms" else 1.0) if found else 0.0
    if not 0 < value <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"not a time such as 2s, 500ms or 1.5: '{printable(text)}'")
    return value


def add_planning_options(parser: argparse.ArgumentParser) -> None:
    """--quality, --deadline and --explain."""
    parser.add_argument(
        "--quality",
        metavar="SHARE",
        type=share,
        help=f"let the device plan: share of answers equal to the whole photo's, 0 to 1 (default: {DEFAULT_QUALITY})",
    )
    parser.add_argument(
        "--deadline", metavar="TIME", type=duration, help="let the device plan: answer within 2s, 500ms, 1.5"
    )
    parser.add_argument(
        "--explain", action="store_true", help=f"plan (for {DEFAULT_QUALITY:g} by default), and explain the decision"
    )


def is_planned(arguments: argparse.Namespace) -> bool:
    """Whether the device shall decide by itself.

    Raises:
        UsageError: it shall, and options say what to send or when to stop all the same.
    """
    planned = arguments.quality is not None or arguments.deadline is not None or arguments.explain
    given = {
        "--setting": bool(arguments.setting),
        "--budget": arguments.budget is not None,
        "--controller": arguments.controller is not None,
        "--target": arguments.target is not None,
        "--confidence": arguments.confidence is not None,
        "--region": arguments.region != NO_REGION,
    }
    if planned and any(given.values()):
        named = ", ".join(option for option, is_given in given.items() if is_given)
        raise UsageError().noted(
            f"With --quality, --deadline or --explain the device plans what it sends and when it stops: "
            f"leave out {named}."
        )
    return planned


async def ask_by_plan(
    arguments: argparse.Namespace,
    device: Device,
    opener: Callable[[], Awaitable[Connection]],
    token: str,
    display: DraftDisplay,
    trace: TraceSink | None = None,
) -> PlannedReport:
    """The question of the command line, planned; with --explain every plan is shown before it is carried out.

    Raises:
        HeliographError: as ``PlannedClient`` and its ``ask``.
    """
    from heliograph.controllers.planner import Goal
    from heliograph.edge.planning.planned import PlannedClient

    goal = Goal(DEFAULT_QUALITY if arguments.quality is None else arguments.quality, arguments.deadline)
    only = None if arguments.strategy is None else frozenset({arguments.strategy})
    async with PlannedClient(
        opener, device, token, only=only, key=first_key(arguments), on_retry=retry_notes(arguments), trace=trace
    ) as client:
        return await client.ask(
            arguments.photo,
            question_from(arguments),
            goal,
            timeout_s=arguments.timeout,
            on_draft=display.on_draft,
            on_progress=display.on_progress,
            on_plan=lambda plan: note(arguments, explanation(plan)) if arguments.explain else None,
        )


def explanation(plan: Plan) -> str:
    """A plan for people: what it rests on, the best candidate of every strategy, and what was decided."""
    from heliograph.controllers.planner import duration_text

    limit = "" if plan.goal.answer_within_s is None else f" within {duration_text(plan.goal.answer_within_s)}"
    head = [f"plan for {plan.goal.quality:.0%}{limit}", *(f"  {line}" for line in plan.notes)]
    shown = representatives(plan)
    columns = ("candidate", "quality", "bytes", "open", "encode", "send", "travel", "cloud", "total", "")
    rows = [_cells(candidate) for candidate in shown]
    left = len(plan.candidates) - len(shown)
    tail = [f"  ({left} further settings)"] if left > 0 else []
    body = table(columns, rows, left=(0, len(columns) - 1)).splitlines()
    chosen = f"decided: {plan.chosen.name} ({plan.rule})"
    return "\n".join([*head, *(f"  {line}" for line in body), *tail, chosen])


def representatives(plan: Plan) -> list[Candidate]:
    """The chosen candidate, then one of each other strategy: the quickest good enough one, else the best; by time."""
    groups: dict[tuple[str, str], list[Candidate]] = {}
    for candidate in plan.candidates:
        groups.setdefault((candidate.strategy, candidate.crop), []).append(candidate)
    del groups[plan.chosen.strategy, plan.chosen.crop]
    found = []
    for group in groups.values():
        enough = [c for c in group if c.quality >= plan.goal.quality]
        found.append(
            min(enough, key=lambda c: c.total_s) if enough else max(group, key=lambda c: (c.quality, -c.total_s))
        )
    return [plan.chosen, *sorted(found, key=lambda c: c.total_s)]


def _cells(candidate: Candidate) -> tuple[str, ...]:
    parts = (candidate.open_s, candidate.encode_s, candidate.send_s, candidate.travel_s, candidate.cloud_s)
    return (
        candidate.name,
        f"{candidate.quality:.1%}",
        byte_count(round(candidate.payload_bytes)),
        *(milliseconds(1000 * seconds) if seconds else "-" for seconds in parts),
        milliseconds(1000 * candidate.total_s),
        candidate.verdict,
    )


def plan_data(planned: PlannedReport) -> dict[str, Any]:
    """The plan as JSON values: everything that it was made from, every candidate, and what was decided."""
    plan = planned.plan
    situation = asdict(plan.situation)
    situation["strategies"] = sorted(plan.situation.strategies or ())
    situation["held"] = sorted(plan.situation.held)
    return {
        "goal": asdict(plan.goal),
        "situation": situation,
        "rule": plan.rule,
        "notes": list(plan.notes),
        "decisions": list(planned.decisions),
        "chosen": plan.chosen.name,
        "candidates": [{**asdict(c), "name": c.name, "total_s": round(c.total_s, 6)} for c in plan.candidates],
    }

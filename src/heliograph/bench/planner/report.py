"""What the suite ``planner`` reports: figures, rows and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from heliograph.bench.metrics import ALL
from heliograph.bench.planner.cells import FIXED, FORESIGHT, ORACLE, PLANNER, Cell, Replayed
from heliograph.bench.planner.plot import PICTURES, TARGETS_TABLE
from heliograph.bench.planner.replay import CandidateTable
from heliograph.bench.results import Figure, Provenance, Row, SuiteResult, Table
from heliograph.controllers.curves import Curves
from heliograph.controllers.planner import Goal, duration_text
from heliograph.transport.links import LinkProfile

SUITE = "planner"
_OWN = {True: "own model", False: "no own model"}
_BOUNDS = (1.15, 1.05)  # must, aim


def result_of(replayed: Replayed, curves: Curves, provenance: Provenance, seed_start: int) -> SuiteResult:
    """Figures, rows and tables."""
    return SuiteResult(
        suite=SUITE,
        provenance=provenance,
        rows=tuple(_rows(replayed)),
        b99={},
        figures=_figures(replayed),
        notes=_notes(replayed, curves, seed_start),
        tables=(
            *(_targets_table(replayed, share) for share in replayed.plan.rate_shares),
            _traces_table(replayed),
            _kinds_table(replayed),
            _fixed_table(replayed),
        ),
        pictures=PICTURES,
    )


def _figures(replayed: Replayed) -> tuple[Figure, ...]:
    """Means over cells of the ratio of the medians; the bounds are the project's own, for the traces as they are."""
    found: list[Figure] = []
    for share in replayed.plan.rate_shares:
        must, aim = _BOUNDS if share == 1 else (None, None)
        for own in (False, True):
            cells = _of(replayed, share=share, own_model=own)
            where = f"{_OWN[own]}, {_rate(share)}"
            name = "planner's median time / {} median time" + f", {where}"
            equal = name.format("the oracle's") + ", equal quality"
            ratio, worst = _mean_over(replayed, cells, ORACLE), max(_over(replayed, cell, ORACLE) for cell in cells)
            found += [
                Figure(equal, ratio, None, must, aim, "modelled"),
                Figure(f"{equal}, worst of {len(cells)} cells", worst, source="modelled"),
                Figure(name.format("foresight's"), _mean_over(replayed, cells, FORESIGHT), source="modelled"),
                Figure(name.format("the best fixed way's"), _mean_over(replayed, cells, FIXED), source="modelled"),
                Figure(f"planner: share good and in time, {where}", _met(replayed, cells), source="modelled"),
            ]
    groups = dict.fromkeys((c.share, c.factor, c.own_model, c.goal) for c in replayed.cells)
    short = max(_shortfall(replayed, *group) for group in groups)
    return (*found, Figure("planner: good answers short of the target, worst target and device", max(0.0, short)))


def _met(replayed: Replayed, cells: Sequence[Cell]) -> float:
    """Share of questions with a good answer in time."""
    met = []
    for cell in cells:
        times, good = replayed.pooled([cell], PLANNER)
        met.append(np.mean((times <= (cell.goal.answer_within_s or np.inf)) & (good > 0)))
    return float(np.mean(met))


def _shortfall(replayed: Replayed, share: float, factor: float, own_model: bool, goal: Goal) -> float:
    cells = _of(replayed, share=share, factor=factor, own_model=own_model, goal=goal)
    return goal.quality - float(replayed.pooled(cells, PLANNER)[1].mean())


def _mean_over(replayed: Replayed, cells: Sequence[Cell], who: str) -> float:
    return float(np.mean([_over(replayed, cell, who) for cell in cells]))


def _over(replayed: Replayed, cell: Cell, who: str) -> float:
    other = cell.times(replayed.places(cell, who))
    return float(np.median(cell.times(cell.planner)) / np.median(other))


def _of(replayed: Replayed, **wanted: object) -> list[Cell]:
    """Cells with these attributes."""
    return [cell for cell in replayed.cells if all(getattr(cell, name) == value for name, value in wanted.items())]


def _rows(replayed: Replayed) -> list[Row]:
    """Rows at the traces' own rates: per target and device over all traces; per trace over all targets and devices."""
    plan = replayed.plan
    contestants = (PLANNER, ORACLE, FORESIGHT, FIXED)
    rows = []
    for goal in plan.goals:
        for own in (False, True):
            for factor in plan.device_factors:
                cells = _of(replayed, share=plan.rate_shares[0], factor=factor, goal=goal, own_model=own)
                label = f"{_goal_text(goal)}, {_speed(factor)}, {_OWN[own]}"
                rows += [_row(replayed, who, cells, label) for who in contestants]
    for name, profile in replayed.links.items():
        cells = _of(replayed, share=plan.rate_shares[0], trace=name)
        rows += [_row(replayed, who, cells, name, profile) for who in contestants]
    return rows


def _row(replayed: Replayed, who: str, cells: list[Cell], setting: str, link: LinkProfile | None = None) -> Row:
    times, good = replayed.pooled(cells, who)
    chosen = [(cell, replayed.places(cell, who)) for cell in cells]
    score = np.concatenate([cell.of(replayed.candidates.score, places) for cell, places in chosen])
    payload = np.concatenate([cell.of(replayed.candidates.payload_bytes, places) for cell, places in chosen])
    return Row(
        strategy=who,
        setting=setting,
        task=ALL,
        questions=len(times),
        accuracy=float(score.mean()),
        agreement=float(good.mean()),
        payload_bytes=float(payload.mean()),
        link_mbit=None if link is None else round(link.up_bit_s / 1e6, 2),
        rtt_ms=None if link is None else 1000 * link.round_trip_s,
        final_ms=None if link is None else float(1000 * times.mean()),
        source="measured" if link is None else "modelled",
    )


def _targets_table(replayed: Replayed, share: float) -> Table:
    plan = replayed.plan
    body = [
        _target_line(replayed, _of(replayed, share=share, factor=factor, goal=goal, own_model=own))
        for goal in plan.goals
        for own in (False, True)
        for factor in plan.device_factors
    ]
    head = ("target", "device", "own model", "planner, median ms", "oracle", "foresight", "best fixed")
    more = ("planner / oracle", "planner good %", "foresight good %", "fixed good %", "planner good and in time %")
    title = f"{TARGETS_TABLE}, {_rate(share)} (times modelled, answers measured)"
    return Table(title, (*head, *more, "planner chose"), tuple(body))


def _target_line(replayed: Replayed, cells: Sequence[Cell]) -> tuple[str, ...]:
    found = {who: replayed.pooled(cells, who) for who in (PLANNER, ORACLE, FORESIGHT, FIXED)}
    times, good = found[PLANNER]
    goal = cells[0].goal
    return (
        _goal_text(goal),
        _speed(cells[0].factor),
        "yes" if cells[0].own_model else "no",
        *(f"{1000 * np.median(t):.0f}" for t, _ in found.values()),
        f"{np.mean([cell.ratio for cell in cells]):.3f}",
        *(f"{100 * found[who][1].mean():.1f}" for who in (PLANNER, FORESIGHT, FIXED)),
        f"{100 * np.mean((times <= (goal.answer_within_s or np.inf)) & (good > 0)):.1f}",
        _favourites(replayed.candidates, [int(place) for cell in cells for place in cell.planner]),
    )


def _traces_table(replayed: Replayed) -> Table:
    body = []
    for name, link in replayed.links.items():
        cells = _of(replayed, trace=name, own_model=False, share=replayed.plan.rate_shares[0])
        medians = [np.median(replayed.pooled(cells, who)[0]) for who in (PLANNER, ORACLE, FORESIGHT, FIXED)]
        ratios = [cell.ratio for cell in cells]
        body.append(
            (
                name,
                f"{link.up_bit_s / 1e6:.2f}",
                f"{1000 * link.round_trip_s:.0f}",
                *(f"{1000 * value:.0f}" for value in medians),
                f"{np.mean(ratios):.3f}",
                f"{max(ratios):.3f}",
                f"{100 * replayed.pooled(cells, PLANNER)[1].mean():.1f}",
            )
        )
    head = (
        "trace",
        "mean Mbit/s",
        "round trip ms (assumed)",
        "planner, median ms",
        "oracle",
        "foresight",
        "best fixed",
    )
    return Table(
        "Traces, device without a model of its own (all targets and speeds; modelled)",
        (*head, "planner / oracle, mean of 9 cells", "worst", "good %"),
        tuple(body),
    )


def _kinds_table(replayed: Replayed) -> Table:
    candidates, found = replayed.candidates, []
    for task in dict.fromkeys(candidates.tasks.tolist()):
        chosen = [c for cell in replayed.cells for c in cell.choices if candidates.tasks[c.moment.question] == task]
        if not chosen:
            continue
        good = np.mean([candidates.good[c.moment.question, c.candidate] for c in chosen])
        expected = np.mean([c.plan.chosen.quality for c in chosen])
        median = f"{1000 * np.median([c.time_s for c in chosen]):.0f}"
        row = (task, str(len(chosen)), f"{100 * expected:.1f}", f"{100 * good:.1f}", median)
        found.append((*row, _favourites(candidates, [c.candidate for c in chosen])))
    head = ("kind of question", "n", "good expected %", "good found %", "median ms", "planner chose")
    return Table("Kinds of questions (the planner, all cells)", head, tuple(found))


def _fixed_table(replayed: Replayed) -> Table:
    candidates, plan = replayed.candidates, replayed.plan
    one_target = _of(replayed, goal=plan.goals[0], own_model=True, share=plan.rate_shares[0])
    good = candidates.good[[m.question for cell in one_target for m in cell.moments]]
    times = np.array([m.times_s for cell in one_target for m in cell.moments])
    speeds = np.array([cell.factor for cell in one_target for _ in cell.moments])
    body = []
    for column, name in enumerate(candidates.names):
        medians = [f"{1000 * np.median(times[speeds == factor, column]):.0f}" for factor in plan.device_factors]
        met = [(times[:, column] <= (w.answer_within_s or np.inf)) & (good[:, column] > 0) for w in plan.goals]
        body.append((name, *medians, f"{100 * good[:, column].mean():.1f}", *(f"{100 * m.mean():.1f}" for m in met)))
    head = ("always", *(f"median ms, {_speed(f)}" for f in plan.device_factors), "good %")
    return Table(
        "Fixed ways",
        (*head, *(f"good within {duration_text(w.answer_within_s or 0)} %" for w in plan.goals)),
        tuple(body),
    )


def _favourites(candidates: CandidateTable, places: Sequence[int]) -> str:
    return ", ".join(
        f"{candidates.names[place]} ({count / len(places):.0%})" for place, count in Counter(places).most_common(3)
    )


def _goal_text(goal: Goal) -> str:
    return f"{goal.quality:.0%} in {duration_text(goal.answer_within_s or 0)}"


def _rate(share: float) -> str:
    return "traces as they are" if share == 1 else f"traces at {share:.0%} of their rates"


def _speed(factor: float) -> str:
    return "this machine" if factor == 1 else f"{factor:g} times as slow"


def _notes(replayed: Replayed, curves: Curves, seed_start: int) -> tuple[str, ...]:
    plan, fixed = replayed.plan, replayed.fixed
    records = replayed.candidates.found.records
    best = "; ".join(
        f"{_goal_text(goal)}, {_OWN[own]}, {_rate(share)}: {replayed.candidates.names[place]}"
        for (share, own, goal), place in fixed.items()
    )
    cloud = ", ".join(f"{name} {ms:.1f}" for name, ms in replayed.candidates.found.cloud_ms.items())
    return (
        f"{len(records)} questions about {plan.scenes} scenes with seeds from {seed_start}; {plan.moments} moments per "
        f"trace, the same for every device and target; curves measured on other scenes ({curves.origin.date}, "
        f"{curves.origin.questions} questions).",
        "A good answer equals the one from the uncompressed photo; for small print, the one from photo and labelled "
        "region at full size. Answers are measured; times are modelled from measured processor times and the trace.",
        "The planner starts each cell with an open connection and no other history, and learns from its own exchanges "
        "alone.",
        "oracle: least time together, knowing every arrival and every answer, with as many good answers as the planner "
        "in the same cell. foresight: the planner's rule, knowing every arrival and the mean quality per kind of "
        "question on these very questions.",
        f"Best fixed way, the quickest as good as the planner (within a point), chosen on these questions: {best}.",
        "A region is the labelled place, cut out of the original; how often the cloud finds it is a figure of suite "
        "region. For other kinds of questions the first answer is kept behind a region.",
        f"The traces hold no round trips; assumed by their kind: {plan.round_trip_ms} ms.",
        f"Processor milliseconds of the cloud's answers: {cloud}. A slower device is this machine's processor times "
        f"times its factor; the cloud stays as it is.",
    )

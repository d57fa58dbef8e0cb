"""Cells of the suite ``planner``: one trace, one device, one target, and what everybody chose there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from heliograph.bench.planner.oracle import Places, foresight, oracle
from heliograph.bench.planner.plan import PlannerPlan
from heliograph.bench.planner.replay import (
    Array,
    CandidateTable,
    Choice,
    Moment,
    World,
    handshake,
    moments_of,
    replay,
    slowed,
)
from heliograph.controllers.curves import Curves
from heliograph.controllers.planner import Goal
from heliograph.edge.planning.link_estimate import LinkObservation
from heliograph.strategies.selection import LOCAL
from heliograph.training.progress import Progress
from heliograph.transport.links import LinkProfile, parse_link

PLANNER, ORACLE, FORESIGHT, FIXED = "planner", "oracle", "foresight", "best fixed"
_QUALITY_SLACK = 0.01


class Place(NamedTuple):
    """A trace at a share of its rates, and a device."""

    trace: str
    share: float
    factor: float
    own_model: bool


@dataclass(frozen=True)
class Cell:
    """One trace, one device, one target: what was chosen at every moment, as columns of :class:`CandidateTable`.

    Attributes:
        share: of the trace's rates.
        factor: how many times as slow as this machine the device is.
        own_model: whether it can answer by itself.
    """

    trace: str
    share: float
    factor: float
    own_model: bool
    goal: Goal
    moments: Sequence[Moment]
    choices: Sequence[Choice]
    oracle: Places
    foresight: Places

    @property
    def planner(self) -> Places:
        """The planner's columns."""
        return np.array([choice.candidate for choice in self.choices])

    def times(self, places: Places) -> Array:
        """Seconds to the final answer of one choice per moment."""
        return np.array([m.times_s[p] for m, p in zip(self.moments, places, strict=True)])

    def of(self, values: Array, places: Places) -> Array:
        """A (questions, candidates) figure of one choice per moment."""
        return values[[m.question for m in self.moments], places]

    @property
    def ratio(self) -> float:
        """The planner's median time over the oracle's."""
        return float(np.median(self.times(self.planner)) / np.median(self.times(self.oracle)))


@dataclass(frozen=True)
class Replayed:
    """All cells of a run, and the fixed candidate that each target is compared with."""

    candidates: CandidateTable
    plan: PlannerPlan
    links: dict[str, LinkProfile]
    cells: tuple[Cell, ...]
    fixed: dict[tuple[float, bool, Goal], int]

    def places(self, cell: Cell, who: str) -> Places:
        """What one of the four chose in a cell."""
        if who == FIXED:
            return np.full(len(cell.moments), self.fixed[cell.share, cell.own_model, cell.goal])
        return {PLANNER: cell.planner, ORACLE: cell.oracle, FORESIGHT: cell.foresight}[who]

    def pooled(self, cells: Sequence[Cell], who: str) -> tuple[Array, Array]:
        """Seconds, and good (1) or not (0), over all moments of some cells."""
        chosen = [(cell, self.places(cell, who)) for cell in cells]
        good = [cell.of(self.candidates.good, places) for cell, places in chosen]
        return np.concatenate([cell.times(places) for cell, places in chosen]), np.concatenate(good)


def replay_all(
    plan: PlannerPlan, curves: Curves, candidates: CandidateTable, traces: Sequence[Path], progress: Progress
) -> Replayed:
    """Every cell of the plan."""
    links = {path.stem: parse_link(f"{path},{1000 * plan.round_trip_s(path.stem):g}ms") for path in traces}
    worlds = [(name, share, factor) for name in links for share in plan.rate_shares for factor in plan.device_factors]
    advance = progress.bar(len(worlds), "replaying traces")
    cells: list[Cell] = []
    for name, share, factor in worlds:
        profile = slowed(links[name], share)
        world, opening = World(candidates, plan, profile, factor), handshake(profile)
        asked = moments_of(plan, name, len(candidates.found.records))
        moments = [world.moment(start_s, question) for start_s, question in asked]
        without_own_model = [moment.without(candidates.place[LOCAL]) for moment in moments]
        for goal in plan.goals:
            cells.append(_cell(Place(name, share, factor, True), goal, moments, opening, curves, candidates))
            cells.append(_cell(Place(name, share, factor, False), goal, without_own_model, opening, curves, candidates))
        advance(1)
    keys = dict.fromkeys((cell.share, cell.own_model, cell.goal) for cell in cells)
    fixed = {key: best_fixed([c for c in cells if (c.share, c.own_model, c.goal) == key], candidates) for key in keys}
    return Replayed(candidates, plan, links, tuple(cells), fixed)


def _cell(
    place: Place,
    goal: Goal,
    moments: Sequence[Moment],
    opening: Sequence[LinkObservation],
    curves: Curves,
    candidates: CandidateTable,
) -> Cell:
    choices = replay(curves, candidates, moments, goal, opening, own_model=place.own_model)
    good = sum(float(candidates.good[c.moment.question, c.candidate]) for c in choices)
    best = oracle(moments, candidates, good)
    return Cell(*place, goal, moments, choices, best, foresight(moments, candidates, goal))


def best_fixed(cells: Sequence[Cell], candidates: CandidateTable) -> int:
    """The one candidate that, taken always, is the quickest of those no worse than the planner (one point of slack).

    Where none is as good, the best one. Chosen on the replayed questions themselves, which favours it.
    """
    enough = np.mean(np.concatenate([cell.of(candidates.good, cell.planner) for cell in cells])) - _QUALITY_SLACK
    questions = [m.question for cell in cells for m in cell.moments]
    medians = np.median(np.array([m.times_s for cell in cells for m in cell.moments]), axis=0)
    quality = np.where(np.isfinite(medians), candidates.good[questions].mean(axis=0), 0.0)
    if (quality >= enough).any():
        return int(np.where(quality >= enough, medians, np.inf).argmin())
    return int(quality.argmax())

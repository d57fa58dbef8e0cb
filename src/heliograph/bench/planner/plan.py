"""What a run of the suite ``planner`` does, read from ``benchmarks/suites/planner.json``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from heliograph.bench.definitions import read_definition
from heliograph.bench.outcomes import Candidate
from heliograph.bench.runner import BUDGET_KNOB
from heliograph.controllers.planner import Goal
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import parse_setting
from heliograph.strategies.selection import LOCAL


@dataclass(frozen=True)
class RegionCandidate:
    """A first photo, and a crop of the original behind it."""

    base: Candidate
    crop: Candidate

    @property
    def strategy(self) -> str:
        """Names of both strategies, as rows and curves write them."""
        return f"{self.base.strategy}+{self.crop.strategy}"

    @property
    def label(self) -> str:
        """Settings of both strategies."""
        return f"{self.base.label}+{self.crop.label}"


@dataclass(frozen=True)
class PlannerPlan:
    """What a run of the suite does.

    Attributes:
        scenes, seed_start: photos of the replayed questions.
        calibration_scenes, calibration_seed_start: photos that the shipped curves are measured on.
        budgets: payload bytes at which embedded streams are cut, for each kind of codec.
        pixels: settings of pixel codecs, chosen on other scenes by the suite ``reference``.
        region_bases, region_crops: what is sent first, and how the region behind it.
        moments: questions along each trace.
        pause_s: shortest and longest time between two of them, in seconds.
        round_trip_ms: by the first part of a trace's name; the traces hold none.
        rate_shares: of the traces' rates; the first one gives the figures, the others a table each.
        device_factors: how many times as slow as the measuring machine the device is.
        targets: quality and time to answer in.
    """

    version: int
    scenes: int
    seed_start: int
    calibration_scenes: int
    calibration_seed_start: int
    budgets: dict[str, list[int]]
    pixels: dict[str, list[str]]
    region_bases: dict[str, str]
    region_crops: dict[str, list[str]]
    moments: int
    pause_s: list[float]
    round_trip_ms: dict[str, float]
    rate_shares: list[float]
    device_factors: list[float]
    targets: list[dict[str, float]]

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every way of sending a whole photo, and ``local``."""
        cut = [Candidate(kind, {BUDGET_KNOB: limit}) for kind, limits in self.budgets.items() for limit in limits]
        pixels = [_candidate(name, text) for name, texts in self.pixels.items() for text in texts]
        return (*cut, *pixels, Candidate(LOCAL, {}))

    @cached_property
    def regions(self) -> tuple[RegionCandidate, ...]:
        """Every pair of a first photo and a crop."""
        bases = [_candidate(name, text) for name, text in self.region_bases.items()]
        crops = [_candidate(name, text) for name, texts in self.region_crops.items() for text in texts]
        return tuple(RegionCandidate(base, crop) for base in bases for crop in crops)

    @property
    def goals(self) -> tuple[Goal, ...]:
        """The targets as the planner takes them."""
        return tuple(Goal(target["quality"], target["answer_within_s"]) for target in self.targets)

    def round_trip_s(self, trace: str) -> float:
        """The round trip assumed for one trace, in seconds."""
        return self.round_trip_ms[trace.split("-", 1)[0]] / 1000


def planner_plan() -> PlannerPlan:
    """The plan.

    Raises:
        DataMissingError: the folder ``benchmarks`` is not there.
    """
    data: dict[str, Any] = read_definition("suites/planner.json")
    return PlannerPlan(**data)


def _candidate(strategy: str, text: str) -> Candidate:
    defaults = STRATEGIES.load(strategy)().default_setting
    return Candidate(strategy, parse_setting(text, defaults))

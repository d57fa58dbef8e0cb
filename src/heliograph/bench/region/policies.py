"""Region policies played on trials: nothing is measured again, a policy only picks which answer it would have had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from heliograph.bench.region.trials import Second, Trial
from heliograph.bench.stats import DoubleArray, Interval, clustered_interval, clustered_mean_interval
from heliograph.codec.calibration import Signals
from heliograph.controllers.region.calibrated import Calibrated
from heliograph.controllers.region.policies import FirstLook, Price, RegionPolicy
from heliograph.controllers.region.random_box import RandomBox
from heliograph.controllers.region.threshold import Threshold

_P = TypeVar("_P", bound=RegionPolicy)

Chance = Callable[[Signals], float]
"""Calibrated chance that a first answer is right."""

BITS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0)
CHANCES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
TUNING_SLACK = 0.0025
"""A threshold is good enough within this accuracy of the best; of those the one that looks least often is taken."""


@dataclass(frozen=True)
class Played:
    """One policy on all trials, one entry a trial.

    Attributes:
        name, setting: for tables.
        right: 0 or 1 of the answer that was kept.
        first_bytes: a question's share of its photo's first stage.
        second_bytes: of its region, 0 without one.
        looked: whether a region was asked for.
        second_right: of the second answer where there is one, else of the first: what trusting it blindly gives.
    """

    name: str
    setting: str
    right: DoubleArray
    first_bytes: DoubleArray
    second_bytes: DoubleArray
    looked: DoubleArray
    second_right: DoubleArray


def first_look(trial: Trial, chance: Chance, price: Price | None = None) -> FirstLook:
    """What a policy sees of a trial."""
    bits = trial.first.answer.min_entropy_bits
    return FirstLook(bits, chance(trial.signals), trial.found, trial.photo_size, trial.key, price or Price())


def kept(first: Second, second: Second) -> Second:
    """The better-confident of two answers, so that a second look cannot silently spoil a first answer."""
    return second if second.answer.confidence > first.answer.confidence else first


def play(
    policy: RegionPolicy, trials: Sequence[Trial], chance: Chance, *, setting: str = "", price: Price | None = None
) -> Played:
    """A policy's answers and bytes."""
    seconds: list[Second | None] = []
    for trial in trials:
        box = policy.decide(first_look(trial, chance, price))
        seconds.append(None if box is None else trial.random if isinstance(policy, RandomBox) else trial.looked)
    return _played(policy.name, setting, trials, seconds)


def play_refined(name: str, setting: str, trials: Sequence[Trial], policy: RegionPolicy, chance: Chance) -> Played:
    """Where a policy looks, tokens are refined in place of a crop; ``name`` is the trial's attribute."""
    asks = [policy.decide(first_look(trial, chance)) is not None for trial in trials]
    seconds = [getattr(trial, name) if ask else None for trial, ask in zip(trials, asks, strict=True)]
    return _played("latent", setting, trials, seconds)


def _played(name: str, setting: str, trials: Sequence[Trial], seconds: Sequence[Second | None]) -> Played:
    pairs = list(zip(trials, seconds, strict=True))
    return Played(
        name,
        setting,
        np.array([(t.first if s is None else kept(t.first, s)).right for t, s in pairs]),
        np.array([t.first.payload_bytes / t.photo_questions for t in trials]),
        np.array([0.0 if s is None else float(s.payload_bytes) for s in seconds]),
        np.array([float(s is not None) for s in seconds]),
        np.array([(t.first if s is None else s).right for t, s in pairs]),
    )


@dataclass(frozen=True)
class Tuned:
    """Thresholds chosen on dev trials."""

    threshold: Threshold
    calibrated: Calibrated


def tuned(trials: Sequence[Trial], chance: Chance) -> Tuned:
    """The thresholds that look least often and lose next to nothing against the best of all."""
    return Tuned(
        _thriftiest([Threshold(bits) for bits in BITS], trials, chance),
        _thriftiest([Calibrated(most) for most in CHANCES], trials, chance),
    )


def _thriftiest(policies: Sequence[_P], trials: Sequence[Trial], chance: Chance) -> _P:
    plays = [play(policy, trials, chance) for policy in policies]
    best = max(float(one.right.mean()) for one in plays)
    good = [i for i, one in enumerate(plays) if float(one.right.mean()) >= best - TUNING_SLACK]
    return policies[min(good, key=lambda i: float(plays[i].looked.mean()))]


class Questions:
    """Trials as columns, for means over some of them with intervals over whole photos."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.trials = tuple(trials)
        self.tasks = tuple(dict.fromkeys(trial.record.task for trial in trials))
        self._task = np.array([trial.record.task for trial in trials])
        self._photo = np.array([trial.record.image_id for trial in trials])
        self._photo_number = np.unique(self._photo, return_inverse=True)[1]

    def rows(self, task: str | None) -> DoubleArray:
        """1 for questions of a task, of all tasks where None."""
        return np.ones(len(self._task)) if task is None else (self._task == task).astype(np.float64)

    def count(self, task: str | None) -> int:
        """How many."""
        return int(self.rows(task).sum())

    def mean(self, values: DoubleArray, task: str | None = None) -> tuple[float, Interval | None]:
        """Mean over a task's questions, with its interval."""
        chosen = self.rows(task) > 0
        interval = clustered_mean_interval(values[chosen].tolist(), self._photo[chosen].tolist())
        return float(values[chosen].mean()), interval

    def ratio(self, above: DoubleArray, below: DoubleArray) -> tuple[float, Interval | None]:
        """Sum over sum, with an interval over resampled photos."""

        def of(weights: DoubleArray) -> float | None:
            each = weights[self._photo_number]
            total = float(each @ below)
            return float(each @ above) / total if total > 0 else None

        photos = int(self._photo_number.max()) + 1
        found = of(np.ones(photos))
        return (float("nan") if found is None else found), clustered_interval(of, photos)

    def hits(self) -> DoubleArray:
        """1 where the found box holds a question's region, 0 where not or where there is none."""
        return np.array([float(bool(trial.hit)) for trial in self.trials])


def spoiled(first: Played, second: Played) -> DoubleArray:
    """1 where a first answer was right and the second, taken blindly, is wrong."""
    return first.right * (1 - second.second_right)

"""The mix of activity features that predicts a pass's decisions best: a logistic regression, by damped Fisher scoring.

::

    logit = a + b u + c u^2,   u = scale + log2(ratios @ w),   w in a box and of sum 1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from heliograph.codec.transform import DoubleArray
from heliograph.types import FloatArray

LOWEST_WEIGHT, HIGHEST_WEIGHT = -0.5, 2.0

_FIRST_WEIGHT = 0.15
_FIRST_CURVE = (0.0, 1.5, 0.0)
_MIN_INSIDE = 0.05
_LOWEST, _HIGHEST = -8.0, 4.0  # octaves of scale over threshold
_MAX_LOGIT = 20.0

_FIRST_DECISIONS = 12_000  # a sample of so many leads to where the last few steps, over all, begin
_FEWEST_ONES = 20
_FIRST_STEPS, _LAST_STEPS = 16, 3
_ENOUGH = 1e-4  # share of the cost: a step that saves less is the last
_FIRST_DAMPING, _MIN_DAMPING, _MAX_DAMPING = 1e-3, 1e-6, 1e3


def logistic_mix(ratios: DoubleArray, scale: DoubleArray, target: DoubleArray) -> DoubleArray:
    """Weights (F,) of the features.

    Args:
        ratios: (N, F) features, the first one constant; one that is zero throughout gets the weight 0.
        scale: (N,) octaves above the threshold.
        target: (N,) 1 where the decision is a one, else 0.
    """
    used = ratios.max(axis=0) > 0
    columns = np.ascontiguousarray(ratios[:, used].T, dtype=np.float32)  # (F, N): every pass walks along memory
    everything = Decisions(columns, scale.astype(np.float32), target.astype(np.float32))
    weights = np.full(len(columns), _FIRST_WEIGHT)
    weights[0] = 1 - weights[1:].sum()
    start = np.concatenate([_FIRST_CURVE, weights])
    few = everything.sample(_FIRST_DECISIONS)
    if few.target.sum() >= _FEWEST_ONES:
        start = minimise(few, start, _FIRST_STEPS)
    mix = np.zeros(len(used))
    mix[used] = minimise(everything, start, _LAST_STEPS)[3:]
    return mix


@dataclass(frozen=True)
class Decisions:
    """What is predicted.

    Attributes:
        columns: (F, N) features.
        scale: (N,) octaves above the threshold.
        target: (N,) 0 or 1.
    """

    columns: FloatArray
    scale: FloatArray
    target: FloatArray

    def sample(self, most: int) -> Self:
        """About so many of them, evenly spread."""
        stride = max(1, len(self.target) // most)
        columns = np.ascontiguousarray(self.columns[:, ::stride])
        return type(self)(columns, self.scale[::stride], self.target[::stride])


class _Point:
    """The cost of the decisions at one place.

    Args:
        decisions: all of them.
        place: (3 + F,) curve and weights.
    """

    def __init__(self, decisions: Decisions, place: DoubleArray) -> None:
        self.place, self._decisions = place, decisions
        a, b, c = place[:3].astype(np.float32)
        self._inside = np.maximum(place[3:].astype(np.float32) @ decisions.columns, np.float32(_MIN_INSIDE))
        self._u = np.clip(decisions.scale + np.log2(self._inside), np.float32(_LOWEST), np.float32(_HIGHEST))
        logit = np.clip(a + (b + c * self._u) * self._u, np.float32(-_MAX_LOGIT), np.float32(_MAX_LOGIT))
        faded = np.exp(-logit)
        self._chance = 1 / (1 + faded)
        # -log of what is said of the outcome: log(1 + exp(-logit)), and logit more where it is a zero
        nats = np.log1p(faded) + (1 - decisions.target) * logit
        self.cost = float(nats.sum(dtype=np.float64))

    def slopes(self) -> tuple[DoubleArray, DoubleArray]:
        """(3 + F,) gradient that leads down, and (3 + F, 3 + F) Fisher information."""
        u, columns = self._u, self._decisions.columns
        design = np.empty((3 + len(columns), len(u)), dtype=np.float32)
        design[0], design[1] = 1, u
        np.multiply(u, u, out=design[2])
        slope = (self.place[1].astype(np.float32) + np.float32(2 * self.place[2]) * u) / (self._inside * np.log(2))
        np.multiply(slope.astype(np.float32), columns, out=design[3:])
        down = design @ (self._decisions.target - self._chance)
        information = (design * (self._chance * (1 - self._chance))) @ design.T
        return down.astype(np.float64), information.astype(np.float64)


def minimise(decisions: Decisions, start: DoubleArray, most: int) -> DoubleArray:
    """(3 + F,) curve and weights from which no step saves anything to speak of (Levenberg-Marquardt, projected).

    Args:
        decisions: what is predicted.
        start: (3 + F,) curve and weights; weights of sum 1 within the box.
        most: steps, those included that are taken back.
    """
    best, damping = _Point(decisions, start), _FIRST_DAMPING
    down, information = best.slopes()
    for _ in range(most):
        change = _change(best.place[3:], down, information, damping)
        place = best.place + change
        place[3:] = projected(place[3:])
        tried = _Point(decisions, place)
        saved = best.cost - tried.cost
        if saved <= 0:
            damping *= 8
            if damping > _MAX_DAMPING:
                break
            continue
        best, damping = tried, max(damping / 8, _MIN_DAMPING)
        if saved <= _ENOUGH * best.cost:
            break
        down, information = best.slopes()
    return best.place


def _change(weights: DoubleArray, down: DoubleArray, information: DoubleArray, damping: float) -> DoubleArray:
    """(3 + F,) damped step that leaves the sum of the weights as it is, and those that push against the box."""
    pull = down[3:] - down[3:].mean()
    stuck = ((weights <= LOWEST_WEIGHT) & (pull < 0)) | ((weights >= HIGHEST_WEIGHT) & (pull > 0))
    free = np.concatenate([np.ones(3, dtype=np.bool_), ~stuck])
    size = int(free.sum())
    system = np.zeros((size + 1, size + 1))
    system[:size, :size] = information[np.ix_(free, free)]
    system[:size, :size] += (damping * np.diag(information).mean() + 1e-2) * np.eye(size)
    system[size, 3:size] = system[3:size, size] = 1
    if size == 3:  # no weight is free: the curve alone
        system[size, size] = 1
    change = np.zeros(len(down))
    change[free] = np.linalg.solve(system, np.append(down[free], 0.0))[:size]
    return change


def projected(weights: DoubleArray) -> DoubleArray:
    """The nearest weights of sum 1 within the box."""
    known = weights.tolist()  # of so few, plain numbers are quicker than arrays
    low, high = min(known) - HIGHEST_WEIGHT, max(known) - LOWEST_WEIGHT  # shifts that leave no weight free
    for _ in range(40):
        shift = (low + high) / 2
        if sum(min(max(one - shift, LOWEST_WEIGHT), HIGHEST_WEIGHT) for one in known) > 1:
            low = shift
        else:
            high = shift
    return np.asarray(np.clip(weights - high, LOWEST_WEIGHT, HIGHEST_WEIGHT))

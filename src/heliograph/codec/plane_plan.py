"""What the plane engine knows before any data is seen: tables and layout combined, once per bit plane.

Everything here is worked out when a plane is first coded and kept, so that coding a photo is left with few array
operations: at a hundred bytes a photo their number, not their size, is what takes the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from heliograph.codec.activity import ActivityMix, ActivityModel
from heliograph.codec.contexts import Contexts, PassNetwork, pass_network
from heliograph.codec.tables import GRAINS, REFINE_BINS, SCORE_BINS, SQUARE_BITS, Int, Layout, Tables

PASSES = 2
_KNOWN_ERROR = 21  # 256 / 12 squared grains: a value spread evenly over an interval of one step, 16 grains


@dataclass(frozen=True)
class PlanePlan:
    """One bit plane of one layout. A cell is one of the P * A coefficients of a tile that take part in the plane.

    Attributes:
        plane: its number, 0 the finest.
        active: A, how many leading components take part.
        score: (P, A) significance class of a coefficient whose surroundings are as expected; may lie outside 0..63.
        mixes: for each part of the plane, how the surroundings correct the class; None where they do not.
        cells: (P * A,) place of each cell among the P * R coefficients of a tile.
        refine: (P * A,) class of the first refinement of each cell.
        above, below: (P, A) expected magnitude in grains of a coefficient known to lie below twice the plane's
            threshold, and below the threshold.
        offset: (2, P * A) grains from the lower end of a magnitude's interval to where it is restored, for
            magnitude 1 and above.
        known_error: expected squared error in squared grains of what is known to this plane's threshold, and
        quiet_error: (P * A,) of what lies below twice the threshold.
        quieter: (P * A,) change of the error of what turns out to lie below the threshold.
        logit: (2, 128) log odds of a one by class, in each part of the plane.
        sign_logit: (P * A,) log odds of a negative sign.
        contexts: for each part of the plane, what corrects log odds; None where nothing does.
    """

    plane: int
    active: int
    score: Int
    mixes: tuple[ActivityMix | None, ActivityMix | None]
    cells: Int
    refine: Int
    above: Int
    below: Int
    offset: Int
    known_error: int
    quiet_error: Int
    quieter: Int
    logit: Int
    sign_logit: Int
    contexts: tuple[PassNetwork | None, PassNetwork | None]


class PlaneModel:
    """Tables and layout, and a plan per plane."""

    def __init__(self, tables: Tables, layout: Layout, contexts: Contexts | None = None) -> None:
        self.tables, self.layout, self.contexts = tables, layout, contexts
        self.components = layout.scale_bin.shape[1]
        self._activity: dict[int, ActivityModel] = {}
        self._plans: dict[int, PlanePlan] = {}

    def activity(self, components: int) -> ActivityModel:
        """The activity model over the leading components."""
        if components not in self._activity:
            self._activity[components] = ActivityModel(self.layout, components)
        return self._activity[components]

    def plan(self, plane: int) -> PlanePlan:
        """The plan of one plane."""
        if plane not in self._plans:
            self._plans[plane] = self._make(plane)
        return self._plans[plane]

    def forget_plans(self) -> None:
        """The tables have changed; for fitting."""
        self._plans.clear()

    def score(self, plane: int) -> Int:
        """(P, R) as :attr:`PlanePlan.score`, of all components."""
        return (self.layout.scale_bin >> 1) - 4 * plane + SCORE_BINS // 2

    def quiet(self, plane: int) -> Int:
        """(P, R) expected magnitude in grains of a coefficient known to lie below the threshold of ``plane``."""
        mean = self.tables.quiet_mean[_bounded(self.score(plane), SCORE_BINS)]
        return np.asarray(np.maximum((mean << plane) * GRAINS >> 10, 1))

    def quiet_error(self, plane: int) -> Int:
        """(P, R) expected square in squared grains of a coefficient known to lie below the threshold of ``plane``."""
        square = self.tables.quiet_square[_bounded(self.score(plane), SCORE_BINS)]
        shift = 2 * plane + 8 - SQUARE_BITS  # a threshold is 16 << plane grains
        return np.asarray(square << shift if shift >= 0 else square >> -shift)

    @cached_property
    def prior_error(self) -> int:
        """Expected square of all coefficients of a tile before anything is known, in squared grains."""
        active = self.tables.active
        top = [int((active > component).nonzero()[0].max(initial=0)) for component in range(self.components)]
        error = {plane: self.quiet_error(plane + 1) for plane in set(top)}
        return sum(int(error[plane][:, component].sum()) for component, plane in enumerate(top))

    def offsets(self, plane: int) -> Int:
        """(2, P, R) as :attr:`PlanePlan.offset`, of all components."""
        bins = _bounded(self.score(plane), SCORE_BINS)
        return np.asarray((self.tables.offset[:, bins] << plane) * GRAINS >> 6)

    def _make(self, plane: int) -> PlanePlan:
        tables, layout = self.tables, self.layout
        active = int(tables.active[plane])
        positions = layout.scale_bin.shape[0]
        score = np.ascontiguousarray(self.score(plane)[:, :active])
        before = self.quiet_error(plane + 1)[:, :active]
        first, second = (self._mix(plane, part, active) for part in range(PASSES))
        return PlanePlan(
            plane=plane,
            active=active,
            score=score,
            mixes=(first, second),
            cells=np.arange(positions * self.components).reshape(positions, -1)[:, :active].reshape(-1),
            refine=SCORE_BINS + _bounded((score.reshape(-1) - SCORE_BINS // 2 >> 1) + REFINE_BINS // 2, REFINE_BINS),
            above=np.ascontiguousarray(self.quiet(plane + 1)[:, :active]),
            below=np.ascontiguousarray(self.quiet(plane)[:, :active]),
            offset=self.offsets(plane)[:, :, :active].reshape(2, -1),
            known_error=_KNOWN_ERROR << 2 * plane,
            quiet_error=before.reshape(-1),
            quieter=(self.quiet_error(plane)[:, :active] - before).reshape(-1),
            logit=tables.logit[plane],
            sign_logit=tables.sign_logit[layout.skew_bin[:, :active].reshape(-1)],
            contexts=(self._network(plane, 0, active), self._network(plane, 1, active)),
        )

    def _network(self, plane: int, part: int, active: int) -> PassNetwork | None:
        if self.contexts is None:
            return None
        made, key = self.contexts.networks, (plane, part, active)
        if key not in made:
            made[key] = pass_network(self.contexts, plane, part, active)
        return made[key]

    def _mix(self, plane: int, part: int, active: int) -> ActivityMix | None:
        weights = self.tables.weights[plane, part]
        return self.activity(active).mix(weights) if weights[1:].any() else None


def _bounded(values: Int, count: int) -> Int:
    return np.minimum(np.maximum(values, 0), count - 1)

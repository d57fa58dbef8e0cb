"""The plane engine: which decisions are coded, in which order, in which context. Encoder, decoder and fit share it.

Each bit plane is coded in two passes. The first asks for the coefficients that are likely to become significant;
the second, with sharper contexts, for the rest, and refines those known from earlier planes. Within a pass the
decisions are sorted by the rate-distortion slope that their class had at fit time, so that a stream cut anywhere
has spent its bytes where they helped most (after Shapiro's EZW, 1993, and Taubman's EBCOT, 2000).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.codec.contexts import REFINEMENT, SIGN, SIGNIFICANCE, Short
from heliograph.codec.plane_plan import PASSES, PlaneModel, PlanePlan
from heliograph.codec.range_coder import CostRuns
from heliograph.codec.tables import GRAINS, KINDS, REFINE_BINS, RUNGS, SCORE_BINS, Int, log_activity, rungs

Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PassItems:
    """The decisions of one pass in coding order.

    Attributes:
        plane, part: which pass.
        cells: (n,) place of each decision among the P * A cells of its tile.
        blocks: (n,) place among the T * P * A cells of all tiles.
        index: (n,) flat indices into the (T, P, R) coefficients.
        classes: (n,) context class of each decision.
        keys: (n,) rung of each decision, 128 more for a refinement; in the order of their ranks.
        sign_logit: (P * A,) or (T * P * A,) log odds of a negative sign at every cell.
        refined: (k,) ascending positions of the refinements among the decisions.
    """

    plane: int
    part: int
    cells: Int
    blocks: Int
    index: Int
    classes: Int
    keys: Int
    sign_logit: Int
    refined: Int

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class Change:
    """What the leading decisions of a pass change.

    Attributes:
        items: of the pass.
        plan: of its plane.
        done: how many of them were taken in.
        fresh: how many of those moved were significant first now; they come before the refinements.
        moved: (m,) positions among them of those that move a restored value.
        places: (m,) flat indices of the coefficients moved.
        before, after: (m,) restored values in grains, signed.
    """

    items: PassItems
    plan: PlanePlan
    done: int
    fresh: int
    moved: Int
    places: Int
    before: Int
    after: Int

    @property
    def error(self) -> Int:
        """(done,) change of the expected squared error by each decision, squared grains."""
        plan, cells = self.plan, self.items.cells
        change = plan.quieter[cells[: self.done]]
        fresh, refined = self.moved[: self.fresh], self.moved[self.fresh :]
        change[fresh] = plan.known_error - plan.quiet_error[cells[fresh]]
        change[refined] = -3 * plan.known_error
        return change

    @property
    def energy(self) -> Int:
        """(done,) change of the restored energy by each decision, squared grains."""
        change = np.zeros(self.done, dtype=np.int64)
        change[self.moved] = self.after * self.after - self.before * self.before
        return change


class PlaneState:
    """What is known of the coefficients of one photo (or, at fit time, of many: one per tile).

    Attributes:
        known: (T * P * R,) lower end of each magnitude's interval in finest quantiser steps, 0 = insignificant.
        restored: (T * P * R,) restored value in grains, signed.
    """

    def __init__(self, model: PlaneModel, tiles: int) -> None:
        self.model = model
        positions, components = model.layout.scale_bin.shape
        self.shape = (tiles, positions, components)
        size = tiles * positions * components
        self.known = np.zeros(size, dtype=np.int64)
        self.restored = np.zeros(size, dtype=np.int64)
        self._open = np.zeros(0, dtype=np.bool_)  # (T * P * A,) not yet coded in the current plane
        self._expected = np.zeros((tiles, positions, 0), dtype=np.int64)  # (T, P, A) grains, restored or expected

    def passes(self) -> Iterator[tuple[int, int]]:
        """(plane, part) of every pass in coding order; empty first parts are left out."""
        tables = self.model.tables
        for plane in range(tables.planes - 1, -1, -1):
            for part in range(PASSES):
                if part == 1 or tables.split[plane] < SCORE_BINS:
                    yield plane, part

    def opens_plane(self, plane: int, part: int) -> bool:
        """Whether this pass is the first one of its plane."""
        return part == 0 or bool(self.model.tables.split[plane] >= SCORE_BINS)

    def level(self, plane: int, part: int, share: float) -> float:
        """How far the planes are known after a share of a pass; two passes count as halves of their plane."""
        if part == 0:
            return plane + 1 - 0.5 * share
        start, size = (1.0, 1.0) if self.opens_plane(plane, part) else (0.5, 0.5)
        return plane + start - size * share

    def magnitudes(self, plane: int, part: int) -> Int:
        """(T, P, A) restored magnitudes, or expected ones where nothing is known yet.

        Must be called in the order of ``passes``, before the items of a pass are taken in; may be called again.
        """
        if self.opens_plane(plane, part):
            plan = self.model.plan(plane)
            restored = self.restored.reshape(self.shape)[:, :, : plan.active]
            self._expected = np.maximum(np.abs(restored), plan.above)
            self._open = np.ones(self._expected.size, dtype=np.bool_)
        return self._expected

    def still_open(self, active: int) -> Bool:
        """(T, P, A) what the current plane has not coded yet."""
        return self._open.reshape(*self.shape[:2], active).copy()

    def items(self, plane: int, part: int) -> PassItems:
        """The decisions of one pass, sorted. Must be called in the order of ``passes``."""
        plan = self.model.plan(plane)
        magnitude = self.magnitudes(plane, part)
        mix = plan.mixes[part]
        if mix is None:
            score = np.repeat(plan.score[None], self.shape[0], axis=0)
        else:
            multiplier = self.model.activity(plan.active).multiplier(magnitude, mix)
            score = log_activity().take(multiplier, mode="clip")
            score += plan.score
        np.maximum(score, 0, out=score)
        np.minimum(score, SCORE_BINS - 1, out=score)
        return self._sorted(plan, part, score.reshape(-1))

    def _sorted(self, plan: PlanePlan, part: int, scores: Int) -> PassItems:
        tables = self.model.tables
        chosen = self._open
        if part == 0:
            chosen = scores >= tables.split[plan.plane]
            chosen &= (self.known.reshape(self.shape)[:, :, : plan.active] == 0).reshape(-1)
        blocks = chosen.nonzero()[0]
        classes = scores[blocks]
        fine = blocks[:0]
        if part == 1:
            cells, index = self._places(plan, blocks)
            known = self.known[index]
            fine = known.nonzero()[0]
            later = known[fine] >> (plan.plane + 2) > 0
            classes[fine] = plan.refine[cells[fine]] + REFINE_BINS * later
        logit = plan.logit[part][classes]
        corrected = self._corrections(plan, part)
        if corrected is not None:
            logit += corrected[SIGNIFICANCE][blocks]
            logit[fine] += (corrected[REFINEMENT] - corrected[SIGNIFICANCE])[blocks[fine]]
        keys = rungs(logit)
        keys[fine] += RUNGS
        order = tables.small_rank[keys].argsort(kind="stable")
        blocks, classes, keys = blocks[order], classes[order], keys[order]
        cells, index = self._places(plan, blocks)
        refined = (keys >= RUNGS).nonzero()[0] if part == 1 else fine
        sign_logit = plan.sign_logit
        if corrected is not None:
            sign_logit = (corrected[SIGN].reshape(self.shape[0], -1) + sign_logit).reshape(-1)
        return PassItems(plan.plane, part, cells, blocks, index, classes, keys, sign_logit, refined)

    def _corrections(self, plan: PlanePlan, part: int) -> Short | None:
        """(3, T * P * A) what contexts add to log odds, by kind of decision; None where nothing."""
        network = plan.contexts[part]
        if network is None:
            return None
        layout = self.model.layout
        found = network.corrections_for(self.restored.reshape(self.shape), plan.plane, (layout.rows, layout.columns))
        missing = plan.active - found.shape[2]
        if missing:
            found = np.pad(found, ((0, 0), (0, 0), (0, missing)))
        return found.reshape(len(found), -1)

    def cost_runs(self, items: PassItems) -> CostRuns:
        """Cost of a zero at each decision."""
        tables = self.model.tables
        counts = np.bincount(items.keys, minlength=KINDS * RUNGS)[tables.order]
        return CostRuns(counts, tables.ordered_cost)

    def _places(self, plan: PlanePlan, blocks: Int) -> tuple[Int, Int]:
        """(n,) cells within their tile and (n,) flat indices of coefficients."""
        if self.shape[0] == 1:
            return blocks, plan.cells[blocks]
        tile, cells = np.divmod(blocks, len(plan.cells))
        return cells, tile * (self.shape[1] * self.shape[2]) + plan.cells[cells]

    def sign_chance(self, items: PassItems, chosen: Int | slice) -> Int:
        """(n,) 65536 * P(negative) of the chosen decisions of a pass, 0 for refinements."""
        places = items.cells if len(items.sign_logit) == len(self.model.plan(items.plane).cells) else items.blocks
        chance = self.model.tables.chance[rungs(items.sign_logit[places[chosen]])]
        if len(items.refined):
            chance[items.keys[chosen] >= RUNGS] = 0
        return chance

    def apply(self, items: PassItems, ones: Int, negative: Bool, done: int) -> Change:
        """Take in the first ``done`` decisions of a pass.

        Args:
            ones: ascending positions within the pass of the decisions that were one.
            negative: their signs (ignored for refinements).
        """
        plan = self.model.plan(items.plane)
        self.known[items.index[ones]] += 1 << plan.plane
        refined = items.refined[: items.refined.searchsorted(done)]
        fresh = items.keys[ones] < RUNGS
        moved = np.concatenate([ones[fresh], refined])
        places, cells = items.index[moved], items.cells[moved]
        known, before = self.known[places], self.restored[places]
        count = len(moved) - len(refined)
        minus = before < 0
        minus[:count] = negative[fresh]
        above = (known >> (plan.plane + 1)) > 0
        magnitude = known * GRAINS + plan.offset[above.astype(np.int64), cells]
        after = np.where(minus, -magnitude, magnitude)
        self.restored[places] = after
        if items.part == 0:  # the second part sees what the first has found out
            blocks = items.blocks[:done]
            expected = self._expected.reshape(-1)
            self._open[blocks] = False
            expected[blocks] = plan.below.reshape(-1)[items.cells[:done]]
            expected[items.blocks[moved]] = magnitude
        return Change(items, plan, done, count, moved, places, before, after)

    def complete(self, plane: int, magnitude: Int, negative: Bool) -> None:
        """Set everything to what is known once all passes down to ``plane`` are coded; for fitting."""
        self.known[:] = magnitude >> plane << plane
        places = self.known.nonzero()[0]
        known = self.known[places]
        above = (known >> (plane + 1) > 0).astype(np.int64)
        cells = places % (self.shape[1] * self.shape[2])
        value = known * GRAINS + self.model.offsets(plane).reshape(2, -1)[above, cells]
        self.restored[:] = 0
        self.restored[places] = np.where(negative[places], -value, value)

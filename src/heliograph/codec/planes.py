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

from heliograph.codec.activity import ActivityModel
from heliograph.codec.tables import (
    GRAINS,
    REFINE_BINS,
    SCORE_BINS,
    Int,
    Layout,
    Tables,
    log_activity,
)

Bool = npt.NDArray[np.bool_]
PASSES = 2


@dataclass(frozen=True)
class PassItems:
    """The decisions of one pass in coding order.

    Attributes:
        plane, part: which pass.
        index: (n,) flat indices into the (T, P, R) coefficients.
        classes: (n,) context class of each decision.
    """

    plane: int
    part: int
    index: Int
    classes: Int


class PlaneModel:
    """Tables and layout prepared for use: what can be computed before any data is seen."""

    def __init__(self, tables: Tables, layout: Layout) -> None:
        self.tables, self.layout = tables, layout
        self.components = layout.scale_bin.shape[1]
        self._activity: dict[int, ActivityModel] = {}
        self._static: dict[int, Int] = {}
        self._quiet: dict[int, Int] = {}

    def activity(self, components: int) -> ActivityModel:
        """The activity model over the leading components."""
        if components not in self._activity:
            self._activity[components] = ActivityModel(self.layout, components)
        return self._activity[components]

    def static_score(self, plane: int) -> Int:
        """(P, R) scale bin relative to the plane's threshold."""
        if plane not in self._static:
            self._static[plane] = self.layout.scale_bin - 8 * plane
        return self._static[plane]

    def quiet(self, plane: int) -> Int:
        """(P, R) expected magnitude in grains of a coefficient known to lie below the threshold of ``plane``."""
        if plane not in self._quiet:
            bins = score_bin(self.static_score(plane))
            self._quiet[plane] = np.maximum((self.tables.quiet_mean[bins] << plane) * GRAINS >> 10, 1)
        return self._quiet[plane]


def score_bin(score: Int) -> Int:
    """Eighth octaves of scale over threshold to a significance class, 0..63."""
    return np.asarray(((score >> 1) + SCORE_BINS // 2).clip(0, SCORE_BINS - 1))


def refine_class(score: Int, later: Int) -> Int:
    """Class of a refinement decision; ``later`` is 1 where the magnitude was refined before."""
    bins = np.minimum(np.maximum((score >> 2) + REFINE_BINS // 2, 0), REFINE_BINS - 1)
    return np.asarray(SCORE_BINS + REFINE_BINS * later + bins)


class PlaneState:
    """What is known of the coefficients of one photo (or, at fit time, of many: one per tile).

    Attributes:
        known: (T * P * R,) lower end of each magnitude's interval in finest quantiser steps, 0 = insignificant.
        negative: (T * P * R,) sign of the significant coefficients.
        restored: (T * P * R,) restored magnitude in grains.
    """

    def __init__(self, model: PlaneModel, tiles: int) -> None:
        self.model = model
        positions, components = model.layout.scale_bin.shape
        self.shape = (tiles, positions, components)
        size = tiles * positions * components
        self.known = np.zeros(size, dtype=np.int64)
        self.negative = np.zeros(size, dtype=np.bool_)
        self.restored = np.zeros(size, dtype=np.int64)
        self._open = np.zeros(size, dtype=np.bool_)  # not yet coded in the current plane

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

    def magnitudes(self, plane: int, part: int, active: int) -> Int:
        """(T, P, active) restored magnitudes, or expected ones where nothing is known yet."""
        model = self.model
        restored = self.restored.reshape(self.shape)[:, :, :active]
        quiet = model.quiet(plane + 1)[None, :, :active]
        result = np.where(restored > 0, restored, quiet)
        if part == 1 and not self.opens_plane(plane, part):
            coded = (~self._open.reshape(self.shape)[:, :, :active]) & (restored == 0)
            result = np.where(coded, model.quiet(plane)[None, :, :active], result)
        return result

    def still_open(self, active: int) -> Bool:
        """(T, P, active) what the current plane has not coded yet."""
        return self._open.reshape(self.shape)[:, :, :active].copy()

    def items(self, plane: int, part: int) -> PassItems:
        """The decisions of one pass, sorted. Must be called in the order of ``passes``."""
        tables, model = self.model.tables, self.model
        active = int(tables.active[plane])
        if self.opens_plane(plane, part):
            self._open.reshape(self.shape)[:, :, :active] = True
        static = model.static_score(plane)[:, :active]
        weights = tables.weights[plane, part]
        if weights[1:].any():
            magnitude = self.magnitudes(plane, part, active)
            score = log_activity()[model.activity(active).multiplier(magnitude, weights)]
            score += static
        else:
            score = np.repeat(static[None], self.shape[0], axis=0)
        return self._sorted(plane, part, active, static, score_bin(score))

    def _sorted(self, plane: int, part: int, active: int, static: Int, classes: Int) -> PassItems:
        tables = self.model.tables
        known = self.known.reshape(self.shape)[:, :, :active]
        if part == 0:
            chosen = (known == 0) & (classes >= tables.split[plane])
        else:
            chosen = self._open.reshape(self.shape)[:, :, :active]
            later = (known >> (plane + 2) > 0).astype(np.int64)
            classes = np.where(known > 0, refine_class(static[None], later), classes)
        block = np.flatnonzero(chosen.reshape(-1))
        picked = classes.reshape(-1)[block]
        order = np.argsort(tables.rank[plane, part][picked].astype(np.int16), kind="stable")
        block, picked = block[order], picked[order]
        components = self.shape[2]
        index = block if active == components else block // active * components + block % active
        if part == 0:
            self._open[index] = False
        return PassItems(plane, part, index, picked)

    def sign_chance(self, items: PassItems, chosen: Int | Bool | slice) -> Int:
        """(n,) 65536 * P(negative) of the chosen decisions of a pass, 0 for refinements."""
        layout, index = self.model.layout, items.index[chosen]
        cell = index % (self.shape[1] * self.shape[2])
        skew = layout.skew_bin.reshape(-1)[cell]
        around = self.sign_context(index, items.plane) if layout.spatial else 2
        return np.where(items.classes[chosen] < SCORE_BINS, self.model.tables.sign_chance[skew, around], 0)

    def sign_context(self, index: Int, plane: int) -> Int:
        """(n,) 0..4: the nearby tokens' signed sum in the same component, 2 = undecided.

        Args:
            index: (n,) flat indices of coefficients that take part in ``plane``.
            plane: the plane being coded; what does not take part in it is not looked at.
        """
        active, components = int(self.model.tables.active[plane]), self.shape[2]
        restored = self.restored.reshape(self.shape)[:, :, :active]
        signed = np.where(self.negative.reshape(self.shape)[:, :, :active], -restored, restored)
        at = index if active == components else index // components * active + index % components
        nearby = self.model.activity(active).neighbour_sign(signed).reshape(-1)[at]
        cell = index % (self.shape[1] * self.shape[2])
        scale = self.model.quiet(self.model.tables.planes).reshape(-1)[cell]
        strong = np.abs(nearby) > 4 * scale
        return np.asarray(2 + np.sign(nearby) * (1 + strong))

    def apply(self, items: PassItems, ones: Int, negative: Bool, done: int) -> Int:
        """Take in the first ``done`` decisions of a pass; returns (done,) change of restored energy, squared grains.

        Args:
            ones: ascending positions within the pass of the decisions that were one.
            negative: their signs (ignored for refinements).
        """
        bits = np.zeros(done, dtype=np.bool_)
        bits[ones] = True
        index, plane = items.index[:done], items.plane
        risen = index[ones]
        fresh = items.classes[ones] < SCORE_BINS
        self.negative[risen[fresh]] = negative[fresh]
        self.known[risen] += np.int64(1) << plane
        moved = np.flatnonzero(bits | (items.classes[:done] >= SCORE_BINS))
        where = index[moved]
        before = self.restored[where]
        after = self._restore(where, plane)
        self.restored[where] = after
        change = np.zeros(done, dtype=np.int64)
        change[moved] = after * after - before * before
        return change

    def complete(self, plane: int, magnitude: Int, negative: Bool) -> None:
        """Set everything to what is known once all passes down to ``plane`` are coded; for fitting."""
        self.known[:] = magnitude >> plane << plane
        self.negative[:] = negative & (self.known > 0)
        self.restored[:] = 0
        where = np.flatnonzero(self.known)
        self.restored[where] = self._restore(where, plane)

    def _restore(self, where: Int, plane: int) -> Int:
        known = self.known[where]
        cell = where % (self.shape[1] * self.shape[2])
        bins = score_bin(self.model.static_score(plane).reshape(-1)[cell])
        above = (known >> (plane + 1) > 0).astype(np.int64)
        offset = self.model.tables.offset[above, bins]
        return np.asarray(known * GRAINS + ((offset << plane) * GRAINS >> 6))

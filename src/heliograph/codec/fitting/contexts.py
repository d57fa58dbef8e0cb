"""Fitting contexts: logistic regressions with the tables' log odds as offset, pass by pass, as a decoder will see them.

Every tile is coded at a fineness of its own, so that the weights of a plane suit thresholds anywhere in its octave. A
pass's weights are kept only where they save bits on tiles that they were not fitted on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from heliograph.codec.contexts import MAX_LOOKED_AT, MAX_SHIFT, REFINEMENT, SIGN, SIGNIFICANCE, VIEWS, Contexts, views
from heliograph.codec.klt import FINENESSES, KltCodec
from heliograph.codec.plane_plan import PASSES, PlaneModel
from heliograph.codec.planes import Bool, PassItems, PlaneState
from heliograph.codec.quantize import quantize, scaled
from heliograph.codec.tables import LOGIT_ONE, SCORE_BINS, Int
from heliograph.codec.transform import DoubleArray
from heliograph.types import FloatArray, Grid

_MAX_ROWS = 90_000  # tokens; more take longer and gain little
_HELD_OUT_SHARE = 8
_EPOCHS, _BATCH = 12, 1024
_RATE, _DECAY = 0.02, 3e-4
_FEWEST = 64  # ones (or signs) below which a pass is left to its tables
_SEED = 0


def with_contexts(codec: KltCodec, tokens: FloatArray) -> KltCodec:
    """The codec with contexts.

    Args:
        codec: as fitted on ``tokens``.
        tokens: (I, P, D) f32 tiles of the fitted grid; one in eight only judges.
    """
    tokens = tokens[:: -(-tokens.shape[0] * tokens.shape[1] // _MAX_ROWS)]
    groups = [_Group.of(codec, tokens[fineness::FINENESSES], fineness) for fineness in range(FINENESSES)]
    groups = [group for group in groups if len(group.held_out)]
    planes, looked_at = codec.tables.planes, min(codec.components, MAX_LOOKED_AT)
    size = VIEWS * looked_at
    made = Contexts(
        np.zeros((planes, PASSES, size, looked_at), dtype=np.int8),
        np.zeros((planes, size, looked_at), dtype=np.int8),
        np.zeros((planes, PASSES, size, looked_at), dtype=np.int8),
        np.full((planes, 5), -1, dtype=np.int64),
    )
    for plane, part in groups[0].state.passes() if groups else ():
        _fit_pass(made, groups, plane, part)
    contexts = made if (made.shift >= 0).any() else None
    return KltCodec(codec.grid, codec.transform, codec.tables, codec.layouts, contexts)


@dataclass
class _Group:
    """Tiles that are coded at one fineness.

    Attributes:
        state: as far as they are coded.
        magnitude, negative: what they are.
        held_out: (T * P,) tokens that only judge.
    """

    state: PlaneState
    magnitude: Int
    negative: Bool
    held_out: Bool

    @classmethod
    def of(cls, codec: KltCodec, tokens: FloatArray, fineness: int) -> _Group:
        tiles, positions = tokens.shape[:2]
        grid = Grid(codec.grid.rows, codec.grid.columns, tiles)
        coefficients = codec.transform.analyse(tokens.reshape(-1, tokens.shape[2]), grid, fitted=True)
        magnitude, negative = quantize(scaled(coefficients, fineness), codec.magnitude_limits)
        held_out = np.repeat(np.arange(tiles) % _HELD_OUT_SHARE == _HELD_OUT_SHARE - 1, positions)
        return cls(PlaneState(codec.model_for(grid, fineness), tiles), magnitude, negative, held_out)

    @property
    def model(self) -> PlaneModel:
        return self.state.model


@dataclass(frozen=True)
class _Task:
    """One regression: which of (N, A) decisions are one, with what log odds before.

    Attributes:
        seen: (N, F) f32 views.
        offset, target: (N, A) f32.
        counts: (N, A) f32, 1 where there is a decision.
        held_out: (N,).
    """

    seen: FloatArray
    offset: FloatArray
    target: FloatArray
    counts: FloatArray
    held_out: Bool


def _fit_pass(made: Contexts, groups: list[_Group], plane: int, part: int) -> None:
    looked_at = made.looked_at
    passes = [_Pass.of(group, plane, part, looked_at) for group in groups]
    seen = np.concatenate([one.seen for one in passes])
    held_out = np.concatenate([group.held_out for group in groups])
    for kind, places in _places(made, plane, part):
        parts = [one.decisions(kind) for one in passes]
        offset, target, counts = (np.concatenate([part[which] for part in parts]) for which in range(3))
        weights = _fitted(_Task(seen, offset, target, counts, held_out))
        if weights is not None:
            whole, shift = _as_integers(weights)
            places[0][:], made.shift[plane, places[1]] = whole, shift
    for group, one in zip(groups, passes, strict=True):
        ones = one.bits.nonzero()[0]
        group.state.apply(one.items, ones, group.negative[one.items.index[ones]], len(one.items))


def _places(made: Contexts, plane: int, part: int) -> Iterator[tuple[int, tuple[Int, int]]]:
    """The kinds of decisions of a pass, with where their weights and their shift go."""
    yield SIGNIFICANCE, (made.significance[plane, part], part)
    if part == 1:
        yield REFINEMENT, (made.refinement[plane], 2)
    yield SIGN, (made.sign[plane, part], 3 + part)


@dataclass(frozen=True)
class _Pass:
    """A pass of one group, before it is taken in.

    Attributes:
        seen: (T * P, F) views.
        items: its decisions, ``bits`` their outcomes, ``negative`` the signs.
        shape: (T * P, R), and how many leading components are corrected.
    """

    seen: FloatArray
    items: PassItems
    bits: Int
    negative: Bool
    sign_logit: Int
    logit: Int
    shape: tuple[int, int]
    looked_at: int

    @classmethod
    def of(cls, group: _Group, plane: int, part: int, looked_at: int) -> _Pass:
        state, model = group.state, group.model
        sides = (model.layout.rows, model.layout.columns)
        items = state.items(plane, part)
        tiles, positions, components = state.shape
        plan = model.plan(plane)
        return cls(
            views(state.restored.reshape(state.shape), plane, sides, looked_at),
            items,
            (group.magnitude[items.index] >> plane) & 1,
            group.negative[items.index],
            plan.sign_logit[items.cells],
            plan.logit[part][items.classes],
            (tiles * positions, components),
            looked_at,
        )

    def decisions(self, kind: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(T * P, C) offset, target and count of one kind."""
        fresh = self.items.classes < SCORE_BINS
        chosen = {SIGNIFICANCE: fresh, REFINEMENT: ~fresh, SIGN: fresh & (self.bits > 0)}[kind]
        logit = self.sign_logit if kind == SIGN else self.logit
        target = self.negative if kind == SIGN else self.bits
        return (
            self._dense(chosen, logit / LOGIT_ONE),
            self._dense(chosen, target),
            self._dense(chosen, np.ones(len(chosen))),
        )

    def _dense(self, chosen: Bool, values: DoubleArray | Int | Bool) -> FloatArray:
        dense = np.zeros(self.shape[0] * self.shape[1], dtype=np.float32)
        dense[self.items.index[chosen]] = values[chosen]
        return np.ascontiguousarray(dense.reshape(self.shape)[:, : self.looked_at])


def _fitted(task: _Task) -> FloatArray | None:
    """(F, A) weights per unit of a view; None where they save nothing on held-out tokens."""
    train = ~task.held_out
    rows = train.nonzero()[0]
    rows = rows[task.counts[rows].any(axis=1)]
    if (task.target[rows] * task.counts[rows]).sum() < _FEWEST:
        return None
    weights = _descend(task, rows)
    judged = task.held_out.nonzero()[0]
    offset, target, counts = task.offset[judged], task.target[judged], task.counts[judged]
    before = _bits(offset, target, counts)
    after = _bits(offset + task.seen[judged] @ weights, target, counts)
    return weights if after < before else None


def _bits(logit: FloatArray, target: FloatArray, counts: FloatArray) -> float:
    """Cost of the decisions, in nats."""
    return float(((np.logaddexp(0, logit) - target * logit) * counts).sum(dtype=np.float64))


def _descend(task: _Task, rows: Int) -> FloatArray:
    """Adam (Kingma and Ba, 2015) with a cosine rate on the mean cost of a token, weights decaying."""
    generator = np.random.default_rng(_SEED)
    scale = np.float32(1 / 16)  # views are sixteenths of a threshold
    weights = np.zeros((task.seen.shape[1], task.offset.shape[1]), dtype=np.float32)
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    steps = _EPOCHS * -(-len(rows) // _BATCH)
    step = 0
    for _ in range(_EPOCHS):
        order = generator.permutation(rows)
        for start in range(0, len(order), _BATCH):
            some = order[start : start + _BATCH]
            seen = task.seen[some] * scale
            error = 1 / (1 + np.exp(-(task.offset[some] + seen @ weights))) - task.target[some]
            gradient = seen.T @ (error * task.counts[some]) / np.float32(len(some)) + np.float32(_DECAY) * weights
            step += 1
            mean += np.float32(0.1) * (gradient - mean)
            square += np.float32(0.01) * (gradient * gradient - square)
            rate = _RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            towards = (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-6)
            weights -= (rate * towards).astype(np.float32)
    return weights * scale


def _as_integers(weights: FloatArray) -> tuple[Int, int]:
    """(F, A) int8 weights and the shift that takes their sums to log odds in 1/64."""
    largest = float(np.abs(weights).max()) * LOGIT_ONE
    shift = int(np.clip(np.floor(np.log2(127 / max(largest, 1e-9))), 0, MAX_SHIFT))
    whole = np.clip(np.rint(weights * LOGIT_ONE * 2.0**shift), -127, 127)
    return whole.astype(np.int64), shift

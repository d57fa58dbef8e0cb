"""Fitting contexts: small networks with the tables' log odds as offset, pass by pass, as a decoder will see them.

Every tile is coded at a fineness of its own, so that the weights of a plane suit thresholds anywhere in its octave. A
pass's network is kept only where it saves bits on tiles that it was not fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliograph.codec.contexts import (
    HIDDEN,
    HIDDEN_ONE,
    KINDS_OF_DECISIONS,
    MAX_BIAS,
    MAX_SHIFT,
    REFINEMENT,
    SIGN,
    SIGNIFICANCE,
    Contexts,
    Small,
    pass_network,
    views,
)
from heliograph.codec.fitting.counting import Advance, unseen
from heliograph.codec.klt import FINENESSES, KltCodec
from heliograph.codec.plane_plan import PlaneModel
from heliograph.codec.planes import Bool, PassItems, PlaneState
from heliograph.codec.quantize import quantize, scaled
from heliograph.codec.tables import LOGIT_ONE, SCORE_BINS, Int
from heliograph.codec.transform import DoubleArray
from heliograph.types import FloatArray, Grid

MAX_TOKENS = 90_000
"""Tokens that contexts are fitted on; more take longer and gain little."""

_TRIAL_TOKENS, _TRIAL_EPOCHS = 1 << 14, 1
_HELD_OUT_SHARE = 8
_FEWEST_HELD_OUT = 128  # tokens below which there is nothing to judge by
_EPOCHS, _BATCH = 3, 128  # for hundreds of photos; thousands want more epochs (docs/experiments.md)
_RATE, _DECAY, _SPREAD = 0.005, 3e-4, 0.05
_FEWEST = 64  # ones (or signs) below which a pass is left to its tables
_SEED = 0


def with_contexts(codec: KltCodec, tokens: FloatArray, *, trial: bool = False, advance: Advance = unseen) -> KltCodec:
    """The codec with contexts; about a thousand tokens are needed, and fewer get none.

    Args:
        codec: as fitted on ``tokens``.
        tokens: (I, P, D) f32 tiles of the fitted grid; one in eight only judges.
        trial: only streams of fineness 0 will be looked at, and only beside those of other trials: fewer tokens and
            fewer steps do.
        advance: counts bit planes.
    """
    tokens = tokens[:: -(-tokens.shape[0] * tokens.shape[1] // (_TRIAL_TOKENS if trial else MAX_TOKENS))]
    count = 1 if trial else min(FINENESSES, len(tokens))
    groups = [_Group.of(codec, tokens[fineness::count], fineness) for fineness in range(count)]
    if sum(int(group.held_out.sum()) for group in groups) < _FEWEST_HELD_OUT:
        return codec
    made = Contexts.none(codec.tables.planes, codec.components)
    for plane, part in groups[0].state.passes():
        _fit_pass(made, groups, plane, part, _TRIAL_EPOCHS if trial else _EPOCHS)
        advance(part)  # the second part is a plane's last
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
        places = np.arange(tiles) + fineness  # others at every fineness, so that few tiles judge as well
        held_out = np.repeat(places % _HELD_OUT_SHARE == _HELD_OUT_SHARE - 1, positions)
        return cls(PlaneState(codec.model_for(grid, fineness), tiles), magnitude, negative, held_out)

    @property
    def model(self) -> PlaneModel:
        return self.state.model


@dataclass(frozen=True)
class _Task:
    """One regression: which of (N, 3 A) decisions are one, with what log odds before.

    Attributes:
        seen: (N, F) f32 views.
        offset, target: (N, 3 A) f32.
        counts: (N, 3 A) f32, 1 where there is a decision.
    """

    seen: FloatArray
    offset: FloatArray
    target: FloatArray
    counts: FloatArray


def _fit_pass(made: Contexts, groups: list[_Group], plane: int, part: int, epochs: int) -> None:
    looked_at = made.looked_at
    passes = [_Pass.of(group, plane, part, looked_at) for group in groups]
    held_out = np.concatenate([group.held_out for group in groups])
    decisions = [[one.decisions(kind) for kind in range(KINDS_OF_DECISIONS)] for one in passes]
    offset, target, counts = (
        np.concatenate([np.concatenate([kind[which] for kind in one], axis=1) for one in decisions])
        for which in range(3)
    )  # (N, 3 A) each
    task = _Task(np.concatenate([one.seen for one in passes]), offset, target, counts)
    rows = (~held_out & task.counts.any(axis=1)).nonzero()[0]
    if (task.target[rows] * task.counts[rows]).sum() >= _FEWEST:
        found = _as_integers(_descend(task, rows, epochs))
        if _saves(found, task, held_out.nonzero()[0]):
            made.hidden[plane, part], made.bias[plane, part], made.out[plane, part], made.shift[plane, part] = found
    for group, one in zip(groups, passes, strict=True):
        ones = one.bits.nonzero()[0]
        group.state.apply(one.items, ones, group.negative[one.items.index[ones]], len(one.items))


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


_Network = tuple[FloatArray, FloatArray, FloatArray]  # (F, H), (H,), (H, 3 A)


def _descend(task: _Task, rows: Int, epochs: int) -> _Network:
    """Adam (Kingma and Ba, 2015) with a cosine rate on the mean cost of a token, weights decaying."""
    generator = np.random.default_rng(_SEED)
    first = generator.normal(0, _SPREAD, (task.seen.shape[1], HIDDEN)).astype(np.float32)
    # Of the coarse planes most components are still unknown: what shows nothing, or decides nothing, is left out.
    shown, decided = (np.flatnonzero(part[rows].any(axis=0)) for part in (task.seen, task.counts))
    all_seen = task.seen[np.ix_(rows, shown)] * np.float32(1 / 16)  # views are sixteenths of a threshold
    offset, target, counts = (part[np.ix_(rows, decided)] for part in (task.offset, task.target, task.counts))
    adam = _Adam([(len(shown), HIDDEN), (HIDDEN,), (HIDDEN, len(decided))], epochs * -(-len(rows) // _BATCH))
    (inward, bias, outward), (to_inward, to_bias, to_outward) = adam.weights, adam.gradients
    inward[:] = first[shown]
    for _ in range(epochs):
        order = generator.permutation(len(rows))
        for start in range(0, len(order), _BATCH):
            some = order[start : start + _BATCH]
            seen = all_seen[some]
            hidden = np.maximum(seen @ inward + bias, 0)
            logit = hidden @ outward
            logit += offset[some]
            error = 1 / (1 + np.exp(-logit))
            error -= target[some]
            error *= counts[some]
            error /= np.float32(len(some))
            back = error @ outward.T
            back *= hidden > 0
            np.matmul(seen.T, back, out=to_inward)
            np.sum(back, axis=0, out=to_bias)
            np.matmul(hidden.T, error, out=to_outward)
            adam.step()
    made, out = np.zeros_like(first), np.zeros((HIDDEN, task.offset.shape[1]), dtype=np.float32)
    made[shown], out[:, decided] = inward, outward
    return made, bias, out


class _Adam:
    """Takes steps along gradients of a cost that its user has put down; all in place, in one piece of memory.

    Args:
        shapes: of the weights.
        steps: in all.

    Attributes:
        weights, gradients: float32, of these shapes.
    """

    def __init__(self, shapes: list[tuple[int, ...]], steps: int) -> None:
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        self._flat, self._gradient, self._mean, self._square, self._spare = np.zeros((5, ends[-1]), dtype=np.float32)
        self._steps, self._step = steps, 0
        self.weights, self.gradients = (
            [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]
            for flat in (self._flat, self._gradient)
        )

    def step(self) -> None:
        """One step; the gradients are used up."""
        self._step += 1
        rate = _RATE * 0.5 * (1 + np.cos(np.pi * self._step / self._steps))
        whole = 1 - 0.9**self._step, np.sqrt(1 - 0.999**self._step)  # what both running means have seen so far
        gradient, mean, square, spare = self._gradient, self._mean, self._square, self._spare
        np.multiply(self._flat, np.float32(_DECAY), out=spare)
        gradient += spare
        np.subtract(gradient, mean, out=spare)
        spare *= np.float32(0.1)
        mean += spare
        np.multiply(gradient, gradient, out=spare)
        spare -= square
        spare *= np.float32(0.001)
        square += spare
        np.sqrt(square, out=spare)
        spare += np.float32(1e-8 * whole[1])
        np.divide(mean, spare, out=spare)
        spare *= np.float32(rate * whole[1] / whole[0])
        self._flat -= spare


_Integers = tuple[Small, Int, Small, Int]  # weights, bias, outgoing weights, both shifts


def _as_integers(network: _Network) -> _Integers:
    """The network in the units of :class:`Contexts`."""
    first, bias, second = network
    hidden_shift = _shift_for(first)
    outgoing = second * (LOGIT_ONE / HIDDEN_ONE)
    out_shift = _shift_for(outgoing)
    return (
        _small(first * 2.0**hidden_shift),
        np.clip(np.rint(bias * HIDDEN_ONE * 2.0**hidden_shift), -MAX_BIAS, MAX_BIAS).astype(np.int64),
        _small(outgoing * 2.0**out_shift),
        np.array([hidden_shift, out_shift]),
    )


def _shift_for(weights: FloatArray) -> int:
    """Bits by which weights may grow within a byte."""
    return int(np.clip(np.floor(np.log2(127 / max(float(np.abs(weights).max()), 1e-9))), 0, MAX_SHIFT))


def _small(weights: FloatArray) -> Small:
    return np.clip(np.rint(weights), -127, 127).astype(np.int8)


def _saves(found: _Integers, task: _Task, judged: Int) -> bool:
    """Whether the integers make the decisions of tokens that they were not fitted on cheaper."""
    hidden, bias, out, shift = found
    made = Contexts(hidden[None, None], bias[None, None], out[None, None], shift[None, None])
    network = pass_network(made, 0, 0, made.looked_at)
    if network is None:
        return False
    corrections = network.corrections(task.seen[judged]).transpose(1, 0, 2).reshape(len(judged), -1) / LOGIT_ONE
    offset, target, counts = task.offset[judged], task.target[judged], task.counts[judged]
    return _nats(offset + corrections, target, counts) < _nats(offset, target, counts)


def _nats(logit: FloatArray | DoubleArray, target: FloatArray, counts: FloatArray) -> float:
    """Cost of the decisions."""
    return float(((np.logaddexp(0, logit) - target * logit) * counts).sum(dtype=np.float64))

"""Entropy tables by playing the coding passes on the fitting photos, all at once, one plane after the other."""

from __future__ import annotations

import numpy as np

from heliograph.codec.fitting.counting import Counted, uncounted
from heliograph.codec.fitting.mixing import logistic_mix
from heliograph.codec.plane_plan import PASSES, PlaneModel
from heliograph.codec.planes import Bool, PassItems, PlaneState
from heliograph.codec.quantize import magnitude_limits, quantize
from heliograph.codec.range_coder import COST_UNIT, MAX_COST
from heliograph.codec.tables import (
    ACTIVITY_FEATURES,
    CLASSES,
    EVEN_RUNG,
    KINDS,
    LOGIT_ONE,
    MAX_PLANES,
    REFINE_BINS,
    RUNG_SHIFT,
    RUNGS,
    SCORE_BINS,
    SKEW_BINS,
    SQUARE_BITS,
    WEIGHT_ONE,
    Int,
    Layout,
    Tables,
)
from heliograph.codec.transform import DoubleArray
from heliograph.types import FloatArray

_FIRST_PASS_CHANCE = 0.1
_FIRST_PASS_LEAST = 64.0  # decisions per tile below which a plane is coded in one pass: each costs half a millisecond
_PRIOR_COUNT = 8.0
_MIN_CHANCE = 2e-4
_WEIGHT_SAMPLE = 150_000
_FEWEST_ONES = 20
_RATIO_CAP = 8 * 256
_MIN_SIGN_CHANCE = 1 / 32
_RUNG_CHANCES = 1 / (1 + np.exp(-(np.arange(RUNGS) - EVEN_RUNG) * (1 << RUNG_SHIFT) / LOGIT_ONE))


def fit_tables(scaled: FloatArray, layout: Layout, activity: bool, count: Counted = uncounted) -> Tables:
    """Tables for (I, P, R) coefficients in quantiser steps; ``activity`` allows contexts beyond static scales, and
    ``count`` makes the counter of bit planes."""
    tables = _blank_tables(scaled)
    _fit_restoration(tables, scaled, layout)
    model = PlaneModel(tables, layout)
    magnitude, negative = quantize(scaled, magnitude_limits(tables, scaled.shape[2]))
    state = PlaneState(model, len(scaled))
    signs = np.zeros((SKEW_BINS, 2))
    advance = count(tables.planes, "fitting entropy tables")
    for plane in range(tables.planes - 1, -1, -1):
        for part in range(PASSES):
            if activity:
                _fit_weights(tables, state, magnitude, plane, part)
            if part == 0:
                _choose_split(tables, state, magnitude, plane)
                if tables.split[plane] >= SCORE_BINS:
                    continue
            items = state.items(plane, part)
            bits = (magnitude[items.index] >> plane) & 1
            _fit_logits(tables, items, bits)
            ones = np.flatnonzero(bits)
            minus = negative[items.index[ones]]
            _count_signs(signs, state, items, ones, minus)
            state.apply(items, ones, minus, len(bits))
        advance(1)
    chance = (signs[:, 1] + 8 * _skew_prior()) / (signs.sum(axis=1) + 8)
    tables.sign_logit[:] = _logits(np.clip(chance, _MIN_SIGN_CHANCE, 1 - _MIN_SIGN_CHANCE))
    return tables


def _logits(chance: DoubleArray) -> Int:
    """Log odds in 1/64."""
    return np.asarray(np.rint(LOGIT_ONE * np.log(chance / (1 - chance))).astype(np.int64))


def _blank_tables(scaled: FloatArray) -> Tables:
    """Everything that does not depend on contexts; one more plane and octave than the photos needed."""
    largest = np.abs(scaled).max(axis=(0, 1)).astype(np.float64)
    planes = min(max(int(np.floor(np.log2(max(largest.max(), 1.0)))) + 2, 1), MAX_PLANES)
    reach = np.where(2 * largest[None] >= 2.0 ** np.arange(planes)[:, None], np.arange(len(largest)) + 1, 1).max(axis=1)
    weights = np.zeros((planes, PASSES, ACTIVITY_FEATURES), dtype=np.int64)
    weights[:, :, 0] = WEIGHT_ONE
    return Tables(
        active=np.maximum.accumulate(reach[::-1])[::-1].astype(np.int64),
        weights=weights,
        split=np.full(planes, SCORE_BINS, dtype=np.int64),
        logit=np.zeros((planes, PASSES, CLASSES), dtype=np.int64),
        cost=np.clip(np.rint(-np.log2(1 - _RUNG_CHANCES) * COST_UNIT), 1, MAX_COST).astype(np.int64),
        chance=np.clip(np.rint(_RUNG_CHANCES * 65536), 1024, 64512).astype(np.int64),
        rank=_ranks(),
        quiet_mean=_quiet_means(),
        quiet_square=_quiet_squares(),
        offset=np.zeros((2, SCORE_BINS), dtype=np.int64),
        sign_logit=np.zeros(SKEW_BINS, dtype=np.int64),
    )


def _ranks() -> Int:
    """(256,) order of the rungs by squared error taken away per bit, in squared thresholds.

    x^2 falls from about 2.2 to 1/12 on a hit, and a refinement halves an interval of two thresholds.
    """
    chance = np.clip(_RUNG_CHANCES, _MIN_CHANCE, 0.97)
    entropy = -chance * np.log2(chance) - (1 - chance) * np.log2(1 - chance)
    slope = np.concatenate([chance * 2.1 / (entropy + chance), 0.25 / entropy])
    rank = np.empty(KINDS * RUNGS, dtype=np.int64)
    rank[np.argsort(-slope, kind="stable")] = np.arange(KINDS * RUNGS)
    return rank


def _relative_scales() -> DoubleArray:
    """(64,) scale over threshold at the middle of each score bin."""
    return np.asarray(2.0 ** ((np.arange(SCORE_BINS) - SCORE_BINS // 2 + 0.5) / 4))


def _laplace_chances() -> DoubleArray:
    """(128,) prior chance of a one per class: a magnitude with exponential density is in the upper half."""
    significance = 1 / (1 + np.exp(np.minimum(1 / _relative_scales(), 30)))
    coarse = 2.0 ** ((np.arange(REFINE_BINS) - REFINE_BINS // 2 + 0.5) / 2)
    refinement = 1 / (1 + np.exp(np.minimum(1 / coarse, 3.0)))
    return np.concatenate([significance, refinement, refinement])


def _quiet_means() -> Int:
    """Mean of an exponential magnitude below the threshold, in 1/1024 of the threshold."""
    rate = np.minimum(1 / _relative_scales(), 500)
    mean = 1 / rate - 1 / np.expm1(rate)
    return np.clip(np.rint(1024 * mean), 1, 512).astype(np.int64)


def _quiet_squares() -> Int:
    """Mean square of an exponential magnitude below the threshold, in 2^-20 of the threshold's."""
    rate = np.minimum(1 / _relative_scales(), 500)
    square = 2 / rate**2 - (1 + 2 / rate) / np.expm1(rate)
    return np.clip(np.rint(square * (1 << SQUARE_BITS)), 0, 1 << (SQUARE_BITS - 1)).astype(np.int64)


def _fit_restoration(tables: Tables, scaled: FloatArray, layout: Layout) -> None:
    """Centroids of the magnitudes within their intervals, by scale over threshold, drawn to the exponential's."""
    rate = np.minimum(1 / _relative_scales(), 500)
    prior = 1 / rate - 1 / np.expm1(rate)
    total = np.repeat(32 * prior[None], 2, axis=0)
    count = np.full((2, SCORE_BINS), 32.0)
    magnitude = np.abs(scaled)
    for plane in range(tables.planes):
        bins = np.clip(((layout.scale_bin - 8 * plane) >> 1) + SCORE_BINS // 2, 0, SCORE_BINS - 1)
        relative = magnitude / np.float32(1 << plane)
        where = np.nonzero(relative >= 1)
        value = relative[where].astype(np.float64)
        above = (value >= 2).astype(np.int64)
        flat = above * SCORE_BINS + bins[where[1], where[2]]
        total += np.bincount(flat, value - np.floor(value), 2 * SCORE_BINS).reshape(2, SCORE_BINS)
        count += np.bincount(flat, minlength=2 * SCORE_BINS).reshape(2, SCORE_BINS)
    tables.offset[:] = np.clip(np.rint(64 * total / count), 0, 63).astype(np.int64)


def _choose_split(tables: Tables, state: PlaneState, magnitude: Int, plane: int) -> None:
    """Which classes are likely enough for the first pass; none if they are too few to pay for a pass."""
    tables.split[plane] = 0
    items = state.items(plane, 0)
    tables.split[plane] = SCORE_BINS
    ones = np.bincount(items.classes[((magnitude[items.index] >> plane) & 1) == 1], minlength=SCORE_BINS)[:SCORE_BINS]
    count = np.bincount(items.classes, minlength=SCORE_BINS)[:SCORE_BINS]
    chance = (ones + _PRIOR_COUNT * _laplace_chances()[:SCORE_BINS]) / (count + _PRIOR_COUNT)
    unlikely = np.flatnonzero(chance < _FIRST_PASS_CHANCE)
    first = int(unlikely[-1]) + 1 if len(unlikely) else 0
    if count[first:].sum() >= _FIRST_PASS_LEAST * state.shape[0]:
        tables.split[plane] = first


def _fit_logits(tables: Tables, items: PassItems, bits: Int) -> None:
    """Log odds of a one per class."""
    ones = np.bincount(items.classes, bits, CLASSES)
    count = np.bincount(items.classes, minlength=CLASSES)
    chance = (ones + _PRIOR_COUNT * _laplace_chances()) / (count + _PRIOR_COUNT)
    tables.logit[items.plane, items.part] = _logits(np.clip(chance, _MIN_CHANCE, 0.96))


def _count_signs(signs: DoubleArray, state: PlaneState, items: PassItems, ones: Int, negative: Bool) -> None:
    fresh = items.classes[ones] < SCORE_BINS
    index = items.index[ones][fresh]
    skew = state.model.layout.skew_bin.reshape(-1)[index % (state.shape[1] * state.shape[2])]
    np.add.at(signs, (skew, negative[fresh].astype(np.int64)), 1)


def _skew_prior() -> DoubleArray:
    """(9,) chance of a negative sign in the middle of each skew bin."""
    return np.asarray(1 / (1 + np.exp(-0.6 * (np.arange(SKEW_BINS) - SKEW_BINS // 2))))


def _fit_weights(tables: Tables, state: PlaneState, magnitude: Int, plane: int, part: int) -> None:
    """Mix of the activity features that predicts significance best: logistic regression in log(scale * mix)."""
    active = int(tables.active[plane])
    if active * state.shape[1] < 2 * ACTIVITY_FEATURES:
        return
    tiles = max(1, _WEIGHT_SAMPLE // (active * state.shape[1]))
    chosen = np.unique(np.linspace(0, state.shape[0] - 1, tiles).astype(np.int64))
    if part == 0 or state.opens_plane(plane, part):
        open_ = np.ones((len(chosen), state.shape[1], active), dtype=np.bool_)
    else:
        open_ = state.still_open(active)[chosen]
    open_ &= state.known.reshape(state.shape)[chosen, :, :active] == 0
    known = state.magnitudes(plane, part)[chosen]
    ratios = state.model.activity(active).ratios(known)[open_]
    relative = state.model.layout.scale_bin[None, :, :active] / 8 - plane  # octaves above the threshold
    scale = np.broadcast_to(relative, open_.shape)[open_]
    target = ((magnitude.reshape(state.shape)[chosen, :, :active][open_] >> plane) & 1).astype(np.float64)
    if target.sum() < _FEWEST_ONES:
        return
    mix = logistic_mix(np.minimum(ratios, _RATIO_CAP) / 256, scale, target)
    tables.weights[plane, part] = np.rint(mix * WEIGHT_ONE).astype(np.int64)
    state.model.forget_plans()

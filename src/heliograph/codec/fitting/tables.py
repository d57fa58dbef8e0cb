"""Entropy tables by playing the coding passes on the fitting photos, all at once, one plane after the other."""

from __future__ import annotations

import numpy as np

from heliograph.codec.plane_plan import PASSES, PlaneModel
from heliograph.codec.planes import Bool, PassItems, PlaneState
from heliograph.codec.quantize import magnitude_limits, quantize
from heliograph.codec.range_coder import COST_UNIT, MAX_COST
from heliograph.codec.tables import (
    ACTIVITY_FEATURES,
    CLASSES,
    GRAINS,
    MAX_PLANES,
    REFINE_BINS,
    SCORE_BINS,
    SIGN_BINS,
    SKEW_BINS,
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
_RATIO_CAP = 8 * 256


def fit_tables(scaled: FloatArray, layout: Layout, activity: bool) -> Tables:
    """Tables for (I, P, R) coefficients in quantiser steps; ``activity`` allows contexts beyond static scales."""
    tables = _blank_tables(scaled)
    _fit_restoration(tables, scaled, layout)
    model = PlaneModel(tables, layout)
    magnitude, negative = quantize(scaled, magnitude_limits(tables, scaled.shape[2]))
    state = PlaneState(model, len(scaled))
    signs = np.zeros((SKEW_BINS, SIGN_BINS, 2))
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
            _fit_costs(tables, items, bits)
            ones = np.flatnonzero(bits)
            minus = negative[items.index[ones]]
            _count_signs(signs, state, items, ones, minus)
            state.apply(items, ones, minus, len(bits))
    chance = (signs[:, :, 1] + 8 * _skew_prior()) / (signs.sum(axis=2) + 8)
    tables.sign_chance[:] = np.clip(np.rint(chance * 65536), 2048, 63488).astype(np.int64)
    return tables


def _blank_tables(scaled: FloatArray) -> Tables:
    """Everything that does not depend on contexts; one more plane and octave than the photos needed."""
    largest = np.abs(scaled).max(axis=(0, 1)).astype(np.float64)
    planes = min(max(int(np.floor(np.log2(max(largest.max(), 1.0)))) + 2, 1), MAX_PLANES)
    reach = np.where(2 * largest[None] >= 2.0 ** np.arange(planes)[:, None], np.arange(len(largest)) + 1, 1).max(axis=1)
    energy = float((scaled.astype(np.float64) ** 2).sum()) / len(scaled) * GRAINS * GRAINS
    weights = np.zeros((planes, PASSES, ACTIVITY_FEATURES), dtype=np.int64)
    weights[:, :, 0] = WEIGHT_ONE
    return Tables(
        active=np.maximum.accumulate(reach[::-1])[::-1].astype(np.int64),
        weights=weights,
        split=np.full(planes, SCORE_BINS, dtype=np.int64),
        cost=np.ones((planes, PASSES, CLASSES), dtype=np.int64),
        rank=np.tile(np.arange(CLASSES), (planes, PASSES, 1)),
        quiet_mean=_quiet_means(),
        offset=np.zeros((2, SCORE_BINS), dtype=np.int64),
        sign_chance=np.full((SKEW_BINS, SIGN_BINS), 1 << 15, dtype=np.int64),
        energy_unit=max(1, int(energy)),
    )


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


def _fit_costs(tables: Tables, items: PassItems, bits: Int) -> None:
    """Chance of a one per class, its cost in integers, and the classes' order by slope."""
    plane, part = items.plane, items.part
    ones = np.bincount(items.classes, bits, CLASSES)
    count = np.bincount(items.classes, minlength=CLASSES)
    chance = (ones + _PRIOR_COUNT * _laplace_chances()) / (count + _PRIOR_COUNT)
    chance = np.clip(chance, _MIN_CHANCE, 0.96)
    costs = np.rint(-np.log2(1 - chance) * COST_UNIT)
    tables.cost[plane, part] = np.clip(costs, 1, MAX_COST).astype(np.int64)
    entropy = -chance * np.log2(chance) - (1 - chance) * np.log2(1 - chance)
    # squared error taken away per bit, in squared thresholds: x^2 falls from about 2.2 to 1/12 on a hit, and a
    # refinement halves an interval of two thresholds
    hit = chance * 2.1 / (entropy + chance)
    halved = 0.25 / entropy
    slope = np.where(np.arange(CLASSES) < SCORE_BINS, hit, halved)
    tables.rank[plane, part, np.argsort(-slope, kind="stable")] = np.arange(CLASSES)


def _count_signs(signs: DoubleArray, state: PlaneState, items: PassItems, ones: Int, negative: Bool) -> None:
    fresh = items.classes[ones] < SCORE_BINS
    index = items.index[ones][fresh]
    cells = state.shape[1] * state.shape[2]
    skew = state.model.layout.skew_bin.reshape(-1)[index % cells]
    around = np.full(len(index), SIGN_BINS // 2)
    if state.model.layout.spatial:
        around += state.sign_context(items, ones[fresh])
    np.add.at(signs, (skew, around, negative[fresh].astype(np.int64)), 1)


def _skew_prior() -> DoubleArray:
    """(9, 1) chance of a negative sign in the middle of each skew bin."""
    return np.asarray(1 / (1 + np.exp(-0.6 * (np.arange(SKEW_BINS) - SKEW_BINS // 2))))[:, None]


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
    if target.sum() < 20:
        return
    mix = _logistic_mix(np.minimum(ratios, _RATIO_CAP) / 256, scale, target)
    tables.weights[plane, part] = np.rint(mix * WEIGHT_ONE).astype(np.int64)
    state.model.forget_plans()


def _logistic_mix(ratios: DoubleArray, scale: DoubleArray, target: DoubleArray) -> DoubleArray:
    """Weights (4,), sum 1, by Fisher scoring of ``logit = a + b u + c u^2``, ``u = scale + log2(ratios @ w)``."""
    used = ratios.max(axis=0) > 0
    mix = np.where(used, 0.15, 0.0)
    mix[0] += 1 - mix.sum()
    curve = np.array([0.0, 1.5, 0.0])
    columns = np.ascontiguousarray(ratios[:, used].T)  # (F, N): every pass below walks along memory
    design = np.ones((3 + len(columns), len(target)))
    for _ in range(12):
        inside = np.maximum(mix[used] @ columns, 0.05)
        u = np.clip(scale + np.log2(inside), -8, 4)
        logit = np.clip(curve[0] + curve[1] * u + curve[2] * u * u, -20, 20)
        chance = 1 / (1 + np.exp(-logit))
        slope = (curve[1] + 2 * curve[2] * u) / (inside * np.log(2))
        design[1], design[2] = u, u * u
        np.multiply(slope, columns, out=design[3:])
        hessian = (design * (chance * (1 - chance))) @ design.T + 1e-2 * np.eye(len(design))
        change = np.linalg.solve(hessian, design @ (target - chance))
        change *= min(1.0, 0.5 / max(float(np.abs(change[3:]).max()), 1e-9))
        curve = curve + change[:3]
        mix[used] += change[3:]
        total = float(mix.sum())
        mix = np.clip(mix / total if total > 0.1 else mix, -0.5, 2.0)
    return mix

"""Which decisions a pass asks, in which order and with what probability: against a slow reading of the page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from heliograph.codec.contexts import Contexts
from heliograph.codec.klt import KltCodec
from heliograph.codec.planes import PlaneState
from heliograph.codec.quantize import quantize, scaled
from heliograph.types import Grid
from integer_codec import PLANES, POSITIONS, SIZE, integer_codec, integer_tokens, made_up_contexts

ROWS, COLUMNS = 2, 3


def seen_by(restored: np.ndarray, plane: int, components: int) -> np.ndarray:
    """(P, 9 C) views of one tile's (P, R) restored values, one by one."""
    cut = [[int(np.sign(v)) * min(abs(int(v)) >> plane, 64) for v in row[:components]] for row in restored]

    def at(row: int, column: int, a: int) -> int:
        inside = 0 <= row < ROWS and 0 <= column < COLUMNS
        return cut[row * COLUMNS + column][a] if inside else 0

    made = []
    for p in range(POSITIONS):
        row, column = divmod(p, COLUMNS)
        views: list[list[int]] = [[] for _ in range(9)]
        for a in range(components):
            near = [at(row + down, column + right, a) for down in (-1, 0, 1) for right in (-1, 0, 1)]
            own, above, below, left, right = near[4], near[1], near[7], near[3], near[5]
            every = [cut[q][a] for q in range(POSITIONS)]
            means = 4 * sum(every) // POSITIONS, 4 * sum(map(abs, every)) // POSITIONS
            for view, one in zip(
                views, (own, abs(own), above, below, left, right, sum(map(abs, near)) // 4, *means), strict=True
            ):
                view.append(one)
        made.append(np.concatenate(views))
    return np.array(made, dtype=np.int64)


def corrected(known: Contexts | None, restored: np.ndarray, plane: int, part: int) -> np.ndarray:
    """(3, P, R) corrections of one tile's decisions; 0 for components behind those looked at."""
    made = np.zeros((3, *restored.shape), dtype=np.int64)
    if known is None or known.shift[plane, part].min() < 0:
        return made
    first, second = known.shift[plane, part].tolist()
    sums = seen_by(restored, plane, known.looked_at) @ known.hidden[plane, part].astype(np.int64)
    hidden = np.clip(sums + known.bias[plane, part] >> first, 0, 127)
    out = hidden @ known.out[plane, part].astype(np.int64) + (1 << second >> 1) >> second
    made[:, :, : known.looked_at] = out.reshape(len(out), 3, -1).transpose(1, 0, 2)
    return made


def rung(logit: int) -> int:
    return min(max((logit + 4 >> 3) + 72, 0), 127)


def check_pass(codec: KltCodec, state: PlaneState, items: Any, first: set[int]) -> None:
    """Every decision of a pass by its place in coding order; ``first`` are the places that pass 0 has asked."""
    tables, plane, part = codec.tables, items.plane, items.part
    active, tiles = int(tables.active[plane]), state.shape[0]
    known, restored = state.known.reshape(state.shape), state.restored.reshape(state.shape)
    scale, skew = state.model.layout.scale_bin, state.model.layout.skew_bin
    class_of = dict(zip(items.index.tolist(), items.classes.tolist(), strict=True))
    runs, chances = state.cost_runs(items), state.sign_chance(items, slice(None)).tolist()
    costs = np.repeat(runs.costs, np.diff([*runs.starts, runs.count])).tolist()
    wanted = []
    for tile in range(tiles):
        contexts = state.model.contexts
        more = corrected(contexts, restored[tile], plane, part)
        for p in range(POSITIONS):
            for a in range(active):
                index = (tile * POSITIONS + p) * SIZE + a
                value = int(known[tile, p, a])
                base = (int(scale[p, a]) >> 1) - 4 * plane + 32
                if part == 0:
                    if index not in class_of:
                        continue
                    assert value == 0
                    assert class_of[index] >= tables.split[plane]
                elif index in first:
                    assert index not in class_of
                    continue
                refined = value > 0
                if refined:
                    wanted_class = 64 + min(max((base - 32 >> 1) + 16, 0), 31) + (32 if value >> (plane + 2) else 0)
                    assert class_of[index] == wanted_class
                logit = int(tables.logit[plane, part, class_of[index]]) + int(more[int(refined), p, a])
                sign = int(tables.sign_logit[skew[p, a]]) + int(more[2, p, a])
                chance = 0 if refined else int(tables.chance[rung(sign)])
                rank = int(tables.rank[128 * refined + rung(logit)])
                wanted.append((rank, index, int(tables.cost[rung(logit)]), chance))
    wanted.sort(key=lambda one: one[0])  # stable: equal ones in the order of their places
    found = list(zip(items.index.tolist(), costs, chances, strict=True))
    assert found == [(index, cost, chance) for _, index, cost, chance in wanted]


@pytest.mark.parametrize("contexts", ["all", "fewer than components", "none"])
@pytest.mark.parametrize(("tiles", "fineness"), [(1, 0), (2, 3), (1, 7)])
def test_every_pass_of_a_photo(contexts: str, tiles: int, fineness: int) -> None:
    codec = integer_codec(contexts=contexts == "all")
    if contexts == "fewer than components":
        codec.contexts = made_up_contexts(PLANES, 2)
    tokens, grid = integer_tokens(7, tiles), Grid(ROWS, COLUMNS, tiles)
    coefficients = codec.transform.analyse(tokens.values, grid, fitted=True)
    magnitude, negative = quantize(scaled(coefficients, fineness), codec.magnitude_limits)
    state = PlaneState(codec.model_for(grid, fineness), tiles)
    assert state.model.layout.scale_bin[0, 0] == 24 + fineness
    first: set[int] = set()
    asked = []
    for plane, part in state.passes():
        if state.opens_plane(plane, part):
            first = set()
        items = state.items(plane, part)
        check_pass(codec, state, items, first)
        if part == 0:
            first = set(items.index.tolist())
        ones = ((magnitude[items.index] >> plane) & 1).nonzero()[0]
        state.apply(items, ones, negative[items.index[ones]], len(items))
        asked.append((plane, part))
    assert asked == [(4, 1), *((plane, part) for plane in (3, 2, 1, 0) for part in (0, 1))]
    signed = np.where(negative, -magnitude, magnitude)
    assert np.array_equal(np.where(state.restored < 0, -state.known, state.known), signed)


def test_scale_bins_stop_at_their_limits() -> None:
    codec = integer_codec()
    scale = codec.layouts.scale_bin.copy()
    scale[0] = 255, 250, -128, 248
    codec.layouts = replace(codec.layouts, scale_bin=scale, other_scale_bin=scale)
    assert codec.model_for(Grid(2, 3), 7).layout.scale_bin[0].tolist() == [255, 255, -121, 255]
    assert codec.model_for(Grid(2, 3), 0).layout.scale_bin[0].tolist() == [255, 250, -128, 248]
    assert codec.model_for(Grid(1, 1), 7).layout.scale_bin[0].tolist() == [255, 255, -121, 255]

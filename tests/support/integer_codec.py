"""A ``klt`` codec of integers alone: identity transform, step 1, tables from small formulas. So are its tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heliograph.codec.contexts import Contexts
from heliograph.codec.klt import KltCodec, LayoutTables
from heliograph.codec.tables import CLASSES, KINDS, RUNGS, SCORE_BINS, SKEW_BINS, Tables
from heliograph.codec.transform import Transform
from heliograph.types import Grid, VisualTokens

GRID = Grid(2, 3)
POSITIONS, SIZE, PLANES = 6, 4, 5


def integer_tables() -> Tables:
    """Both passes, activity weights, refinement, uneven signs."""
    classes, rungs, scores = np.arange(CLASSES), np.arange(RUNGS), np.arange(SCORE_BINS)
    logit = np.where(classes < SCORE_BINS, 12 * classes - 600, 3 * (classes - SCORE_BINS) - 90)
    passes = 16 * np.arange(PLANES)[:, None, None] - 20 * np.arange(2)[None, :, None]
    return Tables(
        active=np.array([4, 4, 4, 3, 2]),
        weights=np.repeat(np.array([[[100, 40, 70, 46], [90, 30, 80, 56]]]), PLANES, axis=0),
        split=np.array([30, 30, 31, 32, SCORE_BINS]),
        logit=logit + passes,
        cost=np.clip(rungs**3 // 90, 1, 20480),
        chance=np.clip(32768 + 600 * (rungs - 72), 1024, 64512),
        rank=np.concatenate([2 * (RUNGS - 1 - rungs), KINDS * rungs + 1]),
        quiet_mean=np.minimum(8 * scores + 8, 512),
        quiet_square=np.minimum(6000 * scores + 2000, 1 << 18),
        offset=np.stack([20 + scores // 8, 26 + scores // 10]),
        sign_logit=40 * (np.arange(SKEW_BINS) - 4),
    )


def made_up_contexts(planes: int, components: int) -> Contexts:
    """Networks of all passes but one, strong enough to move most decisions by some rungs."""
    made = Contexts.none(planes, components)
    for factor, most, one in ((37, 15, made.hidden), (29, 200, made.bias), (53, 20, made.out)):
        one[:] = (np.arange(one.size) * factor % (2 * most + 1) - most).reshape(one.shape)
    made.shift[:] = 3, 6
    made.shift[planes // 2, 1] = -1
    return made


def integer_codec(contexts: bool = True, grid: Grid = GRID, size: int = SIZE, mode: str = "none") -> KltCodec:
    """Fitted on nothing: 2 x 3 positions of four components; of more components all are in every plane."""
    tables, positions = integer_tables(), grid.rows * grid.columns
    if size > SIZE:
        tables = replace(tables, active=np.full(PLANES, size))
    tables.check(size)
    scale = np.add.outer(np.arange(positions) % 3, np.resize(np.array([24, 16, 10, 2]), size))
    skew = np.broadcast_to(np.resize(np.array([4, 2, 6, 4]), size), scale.shape)
    identity, places = np.eye(size, dtype=np.float32), np.eye(positions, dtype=np.float32)
    mean = np.zeros((positions, size), dtype=np.float32)
    transform = Transform(mode, 1.0, mean, identity, identity, places, places)
    known = made_up_contexts(PLANES, size) if contexts else None
    return KltCodec(grid, transform, tables, LayoutTables(scale, skew.copy(), scale), known)


def integer_tokens(factor: int, tiles: int = 1) -> VisualTokens:
    """Whole numbers of up to 31, every fourth component 0 or small."""
    index = np.arange(tiles * POSITIONS * SIZE).reshape(-1, SIZE)
    values = (index * factor) % 23 - 11
    values = values * (np.array([2, 1, 1, 0]) + (index % 5 == 0))
    return VisualTokens(values.astype(np.float32), Grid(2, 3, tiles))

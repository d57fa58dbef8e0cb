"""Fitting the cloud's guess: one ridge regression per bit plane, its strength chosen on held-out photos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from heliograph.codec.fitting.counting import Advance, unseen
from heliograph.codec.klt import KltCodec
from heliograph.codec.planes import PlaneState
from heliograph.codec.quantize import dequantize, quantize
from heliograph.codec.restoration import (
    MAX_COMPONENTS,
    VIEWS,
    Restoration,
    as_stored,
    random_features,
    views,
)
from heliograph.codec.transform import DoubleArray
from heliograph.types import FloatArray, Grid

_FEATURES = 512
_SPREAD = 0.75  # standard deviation of the random projections in radians: how far one cosine still sees
_RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_HELD_OUT_SHARE = 8  # one photo in so many chooses the ridge
# A plane's guess must save this share of its error and this share of all energy: below, it changes no answer, and takes
# much of decoding's time and of the file.
_MUST_SAVE, _MUST_SAVE_OF_ALL = 0.03, 0.01
_SEED = 0
_CHUNK_TILES = 64
_MAX_COEFFICIENTS = 1 << 23  # bounds the memory for large models


def fit_restoration(codec: KltCodec, tokens: FloatArray, advance: Advance = unseen) -> Restoration:
    """Regressions for a codec whose transform and tables are fitted.

    Args:
        codec: as fitted on ``tokens``.
        tokens: (I, P, D) f32; the last eighth only chooses the ridges, then joins the fit.
        advance: counts bit planes.
    """
    size = tokens.shape[0] * tokens.shape[1] * codec.components
    tokens = tokens[:: -(-size // _MAX_COEFFICIENTS)]
    one = Grid(codec.grid.rows, codec.grid.columns, len(tokens))
    exact = codec.transform.channels(tokens)  # (I, P, R)
    coefficients = codec.transform.analyse(tokens.reshape(-1, tokens.shape[2]), one, fitted=True)
    magnitude, negative = quantize(coefficients, codec.magnitude_limits)
    state = PlaneState(codec.model_for(one), len(tokens))
    lens = _Lens.draw(codec, exact)
    weights = []
    for plane in range(codec.tables.planes):
        state.complete(plane, magnitude, negative)
        restored = codec.transform.over_channels(dequantize(state.restored, state.shape), one, fitted=True)
        weights.append(_regress(lens, restored, exact))
        advance(1)
    return Restoration(lens.projection, lens.phase, np.stack(weights))


@dataclass(frozen=True)
class _Lens:
    """What every plane's regression looks through.

    Attributes:
        sides: rows and columns of the grid.
        looked_at: C, leading components that are looked at and corrected.
        projection, phase: as in :class:`Restoration`.
    """

    sides: tuple[int, int]
    looked_at: int
    projection: FloatArray
    phase: FloatArray

    @classmethod
    def draw(cls, codec: KltCodec, exact: FloatArray) -> _Lens:
        """Random projections that fit the size of (I, P, R) channel coefficients."""
        sides = (codec.grid.rows, codec.grid.columns)
        looked_at = min(codec.components, MAX_COMPONENTS)
        length = float(np.sqrt((views(exact, sides, looked_at).astype(np.float64) ** 2).sum(axis=1).mean()))
        generator = np.random.default_rng(_SEED)
        size = VIEWS * looked_at
        projection = generator.standard_normal((size, _FEATURES)) * (_SPREAD / max(length, 1e-12))
        phase = generator.uniform(0, 2 * np.pi, _FEATURES)
        return cls(sides, looked_at, as_stored(projection), as_stored(phase))

    def features(self, restored: FloatArray) -> FloatArray:
        """(I, P, R) to (I * P, F + M)."""
        return random_features(views(restored, self.sides, self.looked_at), self.projection, self.phase)


def _regress(lens: _Lens, restored: FloatArray, exact: FloatArray) -> FloatArray:
    """(F + M, C) weights for one plane; zeros where held-out photos gain nothing."""
    held = max(1, len(restored) // _HELD_OUT_SHARE)
    parts = [_moments(lens, restored[chosen], exact[chosen]) for chosen in (slice(0, -held), slice(-held, None))]
    (gram, cross, rows), (held_gram, held_cross, held_rows) = parts
    error = _energy(exact[-held:] - restored[-held:], lens.looked_at)
    least = max(_MUST_SAVE * error, _MUST_SAVE_OF_ALL * _energy(exact[-held:], lens.looked_at))
    best, chosen_ridge = -least, None
    for ridge in _RIDGES:
        weights = _solve(gram, cross, ridge * rows)
        # |r - Pw|^2 - |r|^2 on the held-out photos, from their moments alone
        change = float(np.einsum("fc,fc->", weights, held_gram @ weights - 2 * held_cross))
        if change < best:
            best, chosen_ridge = change, ridge
    if chosen_ridge is None:
        return np.zeros_like(cross, dtype=np.float32)
    return as_stored(_solve(gram + held_gram, cross + held_cross, chosen_ridge * (rows + held_rows)))


def _energy(channels: FloatArray, looked_at: int) -> float:
    """Sum of squares of the looked-at components of (I, P, R)."""
    return float(np.square(channels[:, :, :looked_at].astype(np.float64)).sum())


def _solve(gram: DoubleArray, cross: DoubleArray, ridge: float) -> DoubleArray:
    return np.asarray(np.linalg.solve(gram + ridge * np.eye(len(gram)), cross))


def _moments(lens: _Lens, restored: FloatArray, exact: FloatArray) -> tuple[DoubleArray, DoubleArray, int]:
    """Gram matrix of the features, their product with the error that is left, and the number of tokens."""
    size = sum(lens.projection.shape)
    gram, cross = np.zeros((size, size)), np.zeros((size, lens.looked_at))
    for some, wanted in _chunks(restored, exact):
        features = lens.features(some)  # (n, F + M)
        error = (wanted - some)[:, :, : lens.looked_at].reshape(-1, lens.looked_at)  # (n, C)
        gram += features.T @ features
        cross += features.T @ error
    return gram, cross, restored.shape[0] * restored.shape[1]


def _chunks(restored: FloatArray, exact: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
    for start in range(0, len(restored), _CHUNK_TILES):
        yield restored[start : start + _CHUNK_TILES], exact[start : start + _CHUNK_TILES]

"""How lively the surroundings of a coefficient are: the context that the entropy model looks at.

In transform coding of images the best predictor of a coefficient's scale is the size of its neighbours already
known (Wu and Memon, "Context-based, adaptive, lossless image coding", 1997). Visual tokens have three kinds of
neighbours: the same component over the grid, the other components of the same token, and the nearby tokens. Each
kind gives a ratio (magnitude known so far / magnitude expected beforehand); a fitted mix of the ratios is the
factor by which the expected scale of the coefficient is corrected. Integers only.
"""

from __future__ import annotations

import numpy as np

from heliograph.codec.tables import (
    ACTIVITY_FEATURES,
    ACTIVITY_MAX,
    ACTIVITY_ONE,
    LOWEST_SCALE_BIN,
    Int,
    Layout,
    expected_magnitudes,
)

_SHIFT = 28
_REACH = 4  # components to either side that count as neighbouring


class ActivityModel:
    """Activity of all coefficients of one layout, restricted to its leading components."""

    def __init__(self, layout: Layout, components: int) -> None:
        self._grid = (layout.rows, layout.columns)
        self._neighbours = layout.neighbours
        expected = expected_magnitudes()[layout.scale_bin[:, :components] - LOWEST_SCALE_BIN]
        self._inverse: list[Int | None] = [None]
        for feature in range(1, ACTIVITY_FEATURES):
            total = self._sum(feature, expected[None])
            inverse = None if total is None else (np.int64(ACTIVITY_ONE) << _SHIFT) // np.maximum(total[0], 1)
            self._inverse.append(inverse)

    def _sum(self, feature: int, magnitude: Int) -> Int | None:
        """(T, P, R) sum over the coefficient's neighbours of one kind, itself left out; None where not defined."""
        if feature == 1:
            return np.asarray(magnitude.sum(axis=1, keepdims=True) - magnitude)
        if feature == 2:
            return np.asarray(magnitude.sum(axis=2, keepdims=True) - magnitude)
        if feature == 3:
            return self._nearby(magnitude) if self._neighbours else None
        return _component_window(magnitude)

    def _nearby(self, magnitude: Int) -> Int:
        """Weights 2 beside, 1 at the corners: the product of two (1, 2, 1) filters without the middle."""
        tiles, _, components = magnitude.shape
        grid = magnitude.reshape(tiles, *self._grid, components)
        across = 2 * grid
        across[:, :, 1:] += grid[:, :, :-1]
        across[:, :, :-1] += grid[:, :, 1:]
        both = 2 * across
        both[:, 1:] += across[:, :-1]
        both[:, :-1] += across[:, 1:]
        return (both - 4 * grid).reshape(magnitude.shape)

    def ratios(self, magnitude: Int) -> Int:
        """(T, P, R, 5) every feature as a ratio, 256 = as expected; for fitting."""
        result = np.zeros((*magnitude.shape, ACTIVITY_FEATURES), dtype=np.int64)
        result[..., 0] = ACTIVITY_ONE
        for feature in range(1, ACTIVITY_FEATURES):
            total, inverse = self._sum(feature, magnitude), self._inverse[feature]
            if total is not None and inverse is not None:
                result[..., feature] = (total * inverse) >> _SHIFT
        return result

    def multiplier(self, magnitude: Int, weights: Int) -> Int:
        """(T, P, R) correction of the expected scale, 256 = none.

        Args:
            magnitude: (T, P, R) known or expected magnitudes in grains.
            weights: (5,) mix of the features, 256 = 1.
        """
        mixed = np.full(magnitude.shape, int(weights[0]) * ACTIVITY_ONE, dtype=np.int64)
        for feature in range(1, ACTIVITY_FEATURES):
            inverse, weight = self._inverse[feature], int(weights[feature])
            if weight == 0 or inverse is None:
                continue
            total = self._sum(feature, magnitude)
            if total is not None:
                total *= inverse
                total >>= _SHIFT
                total *= weight
                mixed += total
        mixed >>= 8
        return np.minimum(np.maximum(mixed, 1), ACTIVITY_MAX)

    def neighbour_sign(self, signed: Int) -> Int:
        """(T, P, R) signed sum over the nearby tokens, for the sign contexts of spatial layouts."""
        return self._nearby(signed)


def _component_window(magnitude: Int) -> Int:
    """Sum over the components at most ``_REACH`` away, itself left out."""
    tiles, positions, components = magnitude.shape
    running = np.zeros((tiles, positions, components + 2 * _REACH + 1), dtype=np.int64)
    np.cumsum(magnitude, axis=2, out=running[:, :, _REACH + 1 : _REACH + 1 + components])
    running[:, :, _REACH + 1 + components :] = running[:, :, _REACH + components : _REACH + 1 + components]
    window = running[:, :, 2 * _REACH + 1 :] - running[:, :, : -2 * _REACH - 1]
    window -= magnitude
    return window

"""How lively the surroundings of a coefficient are: the context that the entropy model looks at.

In transform coding of images the best predictor of a coefficient's scale is the size of its neighbours already
known (Wu and Memon, "Context-based, adaptive, lossless image coding", 1997). Visual tokens have three kinds of
neighbours: the same component over the grid, the other components of the same token, and the nearby tokens. Each
kind gives a ratio (magnitude known so far / magnitude expected beforehand); a fitted mix of the ratios is the
factor by which the expected scale of the coefficient is corrected. Integers only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliograph.codec.tables import (
    ACTIVITY_FEATURES,
    ACTIVITY_ONE,
    LOWEST_SCALE_BIN,
    Int,
    Layout,
    expected_magnitudes,
)

_SHIFT = 28  # fraction bits of the inverse expectations
_KEPT = 12  # of which so many stay once a weight is multiplied in
_MIDDLE = 4  # weight of the coefficient itself in the sum over nearby tokens, which must not see it


@dataclass(frozen=True)
class ActivityMix:
    """Weights of one coding pass multiplied into the inverse expectations.

    Attributes:
        constant: what the mix begins with.
        component, position, nearby: (P, A) factors of the three sums, each with the coefficient itself in it.
        own: (P, A) factor of the coefficient itself, which takes it out of the three sums again.
    """

    constant: int
    component: Int
    position: Int
    nearby: Int | None
    own: Int


class ActivityModel:
    """Activity of all coefficients of one layout, restricted to its A leading components."""

    def __init__(self, layout: Layout, components: int) -> None:
        self._grid = (layout.rows, layout.columns)
        self._neighbours = layout.neighbours
        expected = expected_magnitudes()[layout.scale_bin[:, :components] - LOWEST_SCALE_BIN]
        self._inverse = [(np.int64(ACTIVITY_ONE) << _SHIFT) // np.maximum(s[0], 1) for s in self._sums(expected[None])]

    def _sums(self, magnitude: Int) -> list[Int]:
        """(T, P, A) sums over each kind of neighbours, the coefficient itself left out."""
        sums = [
            magnitude.sum(axis=1, keepdims=True) - magnitude,
            magnitude.sum(axis=2, keepdims=True) - magnitude,
        ]
        if self._neighbours:
            sums.append(self.nearby(magnitude) - _MIDDLE * magnitude)
        return sums

    def nearby(self, values: Int) -> Int:
        """(T, P, A) sum over the nearby tokens, weights 4 for itself, 2 beside, 1 at the corners: two (1, 2, 1)."""
        tiles, _, components = values.shape
        rows, columns = self._grid
        padded = np.zeros((tiles, rows + 2, columns + 2, components), dtype=np.int64)
        padded[:, 1:-1, 1:-1] = values.reshape(tiles, rows, columns, components)
        pairs = padded[:, :-1] + padded[:, 1:]
        down = pairs[:, :-1] + pairs[:, 1:]
        pairs = down[:, :, :-1] + down[:, :, 1:]
        return (pairs[:, :, :-1] + pairs[:, :, 1:]).reshape(values.shape)

    def ratios(self, magnitude: Int) -> Int:
        """(T, P, A, 4) constant and every feature as a ratio, 256 = as expected; for fitting."""
        result = np.zeros((*magnitude.shape, ACTIVITY_FEATURES), dtype=np.int64)
        result[..., 0] = ACTIVITY_ONE
        for feature, (total, inverse) in enumerate(zip(self._sums(magnitude), self._inverse, strict=True), start=1):
            result[..., feature] = (total * inverse) >> _SHIFT
        return result

    def mix(self, weights: Int) -> ActivityMix:
        """Weights (4,), 256 = 1, made ready for ``multiplier``."""
        factors = [inverse * int(w) >> (_SHIFT - _KEPT) for inverse, w in zip(self._inverse, weights[1:], strict=False)]
        component, position = factors[:2]
        nearby = factors[2] if self._neighbours else None
        own = component + position + (_MIDDLE * nearby if nearby is not None else 0)
        return ActivityMix((int(weights[0]) * ACTIVITY_ONE) << _KEPT, component, position, nearby, own)

    def multiplier(self, magnitude: Int, mix: ActivityMix) -> Int:
        """(T, P, A) correction of the expected scale, 256 = none; may be negative or large.

        Args:
            magnitude: (T, P, A) known or expected magnitudes in grains.
            mix: of the coding pass.
        """
        mixed = magnitude.sum(axis=1, keepdims=True) * mix.component
        mixed += magnitude.sum(axis=2, keepdims=True) * mix.position
        if mix.nearby is not None:
            mixed += self.nearby(magnitude) * mix.nearby
        mixed -= magnitude * mix.own
        mixed += mix.constant
        mixed >>= _KEPT + 8
        return np.asarray(mixed)

"""The closed-form transform alone, for codecs of other people: tokens to channel coefficients and back, uncoded.

::

    tokens (N, D) --mean, channel KLT in the model's metric--> (T, P, R), in finest steps --> tokens, R components kept

``klt`` codes such numbers by itself, with its transform over the grid; what it restores beyond them is its own.
"""

from __future__ import annotations

import numpy as np

from heliograph.codec.klt import KltCodec
from heliograph.types import FloatArray, Grid, VisualTokens


def channels_of(codec: KltCodec, tokens: VisualTokens) -> FloatArray:
    """(T, P, R) float32 channel coefficients in finest steps, the grid left as it is.

    Raises:
        ShapeError: tokens that the codec does not take.
    """
    grid = tokens.grid
    spectrum = codec.transform.over_channels(codec.analyse(tokens), grid, codec.is_fitted(grid))
    return np.asarray(spectrum / np.float32(codec.transform.step), dtype=np.float32)


def tokens_of_channels(codec: KltCodec, channels: FloatArray, grid: Grid) -> VisualTokens:
    """The inverse: (T, P, R) to (N, D) float32.

    Args:
        codec: whose transform it is.
        channels: in finest steps; the caller has bounded them.
        grid: of T tiles and P positions.
    """
    spectrum = channels * np.float32(codec.transform.step)
    return VisualTokens(codec.transform.synthesise(spectrum, grid, codec.is_fitted(grid)), grid)

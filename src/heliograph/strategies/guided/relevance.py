"""Where a photo matters: a map of relevance over it, and from the map the part of a picture that keeps its detail.

::

    question --the bundle's own language model--> where it looks       (``question``)
    photo --vision tower--> tokens --distance from their mean--> map   (``tokens``)
    photo --standard deviation of luma within a cell--> map            (``contrast``, without a bundle)

Whichever it was, the file is an ordinary one, and its receiver need not know.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heliograph.errors import UsageError
from heliograph.strategies.base import DeviceTools
from heliograph.types import FloatArray, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image

_CELLS, _CELL_PIXELS = 16, 8
"""Of the map of contrast: cells along each edge of the photo, and pixels along a cell."""

_FLAT = 1e-6
_ALL = 100


class Guide(StrEnum):
    """What tells where a photo matters."""

    AUTO = "auto"
    """Tokens where the device can make them, else contrast."""

    QUESTION = "question"
    """Attention from the question; as ``auto`` for a stream without one, or where the bundle cannot tell."""

    TOKENS = "tokens"
    CONTRAST = "contrast"


def guide_of(value: object) -> Guide:
    """The knob ``guide``.

    Raises:
        UsageError: no such guide.
    """
    try:
        return Guide(str(value))
    except ValueError as error:
        raise UsageError().noted(f"Setting guide={str(value)[:40]}: guide is {', '.join(Guide)}.") from error


def relevance(photo: Image, tools: DeviceTools, guide: Guide) -> FloatArray:
    """A map (rows, columns) float32 over a whole RGB photo, not negative; only proportions mean anything.

    Raises:
        BundleDamagedError: ``tokens`` without a bundle, or a network of it that cannot be run.
        UsageError: ``tokens`` of a photo that the model sees in several tiles.
    """
    if guide is Guide.CONTRAST or (guide is not Guide.TOKENS and tools.sight is None):
        return contrast_map(photo)
    tokens = tools.encode_tokens(photo)
    if guide is Guide.QUESTION and tools.question and tools.sight is not None:
        found = tools.sight.question_map(tools.question, tokens)
        if found is not None:
            return found
    if tokens.grid.tiles == 1:
        return token_map(tokens)
    if guide is Guide.TOKENS:
        raise UsageError().noted(
            f"guide=tokens: this model sees the photo in {tokens.grid.tiles} tiles, whose tokens lie over no one map; "
            "choose contrast."
        )
    return contrast_map(photo)


def token_map(tokens: VisualTokens) -> FloatArray:
    """(rows, columns): how far each token of one tile lies from the photo's mean token."""
    away = tokens.values - tokens.values.mean(axis=0)
    return _float(np.sqrt((away * away).sum(axis=1)).reshape(tokens.grid.rows, tokens.grid.columns))


def contrast_map(photo: Image) -> FloatArray:
    """(16, 16): standard deviation of luma within each cell, of the photo at 128 x 128 pixels."""
    from PIL.Image import Resampling

    side = _CELLS * _CELL_PIXELS
    luma = np.asarray(photo.convert("L").resize((side, side), Resampling.BOX), np.float32)
    return _float(luma.reshape(_CELLS, _CELL_PIXELS, _CELLS, _CELL_PIXELS).std(axis=(1, 3)))


def spread(found: FloatArray, width: int, height: int) -> FloatArray:
    """The map at (height, width) places, linear between the centres of its cells."""
    rows, columns = _between(found.shape[0], height), _between(found.shape[1], width)
    return _float(rows @ found @ columns.T)


def kept(found: FloatArray, width: int, height: int, percent: int) -> npt.NDArray[np.bool_]:
    """(height, width): the places of the largest values, ``percent`` of all, fewer where the others are all alike; of a
    flat map every one."""
    fine = spread(found, width, height)
    if fine.max() - fine.min() <= _FLAT * abs(fine.max()):
        return np.ones(fine.shape, np.bool_)
    least = np.quantile(fine, 1 - percent / 100)
    return fine >= least if least > fine.min() or percent == _ALL else fine > least


def _between(cells: int, places: int) -> FloatArray:
    """(places, cells) weights, each row summing to 1."""
    at = np.clip((np.arange(places) + 0.5) * cells / places - 0.5, 0, cells - 1)
    distance = np.abs(at[:, None] - np.arange(cells))
    return _float(np.clip(1 - distance, 0, None))


def _float(values: npt.ArrayLike) -> FloatArray:
    return np.ascontiguousarray(values, np.float32)

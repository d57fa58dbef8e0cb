"""DCT coefficients of a JPEG that are not sent: AC coefficients above a frequency, outside a region.

::

    RGB --> Y, Cb, Cr planes --8 x 8 DCT--> levels --zeros above the cut--> inverse --> planes --> libjpeg

libjpeg gets the planes as they are (no change of colours, and chroma of whose 2 x 2 pixels all are equal), so that its
own transform and quantisation find the very levels that are left here: the file is libjpeg's, with its Huffman tables
and its scans. Where a block's pixels would lie outside 0 to 255, or a block sticks out over the picture's edge, a few
coefficients above the cut come back.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from heliograph.strategies.jpeg_quantisers import quantisers
from heliograph.types import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

BLOCK, UNIT = 8, 16
"""Pixels along a block of coefficients, and along the four luma blocks that share their chroma (4:2:0)."""

_MIDDLE = 128  # of the levels of pixels, which the transform takes as 0

LAST = 63
"""Number of a block's last AC coefficient, in zigzag order; 0 is its mean."""


def cut_outside(picture: Image, inside: npt.NDArray[np.bool_], cut: int, quality: int) -> Image:
    """A YCbCr picture whose JPEG with 4:2:0 chroma has no AC coefficients above ``cut`` outside the region.

    Args:
        picture: RGB.
        inside: (rows, columns) of 16 x 16 pixels each, which keep everything; what sticks out over the edge counts.
        cut: number of the last coefficient that is kept outside, in zigzag order, 0 to 63.
        quality: that it will be written with, 1 to 100.
    """
    from PIL import Image as images

    width, height = picture.size
    rows, columns = inside.shape
    pixels = np.asarray(picture.convert("YCbCr"), np.float32)
    over = (0, rows * UNIT - height), (0, columns * UNIT - width), (0, 0)
    pixels = np.pad(pixels, over, mode="edge") - _MIDDLE
    steps, colour_steps = (np.asarray(one, np.float32).reshape(BLOCK, BLOCK) for one in quantisers(quality))
    halves = pixels[..., 1:].reshape(rows * BLOCK, 2, columns * BLOCK, 2, 2).mean(axis=(1, 3))
    luma = _cut(pixels[..., 0], _doubled(inside), cut, steps)
    chroma = [_doubled(_cut(halves[..., place], inside, cut, colour_steps)) for place in (0, 1)]
    made = np.stack([luma, *chroma], axis=2)[:height, :width] + _MIDDLE
    return images.fromarray(np.rint(made.clip(0, 255)).astype(np.uint8), "YCbCr")


def units_of(picture: Image) -> tuple[int, int]:
    """(columns, rows) of 16 x 16 pixels that cover a picture."""
    width, height = picture.size
    return -(-width // UNIT), -(-height // UNIT)


def _cut(plane: FloatArray, inside: npt.NDArray[np.bool_], cut: int, steps: FloatArray) -> FloatArray:
    """(8 r, 8 c) with the blocks (r, c) outside reduced to the first of their quantised coefficients."""
    rows, columns = inside.shape
    made = plane.reshape(rows, BLOCK, columns, BLOCK).transpose(0, 2, 1, 3).copy()  # (r, c, 8, 8)
    basis, left = _cosines(), _zigzag() <= cut
    levels = np.rint(basis @ made[~inside] @ basis.T / steps) * left  # (B, 8, 8)
    made[~inside] = basis.T @ (levels * steps) @ basis
    return made.transpose(0, 2, 1, 3).reshape(plane.shape)


def _doubled(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.repeat(2, axis=0).repeat(2, axis=1)


@lru_cache(maxsize=1)
def _cosines() -> FloatArray:
    """(8, 8) orthonormal DCT-II, a row each frequency (T.81, A.3.3)."""
    frequency, place = np.mgrid[:BLOCK, :BLOCK]
    basis = np.cos((2 * place + 1) * frequency * np.pi / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis, np.float32)


@lru_cache(maxsize=1)
def _zigzag() -> npt.NDArray[np.int64]:
    """(8, 8) numbers of the coefficients in zigzag order (T.81, figure 5)."""
    down, across = np.mgrid[:BLOCK, :BLOCK]
    diagonal = down + across
    order = np.lexsort((np.where(diagonal % 2, down, across).ravel(), diagonal.ravel()))
    numbers = np.empty(BLOCK * BLOCK, np.int64)
    numbers[order] = np.arange(BLOCK * BLOCK)
    return numbers.reshape(BLOCK, BLOCK)

"""Pictures blurred where they matter less: in two steps, or by as much as each place deserves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heliograph.types import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

_TAPS = 11
_SHARPNESS = 1.0
"""Of the softmax. Chosen on scenes of the tuning split: twice as much blurs small things away, half as much nothing."""

_LEVELS = 6
SIGMA_MIN, MAX_SIGMA = 0.5, 50
"""Pixels: what even the most relevant place is blurred by, as in arXiv 2604.00314; and the most that can be asked for,
far beyond what 11 taps tell apart."""


def blurred_outside(picture: Image, inside: npt.NDArray[np.bool_], sigma: float) -> Image:
    """An RGB picture that is blurred, with a Gaussian of ``sigma`` pixels, except where ``inside`` (height, width)."""
    from PIL import Image as images
    from PIL import ImageFilter

    soft = picture.filter(ImageFilter.GaussianBlur(sigma))
    return images.composite(picture, soft, images.fromarray(inside.astype(np.uint8) * 255))


def scores(found: FloatArray) -> FloatArray:
    """A map's values as scores, 0 to 1: shares of attention in units of the mean share, nothing above 1.

    A softmax of the standardised map takes the place of the paper's softmax of 50 x cosine similarity, whose scale is
    that of CLIP.
    """
    away = found - found.mean()
    weights = np.exp(_SHARPNESS * away / max(float(found.std()), 1e-9))
    return np.asarray(np.minimum(weights / weights.mean(), 1.0), np.float32)


def softened(picture: Image, score: FloatArray, sigma_max: float) -> Image:
    """An RGB picture, every pixel of which is blurred by sigma = sigma_min x (sigma_max / sigma_min) ** (1 - score).

    Args:
        picture: RGB.
        score: (height, width), 0 to 1.
        sigma_max: pixels, at least ``SIGMA_MIN``.
    """
    from PIL import Image as images

    pixels = np.asarray(picture, np.float32)
    levels = np.geomspace(SIGMA_MIN, sigma_max, _LEVELS)
    place = (1 - score) * (_LEVELS - 1)  # (h, w): which two levels a pixel lies between, and where
    made = np.zeros_like(pixels)
    for number, sigma in enumerate(levels):
        weight = np.clip(1 - np.abs(place - number), 0, None)
        if weight.any():
            made += weight[..., None] * _gaussian(pixels, float(sigma))
    return images.fromarray(np.rint(made).astype(np.uint8))


def _gaussian(pixels: FloatArray, sigma: float) -> FloatArray:
    """(h, w, 3) filtered along both axes with 11 taps of a Gaussian; edges are repeated."""
    offsets = np.arange(_TAPS) - _TAPS // 2
    taps = np.exp(-0.5 * (offsets / sigma) ** 2)
    taps /= taps.sum()
    for axis in (0, 1):
        half = [(_TAPS // 2, _TAPS // 2) if one == axis else (0, 0) for one in range(3)]
        padded, length = np.pad(pixels, half, mode="edge"), pixels.shape[axis]
        parts = (tap * padded.take(range(start, start + length), axis) for start, tap in enumerate(taps))
        pixels = sum(parts, np.zeros_like(pixels)).astype(np.float32)
    return pixels

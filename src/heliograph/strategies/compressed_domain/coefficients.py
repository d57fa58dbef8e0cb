"""A picture as a JPEG holds it: blocks of 8 x 8 quantised DCT coefficients of Y, Cb and Cr (ITU-T T.81, annex A).

::

    RGB (h, w, 3) --JFIF matrix--> Y, Cb, Cr --mean of 2 x 2 for chroma at half size--> edges repeated to whole blocks
                  -- - 128, DCT-II --> / step, rounded --> levels (R, C, 8, 8) of each component

All is float64 up to the rounding. libjpeg rounds colours and samples to whole numbers on the way; nothing else differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heliograph.strategies.jpeg_quantisers import quantisers
from heliograph.types import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

BLOCK = 8
COMPONENTS = 3
MIDDLE = 128
"""What is taken off a sample before its transform."""

LARGEST_AMPLITUDE = 1 << 10
"""No coefficient of samples of eight bits is larger: 8 x 8 samples of 128 at most have this mean."""

Levels = npt.NDArray[np.int32] | FloatArray
Double = npt.NDArray[np.float64]

FROM_RGB = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.299 / 1.772, -0.587 / 1.772, 0.5],
        [0.5, -0.587 / 1.402, -0.114 / 1.402],
    ]
)
"""(3, 3): Y, Cb - 128 and Cr - 128 of R, G and B, as JFIF has it."""

TO_RGB = np.array(
    [
        [1.0, 0.0, 1.402],
        [1.0, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587],
        [1.0, 1.772, 0.0],
    ]
)
"""(3, 3): its inverse."""


@dataclass(frozen=True)
class PictureShape:
    """What decides how many coefficients a picture has.

    Attributes:
        width, height: in pixels.
        halved: whether chroma has half the width and height (4:2:0), else all of it (4:4:4).
    """

    width: int
    height: int
    halved: bool

    def samples(self, component: int) -> tuple[int, int]:
        """(rows, columns) of samples of Y (0), Cb (1) or Cr (2)."""
        step = 2 if self.halved and component else 1
        return -(-self.height // step), -(-self.width // step)

    def blocks(self, component: int) -> tuple[int, int]:
        """(rows, columns) of blocks."""
        rows, columns = self.samples(component)
        return -(-rows // BLOCK), -(-columns // BLOCK)


@dataclass(frozen=True)
class Coefficients:
    """Quantised coefficients of one picture.

    Attributes:
        shape: of the picture.
        quality: 1 to 100, which stands for the steps as in libjpeg.
        levels: of Y, Cb and Cr (R, C, 8, 8): blocks in rows and columns, vertical and horizontal frequency. Whole
            numbers (int32), or in between (float32) where no more is known of them.
    """

    shape: PictureShape
    quality: int
    levels: tuple[Levels, ...]

    def amplitudes(self, component: int) -> FloatArray:
        """(8 R, 8 C) float32: levels times steps, every block in its place."""
        levels = self.levels[component]
        rows, columns = levels.shape[:2]
        scaled = (levels * steps_of(self.quality, component)).astype(np.float32)
        return scaled.transpose(0, 2, 1, 3).reshape(rows * BLOCK, columns * BLOCK)


@cache
def cosines() -> Double:
    """(8, 8): the orthonormal DCT-II, a row for each frequency."""
    return cosine_matrix(BLOCK)


def cosine_matrix(size: int) -> Double:
    """(size, size): the orthonormal DCT-II, a row for each frequency."""
    frequencies, places = np.arange(size)[:, None], np.arange(size) + 0.5
    rows = np.sqrt(2 / size) * np.cos(np.pi * frequencies * places / size)
    rows[0] = np.sqrt(1 / size)
    return np.asarray(rows, dtype=np.float64)


@cache
def steps_of(quality: int, component: int) -> npt.NDArray[np.int64]:
    """(8, 8) int64 steps of a component."""
    return np.asarray(quantisers(quality)[min(component, 1)], dtype=np.int64).reshape(BLOCK, BLOCK)


def quantised(picture: Image, quality: int, halved: bool) -> Coefficients:
    """The coefficients of an RGB picture.

    Args:
        picture: of any size.
        quality: 1 to 100.
        halved: whether chroma is sent at half its width and height.
    """
    shape = PictureShape(*picture.size, halved)
    pixels = np.asarray(picture, dtype=np.float64)  # (h, w, 3)
    planes = np.einsum("cd,hwd->chw", FROM_RGB, pixels)
    planes[0] -= MIDDLE
    levels = tuple(
        _levels(_halved(plane) if halved and component else plane, steps_of(quality, component))
        for component, plane in enumerate(planes)
    )
    return Coefficients(shape, quality, levels)


def _halved(plane: Double) -> Double:
    """Means of 2 x 2 samples; an odd last row or column stands twice."""
    rows, columns = plane.shape
    even = np.pad(plane, ((0, rows % 2), (0, columns % 2)), mode="edge")
    return np.asarray(even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).mean(axis=(1, 3)))


def _levels(plane: Double, steps: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    rows, columns = plane.shape
    whole = np.pad(plane, ((0, -rows % BLOCK), (0, -columns % BLOCK)), mode="edge")
    blocks = whole.reshape(whole.shape[0] // BLOCK, BLOCK, -1, BLOCK).transpose(0, 2, 1, 3)  # (R, C, 8, 8)
    transformed = cosines() @ blocks @ cosines().T
    return np.rint(transformed / steps).astype(np.int32)

"""The pixels of coefficients in floats, step by step, so that it can be told which step of a decoder costs what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.strategies.compressed_domain.coefficients import (
    BLOCK,
    COMPONENTS,
    MIDDLE,
    TO_RGB,
    Coefficients,
    cosines,
    steps_of,
)
from heliograph.strategies.towers import PatchReader
from heliograph.types import FloatArray

Double = npt.NDArray[np.float64]

_LARGEST = 255


@dataclass(frozen=True)
class Decoder:
    """What a decoder does beside the transform.

    Attributes:
        smooth: chroma at half size is enlarged by libjpeg's filter, else every sample stands four times.
        rounds: samples and colours become whole numbers.
        clips: samples and colours stay within 0 to 255.
    """

    smooth: bool = True
    rounds: bool = False
    clips: bool = False

    def __call__(self, coefficients: Coefficients) -> Double:
        """(h, w, 3) float64 levels of R, G and B."""
        shape = coefficients.shape
        planes = []
        for component in range(COMPONENTS):
            rows, columns = shape.samples(component)
            plane = self._settled(_samples(coefficients, component)[:rows, :columns])
            if shape.halved and component:
                plane = self._settled(self._enlarged(self._enlarged(plane).T).T)
            planes.append(plane[: shape.height, : shape.width])
        planes[1], planes[2] = planes[1] - MIDDLE, planes[2] - MIDDLE
        return self._settled(np.einsum("cd,dhw->hwc", TO_RGB, np.stack(planes)))

    def _settled(self, values: Double) -> Double:
        if self.rounds:
            values = np.floor(values + 0.5)  # halves upwards, as libjpeg
        return np.asarray(np.clip(values, 0, _LARGEST) if self.clips else values)

    def _enlarged(self, plane: Double) -> Double:
        """Twice the rows."""
        if not self.smooth:
            return plane.repeat(2, axis=0)
        above, below = np.vstack([plane[:1], plane[:-1]]), np.vstack([plane[1:], plane[-1:]])
        pairs = np.stack([0.75 * plane + 0.25 * above, 0.75 * plane + 0.25 * below], axis=1)
        return np.asarray(pairs.reshape(-1, plane.shape[1]))


def embedded_pixels(reader: PatchReader, pixels: Double) -> FloatArray:
    """(1, rows, columns, d) float32: a tower's first map of one picture's pixels.

    Args:
        reader: of a tower that reads one tile.
        pixels: (h, w, 3) levels, of any kind.
    """
    rows, columns = reader.patches
    side = reader.weight.shape[-1]
    cut = pixels[: rows * side, : columns * side].reshape(rows, side, columns, side, 3)
    patches = cut.transpose(0, 2, 4, 1, 3).reshape(rows * columns, -1)  # (patches, 3 * P * P)
    made = patches @ reader.weight.reshape(len(reader.bias), -1).T.astype(np.float64) + reader.bias
    return made.reshape(1, rows, columns, -1).astype(np.float32)


def _samples(coefficients: Coefficients, component: int) -> Double:
    """(8 R, 8 C) float64."""
    blocks = coefficients.levels[component] * steps_of(coefficients.quality, component)
    made = cosines().T @ blocks @ cosines() + MIDDLE  # (R, C, 8, 8)
    return np.asarray(made.transpose(0, 2, 1, 3).reshape(made.shape[0] * BLOCK, -1))

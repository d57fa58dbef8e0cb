"""Decoders of coefficients that owe nothing to ours: scipy's transform in floats, and Pillow's libjpeg."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image
from scipy.fft import idctn

from heliograph.bench.coefficients.jpeg_file import jpeg_file
from heliograph.strategies.compressed_domain.coefficients import Coefficients
from heliograph.strategies.jpeg_quantisers import quantisers


def enlarged(plane: np.ndarray) -> np.ndarray:
    """Twice the rows: three parts of the nearer sample, one of the next, ends repeated; libjpeg's way."""
    above, below = np.vstack([plane[:1], plane[:-1]]), np.vstack([plane[1:], plane[-1:]])
    return np.stack([0.75 * plane + 0.25 * above, 0.75 * plane + 0.25 * below], axis=1).reshape(-1, plane.shape[1])


def float_pixels(coefficients: Coefficients, enlarge: Callable[[np.ndarray], np.ndarray] = enlarged) -> np.ndarray:
    """(h, w, 3) float64 as a decoder that never rounds or clips makes them; ``enlarge`` doubles the rows of chroma."""
    planes = []
    shape = coefficients.shape
    for component, levels in enumerate(coefficients.levels):
        steps = np.reshape(quantisers(coefficients.quality)[min(component, 1)], (8, 8))
        blocks = idctn(levels * steps, axes=(2, 3), norm="ortho")
        plane = blocks.transpose(0, 2, 1, 3).reshape(8 * blocks.shape[0], -1)
        step = 2 if shape.halved and component else 1
        plane = plane[: -(-shape.height // step), : -(-shape.width // step)]
        planes.append(enlarge(enlarge(plane).T).T if step == 2 else plane)
    y, cb, cr = (plane[: shape.height, : shape.width] for plane in planes)
    y = y + 128
    return np.stack([y + 1.402 * cr, y - 0.344136286 * cb - 0.714136286 * cr, y + 1.772 * cb], axis=-1)


def decoded_pixels(coefficients: Coefficients) -> np.ndarray:
    """(h, w, 3) uint8 that Pillow makes of the JPEG file of these coefficients."""
    return np.asarray(Image.open(io.BytesIO(jpeg_file(coefficients))).convert("RGB"))


def reader(
    pictures: list[tuple[int, int]],
    tiles: list[tuple[int, int, int]],
    patches: tuple[int, int],
    side: int,
    width: int = 6,
) -> Any:
    """A tower's first map with weights of chance."""
    random = np.random.default_rng(side)
    return SimpleNamespace(
        pictures=tuple(pictures),
        tiles=tuple(tiles),
        patches=patches,
        weight=(random.normal(size=(width, 3, side, side)) / 255).astype(np.float32),
        bias=random.normal(size=width).astype(np.float32),
    )


def embedded_pixels(tower: Any, pixels: list[np.ndarray]) -> np.ndarray:
    """(tiles, rows, columns, d): the map applied to pixels, patch by patch."""
    rows, columns = tower.patches
    side = tower.weight.shape[-1]
    made = np.zeros((len(tower.tiles), rows, columns, len(tower.bias)))
    for number, (picture, left, top) in enumerate(tower.tiles):
        for row in range(rows):
            for column in range(columns):
                y, x = top + row * side, left + column * side
                patch = pixels[picture][y : y + side, x : x + side]
                made[number, row, column] = np.tensordot(tower.weight, patch.transpose(2, 0, 1), 3) + tower.bias
    return made

"""From DCT coefficients to patch embeddings in one affine map, without a pixel in between.

A tower's first layer is affine, and so is everything that a decoder does before it but for rounding and clipping::

    embedding = W_patch o normalise o (YCbCr -> RGB) o upsample o IDCT   (coefficients)   =   W_dct f + b

The idea is that of arXiv 2211.16421, whose networks are trained on coefficients; this map follows from the weights of a
network that was trained on pixels. *f* are the coefficients of one patch, K x K numbers of each component::

    Y,  or chroma in full    the P x P samples of the patch             K = P
    chroma at half size      its P/2 x P/2 samples and those around     K = P/2 + 2

Chroma is enlarged as libjpeg does by default ("fancy"), 3/4 of the nearer and 1/4 of the next sample each way, so that
a patch needs the next samples of its neighbours; beyond the picture's edge the last ones are repeated. Within a
patch whose sides are whole blocks, *f* are the coefficients themselves. In any other place a patch's samples are
brought into a cosine basis of their own, f = A C A^T, by a small matrix A = T_P E for its rows and one for its columns,
where E takes coefficients to samples, as that article joins four blocks.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np

from heliograph.errors import ModelUnsupportedError
from heliograph.strategies.compressed_domain.coefficients import (
    BLOCK,
    COMPONENTS,
    MIDDLE,
    TO_RGB,
    Coefficients,
    Double,
    PictureShape,
    cosine_matrix,
    cosines,
)
from heliograph.strategies.towers import PatchReader
from heliograph.types import FloatArray

_NEAR, _FAR = 0.75, 0.25
_KEPT = 4


@dataclass(frozen=True)
class _Axis:
    """How the samples of one component lie along one side of a tile.

    Attributes:
        first, last: blocks that the tile's patches need.
        matrix: (patches * K, 8 * blocks) float32; None where every patch is whole blocks and needs nothing else.
    """

    first: int
    last: int
    matrix: FloatArray | None


@dataclass(frozen=True)
class _Tile:
    """Axes of each component: (rows, columns)."""

    picture: int
    axes: tuple[tuple[_Axis, _Axis], ...]


class Fold:
    """The map for one tower and one way of sampling chroma.

    Args:
        reader: the tower.
        halved: whether chroma has half the width and height.

    Raises:
        ModelUnsupportedError: chroma is halved, and a patch begins or ends within a chroma sample.
    """

    def __init__(self, reader: PatchReader, halved: bool) -> None:
        self._reader, self.halved = reader, halved
        patch = reader.weight.shape[-1]
        if halved and (patch % 2 or any(left % 2 or top % 2 for _, left, top in reader.tiles)):
            raise ModelUnsupportedError().noted(
                f"its patches of {patch} pixels do not begin at whole chroma samples: send chroma in full (chroma=1)."
            )
        self._windows = tuple(_window(patch, halved and component > 0) for component in range(COMPONENTS))
        weight = reader.weight.astype(np.float64)
        self._weight = np.concatenate([self._folded(weight, component) for component in range(COMPONENTS)])
        self._bias = (reader.bias + MIDDLE * weight.sum(axis=(1, 2, 3))).astype(np.float32)
        self._tiles = tuple(self._tile(*tile) for tile in reader.tiles)

    def embedded(self, pictures: tuple[Coefficients, ...]) -> FloatArray:
        """(tiles, rows, columns, d) float32, what the tower's first layer makes of these pictures.

        Args:
            pictures: as large as the tower's.
        """
        amplitudes = [[one.amplitudes(component) for component in range(COMPONENTS)] for one in pictures]
        made = []
        for tile in self._tiles:
            planes = zip(amplitudes[tile.picture], tile.axes, self._windows, strict=True)
            features = np.concatenate([self._features(*plane) for plane in planes], axis=1)  # (patches, F)
            made.append((features @ self._weight + self._bias).reshape(*self._reader.patches, -1))
        return np.stack(made)

    def _features(self, amplitudes: FloatArray, axes: tuple[_Axis, _Axis], window: _Window) -> FloatArray:
        """(patches, K * K) float32 of one component."""
        down, across = axes
        wanted = amplitudes[down.first * BLOCK : down.last * BLOCK, across.first * BLOCK : across.last * BLOCK]
        if down.matrix is not None:
            wanted = down.matrix @ wanted
        if across.matrix is not None:
            wanted = wanted @ across.matrix.T
        rows, columns = self._reader.patches
        cells = wanted.reshape(rows, window.size, columns, window.size).transpose(0, 2, 1, 3)
        return np.asarray(cells.reshape(rows * columns, window.size**2))

    def _folded(self, weight: Double, component: int) -> FloatArray:
        """(K * K, d) float32: what each number of one component does to the embedding."""
        window = self._windows[component]
        of_samples = np.einsum("c,dcyx->dyx", TO_RGB[:, component], weight)
        adjoint = window.basis @ window.enlarging.T  # (K, P)
        of_features = adjoint @ of_samples @ adjoint.T  # (d, K, K)
        return np.asarray(of_features.reshape(len(weight), -1).T, dtype=np.float32)

    def _tile(self, picture: int, left: int, top: int) -> _Tile:
        shape = PictureShape(*self._reader.pictures[picture], self.halved)
        rows, columns = self._reader.patches
        axes = []
        for component, window in enumerate(self._windows):
            samples = shape.samples(component)
            axes.append((window.axis(top, rows, samples[0]), window.axis(left, columns, samples[1])))
        return _Tile(picture, tuple(axes))


@dataclass(frozen=True)
class _Window:
    """The samples of one component that a patch needs, along one side.

    Attributes:
        step: pixels per sample.
        inner: samples within the patch; K = ``size`` of them are needed.
        enlarging: (P, K) from those samples to pixels.
        basis: (K, K) orthonormal, from samples to the numbers of which features are made.
    """

    step: int
    inner: int
    enlarging: Double
    basis: Double

    @property
    def size(self) -> int:
        return len(self.basis)

    def axis(self, begin: int, patches: int, samples: int) -> _Axis:
        """The axis of ``patches`` patches from pixel ``begin`` on, in a component of so many samples."""
        ring = (self.size - self.inner) // 2
        starts = begin // self.step + self.inner * np.arange(patches)
        needed = np.clip(starts[:, None] + np.arange(-ring, self.inner + ring), 0, samples - 1)  # (patches, K)
        first, last = int(needed.min()) // BLOCK, int(needed.max()) // BLOCK + 1
        if ring == 0 and self.inner % BLOCK == 0 and begin % (self.step * BLOCK) == 0:
            return _Axis(first, last, None)
        samples_of = np.kron(np.eye(last - first), cosines().T)  # (8 * blocks, 8 * blocks) coefficients to samples
        matrix = self.basis @ samples_of[needed - first * BLOCK]  # (patches, K, 8 * blocks)
        return _Axis(first, last, matrix.reshape(patches * self.size, -1).astype(np.float32))


def _window(patch: int, halved: bool) -> _Window:
    inner = patch // 2 if halved else patch
    basis = cosine_matrix(inner)
    if inner % BLOCK == 0:
        basis = np.asarray(np.kron(np.eye(inner // BLOCK), cosines()), dtype=np.float64)
    if not halved:
        return _Window(1, inner, np.eye(patch), basis)
    around = np.eye(inner + 2)
    around[1:-1, 1:-1] = basis
    return _Window(2, inner, _enlarging(patch), around)


def _enlarging(patch: int) -> Double:
    """(P, P / 2 + 2): each pixel of a patch from the samples of its half and the one on either side."""
    matrix = np.zeros((patch, patch // 2 + 2))
    for pixel in range(patch):
        nearer = pixel // 2 + 1
        matrix[pixel, nearer] = _NEAR
        matrix[pixel, nearer + (1 if pixel % 2 else -1)] = _FAR
    return matrix


def fold_of(reader: PatchReader, halved: bool) -> Fold:
    """The fold of a tower, made once.

    Args:
        reader: the tower; the same object for the same photos' size.
        halved: whether chroma has half the width and height.

    Raises:
        ModelUnsupportedError: as :class:`Fold`.
    """
    return _kept(cast("Hashable", reader), halved)


@lru_cache(maxsize=_KEPT)
def _kept(reader: Hashable, halved: bool) -> Fold:
    return Fold(cast("PatchReader", reader), halved)

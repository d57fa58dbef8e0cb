"""``downsample``: the grid of visual tokens averaged down to g x g at eight bits, enlarged bilinearly in the cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from heliograph.errors import StreamDamagedError, StreamTruncatedError
from heliograph.reasons import StreamFault
from heliograph.strategies.base import (
    CloudTools,
    DeviceTools,
    Family,
    Kind,
    Restored,
    Setting,
    Strategy,
    int_knob,
)
from heliograph.strategies.token_bytes import read_records, token_records
from heliograph.types import EncodedImage, FloatArray, Grid, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_SIDE = 255


class DownsampleStrategy(Strategy):
    """Header: g, 1 byte. One segment per averaged token: tiles in order, row-major within a tile.

    Knob ``side``: g, at most the grid's own rows or columns (a larger one is taken as those).
    """

    name: ClassVar[str] = "downsample"
    default_setting: ClassVar[Setting] = {"side": 4}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    family: ClassVar[Family] = Family.TOKEN_COMPRESSION

    def settings(self) -> tuple[Setting, ...]:
        """Settings from one averaged token per tile to 8 x 8."""
        return tuple({"side": side} for side in (1, 2, 3, 4, 5, 6, 7, 8))

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """Area averages of the token grid."""
        side = int_knob(self.complete_setting(setting), "side", 1, _MAX_SIDE)
        tokens = tools.encode_tokens(photo)
        grid = tokens.grid
        rows, columns = _small_size(side, grid)
        small = _resampled(tokens.values, grid, _averaging(grid.rows, rows), _averaging(grid.columns, columns))
        return EncodedImage(self.name, bytes([side]), token_records(small))

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N tokens, bilinear between the averages.

        Raises:
            StreamTruncatedError: averaged tokens are missing.
            StreamDamagedError: header or records do not fit the model.
        """
        if len(encoded.header) != 1 or encoded.header[0] == 0:
            raise StreamDamagedError(StreamFault.HEADER)
        grid = tools.grid
        rows, columns = _small_size(encoded.header[0], grid)
        small_grid = Grid(rows, columns, grid.tiles)
        small = read_records(encoded.segments, tools.hidden_size, small_grid.tokens)
        if len(small) < small_grid.tokens:
            raise StreamTruncatedError().noted(
                f"downsample needs {small_grid.tokens} tokens, and {len(small)} are here."
            )
        values = _resampled(small, small_grid, _bilinear(rows, grid.rows), _bilinear(columns, grid.columns))
        return Restored(tokens=VisualTokens(values, grid))


def _small_size(side: int, grid: Grid) -> tuple[int, int]:
    return min(side, grid.rows), min(side, grid.columns)


def _resampled(values: FloatArray, grid: Grid, over_rows: FloatArray, over_columns: FloatArray) -> FloatArray:
    """(N, D) on ``grid`` to (N', D): the two small matrices applied along rows and columns of each tile."""
    cube = values.reshape(grid.tiles, grid.rows, grid.columns, -1)  # (T, R, C, D)
    small = np.einsum("ar,bc,trcd->tabd", over_rows, over_columns, cube, optimize=True)
    return np.ascontiguousarray(small.reshape(-1, values.shape[1]), dtype=np.float32)


def _averaging(size: int, small: int) -> FloatArray:
    """(small, size) float32: each row the mean over an equal share of the axis, parts of cells counted by part."""
    edges = np.arange(small + 1) * size / small
    cells = np.arange(size)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return np.asarray(np.clip(overlap, 0, None) * small / size, dtype=np.float32)


def _bilinear(small: int, size: int) -> FloatArray:
    """(size, small) float32: linear interpolation between cell centres, constant beyond the outer ones."""
    centres = np.clip((np.arange(size) + 0.5) * small / size - 0.5, 0, small - 1)
    distance = np.abs(centres[:, None] - np.arange(small))
    return np.asarray(np.clip(1 - distance, 0, None), dtype=np.float32)

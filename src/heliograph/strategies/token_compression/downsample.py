"""``downsample``: the grid of visual tokens averaged down to g x g at eight bits, enlarged bilinearly in the cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

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
from heliograph.strategies.resampling import enlarged_tokens, shrunk_tokens
from heliograph.strategies.token_bytes import read_records, token_records
from heliograph.types import EncodedImage, Grid, VisualTokens

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
        small = shrunk_tokens(tokens.values, grid, rows, columns)
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
        wanted = rows * columns * grid.tiles
        small = read_records(encoded.segments, tools.hidden_size, wanted)
        if len(small) < wanted:
            raise StreamTruncatedError().noted(f"downsample needs {wanted} tokens, and {len(small)} are here.")
        return Restored(tokens=VisualTokens(enlarged_tokens(small, grid, rows, columns), grid))


def _small_size(side: int, grid: Grid) -> tuple[int, int]:
    return min(side, grid.rows), min(side, grid.columns)

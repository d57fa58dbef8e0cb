"""``dfmr``: the token grid averaged as far as this photo's tokens are alike in their neighbourhoods.

::

    tokens (N, D) --spread within s x s windows, s = 4, 2--> largest s below tau --averages, row by row--> one codeword
    averages (N / s^2, D) --linear between their centres--> (N, D)

After the dynamic feature map reduction of LLaVA-Zip (arXiv 2412.08771): standard deviations within windows of the
feature map, averaged over windows and channels, choose the factor of an average pool. Its threshold and factors could
not be read, so these are ours: the largest s of 4, 2, 1 whose spread is below ``tau`` times the spread over the whole
photo. It pools before the projector and retrains the model; here the projected tokens are averaged, and the model gets
all N places, interpolated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from heliograph.codec.token_rows import MAX_ROW_LEVEL, RowCoder, RowStatistics, row_statistics
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
    float_knob,
    int_knob,
)
from heliograph.strategies.kept_tokens import PackedTokens, StreamHead, checked_tokens, closed_form, packed, read_head
from heliograph.strategies.resampling import enlarged_tokens, shrunk_tokens
from heliograph.types import EncodedImage, Grid, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.codec.klt import KltCodec

FACTORS = (1, 2, 4)
_LARGEST_TAU = 10.0


class DfmrStrategy(Strategy):
    """Header: that of :mod:`heliograph.strategies.kept_tokens`; the small number of ``klt``'s is the place of s in 1,
    2, 4.

    Knobs: ``tau``, the share of the photo's spread that windows may have at most; ``level``, eighth octaves of the
    codec's finest step above which everything is known of the averages.
    """

    name: ClassVar[str] = "dfmr"
    default_setting: ClassVar[Setting] = {"tau": 0.4, "level": 25}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    codec: ClassVar[str] = "klt"
    family: ClassVar[Family] = Family.TOKEN_COMPRESSION
    paper: ClassVar[str | None] = "2412.08771"

    def settings(self) -> tuple[Setting, ...]:
        """Settings from four averages a tile of the usual grid to all tokens."""
        ladder = (
            (10.0, 28),
            (0.7, 28),
            (0.6, 28),
            (0.5, 28),
            (0.4, 28),
            (0.4, 25),
            (0.0, 25),
            (0.0, 20),
            (0.0, 14),
            (0.0, 8),
        )
        return tuple({"tau": tau, "level": level} for tau, level in ladder)

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """Averages over windows of s x s tokens.

        Raises:
            CodecMissingError: the bundle has no ``klt``.
        """
        completed = self.complete_setting(setting)
        tau = float_knob(completed, "tau", 0.0, _LARGEST_TAU)
        level = int_knob(completed, "level", 0, MAX_ROW_LEVEL)
        codec = closed_form(tools)  # before the tower runs: a bundle without this codec is refused at once
        tokens = checked_tokens(tools.encode_tokens(photo), codec)
        factor = chosen_factor(tokens, tau)
        small, statistics = _small(tokens.grid, factor), _statistics(codec, tokens.grid, factor)
        averages = shrunk_tokens(tokens.values, tokens.grid, small.rows, small.columns)
        head = StreamHead(level, tokens.grid, small=FACTORS.index(factor))
        parts = [(range(small.tokens), None)]
        segments = packed(averages, parts, RowCoder(statistics, level), small, chapters=False)
        return EncodedImage(self.name, head.pack(codec), segments)

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N tokens, linear between the averages.

        Raises:
            StreamTruncatedError: averages are missing.
            StreamDamagedError: the header is none of this strategy's.
        """
        head = read_head(encoded.header, tools)
        if head.small >= len(FACTORS) or head.count or head.extra:
            raise StreamDamagedError(StreamFault.HEADER)
        grid, factor = head.grid, FACTORS[head.small]
        small, statistics = _small(grid, factor), _statistics(closed_form(tools), grid, factor)
        found = PackedTokens(encoded.segments, RowCoder(statistics, head.level), small, chapters=False)
        if not found.take_at(range(small.tokens)):
            raise StreamTruncatedError().noted(
                f"dfmr needs {small.tokens} averaged tokens, and {len(found.places)} are here."
            )
        averages = found.spectrum @ statistics.transform.inverse + np.tile(statistics.mean, (grid.tiles, 1))
        return Restored(tokens=VisualTokens(enlarged_tokens(averages, grid, small.rows, small.columns), grid))


def chosen_factor(tokens: VisualTokens, tau: float) -> int:
    """The largest of 4, 2, 1 whose windows are spread by less than ``tau`` of what the photo's tokens are."""
    whole = float(tokens.values.std(axis=0).mean())
    alike = (one for one in reversed(FACTORS) if one > 1 and window_spread(tokens, one) < tau * whole)
    return next(alike, 1)


def window_spread(tokens: VisualTokens, factor: int) -> float:
    """Standard deviation within windows of ``factor`` x ``factor`` tokens, mean over windows and channels.

    Where the sides are no multiple, windows are equal shares of them, and parts of tokens count by part.
    """
    small = _small(tokens.grid, factor)
    centred = tokens.values - tokens.values.mean(axis=0)
    mean, square = (
        shrunk_tokens(values, tokens.grid, small.rows, small.columns) for values in (centred, np.square(centred))
    )
    return float(np.sqrt(np.maximum(square - np.square(mean), 0)).mean())


def _small(grid: Grid, factor: int) -> Grid:
    return Grid(-(-grid.rows // factor), -(-grid.columns // factor), grid.tiles)


def _statistics(codec: KltCodec, grid: Grid, factor: int) -> RowStatistics:
    small = _small(grid, factor)
    return row_statistics(codec, grid).averaged(grid, small.rows, small.columns)

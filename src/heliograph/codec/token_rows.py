"""Some of a photo's tokens, one after the other, in one codeword: what tells strategies that choose tokens apart.

::

    token (D,) --- mean of its place, channel KLT of ``klt``--> R coefficients --dead zone at a level--> integers
               --expected scale, corrected by the token's earlier integers--> table --> SymbolEncoder --> codeword

Transform, statistics and levels are those of the bundle's ``klt``; there is no transform over the grid, since nothing
is known of which tokens come. Every token is whole before the next one begins, so any byte prefix of the codeword
decodes to the tokens known so far. Integers alone decide probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.codec.klt import FINENESSES, KltCodec, fineness_of
from heliograph.codec.quantize import magnitude_limits, quantize, scaled
from heliograph.codec.row_tables import HIGHEST_BIN, LOWEST_BIN, magnitude_table, mean_square_bins
from heliograph.codec.symbols import TOTAL, SymbolDecoder, SymbolEncoder
from heliograph.codec.tables import (
    ACTIVITY_MAX,
    ACTIVITY_ONE,
    GRAINS,
    HIGHEST_SCALE_BIN,
    LOWEST_SCALE_BIN,
    SCORE_BINS,
    SKEW_BINS,
    Int,
    expected_magnitudes,
    ladder,
    log_activity,
    rungs,
)
from heliograph.codec.transform import Transform, resample
from heliograph.types import FloatArray, Grid

MAX_ROW_LEVEL = 127
"""A threshold of nearly 2 ** 16 finest steps: no codec has planes above it."""

MAX_ROW_VALUES = 1 << 20
"""Coefficients of all tokens that one stream may hold, each of which takes a microsecond or two at both ends."""


@dataclass(frozen=True)
class RowStatistics:
    """What both ends know beforehand of the tokens at each of the P places of a tile, from the codec's frozen tables.

    Attributes:
        codec: whose tables these are.
        mean: (P, D) float32 mean token.
        scale_bin: (P, R) eighth octaves of a coefficient's mean magnitude over the finest step.
        minus: (P, R) 65536 * P(negative).
    """

    codec: KltCodec
    mean: FloatArray
    scale_bin: Int
    minus: Int

    @property
    def transform(self) -> Transform:
        """The codec's; its part over the grid is left alone."""
        return self.codec.transform

    @property
    def components(self) -> int:
        """R."""
        return int(self.scale_bin.shape[1])

    def averaged(self, fitted: Grid, rows: int, columns: int) -> RowStatistics:
        """The same for averages of tokens, ``rows`` x ``columns`` to a tile of ``fitted``.

        Scales are means of those of single tokens; that averages vary less, the coder finds out.
        """
        down = np.arange(fitted.rows) * rows // fitted.rows
        across = np.arange(fitted.columns) * columns // fitted.columns
        window = (down[:, None] * columns + across).reshape(-1)
        parts = [window == one for one in range(rows * columns)]
        mean = np.stack([self.mean[part].mean(axis=0) for part in parts])
        bins, minus = (
            np.stack([table[part].sum(axis=0) // int(part.sum()) for part in parts])
            for table in (self.scale_bin, self.minus)
        )
        return RowStatistics(self.codec, mean, bins, minus)


def row_statistics(codec: KltCodec, grid: Grid) -> RowStatistics:
    """The statistics of the tokens of a grid, the fitted one or another."""
    transform, layouts, tables = codec.transform, codec.layouts, codec.tables
    fitted = (grid.rows, grid.columns) == (codec.grid.rows, codec.grid.columns)
    positions = grid.rows * grid.columns
    mean = transform.mean if fitted else np.tile(transform.mean.mean(axis=0), (positions, 1))
    if transform.mode != "none":
        # Of the other modes the statistics are per frequency of an orthonormal transform: their mean is every place's.
        bins = np.tile(mean_square_bins(layouts.other_scale_bin), (positions, 1))
        return RowStatistics(codec, mean, bins, np.full_like(bins, TOTAL // 2))
    scale = layouts.scale_bin if fitted else resample(layouts.other_scale_bin, codec.grid, grid)
    skew = layouts.skew_bin if fitted else np.full_like(scale, SKEW_BINS // 2)
    return RowStatistics(codec, mean, scale, tables.chance[rungs(tables.sign_logit[skew])])


class RowCoder:
    """Codes and restores tokens at one level.

    Args:
        statistics: of their places.
        level: eighth octaves of the finest step, 0 to ``MAX_ROW_LEVEL``: everything above that threshold is known.
    """

    def __init__(self, statistics: RowStatistics, level: int) -> None:
        self._statistics, self._level = statistics, level
        codec, self._fineness = statistics.codec, fineness_of(level)
        self._plane = (level + self._fineness) // FINENESSES
        self._limits = magnitude_limits(codec.tables, statistics.components)
        bins = np.clip(statistics.scale_bin, LOWEST_SCALE_BIN, HIGHEST_SCALE_BIN)
        self._relative = bins - level
        self._score = np.clip((self._relative >> 1) + SCORE_BINS // 2, 0, SCORE_BINS - 1)  # as of ``klt``'s planes
        threshold = ladder(level, GRAINS)
        self._threshold = threshold
        self._expected = expected_magnitudes()[bins - LOWEST_SCALE_BIN]  # (P, R) grains
        self._quiet = codec.tables.quiet_mean[self._score] * threshold >> 10  # likewise, of what is quantised to zero
        self._activity: list[int] = (2 * log_activity()).tolist()

    @property
    def components(self) -> int:
        """R."""
        return self._statistics.components

    # ---- values ------------------------------------------------------------------------------------------
    def quantised(self, values: FloatArray, places: Sequence[int]) -> Int:
        """(k, D) tokens at places of a tile to (k, R) signed integers, in thresholds."""
        statistics = self._statistics
        spectrum = (values - statistics.mean[list(places)]) @ statistics.transform.forward
        steps = np.asarray(spectrum / np.float32(statistics.transform.step), dtype=np.float32)
        magnitude, negative = quantize(scaled(steps, self._fineness)[None], self._limits)
        found = magnitude >> self._plane
        return np.where(negative, -found, found).reshape(steps.shape)

    def restored(self, integers: Int, places: Sequence[int]) -> FloatArray:
        """(k, R) integers to (k, R) float32 channel coefficients, which are zero at the mean token."""
        above = (np.abs(integers) > 1).astype(np.int64)
        offset = self._statistics.codec.tables.offset[above, self._score[list(places)]] / 64
        threshold = self._statistics.transform.step * 2 ** (self._level / FINENESSES)
        return np.asarray(np.sign(integers) * (np.abs(integers) + offset) * threshold, dtype=np.float32)

    # ---- codeword ----------------------------------------------------------------------------------------
    def encode(self, encoder: SymbolEncoder, integers: Sequence[int], place: int) -> None:
        """Add the integers of the token at a place of its tile."""
        context = _Context(self, place)
        for component, value in enumerate(integers):
            magnitude = abs(value)
            table, kind = magnitude_table(context.bin(component)), magnitude.bit_length()
            encoder.encode(table.borders[kind], table.borders[kind + 1])
            for bit in range(kind - 2, -1, -1):
                _encode_flag(encoder, table.ones[bit], bool(magnitude >> bit & 1))
            if magnitude:
                _encode_flag(encoder, TOTAL - context.minus[component], value < 0)
            context.add(component, magnitude)

    def decode(self, decoder: SymbolDecoder, place: int) -> list[int] | None:
        """The integers of the next token, whose place is known; None where the bytes at hand do not settle them all."""
        context, integers = _Context(self, place), list[int]()
        for component in range(self.components):
            table = magnitude_table(context.bin(component))
            kind = decoder.decode(table.borders)
            if kind is None:
                return None
            magnitude = min(kind, 1)
            for bit in range(kind - 2, -1, -1):
                flag = decoder.decode((0, table.ones[bit], TOTAL))
                if flag is None:
                    return None
                magnitude = 2 * magnitude + flag
            minus = decoder.decode((0, TOTAL - context.minus[component], TOTAL)) if magnitude else 0
            if minus is None:
                return None
            context.add(component, magnitude)
            integers.append(-magnitude if minus else magnitude)
        return integers


def _encode_flag(encoder: SymbolEncoder, one: int, flag: bool) -> None:
    encoder.encode(*((one, TOTAL) if flag else (0, one)))


class _Context:
    """What a token's integers so far say of the scale of the next ones: as large as expected, or so many times."""

    def __init__(self, coder: RowCoder, place: int) -> None:
        self._relative: list[int] = coder._relative[place].tolist()
        self._expected: list[int] = coder._expected[place].tolist()
        self._quiet: list[int] = coder._quiet[place].tolist()
        self.minus: list[int] = coder._statistics.minus[place].tolist()
        self._threshold, self._activity = coder._threshold, coder._activity
        # As if another coefficient as large as the first one had been what was expected.
        self._seen = self._wanted = self._expected[0]

    def bin(self, component: int) -> int:
        """The bin of the table for the next integer."""
        ratio = min(self._seen * ACTIVITY_ONE // self._wanted, ACTIVITY_MAX)
        found: int = self._relative[component] + self._activity[ratio]
        return min(max(found, LOWEST_BIN), HIGHEST_BIN)

    def add(self, component: int, magnitude: int) -> None:
        """Take in an integer."""
        middle = (2 * magnitude + 1) * self._threshold >> 1
        self._seen += middle if magnitude else self._quiet[component]
        self._wanted += self._expected[component]

"""A factorised prior in integers: at each rate, for each channel of a latent map, how often it has which whole number.

::

    integers (C, P) at a rate --borders (R, C, S + 1) of 2 ** 16--> SymbolEncoder --> codeword
    codeword --the same borders--> integers (C, P), or a named error where bytes are missing

Channels come one after the other, and of each all places. Nothing that is computed at run time picks a chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.codec.checks import check_bounds
from heliograph.codec.symbols import TOTAL, SymbolDecoder, SymbolEncoder
from heliograph.errors import BundleDamagedError, ShapeError, StreamTruncatedError
from heliograph.reasons import BundleFault, BundlePart

Int = npt.NDArray[np.int64]

MAX_RATES, MAX_CHANNELS, MAX_REACH = 64, 1024, 511
_RANK = 3


@dataclass(frozen=True)
class ChannelTables:
    """The tables of a part.

    Attributes:
        borders: (R, C, S + 1) int64, rising from 0 to 65536 along the last axis; symbol s stands for s - (S - 1) / 2.
    """

    borders: Int

    @property
    def rates(self) -> int:
        """R."""
        return int(self.borders.shape[0])

    @property
    def channels(self) -> int:
        """C."""
        return int(self.borders.shape[1])

    @property
    def reach(self) -> int:
        """The largest integer that can be coded."""
        return int(self.borders.shape[2] - 2) // 2

    def check(self) -> None:
        """Refuse what no training writes.

        Raises:
            BundleDamagedError: a shape out of range, an even number of symbols, or borders that do not rise.
        """
        shape = self.borders.shape
        if len(shape) != _RANK or shape[2] % 2 or shape[2] < 2:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.SHAPE)
        if self.rates > MAX_RATES or self.channels > MAX_CHANNELS or self.reach > MAX_REACH:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.RANGE)
        check_bounds(BundlePart.TABLES, self.borders, 0, TOTAL)
        if (np.diff(self.borders) < 1).any() or self.borders[..., 0].any() or (self.borders[..., -1] != TOTAL).any():
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.ORDER)

    def bits(self, integers: Int, rate: int) -> float:
        """Bits of integers (C, P), without what the last byte is filled up with."""
        symbols = integers + self.reach
        widths = np.take_along_axis(np.diff(self.borders[rate]), symbols, 1)
        return float(-np.log2(widths / TOTAL).sum())


def fit_channel_tables(counted: Sequence[Int], reach: int) -> ChannelTables:
    """Tables from integers that were seen, one added to each count.

    Args:
        counted: for each rate (I, C, P) integers within ``reach``.
        reach: largest integer that shall be coded.
    """
    symbols = 2 * reach + 1
    borders = np.zeros((len(counted), counted[0].shape[1], symbols + 1), dtype=np.int64)
    for rate, integers in enumerate(counted):
        for channel in range(integers.shape[1]):
            counts = np.bincount(integers[:, channel].reshape(-1) + reach, minlength=symbols)
            borders[rate, channel, 1:] = np.cumsum(_widths(counts))
    tables = ChannelTables(borders)
    tables.check()
    return tables


def _widths(counts: Int) -> Int:
    """Widths of 1 and more that sum up to 65536, as the counts are to each other."""
    widths: Int = 1 + counts * (TOTAL - len(counts)) // max(int(counts.sum()), 1)
    widths[int(counts.argmax())] += TOTAL - int(widths.sum())
    return widths


def encode_channels(integers: Int, tables: ChannelTables, rate: int) -> bytes:
    """(C, P) integers to a codeword; those beyond the tables' reach are brought to it.

    Raises:
        ShapeError: another number of channels.
    """
    if integers.ndim != _RANK - 1 or len(integers) != tables.channels:
        raise ShapeError().noted(f"latents are ({tables.channels}, places) integers; these are {integers.shape}.")
    symbols = np.clip(integers, -tables.reach, tables.reach) + tables.reach
    borders = tables.borders[rate]
    lower = np.take_along_axis(borders, symbols, 1).reshape(-1).tolist()
    upper = np.take_along_axis(borders, symbols + 1, 1).reshape(-1).tolist()
    encoder = SymbolEncoder()
    for low, high in zip(lower, upper, strict=True):
        encoder.encode(low, high)
    return encoder.finish()


def decode_channels(codeword: bytes, tables: ChannelTables, rate: int, places: int) -> Int:
    """The inverse: (C, ``places``) int64.

    Raises:
        StreamTruncatedError: the bytes do not settle every integer.
    """
    decoder = SymbolDecoder(codeword)
    found = np.zeros((tables.channels, places), dtype=np.int64)
    for channel, row in enumerate(tables.borders[rate].tolist()):
        for place in range(places):
            symbol = decoder.decode(row)
            if symbol is None:
                raise StreamTruncatedError().noted(f"It holds {channel} of {tables.channels} channels of its latents.")
            found[channel, place] = symbol - tables.reach
    return found

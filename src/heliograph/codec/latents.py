"""Entropy coding of ordered integer latents (T, K, c), frozen tables: any byte prefix gives leading latents exactly.

The latents of a photo's T tiles take turns, the first of every tile before the second of any.
Each symbol has a table per latent, channel and context. The context is how large the two latents before it are in
sum, in three steps whose borders were fitted per latent: integers that both ends know. No float decides a probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from heliograph.codec.symbols import TOTAL, SymbolDecoder, SymbolEncoder
from heliograph.errors import BundleDamagedError, CodecNotFittedError, ShapeError
from heliograph.reasons import BundleFault, BundlePart

Int = npt.NDArray[np.int64]

CONTEXTS = 3
_SEEN_BEFORE = 2  # latents that the context looks back on
_PRIOR = 24.0  # how many observations the table without context counts for
_FLAT = 0.02  # observations of every symbol added before anything is counted
_MAX_REACH = 127
_MAX_LATENTS, _MAX_CHANNELS = 4096, 256


@dataclass(frozen=True)
class LatentTables:
    """Frozen integers.

    Attributes:
        borders: (K, c, 3, 2 * reach + 2) int64 rising from 0 to 65536 along the last axis.
        context_borders: (K, 2) int64 rising: sums of magnitudes at which contexts 1 and 2 begin.
    """

    borders: Int
    context_borders: Int

    ARRAYS: ClassVar[tuple[str, ...]] = ("borders", "context_borders")

    @property
    def latents(self) -> int:
        """K."""
        return int(self.borders.shape[0])

    @property
    def channels(self) -> int:
        """c."""
        return int(self.borders.shape[1])

    @property
    def reach(self) -> int:
        """Integers lie in -reach..reach."""
        return (int(self.borders.shape[3]) - 2) // 2

    def check(self) -> None:
        """Refuse what no fit makes.

        Raises:
            BundleDamagedError: shapes, ends or order are wrong.
        """
        borders, contexts = self.borders, self.context_borders
        if borders.ndim != 4 or borders.shape[2] != CONTEXTS or borders.shape[3] % 2 or borders.shape[3] < 4:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.SHAPE)
        if not (borders.shape[0] <= _MAX_LATENTS and borders.shape[1] <= _MAX_CHANNELS and self.reach <= _MAX_REACH):
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.TOO_MANY)
        if contexts.shape != (self.latents, CONTEXTS - 1):
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.SHAPE)
        if np.any(borders[..., 0] != 0) or np.any(borders[..., -1] != TOTAL):
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.RANGE)
        if np.any(np.diff(contexts, axis=1) < 0) or np.any(np.diff(borders) < 1):
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.ORDER)

    def contexts(self, latents: Int) -> Int:
        """(..., K, c) integers to (..., K) context of each latent."""
        above = (_seen_before(latents)[..., None] >= self.context_borders).sum(axis=-1)
        return np.asarray(above, dtype=np.int64)

    def bits(self, latents: Int) -> npt.NDArray[np.float64]:
        """(..., K, c) integers to (..., K) bits that the tables ask for."""
        at = self.contexts(latents)
        rows = self.borders[np.arange(self.latents), :, at]  # (..., K, c, symbols + 1)
        symbol = (latents + self.reach)[..., None]
        share = np.take_along_axis(rows, symbol + 1, -1) - np.take_along_axis(rows, symbol, -1)
        return np.asarray(-np.log2(share[..., 0] / TOTAL).sum(axis=-1))


def _seen_before(latents: Int) -> Int:
    """(..., K, c) to (..., K): sum of the magnitudes of the latents just before."""
    size = np.abs(latents).sum(axis=-1)
    total = np.zeros(size.shape, dtype=np.int64)
    for back in range(1, _SEEN_BEFORE + 1):
        total[..., back:] += size[..., :-back]
    return total


def fit_latent_tables(latents: Int, reach: int) -> LatentTables:
    """Count tables on (I, K, c) integers of many photos.

    Raises:
        CodecNotFittedError: no photo at all.
        ShapeError: not three axes, or an integer beyond ``reach``.
    """
    if latents.ndim != 3 or not 1 <= reach <= _MAX_REACH:
        raise ShapeError().noted(
            f"latents have three axes and a reach of 1 to {_MAX_REACH}, not {latents.ndim} axes and a reach of {reach}."
        )
    if len(latents) == 0:
        raise CodecNotFittedError
    if np.abs(latents).max() > reach:
        raise ShapeError().noted(f"a latent is beyond the reach of {reach}.")
    before = _seen_before(latents)  # (I, K)
    contexts = np.stack([np.quantile(before, share, axis=0) for share in (1 / 3, 2 / 3)], axis=1)
    context_borders = np.ceil(contexts).astype(np.int64)
    at = (before[..., None] >= context_borders).sum(axis=-1)  # (I, K)
    _, size, channels = latents.shape
    counts = np.zeros((size, channels, CONTEXTS, 2 * reach + 1))
    places = np.arange(size)[:, None], np.arange(channels)[None]  # (K, 1), (1, c)
    np.add.at(counts, (*places, at[..., None], latents + reach), 1.0)
    pooled = counts.sum(axis=2) + _FLAT  # (K, c, symbols)
    pooled /= pooled.sum(axis=-1, keepdims=True)
    chance = counts + _PRIOR * pooled[:, :, None]
    tables = LatentTables(_integer_borders(chance / chance.sum(axis=-1, keepdims=True)), context_borders)
    tables.check()
    return tables


def _integer_borders(chance: npt.NDArray[np.float64]) -> Int:
    """(..., symbols) chances to (..., symbols + 1) borders; every symbol keeps at least 1 of 65536."""
    symbols = chance.shape[-1]
    cumulative = np.cumsum(chance, axis=-1)
    cumulative /= cumulative[..., -1:]
    room = TOTAL - symbols
    inner = np.rint(cumulative * room).astype(np.int64) + np.arange(1, symbols + 1)
    return np.concatenate([np.zeros((*chance.shape[:-1], 1), np.int64), inner], axis=-1)


def encode_latents(latents: Int, tables: LatentTables) -> tuple[bytes, Int]:
    """(T, K, c) integers to a codeword and, for each latent in coding order, the bytes after which it is known.

    Raises:
        ShapeError: another shape, or an integer beyond the tables' reach.
    """
    expected = (tables.latents, tables.channels)
    if latents.ndim != 3 or latents.shape[1:] != expected or not latents.size or np.abs(latents).max() > tables.reach:
        raise ShapeError().noted(
            f"latents are (photos, {expected[0]}, {expected[1]}) integers within {tables.reach}; these are "
            f"{latents.shape}, or beyond."
        )
    at = tables.contexts(latents)  # (T, K)
    rows = tables.borders[np.arange(tables.latents), :, at]  # (T, K, c, symbols + 1)
    symbol = (latents + tables.reach)[..., None]
    lower = np.take_along_axis(rows, symbol, -1).swapaxes(0, 1).reshape(-1).tolist()
    upper = np.take_along_axis(rows, symbol + 1, -1).swapaxes(0, 1).reshape(-1).tolist()
    encoder = SymbolEncoder()
    for low, high in zip(lower, upper, strict=True):
        encoder.encode(low, high)
    codeword = encoder.finish()
    _, needed = encoder.certain_bytes(codeword)
    return codeword, needed[tables.channels - 1 :: tables.channels]


def decode_latents(prefix: bytes, tables: LatentTables, tiles: int = 1) -> tuple[Int, int]:
    """A codeword's prefix to (T, K, c) integers, zeros where unknown, and how many in coding order are known whole."""
    decoder = SymbolDecoder(prefix)
    reach = tables.reach
    found = np.zeros((tiles, tables.latents, tables.channels), dtype=np.int64)
    sizes = [[0] * _SEEN_BEFORE for _ in range(tiles)]
    for latent in range(tables.latents):
        by_context = tables.borders[latent].swapaxes(0, 1).tolist()  # [context][channel][border]
        first, second = tables.context_borders[latent].tolist()
        for tile in range(tiles):
            before = sum(sizes[tile][-_SEEN_BEFORE:])
            values = []
            for row in by_context[(before >= first) + (before >= second)]:
                symbol = decoder.decode(row)
                if symbol is None:
                    return found, latent * tiles + tile
                values.append(symbol - reach)
            found[tile, latent] = values
            sizes[tile].append(sum(map(abs, values)))
    return found, tiles * tables.latents

"""Entropy coding of ordered codes (T, K) of C words each with a learned prior: any byte prefix gives leading codes.

A code is two symbols: its group of words, and its place in the group. The group's chances depend on the group that an
earlier code of the same tile fell into, its parent, which the fit chooses as the one that tells most (a tree after Chow
and Liu, 1968, with the order given); the place's chances depend on the group. All of them are frozen integers. The
codes of a photo's T tiles take turns, the first of every tile before the second of any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from heliograph.codec.checks import check_bounds, check_shape
from heliograph.codec.symbols import TOTAL, SymbolDecoder, SymbolEncoder
from heliograph.errors import BundleDamagedError, CodecNotFittedError, ShapeError
from heliograph.reasons import BundleFault, BundlePart

Int = npt.NDArray[np.int64]

NO_PARENT = -1
MAX_CODES, MAX_GROUPS, MAX_PLACES = 256, 256, 256
_PRIOR = 500.0  # how many observations the table without a parent counts for
_FLAT = 0.5  # observations of every symbol added before anything is counted


@dataclass(frozen=True)
class CodePrior:
    """Frozen integers; C = G x F words, word w is place w % F of group w // F.

    Attributes:
        parents: (K,) rank of the earlier code that tells of this one's group; -1 for none, where row 0 counts.
        groups: (K, G, G + 1) borders rising from 0 to 65536 along the last axis, by the parent's group.
        places: (K, G, F + 1) borders likewise, by the code's own group.
    """

    parents: Int
    groups: Int
    places: Int

    ARRAYS: ClassVar[tuple[str, ...]] = ("parents", "groups", "places")

    @property
    def codes(self) -> int:
        """K."""
        return len(self.parents)

    @property
    def group_size(self) -> int:
        """F."""
        return int(self.places.shape[2]) - 1

    @property
    def words(self) -> int:
        """C."""
        return int(self.groups.shape[1]) * self.group_size

    def check(self) -> None:
        """Refuse what no fit makes.

        Raises:
            BundleDamagedError: shapes, parents, ends or order are wrong.
        """
        if self.parents.ndim != 1 or self.groups.ndim != 3 or self.places.ndim != 3:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.SHAPE)
        codes, groups, size = self.codes, int(self.groups.shape[1]), self.group_size
        if not (1 <= codes <= MAX_CODES and 1 <= groups <= MAX_GROUPS and 1 <= size <= MAX_PLACES):
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.TOO_MANY)
        check_shape(BundlePart.TABLES, self.groups, (codes, groups, groups + 1))
        check_shape(BundlePart.TABLES, self.places, (codes, groups, size + 1))
        if np.any(self.parents < NO_PARENT) or np.any(self.parents >= np.arange(codes)):
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.ORDER)
        for borders in (self.groups, self.places):
            check_bounds(BundlePart.TABLES, borders, 0, TOTAL)
            if np.any(borders[..., 0] != 0) or np.any(borders[..., -1] != TOTAL):
                raise BundleDamagedError(BundlePart.TABLES, BundleFault.RANGE)
            if np.any(np.diff(borders) < 1):
                raise BundleDamagedError(BundlePart.TABLES, BundleFault.ORDER)

    def bits(self, codes: Int) -> npt.NDArray[np.float64]:
        """(I, K) codes to (I, K) bits that the tables ask for."""
        group, place = codes // self.group_size, codes % self.group_size  # (I, K)
        ranks = np.arange(self.codes)[None]
        context = np.where(self.parents >= 0, group[:, np.maximum(self.parents, 0)], 0)
        coarse = self.groups[ranks, context, group + 1] - self.groups[ranks, context, group]
        fine = self.places[ranks, group, place + 1] - self.places[ranks, group, place]
        return np.asarray(-np.log2(coarse / TOTAL) - np.log2(fine / TOTAL))


def fit_code_prior(codes: Int, groups: int, group_size: int) -> CodePrior:
    """Count tables on (I, K) codes of many tiles.

    Raises:
        CodecNotFittedError: no tile at all.
        ShapeError: a code beyond the words.
    """
    if codes.ndim != 2 or not codes.size:
        raise CodecNotFittedError
    if codes.min() < 0 or codes.max() >= groups * group_size:
        raise ShapeError().noted(f"a code is beyond the {groups * group_size} words.")
    group, place = codes // group_size, codes % group_size  # (I, K)
    ranks = codes.shape[1]
    parents = np.full(ranks, NO_PARENT, dtype=np.int64)
    coarse = np.empty((ranks, groups, groups))
    fine = np.empty((ranks, groups, group_size))
    for rank in range(ranks):
        alone = np.bincount(group[:, rank], minlength=groups) + _FLAT
        alone /= alone.sum()
        joint = [_counted(group[:, before], group[:, rank], groups, groups) for before in range(rank)]
        if joint:
            parents[rank] = int(np.argmax([_information(one) for one in joint]))
        counts = joint[parents[rank]] if joint else np.zeros((groups, groups))
        coarse[rank] = counts + _PRIOR * alone
        fine[rank] = _counted(group[:, rank], place[:, rank], groups, group_size) + _FLAT
    prior = CodePrior(parents, _integer_borders(coarse), _integer_borders(fine))
    prior.check()
    return prior


def _counted(first: Int, second: Int, rows: int, columns: int) -> npt.NDArray[np.float64]:
    """(rows, columns) how often two symbols came together."""
    return np.bincount(first * columns + second, minlength=rows * columns).reshape(rows, columns).astype(np.float64)


def _information(counts: npt.NDArray[np.float64]) -> float:
    """Mutual information in bits of a table of counts."""
    joint = counts / counts.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    found = joint > 0
    return float((joint[found] * np.log2(joint[found] / apart[found])).sum())


def _integer_borders(chance: npt.NDArray[np.float64]) -> Int:
    """(..., symbols) weights to (..., symbols + 1) borders; every symbol keeps at least 1 of 65536."""
    symbols = chance.shape[-1]
    cumulative = np.cumsum(chance, axis=-1)
    cumulative /= cumulative[..., -1:]
    inner = np.rint(cumulative * (TOTAL - symbols)).astype(np.int64) + np.arange(1, symbols + 1)
    return np.concatenate([np.zeros((*chance.shape[:-1], 1), np.int64), inner], axis=-1)


def encode_codes(codes: Int, prior: CodePrior) -> tuple[bytes, Int]:
    """(T, K) codes to a codeword and, for each code in coding order, the bytes after which it is known.

    Raises:
        ShapeError: another shape, or a code beyond the words.
    """
    fits = codes.ndim == 2 and codes.size and codes.shape[1] == prior.codes
    if not fits or codes.min() < 0 or codes.max() >= prior.words:
        raise ShapeError().noted(f"codes are (tiles, {prior.codes}) integers below {prior.words}.")
    encoder = SymbolEncoder()
    for rank in range(prior.codes):
        parent = int(prior.parents[rank])
        for tile in codes.tolist():
            group, place = divmod(tile[rank], prior.group_size)
            context = tile[parent] // prior.group_size if parent >= 0 else 0
            for borders, symbol in ((prior.groups[rank, context], group), (prior.places[rank, group], place)):
                encoder.encode(int(borders[symbol]), int(borders[symbol + 1]))
    codeword = encoder.finish()
    _, needed = encoder.certain_bytes(codeword)
    return codeword, needed[1::2]


def decode_codes(prefix: bytes, prior: CodePrior, tiles: int = 1) -> tuple[Int, int]:
    """A codeword's prefix to (T, K) codes, zeros where unknown, and how many in coding order are known whole."""
    decoder = SymbolDecoder(prefix)
    found = np.zeros((tiles, prior.codes), dtype=np.int64)
    for rank in range(prior.codes):
        parent = int(prior.parents[rank])
        for tile in range(tiles):
            context = int(found[tile, parent]) // prior.group_size if parent >= 0 else 0
            group = decoder.decode(prior.groups[rank, context].tolist())
            place = None if group is None else decoder.decode(prior.places[rank, group].tolist())
            if group is None or place is None:
                return found, rank * tiles + tile
            found[tile, rank] = group * prior.group_size + place
    return found, tiles * prior.codes

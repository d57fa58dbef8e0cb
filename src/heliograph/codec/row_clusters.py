"""Which tokens are one: a cluster for each of N places, coded before the first token that stands for a cluster.

Clusters are numbered as they first appear, row by row. At each place "a new one?" has the exact odds of what is left;
each of the known ones has a weight of 1, and those of the places at the left and above have 8 more, since what is alike
lies together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from heliograph.codec.symbols import TOTAL, SymbolDecoder, SymbolEncoder

_NEAR = 8
MAX_WORK = 1 << 22
"""Places times clusters, each of which takes a tenth of a microsecond."""


class ClusterPlaces:
    """A :class:`heliograph.codec.row_places.Places` of tokens that stand for clusters: the first place of each.

    Args:
        tokens: N.
        columns: of the grid.
        count: k clusters.
        clusters: (N,) of each place, numbered as they first appear; none to decode them.
    """

    def __init__(self, tokens: int, columns: int, count: int, clusters: Sequence[int] = ()) -> None:
        self._tokens, self._columns, self._count = tokens, columns, count
        self.clusters: list[int] = list(clusters)
        self._begun = False
        self._given = 0

    def encode(self, encoder: SymbolEncoder, place: int) -> None:
        """Add the map before the first place; the places follow from it."""
        if self._begun:
            return
        self._begun, known, seen = True, list[int](), 0
        for cluster in self.clusters:
            new = self._new(len(known), seen)
            if new is not None:
                encoder.encode(*new[(cluster == seen) :][:2])
            if cluster < seen:
                borders = self._borders(known, seen)
                encoder.encode(borders[cluster], borders[cluster + 1])
            known.append(cluster)
            seen = max(seen, cluster + 1)

    def decode(self, decoder: SymbolDecoder) -> int | None:
        """The place of the next token; None where the bytes at hand do not settle it, or the map."""
        if not self._begun:
            self._begun = True
            found = self._map(decoder)
            if found is None:
                return None
            self.clusters = found
        if self._given >= self._count or not self.clusters:
            return None
        self._given += 1
        return self.clusters.index(self._given - 1)

    def _map(self, decoder: SymbolDecoder) -> list[int] | None:
        known, seen = list[int](), 0
        for _ in range(self._tokens):
            new = self._new(len(known), seen)
            fresh = decoder.decode(new) if new is not None else int(seen < self._count)
            cluster = seen if fresh else None if fresh is None else decoder.decode(self._borders(known, seen))
            if cluster is None:
                return None
            known.append(cluster)
            seen = max(seen, cluster + 1)
        return known

    def _new(self, place: int, seen: int) -> tuple[int, int, int] | None:
        """Shares of "a known one" and "a new one"; None where there is no choice."""
        left, to_come = self._tokens - place, self._count - seen
        return (0, TOTAL - TOTAL * to_come // left, TOTAL) if seen and 0 < to_come < left else None

    def _borders(self, known: Sequence[int], seen: int) -> list[int]:
        weights, place = [1] * seen, len(known)
        if place % self._columns:
            weights[known[-1]] += _NEAR
        if place >= self._columns:
            weights[known[place - self._columns]] += _NEAR
        total = seen + sum(one - 1 for one in weights)
        return [one * TOTAL // total for one in accumulate(weights, initial=0)]

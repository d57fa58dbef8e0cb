"""Which tokens are sent: their places among all N, in the order that the sender chose or sorted.

Both orders leave the decoder certain of the first tokens when it holds the first bytes. In the order of choice each
place costs log2 of how many are left; sorted, each place answers "kept?" with the exact odds of what is left, which
together costs log2 of C(N, k).
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Protocol

from heliograph.codec.symbols import TOTAL, SymbolDecoder, SymbolEncoder


class Places(Protocol):
    """Codes one place after the other; an encoder and a decoder each need one of their own."""

    def encode(self, encoder: SymbolEncoder, place: int) -> None:
        """Add the next place."""
        ...

    def decode(self, decoder: SymbolDecoder) -> int | None:
        """The next place; None where the bytes at hand do not settle it."""
        ...


class ChosenPlaces:
    """Places in any order, each among those that have not come.

    Args:
        tokens: N, at most 16384.
    """

    def __init__(self, tokens: int) -> None:
        self._left = list(range(tokens))

    def encode(self, encoder: SymbolEncoder, place: int) -> None:
        """See :class:`Places`."""
        rank, left = bisect_left(self._left, place), len(self._left)
        encoder.encode(rank * TOTAL // left, (rank + 1) * TOTAL // left)
        del self._left[rank]

    def decode(self, decoder: SymbolDecoder) -> int | None:
        """See :class:`Places`."""
        rank = decoder.decode_even(len(self._left)) if self._left else None
        return None if rank is None else self._left.pop(rank)


class SortedPlaces:
    """Rising places.

    Args:
        tokens: N, at most 16384.
        kept: k, how many come.
    """

    def __init__(self, tokens: int, kept: int) -> None:
        self._next, self._tokens, self._kept = 0, tokens, kept

    def encode(self, encoder: SymbolEncoder, place: int) -> None:
        """See :class:`Places`."""
        while (borders := self._borders()) is not None:
            found = self._next == place
            encoder.encode(borders[found], borders[found + 1])
            self._take(found)
            if found:
                return
        self._take(True)

    def decode(self, decoder: SymbolDecoder) -> int | None:
        """See :class:`Places`."""
        while (borders := self._borders()) is not None:
            found = decoder.decode(borders)
            if found is None:
                return None
            self._take(bool(found))
            if found:
                return self._next - 1
        self._take(True)
        return self._next - 1

    def _borders(self) -> tuple[int, int, int] | None:
        """The shares of "no" and "yes"; None where all that are left come."""
        left = self._tokens - self._next
        return None if left == self._kept else (0, TOTAL - TOTAL * self._kept // left, TOTAL)

    def _take(self, found: bool) -> None:
        self._next += 1
        self._kept -= found

"""Symbols of small alphabets into the same kind of codeword as the run coder's: any byte prefix of it decodes.

One step of the coder narrows the interval by one symbol's share of 65536, from a frozen integer table. The decoder
stops before the first symbol that the bytes at hand leave open (see :mod:`heliograph.codec.range_coder`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from heliograph.codec.range_coder import PROBABILITY_BITS, RunDecoder, RunEncoder

TOTAL = 1 << PROBABILITY_BITS


class SymbolEncoder(RunEncoder):
    """Adds single symbols to a codeword."""

    def encode(self, lower: int, upper: int) -> None:
        """Code the symbol that owns ``lower`` to ``upper`` of 65536; ``lower < upper``."""
        unit = self._range >> PROBABILITY_BITS
        self._low += unit * lower
        self._range = unit * (upper - lower)
        self._items += 1
        self._steps.extend((self._items, len(self._words), self._low, self._range))
        self._normalise()


class SymbolDecoder(RunDecoder):
    """Reads single symbols from any byte prefix of a codeword."""

    def decode(self, borders: Sequence[int]) -> int | None:
        """The next symbol, or None where the bytes at hand do not settle it; ``ended`` is set then.

        Args:
            borders: (symbols + 1,) rising from 0 to 65536: symbol s owns ``borders[s]`` to ``borders[s + 1]``.
        """
        if self.ended:
            return None
        unit = self._range >> PROBABILITY_BITS
        share = self._value // unit
        if share >> PROBABILITY_BITS:  # no encoder writes this
            self.ended = True
            return None
        symbol = bisect_right(borders, share) - 1
        below = unit * borders[symbol]
        width = unit * (borders[symbol + 1] - borders[symbol])
        if self._gap and self._value - below + self._gap >= width:
            self.ended = True
            return None
        self._value -= below
        self._range = width
        self._widen()
        return symbol

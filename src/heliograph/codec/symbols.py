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
        share = self._share()
        if share is None:
            return None
        symbol = bisect_right(borders, share) - 1
        return symbol if self._took(borders[symbol], borders[symbol + 1]) else None

    def decode_even(self, symbols: int) -> int | None:
        """The same of so many symbols, 1 to 65536, that are all as likely: s owns ``s * 65536 // symbols`` and on."""
        share = self._share()
        if share is None:
            return None
        symbol = ((share + 1) * symbols - 1) // TOTAL
        return symbol if self._took(symbol * TOTAL // symbols, (symbol + 1) * TOTAL // symbols) else None

    def _share(self) -> int | None:
        """Where the value lies, in 1/65536 of the range; None where it lies nowhere."""
        if not self.ended:
            share = self._value // (self._range >> PROBABILITY_BITS)
            if not share >> PROBABILITY_BITS:  # otherwise no encoder wrote this
                return share
        self.ended = True
        return None

    def _took(self, lower: int, upper: int) -> bool:
        """Narrow the range to a symbol, unless the bytes at hand leave it open."""
        unit = self._range >> PROBABILITY_BITS
        below, width = unit * lower, unit * (upper - lower)
        if self._gap and self._value - below + self._gap >= width:
            self.ended = True
            return False
        self._value -= below
        self._range = width
        self._widen()
        return True

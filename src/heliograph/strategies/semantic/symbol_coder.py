"""An arithmetic coder of symbols whose every byte prefix decodes to what is certain, for a few hundred symbols.

::

    symbol, cumulative frequencies --SymbolEncoder--> codeword --any bytes of it--> SymbolDecoder --> symbols, then None

Range coding (Martin, 1979) in integers of any size: the lower end is kept whole, so that there is no carry to look
after. A decoder knows the interval of all codewords that begin with the bytes at hand, and decodes a symbol where all
of it lies within that symbol's part: nothing that it says is taken back by further bytes. Frequencies are of 2 ** 16.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

TOTAL_BITS = 16
TOTAL = 1 << TOTAL_BITS
_WINDOW_BITS, _MIN_BITS = 48, 40
"""The range is below the one power of two, and kept at or above the other, so that rounding costs next to nothing."""


@dataclass
class _Interval:
    """Where a codeword lies: ``low`` to ``low + width`` in units of 2 ** -(48 + 8 * shifts)."""

    low: int = 0
    width: int = 1 << _WINDOW_BITS
    shifts: int = 0

    def narrow(self, below: int, above: int) -> None:
        """Go on within a share from ``below`` to ``above``, of :data:`TOTAL`."""
        unit = self.width >> TOTAL_BITS
        self.low += unit * below
        self.width = unit * (above - below)
        while self.width < 1 << _MIN_BITS:
            self.low, self.width, self.shifts = self.low << 8, self.width << 8, self.shifts + 1

    @property
    def bits(self) -> int:
        """Binary places."""
        return _WINDOW_BITS + 8 * self.shifts

    def holds(self, prefix: int, length: int) -> bool:
        """Whether every codeword that begins with so many bytes lies within."""
        grain = 1 << max(self.bits - 8 * length, 0)
        first = (prefix << max(self.bits - 8 * length, 0)) >> max(8 * length - self.bits, 0)
        return self.low <= first and first + grain <= self.low + self.width


class SymbolEncoder:
    """Collects symbols into one codeword."""

    def __init__(self) -> None:
        self._at = _Interval()
        self._marks: list[_Interval] = []

    def encode(self, symbol: int, cumulative: Sequence[int]) -> None:
        """Code one symbol.

        Args:
            symbol: s, of frequency ``cumulative[s + 1] - cumulative[s]``, which is not 0.
            cumulative: from 0 to :data:`TOTAL`.
        """
        self._at.narrow(cumulative[symbol], cumulative[symbol + 1])

    def mark(self) -> None:
        """Ask for the place in the codeword at which everything up to here is certain."""
        self._marks.append(_Interval(self._at.low, self._at.width, self._at.shifts))

    def finish(self) -> tuple[bytes, list[int]]:
        """The shortest codeword after which every symbol is certain, and for each mark the bytes that it takes."""
        at, length, value = self._at, 0, 0
        while not at.holds(value, length):
            length += 1
            value = -(
                -at.low >> (at.bits - 8 * length)
            )  # the first codeword of so many bytes at or above the lower end
        codeword = value.to_bytes(length, "big")
        return codeword, [self._needed(mark, codeword) for mark in self._marks]

    def _needed(self, mark: _Interval, codeword: bytes) -> int:
        for length in range(min(mark.shifts, len(codeword)), len(codeword)):
            if mark.holds(int.from_bytes(codeword[:length], "big"), length):
                return length
        return len(codeword)


class SymbolDecoder:
    """Reads symbols from the first bytes of a codeword."""

    def __init__(self, prefix: bytes) -> None:
        self._at = _Interval()
        self._value, self._length = int.from_bytes(prefix, "big"), len(prefix)

    def decode(self, cumulative: Sequence[int]) -> int | None:
        """The next symbol; None where the bytes at hand leave it open, and from then on."""
        at = self._at
        spare = at.bits - 8 * self._length
        first = self._value << spare if spare >= 0 else self._value >> -spare
        share = (first - at.low) // (at.width >> TOTAL_BITS)
        if not 0 <= share < TOTAL:
            return None
        symbol = bisect_right(cumulative, share) - 1
        after = _Interval(at.low, at.width, at.shifts)
        after.narrow(cumulative[symbol], cumulative[symbol + 1])
        if not after.holds(self._value, self._length):
            return None
        self._at = after
        return symbol

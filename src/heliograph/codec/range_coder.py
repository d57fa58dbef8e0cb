"""A range coder for runs: one step of the coder passes over all the zeros up to the next one.

Bit planes of decorrelated tokens are mostly zeros, each worth a small fraction of a bit. Coding them one by one
wastes time, so a step codes *where the next one is*. Each decision has a frozen integer cost for being zero,
in 1/4096 bit; the chance that all zeros from i to k hold is 2 ** -(sum of costs), read from an integer table.
The sums of a whole pass are made at once in numpy, so the loop below runs once per one and not once per zero.

The output is a single arithmetic codeword (Martin, "Range encoding", 1979). Any byte prefix of it decodes: the
decoder knows the interval of all codewords that start with the bytes at hand and stops before the first step
that this interval leaves open. ``RunEncoder.certain_bytes`` tells the encoder where each step becomes certain.
Everything here is integer arithmetic, the same on every machine.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from math import isqrt

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

COST_UNIT = 4096  # costs are in 1/4096 bit
MAX_COST = 5 * COST_UNIT  # a decision is one with probability at most 1 - 2 ** -5
RUN_LIMIT = 2 * COST_UNIT  # a run step ends once its zeros together cost two bits
PROBABILITY_BITS = 16
TOP_BITS = 48  # width of the coder's window
LOW_LIMIT = 1 << 32  # the range is kept above this
_WINDOW_MASK = (1 << TOP_BITS) - 1
_WORD_MASK = (1 << (TOP_BITS - 16)) - 1


def _survival_table() -> list[int]:
    """``table[x] = 65536 * 2 ** (-x / 4096)`` in integers: a chain of 96-bit products, rounded once at the end."""
    bits = 96
    root = 1 << (2 * bits - 1)  # 1/2 with 2 * bits fraction bits; twelve square roots give 2 ** (-1/4096)
    factor = isqrt(root)
    for _ in range(11):
        factor = isqrt(factor << bits)
    table, value = [], 1 << bits
    shift = bits - PROBABILITY_BITS
    for _ in range(RUN_LIMIT + MAX_COST + 1):
        table.append((value + (1 << (shift - 1))) >> shift)
        value = (value * factor) >> bits
    return table


_SURVIVAL = _survival_table()


def _longest_survivor() -> list[int]:
    """``table[v]``: the largest cost x with ``survival[x] > v``, for v in 0..65535."""
    falling = -np.asarray(_SURVIVAL)
    return list((np.searchsorted(falling, -np.arange(1 << PROBABILITY_BITS), side="left") - 1).tolist())


_LONGEST = _longest_survivor()


@dataclass(frozen=True)
class PassResult:
    """What a decoder learned from one pass.

    Attributes:
        ones: positions of the ones, ascending.
        negative: for each one, whether its sign is negative (False where the item has no sign).
        done: how many leading items of the pass are known.
    """

    ones: list[int]
    negative: list[bool]
    done: int


class RunEncoder:
    """Collects steps of all passes into one codeword."""

    def __init__(self) -> None:
        self._low = 0
        self._range = 1 << TOP_BITS
        self._words: list[int] = []
        self._items = 0
        self._steps: list[tuple[int, int, int, int]] = []  # items known after it, words out, low, range

    @property
    def bytes_out(self) -> int:
        """Bytes that can no longer change except by a carry."""
        return 2 * len(self._words)

    def encode_pass(self, costs: IntArray, ones: list[int], sign_chance: list[int], negative: list[bool]) -> None:
        """Code one pass.

        Args:
            costs: (n,) cost of a zero at each item, 1..MAX_COST.
            ones: ascending positions of the ones.
            sign_chance: for each one, 65536 * P(negative) in 1..65535, or 0 where no sign is sent.
            negative: for each one, its sign.
        """
        count = len(costs)
        cumulative = _cumulate(costs)
        survival, steps = _SURVIVAL, self._steps
        low, width = self._low, self._range
        start, start_items = 0, self._items
        targets = [*ones, count]
        for index, target in enumerate(targets):
            while start < count:
                base = cumulative[start]
                end = bisect_left(cumulative, base + RUN_LIMIT, start + 1, count)
                unit = width >> PROBABILITY_BITS
                if target >= end:
                    width = unit * survival[cumulative[end] - base]
                    start = end
                else:
                    below = survival[cumulative[target + 1] - base]
                    low += unit * below
                    width = unit * (survival[cumulative[target] - base] - below)
                    chance = sign_chance[index]
                    if chance:
                        part = (width * chance) >> PROBABILITY_BITS
                        if negative[index]:
                            width = part
                        else:
                            low += part
                            width -= part
                    start = target + 1
                steps.append((start_items + start, len(self._words), low, width))
                while width < LOW_LIMIT:
                    if low > _WINDOW_MASK:
                        self._carry()
                        low &= _WINDOW_MASK
                    self._words.append(low >> (TOP_BITS - 16))
                    low = (low & _WORD_MASK) << 16
                    width <<= 16
                if start > target:
                    break
        self._low, self._range, self._items = low, width, start_items + count

    def _carry(self) -> None:
        index = len(self._words) - 1
        while self._words[index] == 0xFFFF:
            self._words[index] = 0
            index -= 1
        self._words[index] += 1

    def finish(self) -> bytes:
        """The codeword: the shortest bytes after which every step is certain whatever follows."""
        low, width = self._low, self._range
        if low > _WINDOW_MASK:
            self._carry()
            low &= _WINDOW_MASK
        for tail in range(TOP_BITS // 8, -1, -1):
            grain = 1 << (8 * tail)
            value = -(-low // grain) * grain
            if value + grain <= low + width:
                break
        if value > _WINDOW_MASK:
            self._carry()
            value &= _WINDOW_MASK
        words = np.asarray(self._words, dtype=">u2").tobytes()
        return words + value.to_bytes(TOP_BITS // 8, "big")[: TOP_BITS // 8 - tail]

    def certain_bytes(self, codeword: bytes) -> tuple[IntArray, IntArray]:
        """For each step: (items known after it, bytes of the codeword after which the decoder is certain of it)."""
        if not self._steps:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        items, words, lows, widths = (np.asarray(column, dtype=np.int64) for column in zip(*self._steps, strict=True))
        padded = np.frombuffer(codeword + bytes(TOP_BITS // 8 + 2), dtype=np.uint8).astype(np.int64)
        start = np.minimum(2 * words, len(codeword))
        window = np.zeros(len(words), dtype=np.int64)
        for offset in range(TOP_BITS // 8):
            window = (window << 8) | padded[start + offset]
        above = (window - lows) & _WINDOW_MASK
        needed = start + TOP_BITS // 8
        for tail in range(1, TOP_BITS // 8 + 1):
            grain = np.int64(1) << (8 * tail)
            rest = window & (grain - 1)
            certain = (above - rest >= 0) & (above - rest + grain <= widths)
            needed = np.where(certain, start + TOP_BITS // 8 - tail, needed)
        return items, np.maximum.accumulate(np.minimum(needed, len(codeword)))


class RunDecoder:
    """Reads passes from any byte prefix of a codeword; ``ended`` tells that no further step is certain."""

    def __init__(self, prefix: bytes) -> None:
        even = prefix + bytes(len(prefix) & 1)
        self._words: list[int] = np.frombuffer(even, dtype=">u2").tolist()
        self._odd = bool(len(prefix) & 1)
        self._next = 0
        self._value = 0
        self._gap = 0  # the unknown bytes leave the value anywhere in value..value + gap
        self._range = 1 << TOP_BITS
        self.ended = False
        for _ in range(TOP_BITS // 16):
            self._shift_in()

    def _shift_in(self) -> None:
        position, words = self._next, self._words
        if position < len(words):
            self._value = (self._value << 16) | words[position]
            self._gap <<= 16
            if self._odd and position == len(words) - 1:
                self._gap |= 0xFF
        else:
            self._value <<= 16
            self._gap = (self._gap << 16) | 0xFFFF
        self._next = position + 1

    def decode_pass(self, costs: IntArray, sign_chance: list[int]) -> PassResult:
        """Decode one pass whose costs and sign chances (per item, 0 where no sign) both ends know."""
        count = len(costs)
        cumulative = _cumulate(costs)
        survival, longest = _SURVIVAL, _LONGEST
        ones: list[int] = []
        negative: list[bool] = []
        start = 0
        while start < count:
            value, width = self._value, self._range
            unit = width >> PROBABILITY_BITS
            quotient = value // unit
            if quotient >> PROBABILITY_BITS:  # no encoder writes this
                self.ended = True
                break
            base = cumulative[start]
            end = bisect_left(cumulative, base + RUN_LIMIT, start + 1, count)
            none = survival[cumulative[end] - base]
            if quotient < none:
                width = unit * none
                position, minus, below = -1, False, 0
            else:
                position = bisect_right(cumulative, base + longest[quotient], start, end) - 1
                lower = survival[cumulative[position + 1] - base]
                below = unit * lower
                width = unit * (survival[cumulative[position] - base] - lower)
                chance = sign_chance[position]
                minus = False
                if chance:
                    part = (width * chance) >> PROBABILITY_BITS
                    minus = value - below < part
                    if minus:
                        width = part
                    else:
                        below += part
                        width -= part
            if self._gap and value - below + self._gap >= width:
                self.ended = True
                break
            if position < 0:
                start = end
            else:
                ones.append(position)
                negative.append(minus)
                start = position + 1
            self._value = value - below
            while width < LOW_LIMIT:
                width <<= 16
                self._shift_in()
            self._range = width
        return PassResult(ones, negative, start)


def _cumulate(costs: IntArray) -> list[int]:
    cumulative = np.zeros(len(costs) + 1, dtype=np.int64)
    np.cumsum(costs, out=cumulative[1:])
    return list(cumulative.tolist())

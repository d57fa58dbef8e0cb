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

    def encode_pass(
        self,
        costs: IntArray,
        ones: list[int],
        sign_chance: list[int],
        negative: list[bool],
        most_bytes: int | None = None,
    ) -> int:
        """Code one pass; returns how many leading items are coded.

        Args:
            costs: (n,) cost of a zero at each item, 1..MAX_COST.
            ones: ascending positions of the ones.
            sign_chance: for each one, 65536 * P(negative) in 1..65535, or 0 where no sign is sent.
            negative: for each one, its sign.
            most_bytes: stop soon after so many bytes of the codeword; no pass may follow then.
        """
        runs = _Runs(costs)
        most_words = 1 << 62 if most_bytes is None else (most_bytes + 1) // 2
        at_ones = np.asarray(ones, dtype=np.int64)
        before, after = runs.cumulative[at_ones].tolist(), runs.cumulative[at_ones + 1].tolist()
        survival, steps = _SURVIVAL, self._steps
        low, width = self._low, self._range
        start, base, run, first_item = 0, 0, 0, self._items
        for index, target in enumerate([*ones, runs.count]):
            while start < runs.count:
                unit = width >> PROBABILITY_BITS
                if target < runs.count and before[index] < base + RUN_LIMIT:
                    below = survival[after[index] - base]
                    low += unit * below
                    width = unit * (survival[before[index] - base] - below)
                    chance = sign_chance[index]
                    if chance:
                        part = (width * chance) >> PROBABILITY_BITS
                        if negative[index]:
                            width = part
                        else:
                            low += part
                            width -= part
                    start, base = target + 1, after[index]
                else:
                    start, end_cost, run = runs.limit(base, run)
                    width = unit * survival[end_cost - base]
                    base = end_cost
                steps.append((first_item + start, len(self._words), low, width))
                while width < LOW_LIMIT:
                    if low > _WINDOW_MASK:
                        self._carry()
                        low &= _WINDOW_MASK
                    self._words.append(low >> (TOP_BITS - 16))
                    low = (low & _WORD_MASK) << 16
                    width <<= 16
                if start > target:
                    break
            if len(self._words) > most_words:
                break
        self._low, self._range, self._items = low, width, first_item + start
        return start

    def _normalise(self) -> None:
        """Move settled words out until the range is wide again; ``encode_pass`` has this inside its loop for speed."""
        while self._range < LOW_LIMIT:
            if self._low > _WINDOW_MASK:
                self._carry()
                self._low &= _WINDOW_MASK
            self._words.append(self._low >> (TOP_BITS - 16))
            self._low = (self._low & _WORD_MASK) << 16
            self._range <<= 16

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

    def decode_pass(self, costs: IntArray, sign_chance: IntArray) -> PassResult:
        """Decode one pass whose costs and sign chances (per item, 0 where no sign) both ends know."""
        runs = _Runs(costs)
        survival, longest = _SURVIVAL, _LONGEST
        ones: list[int] = []
        negative: list[bool] = []
        start, base, run = 0, 0, 0
        surely_one, last_full = survival[RUN_LIMIT], runs.total - RUN_LIMIT  # spares most searches for a run's end
        while start < runs.count:
            value, width = self._value, self._range
            unit = width >> PROBABILITY_BITS
            quotient = value // unit
            if quotient >> PROBABILITY_BITS:  # no encoder writes this
                self.ended = True
                break
            position, minus, below, none = -1, False, 0, 0
            if quotient < surely_one or base > last_full:
                end, end_cost, end_run = runs.limit(base, run)
                none = survival[end_cost - base]
            if quotient < none:
                width = unit * none
            else:
                position, end_cost, next_cost, end_run = runs.locate(base + longest[quotient], run)
                lower = survival[next_cost - base]
                below = unit * lower
                width = unit * (survival[end_cost - base] - lower)
                end, end_cost = position + 1, next_cost
                chance = int(sign_chance[position])
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
            if position >= 0:
                ones.append(position)
                negative.append(minus)
            start, base, run = end, end_cost, end_run
            self._value = value - below
            while width < LOW_LIMIT:
                width <<= 16
                self._shift_in()
            self._range = width
        return PassResult(ones, negative, start)


class _Runs:
    """Sums of costs over a pass, kept per run of equal costs: a sorted pass has few of them.

    Runs are walked forwards, so every search starts at the run where the last one ended.
    """

    def __init__(self, costs: IntArray) -> None:
        self.count = len(costs)
        borders = np.flatnonzero(costs[1:] != costs[:-1]) + 1
        starts = np.concatenate([np.zeros(1, np.int64), borders]) if self.count else np.zeros(0, np.int64)
        values = costs[starts]
        totals = values * np.diff(starts, append=self.count)
        self._starts: list[int] = starts.tolist()
        self._values: list[int] = values.tolist()
        self._ends: list[int] = np.cumsum(totals).tolist()  # sum of costs up to the end of each run
        self._sums: list[int] = [0, *self._ends[:-1]]
        self.total = self._ends[-1] if self._ends else 0
        self._costs = costs

    @property
    def cumulative(self) -> IntArray:
        """(count + 1,) sum of the costs before each item."""
        sums = np.zeros(self.count + 1, dtype=np.int64)
        np.cumsum(self._costs, out=sums[1:])
        return sums

    def limit(self, base: int, run: int) -> tuple[int, int, int]:
        """First item at which the costs since ``base`` reach the limit, or the end: (item, its sum, its run)."""
        target = base + RUN_LIMIT
        ends = self._ends
        last = len(ends) - 1
        while ends[run] < target:
            if run == last:
                return self.count, ends[last], last
            run += 1
        cost, before = self._values[run], self._sums[run]
        steps = (target - before + cost - 1) // cost
        return self._starts[run] + steps, before + steps * cost, run

    def locate(self, total: int, run: int) -> tuple[int, int, int, int]:
        """The item whose interval of sums holds ``total``: (item, its sum, the next item's sum, its run)."""
        ends = self._ends
        while ends[run] <= total:
            run += 1
        cost, before = self._values[run], self._sums[run]
        steps = (total - before) // cost
        here = before + steps * cost
        return self._starts[run] + steps, here, here + cost, run

"""A range coder for runs: one step of the coder passes over all the zeros up to the next one.

Bit planes of decorrelated tokens are mostly zeros, each worth a small fraction of a bit. Coding them one by one
wastes time, so a step codes *where the next one is*. Each decision has a frozen integer cost for being zero,
in 1/4096 bit; the chance that all zeros from i to k hold is 2 ** -(sum of costs), read from an integer table.
The sums of a whole pass are made at once in numpy, so the loop below runs once per one and not once per zero.

The output is a single arithmetic codeword (Martin, "Range encoding", 1979). Any byte prefix of it decodes: the
decoder knows the interval of all codewords that start with the bytes at hand and stops before the first step
that this interval leaves open. ``RunEncoder.certain_bytes`` tells the encoder where each step becomes certain.
A chapter, for example a bit plane, is begun only where more bytes are at hand than a codeword has that ends before it.
So a codeword can end with any chapter, and the bytes of its end say nothing false about a next one.
Everything here is integer arithmetic, the same on every machine.
"""

from __future__ import annotations

from array import array
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


def _bytes_to_settle(low: int, width: int) -> tuple[int, int]:
    """The fewest upper bytes of a window's value such that whatever follows them lies in ``low..low + width - 1``:
    (how many, the least such value with zeros behind them)."""
    for count in range(TOP_BITS // 8 + 1):
        grain = 1 << (TOP_BITS - 8 * count)
        value = -(-low // grain) * grain
        if value + grain <= low + width:
            break
    return count, value


class CostRuns:
    """The costs of a pass as runs of equal cost, with the sums of what came before.

    Args:
        counts: (k,) items of each run; empty runs are left out.
        costs: (k,) cost of a zero at each item of a run, 1..MAX_COST.
    """

    def __init__(self, counts: IntArray, costs: IntArray) -> None:
        filled = counts.nonzero()[0]
        counts, self._costs = counts[filled], costs[filled]
        ends, totals = counts.cumsum(), (counts * self._costs).cumsum()
        self._starts, self._before = ends - counts, totals - counts * self._costs
        self.count = int(ends[-1]) if len(ends) else 0
        self.starts: list[int] = self._starts.tolist()
        self.costs: list[int] = self._costs.tolist()
        self.sums: list[int] = self._before.tolist()  # of the costs before each run
        self.ends: list[int] = totals.tolist()  # of the costs up to the end of each run

    def around(self, items: IntArray) -> tuple[list[int], list[int]]:
        """Sum of the costs before each of the items, and with the item's own."""
        run = self._starts.searchsorted(items, side="right") - 1
        cost = self._costs[run]
        before = self._before[run] + (items - self._starts[run]) * cost
        return before.tolist(), (before + cost).tolist()

    def limit(self, base: int, run: int) -> tuple[int, int, int]:
        """First item at which the costs since ``base`` reach the limit, or the end: (item, its sum, its run).

        ``run`` is the run of ``base``: runs are walked forwards, so every search starts where the last one ended.
        """
        target = base + RUN_LIMIT
        ends = self.ends
        last = len(ends) - 1
        while ends[run] < target:
            if run == last:
                return self.count, ends[last], last
            run += 1
        cost, before = self.costs[run], self.sums[run]
        steps = (target - before + cost - 1) // cost
        return self.starts[run] + steps, before + steps * cost, run


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
        self._begun: list[tuple[int, int]] = []  # steps before each chapter, bytes of a codeword that ends before it
        self._steps = array("q")  # four numbers a step: items known after it, words out, low, range

    @property
    def bytes_out(self) -> int:
        """Bytes that can no longer change except by a carry."""
        return 2 * len(self._words)

    @property
    def _steps_made(self) -> int:
        return len(self._steps) // 4

    def begin(self) -> None:
        """Begin a chapter; see the module."""
        end = self.bytes_out + _bytes_to_settle(self._low, self._range)[0]
        self._begun.append((self._steps_made, max(end, self._least_bytes)))

    @property
    def _least_bytes(self) -> int:
        """Bytes with which the chapter begun last is begun."""
        return self._begun[-1][1] + 1 if self._begun else 0

    def encode_pass(
        self,
        runs: CostRuns,
        ones: IntArray,
        sign_chance: list[int],
        negative: list[bool],
        max_bytes: int | None = None,
    ) -> int:
        """Code one pass; returns how many leading items are coded.

        Args:
            runs: cost of a zero at each item.
            ones: ascending positions of the ones.
            sign_chance: for each one, 65536 * P(negative) in 1..65535, or 0 where no sign is sent.
            negative: for each one, its sign.
            max_bytes: stop soon after so many bytes of the codeword; no pass may follow then.
        """
        max_words = 1 << 62 if max_bytes is None else (max_bytes + 1) // 2
        before, after = runs.around(ones)
        survival, words, count = _SURVIVAL, self._words, runs.count
        step_made, low_limit = self._steps.extend, LOW_LIMIT
        low, width = self._low, self._range
        start, base, run, first_item = 0, 0, 0, self._items
        words_out = len(words)
        for index, target in enumerate([*ones.tolist(), count]):
            while start < count:
                unit = width >> PROBABILITY_BITS
                if target < count and before[index] < base + RUN_LIMIT:
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
                step_made((first_item + start, words_out, low, width))
                while width < low_limit:
                    words_out += 1
                    if low > _WINDOW_MASK:
                        self._carry()
                        low &= _WINDOW_MASK
                    words.append(low >> (TOP_BITS - 16))
                    low = (low & _WORD_MASK) << 16
                    width <<= 16
                if start > target:
                    break
            if words_out > max_words:
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
        """The codeword: the shortest bytes after which every step is certain whatever follows.

        A last chapter of next to nothing, to begin which takes more bytes than it holds, is followed by zeros.
        """
        low, width = self._low, self._range
        if low > _WINDOW_MASK:
            self._carry()
            low &= _WINDOW_MASK
        count, value = _bytes_to_settle(low, width)
        if value > _WINDOW_MASK:
            self._carry()
            value &= _WINDOW_MASK
        words = np.asarray(self._words, dtype=">u2").tobytes()
        return (words + value.to_bytes(TOP_BITS // 8, "big")[:count]).ljust(self._least_bytes, b"\0")

    def certain_bytes(self, codeword: bytes) -> tuple[IntArray, IntArray]:
        """Per step: (items known after it, bytes of the codeword after which the decoder is certain of it)."""
        items, words, lows, widths = np.array(self._steps).reshape(-1, 4).T
        padded = np.frombuffer(codeword + bytes(TOP_BITS // 8 + 2), dtype=np.uint8).astype(np.int64)
        start = np.minimum(2 * words, len(codeword))
        window = np.zeros(len(words), dtype=np.int64)
        for offset in range(TOP_BITS // 8):
            window = (window << 8) | padded[start + offset]
        # With the last ``tail`` bytes of the window unknown, its value lies in a whole grain of 256 ** tail values;
        # what is certain stays so with more bytes, so the number of certain tails tells how many may be missing.
        grains = np.int64(1) << (8 * np.arange(1, TOP_BITS // 8 + 1)[:, None])
        floor = ((window - lows) & _WINDOW_MASK) - (window & (grains - 1))
        missing = ((floor >= 0) & (floor + grains <= widths)).sum(axis=0)
        needed = start + TOP_BITS // 8 - missing
        for step, end in self._begun:
            if step < len(needed):
                needed[step] = max(needed[step], end + 1)
        return items, np.maximum.accumulate(np.minimum(needed, len(codeword)))


class RunDecoder:
    """Reads passes from any byte prefix of a codeword; ``ended`` tells that no further step is certain."""

    def __init__(self, prefix: bytes) -> None:
        even = prefix + bytes(len(prefix) & 1)
        self._words: list[int] = np.frombuffer(even, dtype=">u2").tolist()
        self._length, self._least = len(prefix), 0  # bytes at hand, and those that begin the present chapter
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
            if self._length & 1 and position == len(words) - 1:
                self._gap |= 0xFF
        else:
            self._value <<= 16
            self._gap = (self._gap << 16) | 0xFFFF
        self._next = position + 1

    def begin(self) -> None:
        """Begin a chapter, or end where nothing of it is at hand; see the module."""
        first = self._next - TOP_BITS // 16  # word of the window
        window = 0
        for word in (*self._words[first : self._next], 0, 0, 0)[: TOP_BITS // 16]:
            window = window << 16 | word
        low = (window - self._value) & _WINDOW_MASK  # the encoder's, less its carries
        end = max(2 * first + _bytes_to_settle(low, self._range)[0], self._least)
        self._least = end + 1
        self.ended |= self._length <= end

    def decode_pass(self, runs: CostRuns, sign_chance: IntArray) -> PassResult:
        """Decode one pass whose costs and sign chances (per item, 0 where no sign) both ends know.

        One loop without calls for a step: at a hundred bytes a photo it is most of what decoding takes.
        """
        survival, longest = _SURVIVAL, _LONGEST
        count, costs, starts, sums, ends = runs.count, runs.costs, runs.starts, runs.sums, runs.ends
        value, width, gap = self._value, self._range, self._gap
        ones: list[int] = []
        negative: list[bool] = []
        found, minus_found, chance_of = ones.append, negative.append, sign_chance.item
        low_limit, certain = LOW_LIMIT, 1 << PROBABILITY_BITS
        start, base, run = 0, 0, 0
        surely_one = survival[RUN_LIMIT]  # spares most searches for a run's end
        last_full = (ends[-1] if ends else 0) - RUN_LIMIT
        while start < count:
            unit = width >> PROBABILITY_BITS
            quotient = value // unit
            if quotient >= certain:  # no encoder writes this
                self.ended = True
                break
            none = 0
            if quotient < surely_one or base > last_full:
                end, end_cost, end_run = runs.limit(base, run)
                none = survival[end_cost - base]
            if quotient < none:
                position, minus, below, width = -1, False, 0, unit * none
            else:
                total, end_run = base + longest[quotient], run
                while ends[end_run] <= total:
                    end_run += 1
                cost, before = costs[end_run], sums[end_run]
                steps = (total - before) // cost
                position, before = starts[end_run] + steps, before + steps * cost
                end, end_cost, minus = position + 1, before + cost, False
                lower = survival[end_cost - base]
                below = unit * lower
                width = unit * (survival[before - base] - lower)
                chance = chance_of(position)
                if chance:
                    part = (width * chance) >> PROBABILITY_BITS
                    minus = value - below < part
                    if minus:
                        width = part
                    else:
                        below += part
                        width -= part
            if gap and value - below + gap >= width:
                self.ended = True
                break
            if position >= 0:
                found(position)
                minus_found(minus)
            start, base, run = end, end_cost, end_run
            value -= below
            if width < low_limit:
                self._value, self._range = value, width
                self._widen()
                value, width, gap = self._value, self._range, self._gap
        self._value, self._range = value, width
        return PassResult(ones, negative, start)

    def _widen(self) -> None:
        """Take in words until the range is wide again."""
        while self._range < LOW_LIMIT:
            self._range <<= 16
            self._shift_in()

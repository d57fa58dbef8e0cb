"""States of a tower, quantised, as one codeword: what is near in the grid and in the channel tells how large they are.

::

    integers (T, P, d) --patch by patch, channel by channel--> is it 0? 1? 2? ... sign --binary decisions--> codeword
                       context: magnitudes of the same channel at the left, above, and of all patches before

Every decision has a chance of its own context, which both ends correct after each one by the same integers, so that no
table is sent and none is fitted. Any byte prefix decodes to the integers known so far.
"""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.codec.symbols import TOTAL, SymbolDecoder, SymbolEncoder
from heliograph.codec.tables import Int

MAX_STATES = 1 << 20
"""Integers in one codeword, each of which takes a few microseconds at both ends."""

MAX_MAGNITUDE = 1 << 15
_UNARY = 14
_CONTEXTS, _PER_OCTAVE = 24, 2
_FAST, _SLOW = 4, 7  # shifts by which a chance follows what comes
_LEAST = 64
_HISTORY = 3  # shift by which a channel's mean follows its magnitudes
_ONE = 16  # of a magnitude, in that mean


def encode_states(integers: Int, patches: tuple[int, int]) -> bytes:
    """The codeword of (T, P, d) integers, P of them in (rows, columns) order; magnitudes up to ``MAX_MAGNITUDE``."""
    encoder = SymbolEncoder()
    for tile in integers:
        contexts = _Contexts(tile.shape[1], patches[1])
        for row in tile.tolist():
            before = contexts.row()
            for channel, value in enumerate(row):
                chances = contexts.chances(channel, before)
                magnitude = abs(value)
                for step in range(min(magnitude, _UNARY) + (magnitude < _UNARY)):
                    _encode(encoder, chances, step, step < magnitude)
                if magnitude >= _UNARY:
                    _encode_rest(encoder, magnitude - _UNARY)
                if magnitude:
                    half = TOTAL // 2
                    encoder.encode(*((half, TOTAL) if value < 0 else (0, half)))
                contexts.add(channel, magnitude)
            contexts.next()
    return encoder.finish()


def decode_states(data: bytes, shape: tuple[int, int, int], patches: tuple[int, int]) -> tuple[list[int], int]:
    """The integers of a prefix, in the order in which they were coded, and how many there are; the rest are unknown."""
    decoder, found = SymbolDecoder(data), list[int]()
    for _ in range(shape[0]):
        contexts = _Contexts(shape[2], patches[1])
        for _ in range(shape[1]):
            before = contexts.row()
            for channel in range(shape[2]):
                value = _decode(decoder, contexts.chances(channel, before))
                if value is None:
                    return found, len(found)
                contexts.add(channel, abs(value))
                found.append(value)
            contexts.next()
    return found, len(found)


def _encode(encoder: SymbolEncoder, chances: list[list[int]], step: int, flag: bool) -> None:
    pair = chances[step]
    one = pair[0] + pair[1] >> 1
    encoder.encode(*((one, TOTAL) if flag else (0, one)))
    _follow(pair, flag)


def _follow(pair: list[int], flag: bool) -> None:
    """Move both estimates of the chance of "no" towards what came."""
    goal = _LEAST if flag else TOTAL - _LEAST
    pair[0] += (goal - pair[0]) >> _FAST
    pair[1] += (goal - pair[1]) >> _SLOW


def _encode_rest(encoder: SymbolEncoder, rest: int) -> None:
    """Exponential Golomb code in even bits."""
    length, half = (rest + 1).bit_length(), TOTAL // 2
    bits = [1] * (length - 1) + [0] + [rest + 1 >> place & 1 for place in range(length - 2, -1, -1)]
    for bit in bits:
        encoder.encode(*((half, TOTAL) if bit else (0, half)))


def _decode(decoder: SymbolDecoder, chances: list[list[int]]) -> int | None:
    magnitude = 0
    while magnitude < _UNARY:
        pair = chances[magnitude]
        flag = decoder.decode((0, pair[0] + pair[1] >> 1, TOTAL))
        if flag is None:
            return None
        _follow(pair, bool(flag))
        if not flag:
            break
        magnitude += 1
    if magnitude == _UNARY:
        rest = _decode_rest(decoder)
        if rest is None:
            return None
        magnitude += rest
    sign = decoder.decode_even(2) if magnitude else 0
    return None if sign is None else (-magnitude if sign else magnitude)


def _decode_rest(decoder: SymbolDecoder) -> int | None:
    length, value = 0, 1
    while (bit := decoder.decode_even(2)) == 1:
        length += 1
        if length > MAX_MAGNITUDE.bit_length():
            return None
    for _ in range(length):
        if bit is None:
            return None
        bit = decoder.decode_even(2)
        value = 2 * value + (bit or 0)
    return None if bit is None else value - 1


class _Contexts:
    """What magnitudes so far say of the next one."""

    def __init__(self, channels: int, columns: int) -> None:
        self._columns, self._place = columns, 0
        self._above: list[list[int]] = []
        self._now: list[int] = []
        self._mean = [_ONE] * channels
        half = TOTAL // 2
        self._chances = [[[half, half] for _ in range(_UNARY)] for _ in range(_CONTEXTS)]

    def row(self) -> tuple[Sequence[int], Sequence[int]]:
        """Magnitudes of the patch at the left and of that above; of another where there is none such."""
        self._now = []
        above = self._above[-self._columns] if len(self._above) >= self._columns else None
        left = self._above[-1] if self._above else None
        nothing = [0] * len(self._mean)
        return left or above or nothing, above or left or nothing

    def chances(self, channel: int, before: tuple[Sequence[int], Sequence[int]]) -> list[list[int]]:
        """The chances of the decisions on the next magnitude."""
        near = _ONE * (before[0][channel] + before[1][channel])
        seen = near + 2 * self._mean[channel]
        at = seen.bit_length()
        half = seen >> max(at - 2, 0) & 1
        return self._chances[min(_PER_OCTAVE * at + half, _CONTEXTS - 1)]

    def add(self, channel: int, magnitude: int) -> None:
        """Take in a magnitude."""
        self._now.append(magnitude)
        self._mean[channel] += (min(magnitude, 1 << 10) * _ONE - self._mean[channel]) >> _HISTORY

    def next(self) -> None:
        """The patch is whole."""
        self._above.append(self._now)
        self._above = self._above[-self._columns :]

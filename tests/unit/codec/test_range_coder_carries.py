"""Carries, borders of signs and impossible numbers: rare steps of the range coder, each shown to be taken here.

What is right is known beforehand: the decisions that went in, or a number chosen so that they must carry.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from heliograph.codec.range_coder import COST_UNIT, MAX_COST, TOP_BITS, CostRuns, RunDecoder, RunEncoder

STREAMS = 2000

Passes = list[tuple[CostRuns, np.ndarray, np.ndarray, list[bool]]]
"""Costs, chance of a minus, positions of the ones and their signs, of each pass."""


@dataclass
class WatchedEncoder(RunEncoder):
    """Counts the carries, and how many words of 0xFFFF each went through."""

    through: list[int] = field(default_factory=list)
    in_finish: list[int] = field(default_factory=list)
    finishing: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def _carry(self) -> None:
        full = 0
        while self._words[-1 - full] == 0xFFFF:
            full += 1
        (self.in_finish if self.finishing else self.through).append(full)
        super()._carry()

    def finish(self) -> bytes:
        self.finishing = True
        return super().finish()


def stream(seed: int) -> tuple[Passes, WatchedEncoder]:
    """A short random stream of up to three passes, not yet finished, and the passes."""
    random = np.random.default_rng(seed)
    passes, encoder = [], WatchedEncoder()
    for _ in range(int(random.integers(1, 4))):
        count = int(random.integers(1, 30))
        chance = np.clip(random.random(count) ** random.integers(1, 6), 2e-4, 0.96)
        costs = np.clip(np.rint(-np.log2(1 - chance) * COST_UNIT), 1, MAX_COST).astype(np.int64)
        ones = np.flatnonzero(random.random(count) < chance)
        minus = np.where(random.random(count) < 0.7, random.integers(1, 65536, count), 0)
        signs = ((random.random(count) * 65536 < minus)[ones]).tolist()
        runs = CostRuns(np.ones(count, dtype=np.int64), costs)
        encoder.encode_pass(runs, ones, minus[ones].tolist(), signs)
        passes.append((runs, minus, ones, signs))
    return passes, encoder


def check_decodes(passes: Passes, codeword: bytes) -> None:
    decoder = RunDecoder(codeword)
    for runs, minus, ones, signs in passes:
        found = decoder.decode_pass(runs, minus)
        assert (found.ones, found.negative, found.done) == (ones.tolist(), signs, runs.count)


def test_thousands_of_streams_decode_and_carries_happen_in_finish() -> None:
    in_finish = 0
    for seed in range(STREAMS):
        passes, encoder = stream(seed)
        check_decodes(passes, encoder.finish())
        in_finish += bool(encoder.in_finish)
    assert in_finish >= STREAMS // 20  # or the seeds no longer show what they are here for


def just_below_a_carry(first: int, full_words: int) -> tuple[np.ndarray, list[bool]]:
    """Decisions whose interval lies around ``first`` 0xFFFF 0xFFFF ..., the last of them flipped to the upper side.

    Found by decoding that number. The flip takes the interval past ``first + 1`` 0x0000 ..., so an encoder that has
    written the words of 0xFFFF already must carry through them all.
    """
    number = first.to_bytes(2, "big") + b"\xff" * (2 * full_words + TOP_BITS // 8)
    found = RunDecoder(number).decode_pass(*uneven_items(COUNT))
    last = max(index for index, minus in enumerate(found.negative) if minus)
    return np.asarray(found.ones[: last + 1]), [*found.negative[:last], False]


COUNT = 400


def uneven_items(count: int) -> tuple[CostRuns, np.ndarray]:
    """Items whose chances are no powers of two, or the borders of bits would be borders of decisions."""
    ones = np.ones(count, dtype=np.int64)
    return CostRuns(ones, ones * 3000), np.full(count, 40000)


@pytest.mark.parametrize("full_words", [1, 2, 3, 7])
@pytest.mark.parametrize("first", [0x0000, 0x7FFF, 0x1234, 0xFFFE])
def test_a_carry_goes_through_every_full_word(first: int, full_words: int) -> None:
    ones, signs = just_below_a_carry(first, full_words)
    runs, minus = uneven_items(int(ones[-1]) + 1)
    encoder = WatchedEncoder()
    encoder.encode_pass(runs, ones, minus[ones].tolist(), signs)
    codeword = encoder.finish()
    assert max(encoder.through + encoder.in_finish) >= full_words
    assert int.from_bytes(codeword[:2], "big") == first + 1
    assert not any(codeword[2 : 2 + 2 * full_words])
    check_decodes([(runs, minus, ones, signs)], codeword)


def test_a_number_that_no_encoder_writes_ends_the_decoder_where_the_true_ones_end() -> None:
    """The range is no multiple of 65536: what is left of it at the top belongs to no decision."""
    checked = 0
    for seed in range(300):
        passes, encoder = stream(seed)
        encoder._normalise()
        if encoder._range & 0xFFFF:
            check_impossible_number(passes, encoder)
            checked += 1
    assert checked >= 200


def check_impossible_number(passes: Passes, encoder: RunEncoder) -> None:
    """The largest number of the encoder's interval holds every decision so far, and none beyond."""
    written = int.from_bytes(np.asarray(encoder._words, dtype=">u2").tobytes(), "big")
    top = (written << TOP_BITS) + encoder._low + encoder._range - 1
    decoder = RunDecoder(top.to_bytes(2 * len(encoder._words) + TOP_BITS // 8, "big"))
    for runs, minus, ones, signs in passes:
        found = decoder.decode_pass(runs, minus)
        assert (found.ones, found.negative, found.done) == (ones.tolist(), signs, runs.count)
    assert not decoder.ended
    more = decoder.decode_pass(*uneven_items(20))
    assert (more.ones, more.negative, more.done, decoder.ended) == ([], [], 0, True)


@pytest.mark.parametrize("chance", [1, 2, 1 << 15, 65534, 65535])
@pytest.mark.parametrize("minus", [True, False])
def test_signs_at_the_border_of_their_chance(chance: int, minus: bool) -> None:
    runs = CostRuns(np.array([60]), np.array([COST_UNIT]))
    ones = np.arange(0, 60, 3)
    encoder = RunEncoder()
    encoder.encode_pass(runs, ones, [chance] * len(ones), [minus] * len(ones))
    found = RunDecoder(encoder.finish()).decode_pass(runs, np.full(60, chance))
    assert (found.ones, found.negative) == (ones.tolist(), [minus] * len(ones))

"""The run coder: exact at every cut, as small as its model says, and total on garbage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec import range_coder
from heliograph.codec.range_coder import COST_UNIT, MAX_COST, RUN_LIMIT, CostRuns, RunDecoder, RunEncoder

Pass = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def each_alone(costs: np.ndarray) -> CostRuns:
    """Every item a run of its own."""
    return CostRuns(np.ones(len(costs), dtype=np.int64), costs)


def random_passes(seed: int, passes: int, longest: int) -> list[Pass]:
    """(cost of a zero, chance of a negative sign or 0, positions of ones, is negative) per pass."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(passes):
        count = int(random.integers(0, longest + 1))
        chance = np.clip(random.random(count) ** random.integers(1, 9), 2e-4, 0.96)
        cost = np.clip(np.rint(-np.log2(1 - chance) * COST_UNIT), 1, MAX_COST).astype(np.int64)
        ones = np.flatnonzero(random.random(count) < chance)
        sign = np.where(random.random(count) < 0.7, random.integers(1024, 64512, count), 0)
        made.append((cost, sign, ones, (random.random(count) * 65536 < sign)[ones]))
    return made


def encode(passes: list[Pass]) -> tuple[RunEncoder, bytes]:
    encoder = RunEncoder()
    for cost, sign, ones, negative in passes:
        encoder.encode_pass(each_alone(cost), ones, sign[ones].tolist(), negative.tolist())
    return encoder, encoder.finish()


def encode_chapters(chapters: list[list[Pass]]) -> tuple[RunEncoder, bytes]:
    encoder = RunEncoder()
    for passes in chapters:
        encoder.begin()
        for cost, sign, ones, negative in passes:
            encoder.encode_pass(each_alone(cost), ones, sign[ones].tolist(), negative.tolist())
    return encoder, encoder.finish()


def ideal_bits(passes: list[Pass]) -> float:
    bits = 0.0
    for cost, sign, ones, negative in passes:
        zero = 2.0 ** (-cost / COST_UNIT)
        one = np.zeros(len(cost), dtype=bool)
        one[ones] = True
        bits -= float(np.log2(np.where(one, 1 - zero, zero)).sum())
        chance = sign[ones] / 65536
        signed = chance > 0
        bits -= float(np.log2(np.where(negative, chance, 1 - chance)[signed]).sum())
    return bits


def decode_chapters(chapters: list[list[Pass]], prefix: bytes) -> tuple[int, int]:
    """Number of decisions known, and of chapters begun."""
    decoder, total = RunDecoder(prefix), 0
    for begun, passes in enumerate(chapters):
        decoder.begin()
        for cost, sign, ones, _ in passes:
            if decoder.ended:
                return total, begun
            result = decoder.decode_pass(each_alone(cost), sign)
            assert result.ones == ones[ones < result.done].tolist()
            total += result.done
    return total, len(chapters)


def decode_and_compare(passes: list[Pass], prefix: bytes) -> int:
    """Number of decisions known; every one of them must be right."""
    decoder, total = RunDecoder(prefix), 0
    for cost, sign, ones, negative in passes:
        result = decoder.decode_pass(each_alone(cost), sign)
        known = ones < result.done
        assert result.ones == ones[known].tolist()
        assert result.negative == (negative & (sign[ones] > 0))[known].tolist()
        total += result.done
        if decoder.ended:
            break
    return total


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from([3, 40, 400]))
def test_whole_codeword_gives_every_decision(seed: int, count: int, longest: int) -> None:
    passes = random_passes(seed, count, longest)
    _, codeword = encode(passes)
    assert decode_and_compare(passes, codeword) == sum(len(cost) for cost, *_ in passes)


def test_every_byte_cut_decodes_exactly_what_the_encoder_foresees() -> None:
    for seed in range(6):
        passes = random_passes(seed, 4, 300)
        encoder, codeword = encode(passes)
        items, needed = encoder.certain_bytes(codeword)
        known_before = 0
        for cut in range(len(codeword) + 1):
            known = decode_and_compare(passes, codeword[:cut])
            steps = int(np.searchsorted(needed, cut, side="right"))
            assert known == (int(items[steps - 1]) if steps else 0)
            assert known >= known_before
            known_before = known


@pytest.mark.parametrize("longest", [2, 30, 300])
def test_every_byte_cut_of_chapters_decodes_what_the_encoder_foresees(longest: int) -> None:
    for seed in range(8):
        passes = [one for one in random_passes(seed, 10, longest) if len(one[0])]
        chapters = [passes[:2], passes[2:3], passes[3:]]
        encoder, codeword = encode_chapters(chapters)
        items, needed = encoder.certain_bytes(codeword)
        assert needed[-1] <= len(codeword)
        for cut in range(len(codeword) + 1):
            steps = int(np.searchsorted(needed, cut, side="right"))
            assert decode_chapters(chapters, codeword[:cut])[0] == (int(items[steps - 1]) if steps else 0)


@pytest.mark.parametrize("longest", [1, 2, 6, 60])
def test_a_codeword_can_end_with_any_chapter(longest: int) -> None:
    """Nothing of the next one is read from it, however little they hold; nor are bytes sent that nobody needs."""
    for seed in range(60):
        passes = [one for one in random_passes(seed, 9, longest) if len(one[0])]
        chapters = [[one] for one in passes]
        whole, codeword = encode_chapters(chapters)
        items, needed = whole.certain_bytes(codeword)
        known = 0
        for count in range(1, len(chapters) + 1):
            _, ended = encode_chapters(chapters[:count])
            known += len(chapters[count - 1][0][0])
            assert decode_chapters(chapters, ended) == (known, count)
            assert len(ended) <= needed[int(items.searchsorted(known))]


def test_a_chapter_is_begun_with_a_byte_more_than_an_end_before_it_has() -> None:
    """Of certainties, 20 of 2^-12 bit each: no byte settles them, one begins the first chapter, two the second."""
    none = np.zeros(0, np.int64)
    certain = (np.ones(20, np.int64), np.zeros(20, np.int64), none, none.astype(bool))
    assert encode([certain])[1] == b"\0"
    for count in (1, 2, 3):
        chapters = [[certain]] * count
        assert encode_chapters(chapters)[1] == bytes(count)
        assert decode_chapters([[certain]] * 5, bytes(count)) == (20 * count, count)


def test_codeword_is_within_two_bytes_and_one_percent_of_the_model() -> None:
    for seed in range(20):
        passes = random_passes(seed, 5, 800)
        _, codeword = encode(passes)
        ideal = ideal_bits(passes) / 8
        assert ideal - 0.01 <= len(codeword) <= 1.01 * ideal + 2


def test_bytes_after_a_codeword_change_nothing() -> None:
    passes = random_passes(3, 3, 200)
    _, codeword = encode(passes)
    for tail in (b"\x00" * 9, b"\xff" * 9, b"\x5a"):
        assert decode_and_compare(passes, codeword + tail) == sum(len(cost) for cost, *_ in passes)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80))
def test_garbage_never_crashes(data: bytes) -> None:
    decoder = RunDecoder(data)
    for cost, sign, _, _ in random_passes(9, 4, 200):
        result = decoder.decode_pass(each_alone(cost), sign)
        assert 0 <= result.done <= len(cost)
        assert all(0 <= position < result.done for position in result.ones)
        if decoder.ended:
            break


def test_survival_table_leaves_room_for_every_run() -> None:
    """Any decision inside a run keeps a chance of at least 2 / 65536, whatever its cost."""
    table = np.asarray(range_coder._SURVIVAL)
    assert table[0] == 65536
    assert table[COST_UNIT] == 32768
    assert (table[:RUN_LIMIT] - table[1 : RUN_LIMIT + 1]).min() >= 2
    assert table[-1] > 0
    exact = 65536 * 2.0 ** (-np.arange(len(table)) / COST_UNIT)
    assert np.abs(table - exact).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("ones", [[], [0], [7], list(range(8))])
def test_extreme_costs_round_trip(ones: list[int]) -> None:
    for cost in (1, MAX_COST):
        costs = np.full(8, cost, dtype=np.int64)
        encoder = RunEncoder()
        for _ in range(40):
            encoder.encode_pass(each_alone(costs), np.array(ones, np.int64), [1024] * len(ones), [True] * len(ones))
        decoder = RunDecoder(encoder.finish())
        for _ in range(40):
            result = decoder.decode_pass(each_alone(costs), np.full(8, 1024))
            assert (result.ones, result.done) == (ones, 8)


def test_runs_of_equal_costs_code_as_single_items_do() -> None:
    counts, values = np.array([3, 0, 40, 1, 0, 9]), np.array([700, 5, 30, 9000, 1, 300])
    costs = np.repeat(values, counts)
    ones, signs = np.array([1, 20, 43, 52]), np.zeros(len(costs), dtype=np.int64)
    words = []
    for runs in (CostRuns(counts, values), each_alone(costs)):
        encoder = RunEncoder()
        encoder.encode_pass(runs, ones, [0] * 4, [False] * 4)
        words.append(encoder.finish())
        found = RunDecoder(words[-1]).decode_pass(runs, signs)
        assert (found.ones, found.done) == (ones.tolist(), len(costs))
    assert words[0] == words[1]

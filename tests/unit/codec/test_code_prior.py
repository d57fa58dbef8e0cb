"""Entropy coding of ordered codes: exact, cut anywhere, near its tables' entropy, hostile bytes and tables harmless."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec.code_prior import CodePrior, decode_codes, encode_codes, fit_code_prior
from heliograph.errors import BundleDamagedError, CodecNotFittedError, ShapeError

CODES, GROUPS, SIZE = 8, 8, 4
WORDS = GROUPS * SIZE


def draw(count: int, seed: int) -> np.ndarray:
    """Codes of which the fourth goes with the first, and small ones are likelier."""
    random = np.random.default_rng(seed)
    codes = np.minimum(random.geometric(0.12, size=(count, CODES)) - 1, WORDS - 1)
    codes[:, 4] = (codes[:, 0] + random.integers(0, 2, count)) % WORDS
    return codes.astype(np.int64)


@pytest.fixture(scope="module")
def prior() -> CodePrior:
    return fit_code_prior(draw(4000, 1), GROUPS, SIZE)


def test_every_byte_prefix_gives_leading_codes_exactly(prior: CodePrior) -> None:
    for tiles in (1, 3):
        for codes in draw(12, 2).reshape(-1, tiles, CODES):
            codeword, needed = encode_codes(codes, prior)
            in_order = codes.T.ravel()
            for cut in range(len(codeword) + 1):
                found, known = decode_codes(codeword[:cut], prior, tiles)
                assert np.array_equal(found.T.ravel()[:known], in_order[:known])
                assert not found.T.ravel()[known:].any()
                assert known == int((needed <= cut).sum())
            assert known == tiles * CODES


def test_real_bytes_are_near_the_tables_entropy_and_below_flat_codes(prior: CodePrior) -> None:
    unseen = draw(300, 3)
    real = sum(len(encode_codes(codes[None], prior)[0]) for codes in unseen)
    ideal = float(prior.bits(unseen).sum()) / 8
    assert ideal <= real <= ideal + len(unseen)
    assert ideal < 0.93 * len(unseen) * CODES * np.log2(WORDS) / 8


def test_the_code_that_tells_most_is_the_parent(prior: CodePrior) -> None:
    assert prior.parents[0] == -1
    assert prior.parents[4] == 0
    alone = dataclasses.replace(prior, parents=np.full(CODES, -1))
    unseen = draw(300, 4)
    assert prior.bits(unseen)[:, 4].sum() < 0.9 * alone.bits(unseen)[:, 4].sum()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=40), st.integers(1, 4))
def test_any_bytes_decode_to_words(data: bytes, tiles: int) -> None:
    prior = fit_code_prior(draw(60, 1), GROUPS, SIZE)
    found, known = decode_codes(data, prior, tiles)
    assert found.shape == (tiles, CODES)
    assert 0 <= known <= tiles * CODES
    assert found.min() >= 0
    assert found.max() < WORDS


def test_codes_that_do_not_fit_are_refused(prior: CodePrior) -> None:
    wide, flat = np.zeros((1, CODES + 1), int), np.zeros(CODES, int)
    for wrong in (wide, flat, np.full((1, CODES), WORDS), np.full((1, CODES), -1)):
        with pytest.raises(ShapeError):
            encode_codes(wrong, prior)
    with pytest.raises(CodecNotFittedError):
        fit_code_prior(np.zeros((0, 4), np.int64), GROUPS, SIZE)
    with pytest.raises(ShapeError):
        fit_code_prior(np.full((3, 4), WORDS), GROUPS, SIZE)


@pytest.mark.parametrize(
    "change",
    [
        {"parents": np.arange(CODES)},
        {"parents": np.full(CODES, -2)},
        {"parents": np.zeros((CODES, 1), int)},
        {"groups": np.zeros((CODES, GROUPS, GROUPS + 1), int)},
        {"groups": np.zeros((CODES, GROUPS, GROUPS), int)},
        {"places": np.zeros((CODES, GROUPS, 400), int)},
        {"places": np.full((CODES, GROUPS, SIZE + 1), 65536)},
    ],
)
def test_tables_that_no_fit_makes_are_refused(prior: CodePrior, change: dict[str, np.ndarray]) -> None:
    prior.check()
    with pytest.raises(BundleDamagedError):
        dataclasses.replace(prior, **change).check()

"""Drafts become signals: the newest one's numbers, and how long it has been said."""

from __future__ import annotations

import math

import pytest

from heliograph.codec.expectation import Expectation
from heliograph.controllers.confidence import Draft, signals_of
from heliograph.errors import UsageError
from heliograph.types import Answer


def draft(ids: tuple[int, ...], size: int, bits: float = 0.5) -> Draft:
    return Draft(Answer("x", 2**-bits, bits, ids, 1.5, 0.4, (bits / 2, bits)), size)


def test_signals_are_the_newest_drafts() -> None:
    found = signals_of(
        [draft((1,), 10), draft((2, 3), 30, 0.8)],
        question="what?",
        expectation=Expectation(0.2, 0.3),
        retained_energy=0.6,
    )
    assert (found.min_entropy_bits, found.first_bits, found.entropy_bits, found.margin) == (0.8, 0.4, 1.5, 0.4)
    assert (found.answer_tokens, found.received_bytes, found.question) == (2, 30, "what?")
    assert (found.token_error, found.answer_differs, found.retained_energy) == (0.2, 0.3, 0.6)


def test_stability_counts_drafts_in_a_row_that_say_the_same() -> None:
    sizes = [(7, 10), (7, 20), (8, 30), (7, 40), (7, 55), (7, 60)]
    drafts = [draft((token,), size) for token, size in sizes]
    found = [signals_of(drafts[: count + 1]) for count in range(len(drafts))]
    assert [one.stable_drafts for one in found] == [1, 2, 1, 1, 2, 3]
    assert [one.stable_bytes for one in found] == [0, 10, 0, 0, 15, 20]


def test_what_nobody_knows_stays_unknown() -> None:
    bare = signals_of([Draft(Answer("yes", 0.5, 1.0, (3,)), 12)])
    assert (bare.token_error, bare.answer_differs, bare.retained_energy) == (None, None, None)
    assert bare.first_bits == 1.0
    assert math.isnan(bare.margin)
    with pytest.raises(UsageError):
        signals_of([])

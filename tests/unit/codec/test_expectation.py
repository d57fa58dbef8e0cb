"""The error head reads only what has arrived, ignores what has not, and refuses strange weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heliograph.codec.expectation import ErrorHead, feature_count, prefix_features, question_features
from heliograph.errors import BundleDamagedError

LATENTS, CHANNELS = 6, 3


def head(seed: int = 1) -> ErrorHead:
    rng = np.random.default_rng(seed)
    shapes = [(feature_count(LATENTS), 5), (5,), (5, 2), (2,)]
    return ErrorHead(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))


def latents(tiles: int = 2, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9, 10, (tiles, LATENTS, CHANNELS))


def test_what_has_not_arrived_changes_nothing() -> None:
    first = latents()
    for count in range(2 * LATENTS + 1):
        order = np.arange(LATENTS)[None] * 2 + np.arange(2)[:, None]
        second = np.where((order < count)[..., None], first, 99)
        assert head().expect(first, count) == head().expect(second, count)
        assert np.array_equal(prefix_features(first, count), prefix_features(second, count))


def test_features_are_shares_and_sizes() -> None:
    made = prefix_features(latents(), 6)
    assert made[:3].tolist() == pytest.approx([0.5, 0.25, 0.5**0.5])
    assert made[3] == pytest.approx(np.log1p(np.abs(latents()[:, 0]).sum(axis=-1)).mean())
    assert (made[3:6] > 0).all()
    assert (made[6:] == 0).all()


def test_chances_are_chances_and_errors_positive_even_far_out() -> None:
    huge = replace(head(), out_weights=np.full((5, 2), 1e20, np.float32))
    for one in (head(), huge):
        for count in (0, 3, 12):
            found = one.expect(latents(), count, "how many?")
            assert 0 <= found.answer_differs <= 1
            assert 0 < found.token_error < np.inf


def test_words_count_whatever_their_case_and_no_question_is_nothing() -> None:
    assert not question_features("").any()
    assert not question_features(" ?! ").any()
    assert np.array_equal(question_features("How many stars?"), question_features("how, MANY stars"))
    assert np.linalg.norm(question_features("how many many stars are there")) == pytest.approx(1)
    assert np.isfinite(question_features("x " * 100_000)).all()
    assert head().expect(latents(), 4, "how many?") != head().expect(latents(), 4)


@pytest.mark.parametrize("name", ErrorHead.ARRAYS)
def test_weights_of_another_shape_or_no_number_are_refused(name: str) -> None:
    head().check(LATENTS)
    with pytest.raises(BundleDamagedError):
        head().check(LATENTS + 1)
    values = getattr(head(), name)
    for wrong in (values[:-1], values[..., None], np.where(values > 0, np.nan, values), values + np.float32(3e38)):
        with pytest.raises(BundleDamagedError):
            replace(head(), **{name: wrong}).check(LATENTS)

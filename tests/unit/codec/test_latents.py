"""Entropy coding of ordered integer latents: exact, cut anywhere, near its tables' entropy, hostile bytes harmless."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec.latents import LatentTables, decode_latents, encode_latents, fit_latent_tables
from heliograph.errors import BundleDamagedError, CodecNotFittedError, ShapeError

LATENTS, CHANNELS, REACH = 12, 4, 5


def draw(count: int, seed: int) -> np.ndarray:
    """Latents whose sizes go together within a photo, so that contexts are worth something."""
    random = np.random.default_rng(seed)
    scale = np.exp(random.normal(size=(count, 1, 1))) * np.linspace(2, 0.3, LATENTS)[None, :, None]
    return np.clip(np.rint(random.laplace(size=(count, LATENTS, CHANNELS)) * scale), -REACH, REACH).astype(np.int64)


@pytest.fixture(scope="module")
def tables() -> LatentTables:
    return fit_latent_tables(draw(600, 1), REACH)


def test_every_byte_prefix_gives_leading_latents_exactly(tables: LatentTables) -> None:
    for tiles in (1, 3):
        for latents in draw(12, 2).reshape(-1, tiles, LATENTS, CHANNELS):
            codeword, needed = encode_latents(latents, tables)
            in_order = latents.swapaxes(0, 1).reshape(-1, CHANNELS)
            for cut in range(len(codeword) + 1):
                found, known = decode_latents(codeword[:cut], tables, tiles)
                found = found.swapaxes(0, 1).reshape(-1, CHANNELS)
                assert np.array_equal(found[:known], in_order[:known])
                assert not found[known:].any()
                assert known == int((needed <= cut).sum())
            assert known == tiles * LATENTS


def test_real_bytes_are_near_the_tables_entropy(tables: LatentTables) -> None:
    unseen = draw(200, 3)
    real = sum(len(encode_latents(latents[None], tables)[0]) for latents in unseen)
    ideal = float(tables.bits(unseen).sum()) / 8
    assert ideal <= real <= ideal + len(unseen) * 1.0  # finishing costs less than a byte


def test_contexts_save_bits(tables: LatentTables) -> None:
    unseen = draw(200, 4)
    never = LatentTables(tables.borders, np.full_like(tables.context_borders, 10**6))
    assert tables.bits(unseen).sum() < 0.97 * never.bits(unseen).sum()


def test_symbols_that_were_never_seen_still_code(tables: LatentTables) -> None:
    extreme = np.full((1, LATENTS, CHANNELS), -REACH, dtype=np.int64)
    extreme[:, ::2] = REACH
    codeword, _ = encode_latents(extreme, tables)
    found, known = decode_latents(codeword, tables)
    assert known == LATENTS
    assert np.array_equal(found, extreme)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes_decode_to_something_in_reach(data: bytes) -> None:
    tables = fit_latent_tables(draw(40, 1), REACH)
    found, known = decode_latents(data, tables)
    assert found.shape == (1, LATENTS, CHANNELS)
    assert 0 <= known <= LATENTS
    assert np.abs(found).max() <= REACH


def test_other_shapes_and_values_are_refused(tables: LatentTables) -> None:
    good = draw(1, 5)
    for wrong in (good[0], good[:0], good[:, :-1], good[:, :, :-1], good + 2 * REACH + 1):
        with pytest.raises(ShapeError):
            encode_latents(wrong, tables)
    with pytest.raises(CodecNotFittedError):
        fit_latent_tables(np.zeros((0, 2, 2), np.int64), REACH)
    for reach in (0, 1000):
        with pytest.raises(ShapeError):
            fit_latent_tables(np.zeros((3, 2, 2), np.int64), reach)


def test_one_photo_is_enough_for_tables() -> None:
    latents = draw(1, 6)
    tables = fit_latent_tables(latents, REACH)
    codeword, _ = encode_latents(latents, tables)
    assert np.array_equal(decode_latents(codeword, tables)[0], latents)


@pytest.mark.parametrize("damage", ["start", "end", "order", "contexts", "shape"])
def test_damaged_tables_are_refused(tables: LatentTables, damage: str) -> None:
    borders, contexts = tables.borders.copy(), tables.context_borders.copy()
    if damage == "start":
        borders[0, 0, 0, 0] = 1
    elif damage == "end":
        borders[1, 0, 2, -1] -= 1
    elif damage == "order":
        borders[2, 1, 1, 3] = borders[2, 1, 1, 2]
    elif damage == "contexts":
        contexts[0] = [9, 3]
    else:
        contexts = contexts[:-1]
    with pytest.raises(BundleDamagedError):
        dataclasses.replace(tables, borders=borders, context_borders=contexts).check()

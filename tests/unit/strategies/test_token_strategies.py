"""Strategies that send tokens or a codec's bytes: what is restored, and from which prefixes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from heliograph.codec.header import pack_header
from heliograph.codec.levels import LevelCurve
from heliograph.errors import StreamTruncatedError
from heliograph.registry import STRATEGIES
from heliograph.strategies.token_bytes import read_records, token_records
from heliograph.strategies.token_compression.random_drop import shuffled
from heliograph.types import EncodedImage, VisualTokens
from strategy_tools import GRID, WIDTH, RoundingCodec, Tools, encoded_by, photo, restored_by


@pytest.mark.parametrize("name", ["klt", "meta"])
def test_latent_strategies_pass_bytes_and_prefixes_to_the_codec(name: str) -> None:
    encoded = encoded_by(name, max_bytes=1024)
    assert sum(map(len, encoded.segments)) == 1024
    values = restored_by(encoded.prefix(2)).tokens.values
    expected = Tools().encode_tokens(photo()).values
    assert np.allclose(values.ravel()[:128], expected.ravel()[:128], atol=0.01)
    assert not values.ravel()[128:].any()


@pytest.mark.parametrize(("name", "knob"), [("klt", "level"), ("meta", "latents")])
def test_latent_strategies_end_at_a_level_or_a_bound(name: str, knob: str) -> None:
    """The codec's level is so many values of two bytes."""
    for setting, size in (
        ({knob: 100}, 200),
        ({knob: 100, "max_bytes": 150}, 150),
        ({knob: 60, "max_bytes": 150}, 120),
    ):
        assert sum(map(len, encoded_by(name, **setting).segments)) == size


class Fineness:
    """Tools whose codec of one kind tells the fineness that it was asked for."""

    def __init__(self, curve: LevelCurve | None) -> None:
        self.curve = curve
        self.asked: list[int | None] = []

    def codec(self, kind: str) -> Any:
        made: Any = RoundingCodec()
        made.levels = self.curve

        def encode(
            tokens: VisualTokens, *, level: int | None = None, fineness: int | None, **bounds: Any
        ) -> EncodedImage:
            self.asked.append(fineness)
            return EncodedImage("klt", pack_header(GRID, GRID), ())

        made.encode = encode
        made.takes = lambda grid: False
        return made

    def encode_tokens(self, picture: Any) -> VisualTokens:
        return Tools().encode_tokens(picture)


@pytest.mark.parametrize("name", ["klt", "meta"])  # meta leaves photos that it does not take to klt
def test_a_plane_ends_where_answers_agree_as_often_as_wanted(name: str) -> None:
    strategy, curve = STRATEGIES.load(name)(), LevelCurve((40, 32, 24), (0.0, 0.5, 1.0), 20, 60)
    tools: Any = Fineness(curve)
    for share in (0.5, 0.51, 0.9, 1.0):
        strategy.encode_towards(photo(), tools, {}, share)
    strategy.encode(photo(), tools, {})
    assert tools.asked == [0, 1, 7, 0, None]  # levels 32, 31, 25 and 24
    if name == "klt":
        strategy.encode_towards(photo(), tools, {"level": 9}, 0.9)
        assert tools.asked[-1] is None  # the level that was named counts
    tools = Fineness(None)
    strategy.encode_towards(photo(), tools, {}, 0.9)
    assert tools.asked == [None]


def test_a_strategy_without_levels_sends_the_same_stream_towards_any() -> None:
    strategy = STRATEGIES.load("jpeg")()
    assert strategy.encode_towards(photo(), Tools(), {}, 0.9) == strategy.encode(photo(), Tools(), {})


@pytest.mark.parametrize(("name", "levels", "record"), [("int8", 127, WIDTH + 2), ("int4", 7, WIDTH // 2 + 2)])
def test_uniform_is_within_half_a_step_and_fills_missing_tokens_with_the_mean(
    name: str, levels: int, record: int
) -> None:
    tokens = Tools().encode_tokens(photo()).values
    encoded = encoded_by(name)
    assert encoded.payload_bytes == 64 * record
    restored = restored_by(encoded).tokens.values
    step = np.abs(tokens).max(axis=1, keepdims=True) / levels
    assert (np.abs(restored - tokens) <= step * 0.57).all()  # half a step, and the scale's own rounding
    half = restored_by(encoded.prefix(32)).tokens.values
    assert np.array_equal(half[:32], restored[:32])
    assert np.allclose(half[32:], restored[:32].mean(axis=0), atol=1e-6)
    assert not restored_by(encoded.prefix(0)).tokens.values.any()


@given(st.integers(1, 9), st.sampled_from([4, 8]), st.integers(0, 2**32 - 1))
def test_records_of_any_width_come_back(width: int, bits: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(3, width)).astype(np.float32)
    rows = read_records(token_records(values, bits), width, 3, bits)
    step = np.abs(values).max(axis=1, keepdims=True) / ((1 << (bits - 1)) - 1)
    assert (np.abs(rows - values) <= step * 0.57).all()
    again = read_records(token_records(rows, bits), width, 3, bits)
    assert np.allclose(again, rows, atol=1e-2 * float(step.max()))


def test_random_drop_keeps_what_it_sent_and_differs_between_photos() -> None:
    one, other = encoded_by("random-drop", keep=20), encoded_by("random-drop", photo(seed=2), keep=20)
    assert len(one.segments) == 20
    assert one.header != other.header
    restored = restored_by(one).tokens.values
    whole = restored_by(encoded_by("int8")).tokens.values
    kept = (restored == whole).all(axis=1)
    assert kept.sum() == 20
    assert np.allclose(restored[~kept], whole[kept].mean(axis=0), atol=1e-6)


def test_shuffle_is_pinned_for_ever() -> None:
    assert shuffled(10, 12345).tolist() == [8, 6, 7, 2, 1, 3, 9, 5, 0, 4]
    assert sorted(shuffled(64, 7)) == list(range(64))


def test_downsample_restores_a_constant_exactly_and_a_ramp_nearly() -> None:
    ramp = Image.linear_gradient("L").convert("RGB")
    tokens = Tools().encode_tokens(ramp).values
    for side in (1, 2, 3, 5, 8):
        encoded = encoded_by("downsample", ramp, side=side)
        assert len(encoded.segments) == side * side
        restored = restored_by(encoded).tokens.values
        assert np.allclose(restored.mean(axis=0), tokens.mean(axis=0), atol=0.02)
    inner = slice(16, 48)
    fine = restored_by(encoded_by("downsample", ramp, side=4)).tokens.values
    assert np.abs(fine - tokens)[inner].max() < 0.1
    with pytest.raises(StreamTruncatedError):
        restored_by(encoded_by("downsample", side=4).prefix(15))


@settings(deadline=None)
@given(st.integers(1, 64), st.integers(0, 2**32 - 1), st.floats(1e-6, 1e4))
def test_records_hold_any_tokens(count: int, seed: int, size: float) -> None:
    values = (np.random.default_rng(seed).standard_normal((count, WIDTH)) * size).astype(np.float32)
    restored = read_records(token_records(values), WIDTH, count)
    scale = np.abs(values).max(axis=1, keepdims=True) / 127
    assert (np.abs(restored - values) <= scale * 0.57 + 127 * 2**-25).all()


def test_records_of_zeros_are_zeros() -> None:
    assert not read_records(token_records(np.zeros((3, WIDTH), np.float32)), WIDTH, 3).any()

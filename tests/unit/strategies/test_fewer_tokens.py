"""``visionzip``, ``divprune`` and ``dfmr``: which tokens, in what order, and what damage is called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heliograph.errors import (
    AttentionMissingError,
    CodecMissingError,
    HeliographError,
    ShapeError,
    StreamDamagedError,
    StreamTruncatedError,
)
from heliograph.registry import STRATEGIES
from heliograph.strategies import kept_tokens
from heliograph.strategies.token_compression.dfmr import chosen_factor, window_spread
from heliograph.strategies.token_compression.divprune import diverse
from heliograph.strategies.token_compression.visionzip import contextual_places, dominant_places, merged_tokens
from heliograph.strategies.towers import AttendedTokens
from heliograph.types import EncodedImage, FloatArray, Grid, VisualTokens
from strategy_tools import GRID, WIDTH, Tools, photo

NAMES = ("visionzip", "divprune", "dfmr")


class Lively(Tools):
    """Tokens with some life in them, below the 31 steps that the codec's planes hold, on any grid."""

    def __init__(self, grid: Grid = GRID, seed: int = 0) -> None:
        super().__init__(grid=grid)
        values = np.random.default_rng(seed).laplace(0, 0.3, (grid.tokens, WIDTH))
        object.__setattr__(self, "values", np.clip(values, -0.9, 0.9).astype(np.float32))

    def encode_tokens(self, photo: Any) -> VisualTokens:
        return VisualTokens(self.values, self.grid)  # type: ignore[attr-defined]

    def encode_attended(self, photo: Any) -> AttendedTokens:
        """Attention grows with the first channel, keys are the next four."""
        tokens = self.encode_tokens(photo)
        return AttendedTokens(tokens, tokens.values[:, 0] + 1, tokens.values[:, 1:5])


def encoded(name: str, tools: Any, **setting: Any) -> EncodedImage:
    made: EncodedImage = STRATEGIES.load(name)().encode(photo(), tools, setting)
    return made


def restored(stream: EncodedImage, tools: Any) -> FloatArray:
    values: FloatArray = STRATEGIES.load(stream.strategy)().restore(stream, tools).tokens.values
    return values


# ---- the choice ------------------------------------------------------------------------------------------
def chosen_naively(values: FloatArray, keep: int) -> list[int]:
    """The rule as it is written: D = 1 - cosine; first who is most alone, then who is farthest from all chosen."""
    rows = [row / np.linalg.norm(row) for row in values.astype(np.float64)]
    distance = np.array([[1 - float(a @ b) for b in rows] for a in rows])
    count = len(rows)
    alone = [min(distance[i, j] for j in range(count) if j != i) for i in range(count)]
    picked = [max(range(count), key=lambda i: alone[i])]
    while len(picked) < keep:
        left = [i for i in range(count) if i not in picked]
        picked.append(max(left, key=lambda i: min(distance[i, j] for j in picked)))
    return picked


@pytest.mark.parametrize("seed", range(5))
def test_divprune_chooses_by_the_rule_and_every_prefix_is_a_choice(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(90, 6)).astype(np.float32)
    wanted = chosen_naively(values, 20)
    assert diverse(values, 20) == wanted
    assert diverse(values, 7) == wanted[:7]


def test_equal_and_empty_tokens_are_chosen_once_each() -> None:
    values = np.zeros((9, 4), np.float32)
    values[5:] = 1
    assert sorted(diverse(values, 99)) == list(range(9))
    assert diverse(np.ones((1, 4), np.float32), 3) == [0]


def test_spread_within_windows() -> None:
    """Rows 0, 1, 2 ... in steps of 10: within two rows 5 from their mean, within four the root of 125."""
    grid = Grid(8, 8)
    tokens = VisualTokens(np.repeat(10 * np.arange(8, dtype=np.float32), 8)[:, None] * np.ones(3, np.float32), grid)
    assert window_spread(tokens, 2) == pytest.approx(5, rel=1e-3)
    assert window_spread(tokens, 4) == pytest.approx(125**0.5, rel=1e-3)
    whole = 525**0.5
    assert [chosen_factor(tokens, share / whole) for share in (4.9, 5.1, 11.1, 11.3)] == [1, 2, 2, 4]
    assert [chosen_factor(tokens, tau) for tau in (0.0, 10.0)] == [1, 4]


def test_visionzip_keeps_what_is_looked_at_and_merges_the_rest_by_keys() -> None:
    """Eight tokens: 6 and 1 get most attention; of the rest 0, 2, 3, 4, 5, 7 every third is a target: 0 and 4."""
    values = np.arange(16, dtype=np.float32).reshape(8, 2)
    received = np.array([1, 7, 2, 0, 1, 3, 9, 2], np.float32)
    keys = np.array([[1, 0], [1, 1], [3, 0.1], [0, 2], [0, 1], [9, 1], [0, 0], [-1, 1]], np.float32)
    attended = AttendedTokens(VisualTokens(values, Grid(2, 4)), received, keys)
    assert dominant_places(received, 2) == [6, 1]
    assert dominant_places(received, 4) == [6, 1, 5, 2]  # of equals the first
    targets = contextual_places([6, 1], 8, 2)
    assert targets == [0, 4]
    merged = merged_tokens(attended, [6, 1], targets)
    assert merged.tolist() == [values[[0, 2, 5]].mean(axis=0).tolist(), values[[4, 3, 7]].mean(axis=0).tolist()]
    assert merged_tokens(attended, [6, 1], []).shape == (0, 2)


@pytest.mark.parametrize(("kept", "count"), [(1, 63), (60, 9), (64, 5), (10, 0), (10, 54), (3, 17)])
def test_both_ends_mean_the_same_contextual_places(kept: int, count: int) -> None:
    dominant = np.random.default_rng(kept).permutation(64)[:kept].tolist()
    places = contextual_places(dominant, 64, count)
    assert len(places) == min(count, 64 - kept)
    assert not {*places} & {*dominant}
    assert contextual_places(dominant, 64, len(places)) == places


# ---- streams ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("order", ["chosen", "sorted"])
def test_kept_tokens_come_back_within_a_threshold(order: str) -> None:
    tools = Lively()
    stream = encoded("divprune", tools, keep=20, level=4, order=order)
    found, picked = restored(stream, tools), diverse(tools.values, 20)
    error = np.abs(found - tools.values)[picked]
    assert error.max() <= 2**0.5 / 16  # level 4: half an octave above the step of 1/16
    assert np.abs(found - tools.values).max() > 1
    assert len(stream.header) == (2 if order == "chosen" else 3)


def test_visionzip_restores_dominant_tokens_and_averages() -> None:
    tools = Lively()
    stream = encoded("visionzip", tools, dominant=9, contextual=5, level=4)
    assert len(stream.header) == 4
    attended = tools.encode_attended(None)
    dominant = dominant_places(attended.received, 9)
    targets = contextual_places(dominant, 64, 5)
    found = restored(stream, tools)
    assert np.abs(found - tools.values)[dominant].max() <= 2**0.5 / 16
    assert np.abs(found[targets] - merged_tokens(attended, dominant, targets)).max() <= 2**0.5 / 16
    plain = encoded("visionzip", tools, dominant=9, contextual=0, level=4)
    assert len(plain.header) == 3
    assert plain.payload_bytes < stream.payload_bytes
    counts = []
    for segments in range(len(stream.segments) + 1):
        near = np.abs(restored(stream.prefix(segments), tools) - tools.values).max(axis=1) <= 2**0.5 / 16
        counts.append(next((k for k, place in enumerate(dominant) if not near[place]), 9))
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 9)


def test_a_tower_that_tells_nothing_is_refused_by_name() -> None:
    class Silent(Lively):
        def encode_attended(self, photo: Any) -> AttendedTokens:
            raise AttentionMissingError

    with pytest.raises(AttentionMissingError):
        encoded("visionzip", Silent())


def test_sorted_places_cost_less_and_say_the_same() -> None:
    tools = Lively()
    chosen, ordered = (encoded("divprune", tools, keep=24, level=12, order=order) for order in ("chosen", "sorted"))
    assert 6 < chosen.payload_bytes - ordered.payload_bytes < 11  # log2 of 24! is 79 bits
    assert np.allclose(restored(chosen, tools), restored(ordered, tools), atol=1e-5)


def test_every_prefix_holds_the_choice_for_fewer_tokens() -> None:
    tools = Lively()
    few, many = (encoded("divprune", tools, keep=keep, level=12) for keep in (9, 40))
    short, long = (b"".join(one.segments) for one in (few, many))
    assert long.startswith(short[:-3])
    order, counts = diverse(tools.values, 40), []
    for segments in range(len(many.segments) + 1):
        found = restored(many.prefix(segments), tools)
        count = max(k for k in range(41) if exact(found, tools, order[:k]))
        counts.append(count)
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 40)
    assert len(set(counts)) > 20


def exact(found: FloatArray, tools: Any, places: list[int]) -> bool:
    """Whether tokens lie within a threshold of level 12 of what they were."""
    return bool((np.abs(found - tools.values)[places] <= 2**1.5 / 16).all())


@pytest.mark.parametrize("seed", range(12))
def test_a_stream_ends_where_its_tokens_do(seed: int) -> None:
    """The decoder of a whole stream finds as many tokens as were sent, and never one more, though nobody told it."""
    tools = Lively(seed=seed)
    for keep in (1, 3, 8):
        told, untold = (encoded("divprune", tools, level=30, keep=keep, order=order) for order in ("sorted", "chosen"))
        assert np.allclose(restored(untold, tools), restored(told, tools), atol=1e-5)


@pytest.mark.parametrize("grid", [Grid(8, 8), Grid(3, 5, 2), Grid(1, 1), Grid(7, 2, 3, 640, 480)])
@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("visionzip", {"dominant": 6, "contextual": 3}),
        ("divprune", {"keep": 9}),
        ("dfmr", {"tau": 0.9}),
        ("dfmr", {"tau": 10.0}),
    ],
)
def test_any_grid(name: str, setting: Any, grid: Grid) -> None:
    tools = Lively(grid)
    stream = encoded(name, tools, level=0, **setting)
    assert len(stream.header) <= 16
    found = restored(stream, tools)
    assert found.shape == (grid.tokens, WIDTH)
    assert np.isfinite(found).all()


def test_dfmr_restores_all_tokens_or_averages() -> None:
    tools = Lively()
    whole = restored(encoded("dfmr", tools, tau=0.0, level=0), tools)
    assert np.abs(whole - tools.values).max() <= 1 / 16
    coarse = restored(encoded("dfmr", tools, tau=10.0, level=0), tools)
    windows = tools.values.reshape(2, 4, 2, 4, WIDTH).mean(axis=(1, 3))
    assert np.abs(coarse.reshape(8, 8, WIDTH)[[0, 0, 7, 7], [0, 7, 0, 7]] - windows.reshape(4, WIDTH)).max() <= 1 / 16


def test_dfmr_needs_all_of_its_averages() -> None:
    tools = Lively()
    stream = encoded("dfmr", tools, tau=0.0)
    with pytest.raises(StreamTruncatedError):
        restored(stream.prefix(len(stream.segments) - 1), tools)


# ---- refusals --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "header",
    [
        b"\x0c",
        b"\x0c\x00",
        b"\x0c\xb8",  # a small number of 7
        b"\x8c\x40\x80",  # 65 tokens of 64
        b"\x8c\x80\x00\x80",
        b"\x8c\xff\xff\xff\x80",
        b"\x0c\xc0\x05",
        b"\x0c\x80\x80",
        b"\x0c\x81\xff\x7f\x7f\x00",
    ],
)
def test_a_damaged_header_has_a_name(name: str, header: bytes) -> None:
    with pytest.raises(HeliographError) as told:
        restored(EncodedImage(name, header, (b"\x12\x34\x56" * 20,)), Lively())
    assert isinstance(told.value, StreamDamagedError | StreamTruncatedError) or told.value.name == "stream-version"


def test_an_empty_header_is_cut_short() -> None:
    for name in NAMES:
        with pytest.raises(StreamTruncatedError):
            restored(EncodedImage(name, b"", ()), Lively())


def test_a_grid_that_is_none_of_the_models_is_refused_before_decoding() -> None:
    stream = encoded("divprune", Lively(Grid(9, 9)), keep=3)
    with pytest.raises(ShapeError):
        restored(stream, Lively())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(8))
def test_noise_restores_something_or_has_a_name(name: str, seed: int) -> None:
    tools, random = Lively(), np.random.default_rng(seed)
    stream = encoded(name, tools, level=int(random.integers(0, 40)))
    data = bytearray(b"".join(stream.segments))
    for _ in range(4):
        data[random.integers(len(data))] ^= int(random.integers(1, 256))
    try:
        found = restored(EncodedImage(name, stream.header, (bytes(data),)), tools)
    except (StreamTruncatedError, StreamDamagedError):
        return
    assert np.isfinite(found).all()


def test_more_tokens_than_a_stream_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoded("divprune", Lively(), keep=11, level=20)
    monkeypatch.setattr(kept_tokens, "MAX_ROW_VALUES", 10 * WIDTH + 1)
    assert encoded("divprune", Lively(), keep=10, level=20).payload_bytes < whole.payload_bytes
    with pytest.raises(ShapeError) as told:
        encoded("divprune", Lively(), keep=11, level=20)
    assert "a stream holds 10 tokens, not 11" in "".join(told.value.__notes__)
    assert np.isfinite(restored(whole, Lively())).all()  # of another's stream no more than these are read
    with pytest.raises(ShapeError):
        encoded("dfmr", Lively(), tau=0.0)


def test_tokens_of_another_model_are_refused() -> None:
    for wrong in (np.ones((64, WIDTH + 1), np.float32), np.full((64, WIDTH), np.nan, np.float32)):
        tools = Lively()
        object.__setattr__(tools, "values", wrong)
        for name in NAMES:
            with pytest.raises(ShapeError):
                encoded(name, tools)


def test_a_bundle_without_the_codec_is_refused_before_the_tower_runs() -> None:
    class Bare(Lively):
        def codec(self, kind: str) -> Any:
            raise CodecMissingError

        def encode_tokens(self, photo: Any) -> VisualTokens:
            raise AssertionError("the tower ran")

        def encode_attended(self, photo: Any) -> AttendedTokens:
            raise AssertionError("the tower ran")

    for name in NAMES:
        with pytest.raises(CodecMissingError):
            encoded(name, Bare())

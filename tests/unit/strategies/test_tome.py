"""``tome``: which units become one, the map of clusters, and what any prefix and any damage lead to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.codec import row_clusters
from heliograph.codec.row_clusters import ClusterPlaces
from heliograph.codec.symbols import SymbolDecoder, SymbolEncoder
from heliograph.errors import CodecMissingError, HeliographError, ShapeError, StreamDamagedError, StreamTruncatedError
from heliograph.registry import STRATEGIES
from heliograph.strategies.token_compression import tome
from heliograph.strategies.token_compression.tome import cluster_means, merged_pairs, renumbered
from heliograph.strategies.towers import Shortening, ShortTokens
from heliograph.types import EncodedImage, FloatArray, Grid, VisualTokens
from strategy_tools import GRID, WIDTH, Tools, photo


class Merging(Tools):
    """A tower of two blocks whose keys are the tokens."""

    def __init__(self, grid: Grid = GRID, seed: int = 0) -> None:
        super().__init__(grid=grid)
        values = np.random.default_rng(seed).laplace(0, 0.3, (grid.tokens, WIDTH))
        object.__setattr__(self, "values", np.clip(values, -0.9, 0.9).astype(np.float32))

    @property
    def tower(self) -> Any:
        return SimpleNamespace(shortened=self._shortened)

    def _shortened(self, photo: Any, shorten: Any) -> ShortTokens:
        values: FloatArray = self.values  # type: ignore[attr-defined]
        clusters = np.arange(len(values))
        for block in range(2):
            count = int(clusters.max()) + 1
            left = cluster_means(values, clusters, count)[:, None]
            sizes = np.bincount(clusters)
            assert shorten(Shortening(block, left, None, sizes, clusters)) is None
            becomes = shorten(Shortening(block, left, left, sizes, clusters))
            clusters = clusters if becomes is None else becomes[clusters]
        made = cluster_means(values, clusters, int(clusters.max()) + 1)[clusters]
        return ShortTokens(VisualTokens(made, self.grid), clusters)


def encoded(tools: Any, **setting: Any) -> EncodedImage:
    made: EncodedImage = STRATEGIES.load("tome")().encode(photo(), tools, setting)
    return made


def restored(stream: EncodedImage, tools: Any) -> FloatArray:
    values: FloatArray = STRATEGIES.load("tome")().restore(stream, tools).tokens.values
    return values


# ---- which become one ------------------------------------------------------------------------------------
def test_the_most_alike_pairs_of_even_and_odd_units_become_one() -> None:
    """Of 0, 2, 4 the nearest odd ones by cosine are 3, 1, 5, at .8, .995 and 1; longer keys are no nearer."""
    keys = np.array([[3, 4], [1, 0], [10, 1], [0, 1], [-2, 0], [-1, 0]], np.float32)[:, None]
    now = Shortening(0, keys, keys, np.ones(6, np.int64), np.arange(6))
    assert merged_pairs(now, 1).tolist() == [0, 1, 2, 3, 4, 4]  # type: ignore[union-attr]
    assert merged_pairs(now, 2).tolist() == [0, 1, 1, 2, 3, 3]  # type: ignore[union-attr]
    assert merged_pairs(now, 3).tolist() == [1, 0, 0, 1, 2, 2]  # type: ignore[union-attr]
    assert merged_pairs(now, 99).tolist() == [1, 0, 0, 1, 2, 2]  # type: ignore[union-attr]


def test_nothing_becomes_one_before_attention_or_where_one_is_left() -> None:
    one = np.ones((1, 1, 2), np.float32)
    assert merged_pairs(Shortening(0, one, None, np.ones(1, np.int64), np.zeros(1, np.int64)), 3) is None
    assert merged_pairs(Shortening(0, one, one, np.ones(1, np.int64), np.zeros(1, np.int64)), 3) is None
    two = np.repeat(one, 2, axis=0)
    assert merged_pairs(Shortening(0, two, two, np.ones(2, np.int64), np.arange(2)), 0) is None


def test_clusters_are_numbered_as_they_appear() -> None:
    assert renumbered(np.array([4, 4, 0, 7, 0, 4])).tolist() == [0, 0, 1, 2, 1, 0]


# ---- the map ---------------------------------------------------------------------------------------------
def clusters_of(tokens: int, count: int, seed: int) -> list[int]:
    random = np.random.default_rng(seed)
    found = np.concatenate([np.arange(count), random.integers(0, count, tokens - count)])
    return renumbered(random.permutation(found)).tolist()


@pytest.mark.parametrize(("tokens", "columns", "count"), [(64, 8, 9), (64, 8, 64), (64, 8, 1), (15, 5, 4), (1, 1, 1)])
def test_the_map_comes_back_with_the_first_place_of_each(tokens: int, columns: int, count: int) -> None:
    clusters = clusters_of(tokens, count, seed=count)
    encoder, order = SymbolEncoder(), ClusterPlaces(tokens, columns, count, clusters)
    firsts = [clusters.index(one) for one in range(count)]
    for place in firsts:
        order.encode(encoder, place)
    data = encoder.finish()
    read, decoder = ClusterPlaces(tokens, columns, count), SymbolDecoder(data)
    assert [read.decode(decoder) for _ in range(count)] == firsts
    assert read.clusters == clusters
    assert read.decode(decoder) is None
    if len(data) > 2:
        cut = ClusterPlaces(tokens, columns, count)
        assert cut.decode(SymbolDecoder(data[: len(data) // 2])) is None
        assert cut.clusters == []


def test_a_map_of_neighbours_costs_less_than_its_places() -> None:
    """Sixteen squares of 2 x 2: a flat code takes 4 bits a place, 32 bytes."""
    down, across = np.divmod(np.arange(64), 8)
    clusters = renumbered(down // 2 * 4 + across // 2).tolist()
    encoder = SymbolEncoder()
    ClusterPlaces(64, 8, 16, clusters).encode(encoder, 0)
    assert len(encoder.finish()) < 20


# ---- streams ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("merge", [0, 5, 16, 99])
def test_each_place_gets_its_clusters_token(merge: int) -> None:
    tools = Merging()
    wanted = tools._shortened(None, lambda now: merged_pairs(now, merge))
    stream = encoded(tools, merge=merge, level=4)
    assert len(stream.header) == 3
    assert np.abs(restored(stream, tools) - wanted.tokens.values).max() <= 2**0.5 / 16
    assert len({*wanted.clusters}) == max(64 - 2 * merge, 16)


def test_every_prefix_restores_all_places() -> None:
    tools, counts = Merging(), []
    stream = encoded(tools, merge=8, level=6)
    wanted = tools._shortened(None, lambda now: merged_pairs(now, 8)).tokens.values
    for segments in range(len(stream.segments) + 1):
        found = restored(stream.prefix(segments), tools)
        assert np.isfinite(found).all()
        counts.append(int((np.abs(found - wanted).max(axis=1) <= 2**0.75 / 16).sum()))
    assert counts == sorted(counts)
    assert counts[0] < 16
    assert counts[-1] == 64


@pytest.mark.parametrize("grid", [Grid(3, 5), Grid(1, 1), Grid(7, 2), Grid(2, 3, 2)])
def test_any_grid(grid: Grid) -> None:
    tools = Merging(grid)
    found = restored(encoded(tools, merge=2, level=0), tools)
    assert found.shape == (grid.tokens, WIDTH)
    assert np.isfinite(found).all()


# ---- refusals --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "header", [b"\x0c\x80", b"\x0c\x00", b"\x8c\x40\x80", b"\x8c\x05\x88", b"\x8c\xff\xff\xff\x80", b"\x8c\x05\xc0\x05"]
)
def test_a_damaged_header_has_a_name(header: bytes) -> None:
    with pytest.raises(HeliographError) as told:
        restored(EncodedImage("tome", header, (b"\x12\x34\x56" * 20,)), Merging())
    assert isinstance(told.value, StreamDamagedError | StreamTruncatedError) or told.value.name == "stream-version"


@pytest.mark.parametrize("seed", range(12))
def test_noise_restores_something_or_has_a_name(seed: int) -> None:
    tools, random = Merging(), np.random.default_rng(seed)
    stream = encoded(tools, level=int(random.integers(0, 40)), merge=int(random.integers(0, 20)))
    data = bytearray(b"".join(stream.segments))
    for _ in range(4):
        data[random.integers(len(data))] ^= int(random.integers(1, 256))
    try:
        found = restored(EncodedImage("tome", stream.header, (bytes(data),)), tools)
    except (StreamTruncatedError, StreamDamagedError):
        return
    assert np.isfinite(found).all()


def test_maps_are_bounded_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = Merging()
    stream = encoded(tools, merge=0)
    monkeypatch.setattr(tome, "MAX_WORK", 64 * 64 - 1)
    with pytest.raises(ShapeError, match="64 places and 64 clusters"):
        encoded(tools, merge=0)
    with pytest.raises(StreamDamagedError):
        restored(stream, tools)
    assert row_clusters.MAX_WORK == 1 << 22


def test_a_bundle_without_the_codec_is_refused_before_the_tower_runs() -> None:
    class Bare(Merging):
        def codec(self, kind: str) -> Any:
            raise CodecMissingError

        def _shortened(self, photo: Any, shorten: Any) -> ShortTokens:
            raise AssertionError("the tower ran")

    with pytest.raises(CodecMissingError):
        encoded(Bare())

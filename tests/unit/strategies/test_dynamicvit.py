"""``dynamicvit``: which units go before which block, in what order what stays is sent, and what damage is called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.errors import (
    BundleDamagedError,
    HeliographError,
    PartMissingError,
    ShapeError,
    StreamDamagedError,
    StreamTruncatedError,
)
from heliograph.registry import STRATEGIES
from heliograph.strategies.token_compression.dynamicvit import Choice, kept_units, stages_of, usual_stages
from heliograph.strategies.towers import Shortening, ShortTokens
from heliograph.types import EncodedImage, FloatArray, Grid, VisualTokens
from strategy_tools import GRID, WIDTH, Tools, photo


def part_of(stages: Any = (1, 2)) -> Any:
    """Predictors that want what is large in the channel of their stage."""

    def network(stem: str) -> Any:
        channel = int(stem.removeprefix("stage-"))
        return SimpleNamespace(run=lambda outputs, given: [given["states"][..., channel]])

    return SimpleNamespace(card={"stages": list(stages)}, network=network)


class Pruning(Tools):
    """A tower of four blocks that change nothing."""

    def __init__(self, grid: Grid = GRID, seed: int = 0, part: Any = None) -> None:
        super().__init__(grid=grid)
        values = np.random.default_rng(seed).laplace(0, 0.3, (grid.tokens, WIDTH))
        object.__setattr__(self, "values", np.clip(values, -0.9, 0.9).astype(np.float32))
        object.__setattr__(self, "found", part or part_of())

    def part(self, name: str) -> Any:
        assert name == "dynamicvit"
        return self.found  # type: ignore[attr-defined]

    @property
    def tower(self) -> Any:
        return SimpleNamespace(shortened=self._shortened)

    def _shortened(self, photo: Any, shorten: Any) -> ShortTokens:
        values: FloatArray = self.values  # type: ignore[attr-defined]
        clusters = np.arange(len(values))
        for block in range(4):
            left = values[clusters >= 0][:, None]
            sizes = np.ones(len(left), np.int64)
            becomes = shorten(Shortening(block, left, None, sizes, clusters))
            if becomes is not None:
                held = clusters >= 0
                clusters[held] = becomes[clusters[held]]
            left = values[clusters >= 0][:, None]
            assert shorten(Shortening(block, left, left, np.ones(len(left), np.int64), clusters)) is None
        return ShortTokens(VisualTokens(values, self.grid), clusters)


def encoded(tools: Any, **setting: Any) -> EncodedImage:
    made: EncodedImage = STRATEGIES.load("dynamicvit")().encode(photo(), tools, setting)
    return made


def restored(stream: EncodedImage, tools: Any) -> FloatArray:
    values: FloatArray = STRATEGIES.load("dynamicvit")().restore(stream, tools).tokens.values
    return values


def wanted_places(values: FloatArray, ratio: float) -> list[int]:
    """The best by channel 1, then of these the best by channel 2, the best of all first."""
    first = np.argsort(-values[:, 1], kind="stable")[: int(64 * ratio)]
    order = np.argsort(-values[first, 2], kind="stable")[: int(64 * ratio**2)]
    found: list[int] = first[order].tolist()
    return found


def near(stream: EncodedImage, tools: Any, places: list[int], level: int) -> np.ndarray:
    away: np.ndarray = np.abs(restored(stream, tools) - tools.values)[places].max(axis=1)
    return away <= 2 ** (level / 8) / 16


# ---- the choice ------------------------------------------------------------------------------------------
def test_predictors_stand_after_quarters_of_the_tower() -> None:
    assert usual_stages(12) == (3, 6, 9)
    assert usual_stages(6) == (1, 3, 4)
    assert usual_stages(2) == (1,)


def test_the_units_that_stay_are_as_many_as_the_article_says() -> None:
    assert [kept_units(196, 0.7, stage) for stage in (1, 2, 3)] == [137, 96, 67]
    assert kept_units(10, 0.1, 3) == 1
    assert kept_units(100, 0.57, 1) == 57  # not 56, by rounding


def test_scores_of_a_units_patches_are_averaged() -> None:
    states = np.array([[[0, 9], [0, 1]], [[0, 3], [0, 3]], [[0, 8], [0, 8]]], np.float32)
    choice = Choice(part_of([1]), 0.67)
    becomes = choice(Shortening(1, states, None, np.ones(3, np.int64), np.arange(3)))
    assert becomes is not None
    assert becomes.tolist() == [0, -1, 1]
    assert choice.scores.tolist() == [5, 8]


# ---- streams ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("ratio", [30, 50, 70, 100])
def test_what_stays_comes_back(ratio: int) -> None:
    tools = Pruning()
    stream = encoded(tools, ratio=ratio, level=4)
    places = wanted_places(tools.values, ratio / 100)  # type: ignore[attr-defined]
    assert len(places) == int(64 * (ratio / 100) ** 2)
    assert near(stream, tools, places, 4).all()
    assert len(stream.header) == 2


def test_the_surest_come_first_in_every_prefix() -> None:
    tools = Pruning()
    stream, places = encoded(tools, ratio=70, level=6), wanted_places(tools.values, 0.7)  # type: ignore[attr-defined]
    counts = [
        int(near(stream.prefix(segments), tools, places, 6).cumprod().sum())
        for segments in range(len(stream.segments) + 1)
    ]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 31)


@pytest.mark.parametrize("grid", [Grid(3, 5), Grid(1, 1), Grid(2, 3, 2)])
def test_any_grid(grid: Grid) -> None:
    tools = Pruning(grid)
    found = restored(encoded(tools, ratio=60, level=0), tools)
    assert found.shape == (grid.tokens, WIDTH)
    assert np.isfinite(found).all()


def test_the_cloud_needs_no_predictors() -> None:
    class Cloud(Pruning):
        def part(self, name: str) -> Any:
            raise PartMissingError

    stream = encoded(Pruning(), level=4)
    assert np.isfinite(restored(stream, Cloud())).all()
    with pytest.raises(PartMissingError):
        encoded(Cloud())


# ---- refusals --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stages", [[], "1", [1.5], [300], [-1], list(range(9)), None])
def test_a_part_that_does_not_say_where_predictors_stand(stages: Any) -> None:
    with pytest.raises(BundleDamagedError):
        stages_of(SimpleNamespace(card={"stages": stages}))  # type: ignore[arg-type]


def test_predictors_of_another_width_are_refused() -> None:
    def fail(stem: str) -> Any:
        raise RuntimeError(stem)

    with pytest.raises(ShapeError, match="width"):
        encoded(Pruning(part=SimpleNamespace(card={"stages": [1]}, network=fail)))


@pytest.mark.parametrize("header", [b"\x0c", b"\x0c\x00", b"\x8c\x05\x80", b"\x0c\x88", b"\x0c\xc0\x05"])
def test_a_damaged_header_has_a_name(header: bytes) -> None:
    with pytest.raises(HeliographError) as told:
        restored(EncodedImage("dynamicvit", header, (b"\x12\x34\x56" * 20,)), Pruning())
    assert isinstance(told.value, StreamDamagedError | StreamTruncatedError) or told.value.name == "stream-version"


@pytest.mark.parametrize("seed", range(8))
def test_noise_restores_something_or_has_a_name(seed: int) -> None:
    tools, random = Pruning(), np.random.default_rng(seed)
    stream = encoded(tools, level=int(random.integers(0, 40)))
    data = bytearray(b"".join(stream.segments))
    for _ in range(4):
        data[random.integers(len(data))] ^= int(random.integers(1, 256))
    try:
        found = restored(EncodedImage("dynamicvit", stream.header, (bytes(data),)), tools)
    except (StreamTruncatedError, StreamDamagedError):
        return
    assert np.isfinite(found).all()

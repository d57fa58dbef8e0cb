"""The tables of strategies that send fewer tokens, with a judge that looks at the tokens' error instead of asking."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.bench import fewer_tokens
from heliograph.bench.fewer_tokens import RESTORATION, Comparison, Line
from heliograph.bench.scores import Mean
from heliograph.codec.restoration import Restoration
from heliograph.registry import STRATEGIES
from heliograph.strategies.missing import PLACE, PREDICTED, WAYS
from heliograph.types import FloatArray, VisualTokens
from integer_codec import integer_codec
from strategy_tools import GRID, WIDTH, Tools

PHOTOS = 3


class Smooth(Tools):
    """Tokens alike next to each other, and a codec of whole numbers; both ends at once."""

    def __init__(self) -> None:
        super().__init__()
        codec = integer_codec(contexts=False, grid=GRID, size=WIDTH)
        size, count = 3 * WIDTH, 2
        shape = (codec.tables.planes, size + count, WIDTH)
        codec.restoration = Restoration(
            np.zeros((size, count), np.float32), np.zeros(count, np.float32), np.zeros(shape, np.float32)
        )
        object.__setattr__(self, "klt", codec)

    def codec(self, kind: str) -> Any:
        return self.klt  # type: ignore[attr-defined]

    def encode_tokens(self, photo: Any) -> VisualTokens:
        noise = np.random.default_rng(photo).normal(0, 60, (9, 9, WIDTH))
        smooth = (noise[1:, 1:] + noise[:-1, 1:] + noise[1:, :-1] + noise[:-1, :-1]) / 4
        return VisualTokens(smooth.reshape(64, WIDTH).clip(-30, 30).astype(np.float32), GRID)

    def encode(self, strategy: Any, photo: Any, setting: Any) -> Any:
        return SimpleNamespace(stream=strategy.encode(photo, self, setting))

    @property
    def device(self) -> Any:
        return self


class ErrorJudge:
    """Agreement is one less the error, with three resamples."""

    def __init__(self, model: Any, items: Any, photos: Any) -> None:
        self.exact: FloatArray = np.stack([one.values for one in photos])

    def scores(self, rate: Any, grid: Any) -> Any:
        error = float(np.square(rate.tokens - self.exact).mean() / np.square(self.exact).mean())
        return SimpleNamespace(agreement=lambda: Mean(1 - error, 1 - error + np.array([-0.1, 0, 0.1])))


@pytest.fixture
def comparison(monkeypatch: pytest.MonkeyPatch) -> Comparison:
    monkeypatch.setattr(fewer_tokens, "Judge", ErrorJudge)
    tools = Smooth()
    bundle = SimpleNamespace(grid=GRID, codec=tools.codec)
    bench: Any = SimpleNamespace(device=tools, cloud=tools, bundle=bundle, model=None)
    items: Any = [SimpleNamespace(photo=seed) for seed in range(PHOTOS)]
    return Comparison(bench, items)


def test_ways_are_compared_at_three_settings_of_the_same_bytes(comparison: Comparison) -> None:
    lines = list(comparison.ways("divprune"))
    assert len(lines) == 3 * (len(WAYS) + 1)
    for start in range(0, len(lines), len(WAYS) + 1):
        ways = {one.name.partition(": ")[2]: one for one in lines[start : start + len(WAYS) + 1]}
        assert {one.payload_bytes for one in ways.values()} == {lines[start].payload_bytes}
        usual = ways[PREDICTED]
        assert usual.difference is not None
        assert (usual.difference.value, usual.difference.samples.tolist()) == (0, [0, 0, 0])
        # Tokens follow their neighbours here, so that the prediction is nearest; a restoration of zeros adds nothing.
        assert max(ways.values(), key=lambda one: one.agreement.value) is usual
        assert ways[RESTORATION].agreement.value == pytest.approx(ways[PLACE].agreement.value, abs=1e-3)


def test_rates_are_the_whole_sweep(comparison: Comparison) -> None:
    lines = list(comparison.rates("downsample"))
    assert len(lines) == len(STRATEGIES.load("downsample")().settings())
    assert [one.agreement.value for one in lines] == sorted(one.agreement.value for one in lines)


def test_a_row_of_the_table() -> None:
    mean = Mean(0.75, np.linspace(0.7, 0.8, 101))
    apart = Mean(-0.02, np.linspace(-0.04, 0, 101))
    row = str(Line("divprune: mean", "keep=4", 31.25, mean, apart))
    assert row == "| divprune: mean | keep=4 | 31.2 | 75.0 [70.2, 79.8] | -2.0 [-3.9, -0.1] |"
    assert str(Line("klt", "level=9", 31.25, mean)).count("|") == 5

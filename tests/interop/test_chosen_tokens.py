"""docs/bitstream.md tells enough to write streams of chosen tokens: in another language they have the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.codec.row_places import ChosenPlaces, SortedPlaces
from heliograph.codec.symbols import SymbolEncoder
from heliograph.codec.token_rows import RowCoder, row_statistics
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.strategies.token_compression.divprune import diverse
from heliograph.strategies.token_compression.visionzip import contextual_places
from heliograph.types import Grid, VisualTokens
from integer_codec import integer_codec, integer_tokens

Node = Callable[..., Any]
TOKENS = integer_tokens(7, tiles=3)
KNOWN: list[tuple[str, int, list[int]]] = [
    # of the golden vectors: order, level, places
    ("chosen", 0, diverse(TOKENS.values, 5)),
    ("sorted", 0, sorted(diverse(TOKENS.values, 5))),
    ("chosen", 11, diverse(TOKENS.values, 9)),
    ("", 0, list(range(18))),
    ("dominant", 3, [10, 7, 0, 12]),
    ("chosen", 3, [2, 6, 9, 12, 15]),
    ("chosen", 11, [2, 6, 9, 12, 15, 5, 0, 3, 11, 14, 1, 10, 7, 16, 8, 13, 17, 4]),
]


def integers_of(klt: KltCodec, count: int, level: int, seed: int) -> list[list[int]]:
    """As lively as the codec expects, some far beyond."""
    random = np.random.default_rng(seed)
    scale = 2 ** ((np.asarray(klt.layouts.other_scale_bin[0]) - level) / 8)
    drawn = random.laplace(0, scale * random.choice([0.3, 1, 5], (count, 1)), (count, klt.components))
    found: list[list[int]] = np.trunc(drawn).astype(np.int64).tolist()
    return found


def ours(klt: KltCodec, stream: dict[str, Any]) -> str:
    grid = Grid(*stream["grid"])
    statistics, encoder = row_statistics(klt, grid), SymbolEncoder()
    if stream["s"] > 1:
        statistics = statistics.averaged(grid, -(-grid.rows // stream["s"]), -(-grid.columns // stream["s"]))
    coder, positions = RowCoder(statistics, stream["level"]), len(statistics.mean)
    orders = {"chosen": ChosenPlaces(grid.tokens), "sorted": SortedPlaces(grid.tokens, len(stream["places"]))}
    orders["dominant"] = ChosenPlaces(grid.tokens)
    order, dominant, rows = orders.get(stream["order"]), stream["places"], stream["integers"]
    places = [*dominant, *contextual_places(dominant, grid.tokens, len(rows) - len(dominant))]
    for number, (place, row) in enumerate(zip(places, rows, strict=True)):
        if stream["order"] == "chosen":
            encoder.begin()
        if order is not None and number < len(dominant):
            order.encode(encoder, place)
        coder.encode(encoder, row, place % positions)
    return encoder.finish().hex()


def streams(klt: KltCodec, grids: list[Grid], levels: tuple[int, ...]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for seed, level in enumerate(levels):
        for grid in grids:
            shape = [grid.rows, grid.columns, grid.tiles]
            chosen = np.random.default_rng(seed).permutation(grid.tokens)[: max(1, grid.tokens // 3)].tolist()
            for order, places in (("chosen", chosen), ("sorted", sorted(chosen))):
                rows = integers_of(klt, len(places), level, seed)
                made.append({"grid": shape, "level": level, "integers": rows, "places": places, "order": order, "s": 1})
            rows = integers_of(klt, min(len(chosen) + 3, grid.tokens), level, seed)
            made.append(
                {"grid": shape, "level": level, "integers": rows, "places": chosen, "order": "dominant", "s": 1}
            )
            for s in (1, 2, 4):
                every = list(range(-(-grid.rows // s) * -(-grid.columns // s) * grid.tiles))
                rows = integers_of(klt, len(every), level, seed)
                made.append({"grid": shape, "level": level, "integers": rows, "places": every, "order": "", "s": s})
    return made


def test_streams_of_the_shipped_codec(node: Node) -> None:
    folder = Path(shipped_bundle_folder())
    klt = KltCodec.load(folder)
    given = streams(klt, [Grid(8, 8), Grid(3, 5, 2)], (0, 25, 127))
    made = node("chosen.js", {"klt": str(folder / "klt.safetensors"), "streams": given})
    assert made == [ours(klt, one) for one in given]
    assert len(max(made, key=len)) > 500


@pytest.mark.parametrize("mode", ["dct", "learned"])
def test_streams_of_other_modes(node: Node, tmp_path: Path, mode: str) -> None:
    random = np.random.default_rng(7)
    mixing = random.normal(size=(6, 16))
    sets = []
    for _ in range(24):
        smooth = random.normal(size=(5, 5, 6)).cumsum(axis=0).cumsum(axis=1)[1:, :4].reshape(16, 6)
        sets.append(VisualTokens((smooth @ mixing + random.normal(size=(16, 16)) / 9).astype(np.float32), Grid(4, 4)))
    klt = fit_klt(sets, modes=[mode], contexts=False, restore=False)
    klt.save(tmp_path)
    given = streams(klt, [Grid(4, 4)], (13, 40))
    made = node("chosen.js", {"klt": str(tmp_path / "klt.safetensors"), "streams": given})
    assert made == [ours(klt, one) for one in given]


def test_golden_vectors(node: Node, tmp_path: Path) -> None:
    codec = integer_codec(contexts=False)
    codec.save(tmp_path)
    statistics, given = row_statistics(codec, TOKENS.grid), []
    for order, level, places in KNOWN:
        rows = RowCoder(statistics, level).quantised(TOKENS.values[places], [place % 6 for place in places]).tolist()
        given.append({"grid": [2, 3, 3], "level": level, "integers": rows, "places": places, "order": order, "s": 1})
    made = node("chosen.js", {"klt": str(tmp_path / "klt.safetensors"), "streams": given})
    page = (Path(__file__).parents[1] / "vectors" / "test_token_vectors.py").read_text(encoding="utf-8")
    assert all(f'"{one}"' in page for one in made)

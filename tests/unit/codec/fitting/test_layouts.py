"""Which statistics a fit keeps for its own grid and for others, from made-up coefficients."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.codec.fitting import fit as fitting
from heliograph.codec.fitting.fit import _Fitter
from heliograph.codec.fitting.metric import make_metric
from heliograph.codec.klt import LayoutTables
from heliograph.types import Grid

PLACES = np.full((64, 2, 1), 0.1, np.float32)  # two places of one component, in 64 photos
PLACES[:32, 0], PLACES[:8, 1] = -3, 3
TOKENS = np.array([[[7.0], [3.0]]] * 64, np.float32)


def layouts(mode: str, weighs_grid: bool = False) -> LayoutTables:
    fitter: Any = SimpleNamespace(
        grid=Grid(1, 2),
        mean=np.ones((2, 1), np.float32),
        metric=SimpleNamespace(weighs_grid=weighs_grid),
    )
    transform: Any = SimpleNamespace(mode=mode, step=2.0, forward=np.array([[2.0]], np.float32))
    return _Fitter._layouts(fitter, transform, TOKENS, PLACES)


@pytest.mark.parametrize(("mode", "skew"), [("none", [[5], [5]]), ("dct", [[6], [3]]), ("learned", [[6], [3]])])
def test_places_share_their_skew_and_frequencies_have_their_own(mode: str, skew: list[list[int]]) -> None:
    """32 negative of 32 and none of 8: 48 / 72 together, ln 2 / 0.6 = 1.2 above 4; apart ln 3 / 0.6 and
    ln(16 / 24) / 0.6, 1.8 above and 0.7 below."""
    assert layouts(mode).skew_bin.tolist() == skew


def test_other_grids_have_the_scale_of_all_places() -> None:
    """Means of 1.55 and 0.4625, 1.00625 of all: the first is drawn to (64 x 1.55 + 2 x 1.00625) / 66 = 1.534."""
    made = layouts("none")
    assert made.scale_bin.tolist() == [[5], [-9]]  # 8 log2 1.534 = 4.9, 8 log2 0.4625 = -8.9
    assert made.other_scale_bin.tolist() == [[0], [0]]  # 8 log2 1.00625 = 0.07


def test_frequencies_are_the_same_on_other_grids() -> None:
    made = layouts("dct")
    assert made.other_scale_bin.tolist() == made.scale_bin.tolist() == [[5], [-9]]


@pytest.mark.parametrize(("mode", "weighs_grid"), [("dct", True), ("learned", False), ("learned", True)])
def test_other_grids_have_scales_of_the_plain_cosines(mode: str, weighs_grid: bool) -> None:
    """(6, 2) above the mean, doubled and in steps of 2: sum 8 and difference 4 over the root of 2, 5.66 and 2.83.

    The first is drawn to their mean of 4.24: (64 x 5.66 + 2 x 4.24) / 66 = 5.61.
    """
    made = layouts(mode, weighs_grid)
    assert made.scale_bin.tolist() == [[5], [-9]]
    assert made.other_scale_bin.tolist() == [[20], [12]]  # 8 log2 5.61 = 19.9, 8 log2 2.83 = 12


@pytest.mark.parametrize(("mode", "neighbours"), [("none", True), ("dct", True), ("learned", False)])
@pytest.mark.parametrize(("most", "photos"), [(1000, 60), (240, 60), (239, 30), (79, 15), (1, 1)])
def test_tables_are_fitted_on_every_so_and_so_manieth_photo(
    mode: str, neighbours: bool, most: int, photos: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 photos of 2 x 2 coefficients are 240: all, every second, every fourth, one."""
    seen: list[Any] = []

    def fit_tables(scaled: np.ndarray, layout: Any, activity: bool, count: Any) -> str:
        seen.append((len(scaled), layout, activity))
        return "tables"

    monkeypatch.setattr(fitting, "fit_tables", fit_tables)
    monkeypatch.setattr(fitting, "KltCodec", lambda *parts: parts)
    random = np.random.default_rng(3)
    fitter = object.__new__(_Fitter)
    fitter.grid, fitter.tokens = Grid(1, 2), random.normal(size=(64, 2, 2)).astype(np.float32)
    fitter.mean, fitter.finest = np.zeros((2, 2), np.float32), 0.99
    fitter.metric, fitter.vectors = make_metric(2, (1, 2), None, None), np.eye(2)
    grid, transform, tables, kept = fitter.codec(mode, True, 60, most)  # type: ignore[misc]
    ((count, layout, activity),) = seen
    assert (grid, tables, activity) == (Grid(1, 2), "tables", True)
    assert (count, layout.rows, layout.columns, layout.neighbours) == (photos, 1, 2, neighbours)
    assert layout.scale_bin is kept.scale_bin
    assert layout.skew_bin is kept.skew_bin
    assert transform.mode == mode
    assert transform.step > 0

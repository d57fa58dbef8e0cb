"""One pass over any number of token sets, of any grids, tells what one over all at once would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np
import pytest

from heliograph.codec.fitting import moments as fit_moments
from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.fitting.moments import common_grid, gather_moments, onto_grid
from heliograph.errors import CodecNotFittedError, ShapeError
from heliograph.types import Grid, VisualTokens

MakeTokens = Callable[..., VisualTokens]


class ReadOnce(Sequence[VisualTokens]):
    """Token sets that count how often each one is read."""

    def __init__(self, sets: Sequence[VisualTokens]) -> None:
        self.sets, self.reads = sets, [0] * len(sets)

    def __len__(self) -> int:
        return len(self.sets)

    @overload
    def __getitem__(self, place: int) -> VisualTokens: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[VisualTokens]: ...
    def __getitem__(self, place: int | slice) -> VisualTokens | Sequence[VisualTokens]:
        return self.sets[place]

    def __iter__(self) -> Iterator[VisualTokens]:
        for place, tokens in enumerate(self.sets):
            self.reads[place] += 1
            yield tokens


def sets_of(grids: Sequence[Grid], width: int = 5, offset: float = 0.0) -> list[VisualTokens]:
    draw = np.random.default_rng(3)
    return [VisualTokens(draw.normal(offset, 1, (g.tokens, width)).astype(np.float32), g) for g in grids]


def test_moments_of_one_pass_are_those_of_all_at_once() -> None:
    sets = ReadOnce(sets_of([Grid(2, 3, tiles) for tiles in (1, 2, 3)], offset=300.0))
    found = gather_moments(sets, [one.grid for one in sets.sets], None)
    tiles = np.concatenate([one.values.reshape(-1, 6, 5) for one in sets.sets]).astype(np.float64)
    centred = tiles - tiles.mean(axis=0)
    np.testing.assert_allclose(found.mean, tiles.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.scatter, np.einsum("ipd,ipe->de", centred, centred), rtol=1e-3, atol=1e-2)
    np.testing.assert_array_equal(found.sample, tiles.astype(np.float32))
    assert (found.grid, found.one_grid) == (Grid(2, 3, 1), True)
    assert sets.reads == [1, 1, 1]


def test_positions_can_be_weighed() -> None:
    sets = sets_of([Grid(2, 3)] * 9)
    root = np.diag([2.0, 1, 1, 1, 1, 0])
    found = gather_moments(sets, [one.grid for one in sets], root)
    tiles = np.stack([one.values for one in sets]).astype(np.float64)
    weighed = root @ (tiles - tiles.mean(axis=0))
    np.testing.assert_allclose(found.scatter, np.einsum("ipd,ipe->de", weighed, weighed), rtol=1e-4, atol=1e-4)


def test_the_sample_is_bounded_and_spread_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_moments, "MAX_SAMPLED", 4 * 30)
    sets = sets_of([Grid(2, 3)] * 16)
    found = gather_moments(sets, [one.grid for one in sets], None)
    assert [next(i for i, one in enumerate(sets) if (one.values == tile).all()) for tile in found.sample] == [
        3,
        7,
        11,
        15,
    ]


def test_the_common_grid_is_that_of_most_photos() -> None:
    assert common_grid([Grid(2, 2, 1, 10, 20), Grid(4, 4, 2, 30, 40), Grid(2, 2, 1, 10, 30)]) == Grid(2, 2)
    assert common_grid([Grid(2, 2, 3, 10, 20), Grid(2, 2, 3, 10, 20)]) == Grid(2, 2, 3, 10, 20)
    assert common_grid([Grid(2, 2, 3), Grid(2, 2, 4)]) == Grid(2, 2, 1)
    assert common_grid([Grid(2, 2), Grid(3, 3)]) == Grid(3, 3)
    with pytest.raises(CodecNotFittedError):
        common_grid([])


def test_a_smooth_picture_is_the_same_on_another_grid() -> None:
    before, after = Grid(6, 8), Grid(9, 5)

    def picture(grid: Grid) -> np.ndarray:
        down = (np.arange(grid.rows)[:, None] + 0.5) / grid.rows
        across = (np.arange(grid.columns)[None] + 0.5) / grid.columns
        return np.stack([np.cos(np.pi * down) + 0 * across, 3 + np.cos(2 * np.pi * across) * down**0], axis=-1)

    moved = onto_grid(picture(before).reshape(48, 2).astype(np.float32), before, after)
    np.testing.assert_allclose(moved, picture(after).reshape(45, 2), atol=1e-5)


def test_numbers_on_another_grid_by_hand() -> None:
    """A row of two onto four: its mean stays, its slope is the lowest cosine; four onto two by their lower cosines."""
    pair = np.array([[1.0, 10.0], [3.0, 10.0]], dtype=np.float32)
    slope = np.cos(np.pi * np.array([1, 3, 5, 7]) / 8) / np.cos(np.pi / 4)
    wide = onto_grid(pair, Grid(1, 2), Grid(1, 4))
    np.testing.assert_allclose(wide, np.stack([2 - slope, np.full(4, 10.0)], axis=1), atol=1e-6)
    np.testing.assert_allclose(onto_grid(wide, Grid(2, 2), Grid(2, 2)), wide, atol=1e-6)
    np.testing.assert_allclose(onto_grid(wide, Grid(1, 4), Grid(1, 2)), pair, atol=1e-6)
    np.testing.assert_allclose(onto_grid(wide, Grid(4, 1), Grid(2, 1)), pair, atol=1e-6)


def test_photos_of_many_sizes_make_one_codec_for_all(make_tokens: MakeTokens) -> None:
    sizes = [(4, 6), (4, 6), (6, 4), (5, 5), (4, 6), (3, 6)] * 6
    sets = [make_tokens(seed, rows=rows, columns=columns) for seed, (rows, columns) in enumerate(sizes)]
    codec = fit_klt(sets)
    assert (codec.grid.rows, codec.grid.columns) == (4, 6)
    assert codec.transform.mode != "learned"
    for seed, (rows, columns) in enumerate([(4, 6), (6, 4), (8, 8), (1, 3)]):
        tokens = make_tokens(1000 + seed, rows=rows, columns=columns)
        encoded = codec.encode(tokens)
        left, empty = (
            float(np.square(codec.decode(encoded.header, part).values - tokens.values).sum())
            for part in (encoded.segments, ())
        )
        assert left < 0.2 * empty


def test_what_does_not_fit_is_refused() -> None:
    good = sets_of([Grid(2, 3)] * 8)
    grids = [one.grid for one in good]
    wrong: list[tuple[VisualTokens, type[Exception]]] = [
        (VisualTokens(good[0].values[:, :4], Grid(2, 3)), ShapeError),
        (VisualTokens(good[0].values[:4], Grid(2, 3)), ShapeError),
        (VisualTokens(np.full((6, 5), np.nan, np.float32), Grid(2, 3)), CodecNotFittedError),
    ]
    for one, error in wrong:
        with pytest.raises(error):
            gather_moments([*good[:7], one], grids, None)
    with pytest.raises(CodecNotFittedError):
        gather_moments([good[0]] * 8, grids, None)
    with pytest.raises(CodecNotFittedError):
        gather_moments([], grids, None)

"""How tokens of photos lie, with a made-up processor and tower: bounds, what is kept, and what is refused before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from PIL import Image

from heliograph.errors import ModelUnsupportedError, ShapeError
from heliograph.types import Grid
from heliograph.vlm.photo_layouts import PhotoLayouts, _grid, check_pixels, photo_size

PLACE = 5


class Made:
    """A family with ``tokens(width, height)`` tokens a photo, and as many placeholders, or one less."""

    def __init__(
        self, tokens: Any = lambda width, height: 6, missing: int = 0, placeholder: int | None = PLACE
    ) -> None:
        self.tokens, self.missing = tokens, missing
        self.processed: list[list[tuple[int, int]]] = []
        self.towers = 0
        self.layouts = PhotoLayouts(self.process, self.features, placeholder, 100)

    def process(self, photos: Sequence[Image.Image]) -> dict[str, Any]:
        assert all(photo.getpixel((0, 0)) == (128, 128, 128) for photo in photos)
        self.processed.append([photo.size for photo in photos])
        count = sum(self.tokens(*photo.size) for photo in photos)
        return {"input_ids": torch.tensor([[1, *[PLACE] * (count - self.missing), 2]]), "count": count}

    def features(self, made: dict[str, Any]) -> torch.Tensor:
        self.towers += 1
        return torch.ones(1, made["count"], 3)


def test_a_usual_photo_shows_whether_placeholders_are_tokens() -> None:
    made = Made()
    layout, grid = made.layouts.first((9, 7))
    assert (layout.rows, layout.width, grid) == (6, 3, Grid(1, 6, 1, 9, 7))
    assert made.layouts.grid((9, 7)) == grid
    assert made.towers == 1  # the grid came from the placeholders alone
    other = Made(missing=1)
    assert other.layouts.first((9, 7))[1].tokens == 6
    assert other.layouts.grid((9, 7)).tokens == 6
    assert other.towers == 2  # there they tell nothing
    nameless = Made(placeholder=None)
    assert nameless.layouts.grid((9, 7)).tokens == 6
    assert nameless.layouts.first((9, 7))[1].tokens == 6
    assert nameless.towers == 2


def test_sizes_are_asked_for_once_and_bounded_in_number() -> None:
    made = Made()
    sizes = [(width, 1) for width in range(1, 1026)]
    for size in [*sizes[:1024], *sizes[:1024]]:
        made.layouts.grid(size)
    assert len(made.processed) == 1024
    made.layouts.grid(sizes[1024])
    made.layouts.grid(sizes[0])  # pushed out by the last one
    assert len(made.processed) == 1026


def test_layouts_are_kept_and_bounded_in_number() -> None:
    made = Made()
    sizes = [((width, 1),) for width in range(1, 66)]
    for one in [*sizes[:64], *sizes[:64]]:
        made.layouts.of(one)
    assert made.towers == 64
    made.layouts.of(sizes[64])
    made.layouts.of(sizes[0])
    assert made.towers == 66


def test_photos_together_are_the_sum_of_each() -> None:
    made = Made(lambda width, height: width)
    assert made.layouts.of(((2, 1), (3, 1))).rows == 5
    odd = Made()
    odd.tokens = lambda width, height: 6 if len(odd.processed[-1]) == 1 else 5
    assert odd.layouts.of(((2, 1),)).rows == 6
    with pytest.raises(ModelUnsupportedError) as caught:
        odd.layouts.of(((2, 1), (3, 1)))
    assert caught.value.__notes__ == ["2 photos together have 10 tokens, and one after the other 12."]


def test_a_layout_can_be_used_where_gradients_are_wanted() -> None:
    with torch.inference_mode():
        layout = Made().layouts.of(((2, 1),))
    assert not layout.sample.is_inference()


@pytest.mark.parametrize(
    ("size", "within"), [((2048, 2048), True), ((2049, 2048), False), ((1 << 22, 1), True), ((1, (1 << 22) + 1), False)]
)
def test_any_photo_has_at_most_four_million_pixels(size: tuple[int, int], within: bool) -> None:
    if within:
        check_pixels(size)
        return
    made = Made()
    with pytest.raises(ShapeError):
        made.layouts.of((size,))
    assert not made.processed


def stated(size: tuple[int, int], tokens: int = 6) -> Grid:
    return Grid(1, tokens, 1, *size)


def accepts(made: Made, grid: Grid) -> bool:
    before = len(made.processed)
    try:
        made.layouts.check(grid)
    except ShapeError:
        assert len(made.processed) == before, "something was made for it"
        return False
    return True


def test_a_stated_photo_has_at_most_a_million_pixels() -> None:
    made = Made()
    assert accepts(made, stated((1024, 1024)))
    assert not accepts(made, stated((1025, 1024)))


@pytest.mark.parametrize(
    ("expected", "within", "beyond"),
    [
        ((100, 100), (1024, 1024), (1025, 1024)),  # a small one changes nothing
        ((1200, 1000), (1200, 2000), (1200, 2001)),  # twice its pixels, in any shape
        ((4000, 4000), (2048, 2048), (2049, 2048)),  # never more than of any photo
    ],
)
def test_photos_like_the_fitted_ones_may_be_stated(
    expected: tuple[int, int], within: tuple[int, int], beyond: tuple[int, int]
) -> None:
    made = Made()
    made.layouts.expect(stated(expected))
    assert accepts(made, stated(within))
    assert not accepts(made, stated(beyond))


def test_more_tokens_than_a_prompt_can_hold_are_refused_at_once() -> None:
    assert accepts(Made(lambda width, height: 100), Grid(10, 10, 1, 9, 7))
    assert not accepts(Made(lambda width, height: 101), stated((9, 7), 101))
    boundless = PhotoLayouts(Made(lambda width, height: 101).process, lambda made: None, PLACE, None)
    boundless.check(stated((9, 7), 101))


def test_a_grid_that_is_not_the_photos_own_is_refused() -> None:
    with pytest.raises(ShapeError):
        Made().layouts.check(stated((9, 7), 5))
    for size in ((0, 5), (5, 0), (-1, 5)):
        with pytest.raises(ShapeError):
            photo_size(stated(size))
    assert photo_size(stated((1, 2))) == (1, 2)


THW, PIXELS = "image_grid_thw", "pixel_values"
GRIDS = [
    (4, {}, Grid(2, 2, 1, 30, 20)),
    (6, {}, Grid(1, 6, 1, 30, 20)),
    (8, {PIXELS: torch.zeros(1, 2, 3, 4, 4)}, Grid(2, 2, 2, 30, 20)),  # two tiles of four
    (9, {PIXELS: torch.zeros(1, 2, 3, 4, 4)}, Grid(3, 3, 1, 30, 20)),  # no two squares: one
    (10, {PIXELS: torch.zeros(1, 2, 3, 4, 4)}, Grid(1, 10, 1, 30, 20)),
    (8, {PIXELS: torch.zeros(2, 3, 4, 4)}, Grid(1, 8, 1, 30, 20)),  # photos, no tiles
    (6, {THW: torch.tensor([[1, 4, 6]])}, Grid(2, 3, 1, 30, 20)),  # four patches to a token
    (24, {THW: torch.tensor([[1, 4, 6]])}, Grid(4, 6, 1, 30, 20)),
    (12, {THW: torch.tensor([[2, 4, 6]])}, Grid(2, 3, 2, 30, 20)),
    (9, {THW: torch.tensor([[1, 4, 6]])}, Grid(3, 3, 1, 30, 20)),  # not as its patches lie
    (0, {THW: torch.tensor([[1, 4, 6]])}, Grid(0, 0, 1, 30, 20)),
]


@pytest.mark.parametrize(("rows", "made", "grid"), GRIDS)
def test_grids_by_hand(rows: int, made: dict[str, Any], grid: Grid) -> None:
    assert _grid(rows, (30, 20), made) == grid

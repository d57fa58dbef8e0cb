"""How the tokens of photos of given sizes lie, asked of the model's own processor and tower with grey photos.

::

    Grid of a stream --bounds, nothing made--> processor on a grey photo --placeholders--> the grid of such a photo
                                                                    only then: tower --> layout

A size is a stranger's word, so the cheap steps come first and each may refuse: a grid that says a photo of 2**28 pixels
costs a comparison. What is kept of a size is the shapes alone, no values.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from PIL import Image

from heliograph.errors import ModelUnsupportedError, ShapeError
from heliograph.strategies.towers import GREY
from heliograph.types import Grid
from heliograph.vlm.image_features import FeatureLayout, layout_of, without_values

Size = tuple[int, int]

_MAX_CLAIMED_PIXELS = 1 << 20
"""Bound of a photo whose size a stream states, unless larger ones are expected; grey ones cost tens of milliseconds."""

MAX_PIXELS = 1 << 22
"""Bound of any photo: some families make ever more tokens of more pixels, and a picture of one colour has few bytes."""

_MAX_GRIDS = 1024
_MAX_LAYOUTS = 64


class PhotoLayouts:
    """Layouts by sizes.

    Args:
        process: what the model's own processor makes of photos.
        features: what its tower makes of that.
        placeholder: id that stands in a prompt for one visual token; None where the family names none.
        positions: longest prompt; None for no bound.
    """

    def __init__(
        self,
        process: Callable[[Sequence[Image.Image]], dict[str, Any]],
        features: Callable[[dict[str, Any]], Any],
        placeholder: int | None,
        positions: int | None,
    ) -> None:
        self._process, self._features = process, features
        self._most_claimed = _MAX_CLAIMED_PIXELS
        self._placeholder, self._positions = placeholder, positions
        self._one_at_a_time = threading.Lock()  # grids are asked for beside the model's thread
        self._kept = lru_cache(maxsize=_MAX_LAYOUTS)(self._make)
        self._grids = lru_cache(maxsize=_MAX_GRIDS)(self._make_grid)

    def first(self, size: Size) -> tuple[FeatureLayout, Grid]:
        """The layout of photos of a usual size; tells whether placeholders are tokens in this family, too.

        Raises:
            Exception: whatever goes wrong inside foreign code on its first photo.
        """
        made = self._process([_grey(size)])
        layout = layout_of(self._features(made))
        if self._placeholder is not None and self._count(made) != layout.rows:
            self._placeholder = None
        return layout, _grid(layout.rows, size, made)

    def of(self, sizes: tuple[Size, ...]) -> FeatureLayout:
        """The layouts of photos of these sizes, together.

        Raises:
            ShapeError: a size that the processor does not take, or of too many pixels.
            ModelUnsupportedError: photos shown together are not the sum of each.
        """
        for size in sizes:
            check_pixels(size)
        return self._kept(sizes)

    def grid(self, size: Size) -> Grid:
        """The grid of one photo of a size.

        Raises:
            ShapeError: a size that the processor does not take.
        """
        return self._grids(size)

    def expect(self, grid: Grid) -> None:
        """Let streams state photos of about this one's size, or smaller; of other shapes some have twice the pixels."""
        pixels = 2 * grid.photo_width * grid.photo_height
        self._most_claimed = min(max(self._most_claimed, pixels), MAX_PIXELS)

    def check_size(self, size: Size) -> None:
        """Refuse a stated size, before anything is made for it.

        Raises:
            ShapeError: more pixels than may be stated.
        """
        if size[0] * size[1] > self._most_claimed:
            raise ShapeError().noted(f"a photo of {size[0]}x{size[1]} pixels is larger than what may be stated here.")

    def check(self, grid: Grid) -> None:
        """Refuse a stated grid that no photo of the stated size has, before anything is made for it.

        Raises:
            ShapeError: sides or tokens out of bounds, or another grid than that of such a photo.
        """
        size = photo_size(grid)
        self.check_size(size)
        if grid.tokens > (self._positions or grid.tokens):
            raise ShapeError().noted(f"{grid} has more tokens than this model's prompts.")
        if self.grid(size) != grid:
            raise ShapeError().noted(f"a photo of {size[0]}x{size[1]} pixels has {self.grid(size)}, not {grid}.")

    def _make_grid(self, size: Size) -> Grid:
        with self._one_at_a_time:
            made = self._process([_grey(size)])
        if self._placeholder is None:
            return _grid(self.of((size,)).rows, size, made)
        return _grid(self._count(made), size, made)

    @torch.inference_mode(mode=False)  # a layout is kept, and may come to be used where gradients are wanted
    @torch.no_grad()
    def _make(self, sizes: tuple[Size, ...]) -> FeatureLayout:
        made = self._process([_grey(size) for size in sizes])
        layout = without_values(layout_of(self._features(made)))
        alone = [self._kept((size,)).rows for size in sizes] if len(sizes) > 1 else [layout.rows]
        if sum(alone) != layout.rows:
            raise ModelUnsupportedError().noted(
                f"{len(sizes)} photos together have {layout.rows} tokens, and one after the other {sum(alone)}."
            )
        return layout

    def _count(self, made: dict[str, Any]) -> int:
        return int((made["input_ids"] == self._placeholder).sum())


def check_pixels(size: Size) -> None:
    """Bound what a photo may cost.

    Raises:
        ShapeError: more than :data:`MAX_PIXELS`.
    """
    if size[0] * size[1] > MAX_PIXELS:
        raise ShapeError().noted(f"a photo of {size[0]}x{size[1]} pixels has over {MAX_PIXELS} of them.")


def photo_size(grid: Grid) -> Size:
    """Width and height of the photo.

    Raises:
        ShapeError: the grid does not say.
    """
    size = grid.photo_width, grid.photo_height
    if min(size) < 1:
        raise ShapeError().noted("a grid for this model must state its photo's size in pixels.")
    return size


def _grey(size: Size) -> Image.Image:
    return Image.new("RGB", size, GREY)


def _grid(rows: int, size: Size, made: dict[str, Any]) -> Grid:
    """How one photo's tokens lie: as its patches do, merged; else in square tiles or one square; else in one row."""
    width, height = size
    if "image_grid_thw" in made:
        patches = made["image_grid_thw"][0].tolist()
        merged = math.isqrt(math.prod(patches) // rows) if rows else 0
        if merged and math.prod(patches) == rows * merged**2:
            return Grid(patches[1] // merged, patches[2] // merged, patches[0], width, height)
    pixels = made.get("pixel_values")
    tiles = int(pixels.shape[1]) if pixels is not None and pixels.ndim == 5 else 1  # (photos, tiles, 3, H, W)
    for count in (tiles, 1):
        side = math.isqrt(rows // count)
        if side * side * count == rows:
            return Grid(side, side, count, width, height)
    return Grid(1, rows, 1, width, height)

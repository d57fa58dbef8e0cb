"""Where to look: boxes around text that the device found, where contrast is highest, by chance, and the true place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.bench.second_look.questions import legible, vqa_form
from heliograph.boxes import PixelBox
from heliograph.controllers.region.find import Found, find_box
from heliograph.controllers.region.policies import FirstLook
from heliograph.controllers.region.random_box import RandomBox
from heliograph.edge.reader import Line
from heliograph.strategies.baseline.pictures import shrunk

MARGIN = 0.25
"""Around a line, in heights of it: a detector's boxes sit tight."""

_Boxes = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

_MAP_SIDE = 224  # pixels that contrast is looked for in: what the first stage shows
_CELL = 8  # pixels of a cell of its map


@dataclass(frozen=True)
class Cut:
    """One crop to send.

    Attributes:
        box: of the photo.
        size: longest edge in pixels at which it is sent, not above its own.
    """

    box: PixelBox
    size: int


def text_cuts(
    lines: Sequence[Line], photo_size: tuple[int, int], *, crops: int, line_height: int | None = None
) -> list[Cut]:
    """Crops around all lines, those of the fewest pixels first.

    Lines are joined two by two, always those whose joining adds the fewest pixels, until so many crops are left, and
    further as long as joining saves pixels. A crop is sent at a size at which its lowest line keeps ``line_height``.

    Args:
        lines: of a detector, in pixels of the photo.
        photo_size: its width and height.
        crops: at most.
        line_height: pixels that the lowest line of a crop keeps; None sends crops as they are.
    """
    if not lines:
        return []
    boxes = np.array([_with_margin(line, photo_size) for line in lines], dtype=np.int64)  # (n, 4)
    heights = np.array([line.height for line in lines], dtype=np.float64)  # (n,)
    while len(boxes) > 1:
        around, lowest = _joined(boxes[:, None], boxes[None]), np.minimum(heights[:, None], heights[None])
        pixels = _pixels(boxes, heights, line_height)
        added = _pixels(around, lowest, line_height) - pixels[:, None] - pixels[None]  # (n, n)
        added[np.tril_indices(len(boxes))] = inf
        one, two = map(int, np.unravel_index(int(np.argmin(added)), added.shape))
        if len(boxes) <= crops and added[one, two] > 0:
            break
        boxes[one], heights[one] = around[one, two], lowest[one, two]
        boxes, heights = np.delete(boxes, two, axis=0), np.delete(heights, two)
    order = np.argsort(_pixels(boxes, heights, line_height), kind="stable")
    scales = _scale(heights, line_height)
    return [_cut(PixelBox(*boxes[place].tolist()), float(scales[place])) for place in order.tolist()]


def contrast_box(photo: Image.Image, window: float) -> PixelBox:
    """The square window that differs most from the rest of the photo in how much its brightness changes.

    Args:
        photo: RGB.
        window: side as a share of the photo's shorter side.
    """
    grey = np.asarray(shrunk(photo, _MAP_SIDE).convert("L"), dtype=np.float64)  # (height, width)
    down, across = np.gradient(grey)
    return find_box(_cells(np.hypot(down, across)), photo.size, windows=(window,)).box


def random_box(box: PixelBox, photo_size: tuple[int, int], key: str) -> PixelBox:
    """A box of the same size anywhere in the photo, the same for the same key."""
    return RandomBox().box(FirstLook(inf, None, Found(box, 0.0), photo_size, key.encode()))


def true_box(lines: Sequence[Line], answers: Sequence[str], photo_size: tuple[int, int]) -> PixelBox | None:
    """Around the lines that show an answer; None where they do not.

    A line that shows it alone counts before several that show its words.

    Args:
        lines: read at full size.
        answers: normal forms, the most frequent first.
        photo_size: width and height.
    """
    texts = [vqa_form(line.text) for line in lines]
    for answer in answers:
        if not legible([answer], texts):
            continue
        alone = [line for line, text in zip(lines, texts, strict=True) if legible([answer], [text])]
        words = set(answer.split())
        shown = alone[:1] or [line for line, text in zip(lines, texts, strict=True) if words & set(text.split())]
        if shown:
            return _around([_with_margin(line, photo_size) for line in shown])
    return None


def _joined(one: _Boxes, other: _Boxes) -> _Boxes:
    """Boxes around both, of arrays (..., 4)."""
    low, high = np.minimum(one[..., :2], other[..., :2]), np.maximum(one[..., 2:], other[..., 2:])
    return np.concatenate([low, high], axis=-1)


def _pixels(boxes: _Boxes, heights: _Floats, line_height: int | None) -> _Floats:
    """(...) pixels that crops have where they are sent."""
    wide, high = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    return np.asarray(wide * high * _scale(heights, line_height) ** 2, dtype=np.float64)


def _scale(heights: _Floats, line_height: int | None) -> _Floats:
    if line_height is None:
        return np.ones_like(heights)
    return np.minimum(1.0, line_height / np.maximum(heights, 1.0))


def _cut(box: PixelBox, scale: float) -> Cut:
    return Cut(box, max(1, round(scale * max(box.right - box.left, box.bottom - box.top))))


def _around(boxes: Sequence[PixelBox]) -> PixelBox:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return PixelBox(min(lefts), min(tops), max(rights), max(bottoms))


def _with_margin(line: Line, photo_size: tuple[int, int]) -> PixelBox:
    more, (width, height) = round(MARGIN * line.height), photo_size
    left, top, right, bottom = line.box
    return PixelBox(max(0, left - more), max(0, top - more), min(width, right + more), min(height, bottom + more))


def _cells(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(rows, columns) means of cells; what is left over below and to the right is left out."""
    rows, columns = (max(1, side // _CELL) for side in values.shape)
    high, wide = values.shape[0] // rows, values.shape[1] // columns
    whole = values[: rows * high, : columns * wide].reshape(rows, high, columns, wide)
    return np.asarray(whole.mean(axis=(1, 3)), dtype=np.float64)

"""Dense labels: what the generator knows about each visual token, for training the tower.

Learning to see from answers alone is slow; learning what each token shows is quick. Each of the 8 x 8 cells
gets the object whose centre lies in it, else the one that covers most of it, if that is an eighth or more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.boxes import PixelBox
from heliograph.reference.scenes import (
    COLOURS,
    COLUMN_WORDS,
    PLATE_DIGITS,
    PLATE_LETTERS,
    ROW_WORDS,
    SCENE_SIZE,
    SHAPES,
    ScenePlan,
    region_words,
)

IGNORE = -100
NOTHING = 0
CHARACTERS = PLATE_LETTERS + PLATE_DIGITS
_COLOUR_NAMES = tuple(COLOURS)
_MIN_SHARE = 0.125

Labels = npt.NDArray[np.int16]


@dataclass(frozen=True)
class DenseLabels:
    """Labels per token, each (rows * columns,) int16; -100 where a label does not apply.

    Attributes:
        shape: 0 nothing, 1.. shape, ``len(SHAPES) + 1`` large plate, ``+ 2`` small plate.
        colour: index into COLOURS of the object, -100 elsewhere.
        row, column: region words of the centre of what the token shows, -100 for background.
        centre: 1 where the centre of an object or plate lies in the cell, else 0.
        characters: (3, rows * columns), index into CHARACTERS at legible plates, -100 elsewhere.
    """

    shape: Labels
    colour: Labels
    row: Labels
    column: Labels
    centre: Labels
    characters: Labels


def character_cells(plan: ScenePlan, *, grid: int = 8) -> Labels:
    """Where single characters of large print lie, seen whole: (grid * grid,) int16, -100 elsewhere."""
    cells = np.full(grid * grid, IGNORE, np.int16)
    side = SCENE_SIZE / grid
    for plate in plan.plates:
        if plate.large:
            for char, (x, y) in zip(plate.text, plate.character_centres(), strict=True):
                cells[int(y // side) * grid + int(x // side)] = CHARACTERS.index(char)
    return cells


@dataclass(frozen=True)
class _Thing:
    shape: int
    colour: int
    centre: tuple[float, float]
    text: str


def dense_labels(
    plan: ScenePlan, owners: npt.NDArray[np.uint8], *, grid: int = 8, window: PixelBox | None = None
) -> DenseLabels:
    """Labels of a scene as seen whole, or through ``window``.

    Args:
        plan: the :class:`~heliograph.reference.scenes.ScenePlan`.
        owners: (512, 512) uint8 of :class:`~heliograph.reference.render.Scene`.
        grid: cells per side.
        window: the crop in scene pixels; plate characters are labelled for small print only inside one.
    """
    left, top, right, bottom = window or (0, 0, SCENE_SIZE, SCENE_SIZE)
    things = _things(plan, legible_small=window is not None)
    seen = owners[top:bottom, left:right]
    side_y, side_x = (bottom - top) // grid, (right - left) // grid
    cells = grid * grid
    out = DenseLabels(
        shape=np.zeros(cells, np.int16),
        colour=np.full(cells, IGNORE, np.int16),
        row=np.full(cells, IGNORE, np.int16),
        column=np.full(cells, IGNORE, np.int16),
        centre=np.zeros(cells, np.int16),
        characters=np.full((3, cells), IGNORE, np.int16),
    )
    blocks = seen.reshape(grid, side_y, grid, side_x).swapaxes(1, 2).reshape(cells, -1)  # (cells, pixels)
    cover = np.stack([(blocks == i).sum(axis=1) for i in range(len(things))], axis=1)  # (cells, things)
    for index, thing in enumerate(things):
        x, y = thing.centre[0] - left, thing.centre[1] - top
        if 0 <= x < right - left and 0 <= y < bottom - top:
            cell = int(y // side_y) * grid + int(x // side_x)
            cover[cell, index] += 10 * side_x * side_y
            out.centre[cell] = 1
    for cell in range(cells):
        best = int(cover[cell].argmax())
        if cover[cell, best] >= _MIN_SHARE * side_x * side_y:
            _write(out, cell, things[best], scale=(right - left) / SCENE_SIZE, origin=(left, top))
    return out


def _things(plan: ScenePlan, *, legible_small: bool) -> list[_Thing]:
    things = [_Thing(1 + SHAPES.index(o.shape), _COLOUR_NAMES.index(o.colour), (o.x, o.y), "") for o in plan.objects]
    for plate in plan.plates:
        centre = ((plate.box[0] + plate.box[2]) / 2, (plate.box[1] + plate.box[3]) / 2)
        text = plate.text if plate.large or legible_small else ""
        things.append(_Thing(len(SHAPES) + (1 if plate.large else 2), IGNORE, centre, text))
    return things


def _write(out: DenseLabels, cell: int, thing: _Thing, scale: float, origin: tuple[int, int]) -> None:
    x = min(max((thing.centre[0] - origin[0]) / scale, 0.0), SCENE_SIZE - 1.0)
    y = min(max((thing.centre[1] - origin[1]) / scale, 0.0), SCENE_SIZE - 1.0)
    row, column = region_words(x, y)
    out.shape[cell] = thing.shape
    out.colour[cell] = thing.colour
    out.row[cell] = ROW_WORDS.index(row)
    out.column[cell] = COLUMN_WORDS.index(column)
    for i, char in enumerate(thing.text):
        out.characters[i, cell] = CHARACTERS.index(char)

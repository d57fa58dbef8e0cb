"""Pictures of words, for the reference model, which was trained on scenes and makes nothing of words in a question.

After VLM-CSC (arXiv 2407.00020), where a generator redraws the picture that a caption describes. Here the generator is
the renderer of the scenes with a plain plan: things as large as their place in the picture leaves room, side by side
where several share one. Whatever is no thing of these scenes is left out.

=========================================  ===================================================================
words                                      drawn
=========================================  ===================================================================
``a red star top left, a sign K47 ...``    a description as the model itself gives one: things and signs
``large text top left: K47``, line by line what a reader found: signs of a letter and two digits, large or small
=========================================  ===================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.boxes import PixelBox
from heliograph.errors import ModelUnavailableError
from heliograph.reference.assets import shipped_model_folder
from heliograph.reference.scenes import (
    COLOURS,
    COLUMN_WORDS,
    ROW_WORDS,
    SCENE_SIZE,
    SHAPES,
    Plate,
    SceneObject,
    ScenePlan,
    plate_size,
)

if TYPE_CHECKING:
    from PIL.Image import Image

_REFERENCE = "reference"
_SEED = 1
_PLACE = rf"({'|'.join(ROW_WORDS)}) ({'|'.join(COLUMN_WORDS)})"
_SIGN = re.compile(rf"an? sign ([A-Z][0-9]{{2}}) {_PLACE}")
_THING = re.compile(rf"an? ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)}) {_PLACE}")
_READ = re.compile(rf"(tiny|small|medium|large) text {_PLACE}: ([A-Z][0-9]{{2}})")
_LARGE_SIZE = "large"
_LARGE, _SMALL = 52, 14
"""Pixels of a sign's capitals."""

_RADII = (56, 42, 34)
"""Pixels, of one thing in its place, of two, of more."""

_MAX_THINGS = 64
_MARGIN = 6


@dataclass(frozen=True)
class _Named:
    """A thing with its place, or a sign where there is no shape."""

    row: str
    column: str
    colour: str = ""
    shape: str = ""
    text: str = ""
    large: bool = True


def drawer_for(model_name: str) -> Callable[[str], Image] | None:
    """What draws for a model of this name; None for every model but the shipped one."""
    if model_name == _REFERENCE:
        return drawn
    try:
        return drawn if Path(model_name).resolve() == shipped_model_folder().resolve() else None
    except (ModelUnavailableError, OSError, ValueError):
        return None


def drawn(words: str) -> Image:
    """A scene of 512 x 512 pixels with what the words name."""
    from heliograph.reference.render import render_plan

    return render_plan(plan_of(words)).image


def plan_of(words: str) -> ScenePlan:
    """The plan of that scene."""
    places: dict[tuple[str, str], list[_Named]] = {}
    for count, one in enumerate(_named(words)):
        if count < _MAX_THINGS:
            places.setdefault((one.row, one.column), []).append(one)
    objects: list[SceneObject] = []
    plates: list[Plate] = []
    for (row, column), found in places.items():
        middle_y = (ROW_WORDS.index(row) + 0.5) * SCENE_SIZE / len(ROW_WORDS)
        left = COLUMN_WORDS.index(column) * SCENE_SIZE / len(COLUMN_WORDS)
        step = SCENE_SIZE / len(COLUMN_WORDS) / len(found)
        for number, one in enumerate(found):
            x = round(left + (number + 0.5) * step)
            if one.text:
                plates.append(_plate(one, x, round(middle_y)))
            else:
                radius = _RADII[min(len(found), len(_RADII)) - 1]
                objects.append(SceneObject(one.shape, one.colour, x, round(middle_y), radius, 0))
    return ScenePlan(_SEED, tuple(objects), tuple(plates))


def _named(words: str) -> Iterator[_Named]:
    for line in words.splitlines():
        read = _READ.fullmatch(line)
        if read is not None:
            size, row, column, text = read.groups()
            yield _Named(row, column, text=text, large=size == _LARGE_SIZE)
            continue
        for part in line.removesuffix(".").split(", "):
            sign, thing = _SIGN.fullmatch(part), _THING.fullmatch(part)
            if sign is not None:
                yield _Named(sign[2], sign[3], text=sign[1])
            elif thing is not None:
                yield _Named(thing[3], thing[4], colour=thing[1], shape=thing[2])


def _plate(one: _Named, x: int, y: int) -> Plate:
    """A sign whose middle lies there, or as near as it fits."""
    height = _LARGE if one.large else _SMALL
    width, tall = plate_size(height)
    left = min(max(x - width // 2, _MARGIN), SCENE_SIZE - width - _MARGIN)
    top = min(max(y - tall // 2, _MARGIN), SCENE_SIZE - tall - _MARGIN)
    return Plate(one.text, one.large, PixelBox(left, top, left + width, top + tall), height)

"""Scenes: what a picture of the reference task holds, drawn from a seed alone.

A scene is a plan (objects and plates with places, sizes and colours); :mod:`heliograph.reference.render`
turns it into pixels and :mod:`heliograph.reference.questions` into questions. The plan uses only
``random.Random(seed).random()``, whose sequence Python guarantees, so a seed means the same scene anywhere.

Splits by seed: train < 8,000,000 <= dev < 8,100,000 <= test < 8,200,000. Nothing here uses seeds from
9,000,000 up: they are kept for whoever wants to check the figures on scenes nobody has seen.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from heliograph.boxes import PixelBox

SCENE_SIZE = 512
DEV_START, TEST_START = 8_000_000, 8_100_000
_BORDER_MARGIN = 16  # pixels

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "moon")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (208, 36, 40),
    "orange": (242, 134, 24),
    "yellow": (240, 214, 44),
    "green": (44, 150, 62),
    "blue": (38, 84, 200),
    "purple": (132, 54, 168),
    "white": (240, 240, 238),
    "black": (26, 26, 30),
}
ROW_WORDS = ("top", "middle", "bottom")
COLUMN_WORDS = ("left", "center", "right")
PLATE_LETTERS = "ACEFHJKLNPRTUXY"
PLATE_DIGITS = "0123456789"

_T = TypeVar("_T")


@dataclass(frozen=True)
class SceneObject:
    """One object. ``x``, ``y`` (centre), ``radius`` in pixels of the 512x512 scene, ``angle`` in degrees."""

    shape: str
    colour: str
    x: int
    y: int
    radius: int
    angle: int


@dataclass(frozen=True)
class Plate:
    """A number plate such as ``K47``."""

    text: str
    large: bool
    box: PixelBox
    char_height: int

    def character_centres(self) -> list[tuple[float, float]]:
        """(x, y) of each character's centre in scene pixels, left to right."""
        left, top, right, bottom = self.box
        step = (right - left) / (len(self.text) + 0.35)
        middle = (len(self.text) - 1) / 2
        return [((left + right) / 2 + (i - middle) * step, (top + bottom) / 2) for i in range(len(self.text))]


@dataclass(frozen=True)
class ScenePlan:
    """Everything the pixels and the questions derive from. Objects are in painting order, back to front."""

    seed: int
    objects: tuple[SceneObject, ...]
    plates: tuple[Plate, ...]


def region_words(x: float, y: float) -> tuple[str, str]:
    """Row and column word of a point in scene pixels, by thirds: ``("top", "left")`` ..."""
    third = SCENE_SIZE / 3
    return ROW_WORDS[min(2, int(y / third))], COLUMN_WORDS[min(2, int(x / third))]


def is_clear_of_borders(x: float, y: float) -> bool:
    """Whether a point lies at least 16 pixels from the lines between the nine regions."""
    third = SCENE_SIZE / 3
    return all(abs(v - line) >= _BORDER_MARGIN for v in (x, y) for line in (third, 2 * third))


class SeededChoices:
    """Choices built on ``random.Random.random`` alone, the one method whose sequence never changes."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def uniform(self, low: float, high: float) -> float:
        """A float in [low, high)."""
        return low + (high - low) * self._random.random()

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high], both included."""
        return low + int(self._random.random() * (high - low + 1))

    def pick(self, choices: Sequence[_T]) -> _T:
        """One of ``choices``."""
        return choices[int(self._random.random() * len(choices))]

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self._random.random() < probability

    def shuffled(self, items: Sequence[_T]) -> list[_T]:
        """A shuffled copy (Fisher-Yates)."""
        out = list(items)
        for i in range(len(out) - 1, 0, -1):
            j = self.integer(0, i)
            out[i], out[j] = out[j], out[i]
        return out


def plan_scene(seed: int) -> ScenePlan:
    """The scene of ``seed``."""
    choose = SeededChoices(seed)
    plates = _place_plates(choose)
    wanted = choose.integer(2, 7)
    objects: list[SceneObject] = []
    for _ in range(200):
        if len(objects) == wanted:
            break
        candidate = _draw_object(choose)
        if _fits(candidate, objects, plates):
            objects.append(candidate)
    return ScenePlan(seed, tuple(objects), tuple(plates))


def _draw_object(choose: SeededChoices) -> SceneObject:
    radius = choose.integer(34, 78)
    margin = radius - 6
    return SceneObject(
        shape=choose.pick(SHAPES),
        colour=choose.pick(tuple(COLOURS)),
        x=choose.integer(margin, SCENE_SIZE - margin),
        y=choose.integer(margin, SCENE_SIZE - margin),
        radius=radius,
        angle=choose.integer(-14, 14),
    )


def _fits(new: SceneObject, objects: list[SceneObject], plates: list[Plate]) -> bool:
    """Partial overlap is welcome, hiding is not: a quarter of a diameter at most, and no plate is covered."""
    for old in objects:
        if (old.shape, old.colour) == (new.shape, new.colour):
            return False
        if math.hypot(old.x - new.x, old.y - new.y) < 0.8 * (old.radius + new.radius):
            return False
    for plate in plates:
        left, top, right, bottom = plate.box
        dx = max(left - new.x, 0, new.x - right)
        dy = max(top - new.y, 0, new.y - bottom)
        if math.hypot(dx, dy) < new.radius * 0.95:
            return False
    return True


def _place_plates(choose: SeededChoices) -> list[Plate]:
    plates: list[Plate] = []
    for large, probability in ((True, 0.6), (False, 0.6)):
        if not choose.chance(probability):
            continue
        char_height = choose.integer(50, 62) if large else choose.integer(13, 15)
        width, height = plate_size(char_height)
        for _ in range(20):
            left = choose.integer(6, SCENE_SIZE - width - 6)
            top = choose.integer(6, SCENE_SIZE - height - 6)
            box = PixelBox(left, top, left + width, top + height)
            if all(_apart(box, other.box) for other in plates):
                plates.append(Plate(_plate_text(choose), large, box, char_height))
                break
    return plates


def plate_size(char_height: int) -> tuple[int, int]:
    """Width and height in pixels of a three-character plate with capitals of ``char_height`` pixels."""
    return math.ceil(char_height * 3.7), math.ceil(char_height * 1.6)


def _apart(a: PixelBox, b: PixelBox, gap: int = 8) -> bool:
    beside = a.right + gap < b.left or b.right + gap < a.left
    return beside or a.bottom + gap < b.top or b.bottom + gap < a.top


def _plate_text(choose: SeededChoices) -> str:
    return choose.pick(PLATE_LETTERS) + choose.pick(PLATE_DIGITS) + choose.pick(PLATE_DIGITS)

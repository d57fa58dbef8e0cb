"""A frozen reader, and its text detector alone: PP-OCRv6 small, as the package rapidocr ships it.

::

    reader:   picture --enlarged while small--> detector at full size --> lines --> recogniser --> words and boxes
    detector: photo --longest edge of some hundred pixels--> detector alone --> boxes of lines

Two traps of the package are kept in here: its detector enlarges whatever is small to 736 pixels unless told otherwise,
and what one call leaves out (``use_rec=False``) stays left out, so that reader and detector are two objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from heliograph.boxes import PixelBox
from heliograph.errors import MissingExtraError
from heliograph.strategies.baseline.pictures import shrunk
from heliograph.strategies.perception import ReadLine

if TYPE_CHECKING:
    from PIL import Image

ENLARGED, ENLARGED_TO = 2.0, 1024
"""Pictures are enlarged by so much before they are read, up to so many pixels: small print gains, large costs time."""

DETECTED = {"Det.box_thresh": 0.3, "Det.thresh": 0.2}
"""Of the device's detector: a box too many costs some bytes, one too few the answer."""

_MAX_PIXELS = 4096
_ONE_THREAD = {
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    "Global.log_level": "critical",
    "Global.use_cls": False,  # which of two ways up a line is; photos here are upright
    "Det.limit_type": "max",
}


@dataclass(frozen=True)
class Line:
    """A line of text in a picture.

    Attributes:
        text: what was read; empty from a detector.
        box: around it, in pixels of the picture.
        height: of the line in pixels, across its direction.
        score: 0 to 1, how sure the reader is of the text; 1 from a detector.
    """

    text: str
    box: PixelBox
    height: float
    score: float = 1.0

    def within(self, size: tuple[int, int]) -> ReadLine:
        """The same in shares of a picture of so many pixels."""
        (width, height), (left, top, right, bottom) = size, self.box
        edges = left / width, top / height, right / width, bottom / height
        return ReadLine(self.text, *edges, self.height / max(size), self.score)


class Reads(Protocol):
    """What finds lines in a picture; a reader with their texts, a detector without."""

    def lines(self, picture: Image.Image) -> list[Line]:
        """Lines from top to bottom, in the pixels of ``picture``."""


class Reader:
    """The whole of it: finds lines and reads them.

    Raises:
        MissingExtraError: the extra ``ocr`` is not installed.
    """

    def __init__(self) -> None:
        self._engine = _engine({"Det.limit_side_len": _MAX_PIXELS})

    def lines(self, picture: Image.Image) -> list[Line]:
        """Lines that were read with a score of 0.5 or more, which is the package's own bound."""
        shown = enlarged(picture)
        found = self._engine(_bgr(shown))
        if found.boxes is None or found.txts is None:
            return []
        return _lines(found.boxes, found.txts, found.scores, picture.size, shown.size)


class Detector:
    """Finds lines at a low resolution and reads none.

    Args:
        size: longest edge in pixels that it looks at.

    Raises:
        MissingExtraError: the extra ``ocr`` is not installed.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._engine = _engine({"Det.limit_side_len": size, "Global.use_rec": False, **DETECTED})

    def lines(self, picture: Image.Image) -> list[Line]:
        """Boxes of lines."""
        shown = shrunk(picture, self._size)
        found = self._engine(_bgr(shown))
        if found.boxes is None:
            return []
        count = len(found.boxes)
        return _lines(found.boxes, [""] * count, [1.0] * count, picture.size, shown.size)


def enlarged(picture: Image.Image) -> Image.Image:
    """The picture at :data:`ENLARGED` times its size, less where its longest edge would exceed :data:`ENLARGED_TO`."""
    from PIL import Image as images

    scale = min(ENLARGED, ENLARGED_TO / max(picture.size))
    if scale <= 1:
        return picture
    size = round(picture.width * scale), round(picture.height * scale)
    return picture.resize(size, images.Resampling.BICUBIC)


def _engine(parameters: dict[str, Any]) -> Any:
    try:
        from rapidocr import RapidOCR
    except ImportError as error:
        raise MissingExtraError("ocr") from error
    return RapidOCR(params={**_ONE_THREAD, **parameters})


def _bgr(picture: Image.Image) -> Any:
    return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1])  # (height, width, 3) uint8


def _lines(
    boxes: Any, texts: Sequence[str], scores: Sequence[float], size: tuple[int, int], shown: tuple[int, int]
) -> list[Line]:
    """Lines from corners (n, 4, 2) in the shown picture: clockwise, the line's upper left first."""
    scale = np.array(size) / np.array(shown)
    found = []
    for corners, text, score in zip(np.asarray(boxes, dtype=np.float64) * scale, texts, scores, strict=True):
        edges = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)  # (4,) pixels
        low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
        left, top = (int(np.clip(at, 0, most - 1)) for at, most in zip(low, size, strict=True))
        right, bottom = (int(np.clip(at, 1, most)) for at, most in zip(high, size, strict=True))
        if right > left and bottom > top:
            found.append(Line(text, PixelBox(left, top, right, bottom), float(min(edges[:2])), float(score)))
    return found

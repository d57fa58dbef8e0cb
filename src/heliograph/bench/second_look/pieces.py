"""What travels and what a reader makes of it: pictures, their bytes and their lines, kept on disk by photo.

::

    photo --whole | crops, by a picture strategy--> real bytes --decoded--> reader --> Piece: bytes, texts
                                                                      |
                                                 FOLDER/PHOTO.json <--+  what is there already is not read again
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from heliograph.bench.second_look.boxes import Cut, contrast_box, random_box, text_cuts, true_box
from heliograph.bench.second_look.plan import SecondLookPlan, Sent, TextCrops
from heliograph.bench.second_look.questions import Asked, vqa_form
from heliograph.bench.timing import processor_s
from heliograph.boxes import PixelBox
from heliograph.edge.photos.file import load_photo
from heliograph.edge.reader import Line, Reads
from heliograph.errors import DataMissingError
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Setting, Strategy
from heliograph.training.files import replacing

FULL, TEXT, CONTRAST, RANDOM, TRUE = "full", "text", "contrast", "random", "true place"
WHOLE = "whole"


@dataclass(frozen=True)
class Piece:
    """One picture that arrived.

    Attributes:
        payload_bytes: of its file.
        box: of the photo, that it shows.
        texts: lines that were read, in normal form.
    """

    payload_bytes: int
    box: PixelBox
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """One rendering of one photo.

    Attributes:
        pieces: in the order in which they are sent.
        found_ms: processor time in which boxes were found.
        encode_ms, read_ms: processor times of all pieces, on the device and in the cloud.
    """

    pieces: tuple[Piece, ...]
    found_ms: float
    encode_ms: float
    read_ms: float

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        pieces = [{"bytes": p.payload_bytes, "box": list(p.box), "texts": list(p.texts)} for p in self.pieces]
        return {"pieces": pieces, "found_ms": self.found_ms, "encode_ms": self.encode_ms, "read_ms": self.read_ms}

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Seen:
        """What :meth:`to_json` gave."""
        pieces = tuple(Piece(one["bytes"], PixelBox(*one["box"]), tuple(one["texts"])) for one in facts["pieces"])
        return cls(pieces, facts["found_ms"], facts["encode_ms"], facts["read_ms"])


def whole_key(sent: Sent) -> str:
    """Name of a whole photo's rendering."""
    return f"{WHOLE} {sent.label}"


def text_key(crops: TextCrops) -> str:
    """Name of the rendering as crops around text."""
    return f"{TEXT} {crops.label}"


def window_key(kind: str, plan: SecondLookPlan) -> str:
    """Name of the rendering as one square crop, by contrast or by chance."""
    return f"{kind} window={plan.window:g},quality={plan.crop_quality}"


def true_key(asked: Asked) -> str:
    """Name of the rendering as a crop of the place that one question is about."""
    return f"{TRUE} {asked.question}"


class Pieces:
    """Reads photos, or what it has read of them before.

    Args:
        plan: settings.
        reader: the cloud's.
        detectors: the device's, by the longest edge that they look at.
        photos: folder of the files.
    """

    def __init__(
        self, plan: SecondLookPlan, reader: Callable[[], Reads], detectors: Callable[[int], Reads], photos: Path
    ) -> None:
        self._plan, self._load_reader, self._load_detector = plan, reader, detectors
        self._photos = photos
        self._reader: Reads | None = None
        self._detectors: dict[int, Reads] = {}
        self._strategy: Strategy = STRATEGIES.load(plan.picture)()

    def of(self, name: str, asked: Sequence[Asked]) -> dict[str, Seen]:
        """Every rendering of one photo, by name.

        Args:
            name: of its file.
            asked: the questions about it.

        Raises:
            MissingExtraError: something has to be read, and the extra ``ocr`` is not installed.
            DataMissingError: what was kept of the photo cannot be read.
            PhotoError: the photo cannot be read.
        """
        return _Photo(self, name, asked).renderings()

    @property
    def plan(self) -> SecondLookPlan:
        """The settings."""
        return self._plan

    def path(self, name: str) -> Path:
        """Where what was read of a photo is kept."""
        return self._plan.folder / f"{Path(name).stem}.json"

    def load(self, name: str) -> Image.Image:
        """The photo, upright, RGB."""
        return load_photo(self._photos / name)

    def file_bytes(self, name: str) -> int:
        """Size of the photo's file."""
        return (self._photos / name).stat().st_size

    def lines(self, picture: Image.Image) -> list[Line]:
        """What the cloud reads."""
        if self._reader is None:
            self._reader = self._load_reader()
        return self._reader.lines(picture)

    def detected(self, picture: Image.Image, size: int) -> list[Line]:
        """What the device finds."""
        if size not in self._detectors:
            self._detectors[size] = self._load_detector(size)
        return self._detectors[size].lines(picture)

    def through(self, picture: Image.Image, setting: Setting) -> tuple[int, Image.Image, float]:
        """Payload bytes, the picture as it arrives, and milliseconds of encoding."""
        started = processor_s()
        encoded = self._strategy.encode(picture, _NO_TOOLS, setting)
        encode_ms = 1000 * (processor_s() - started)
        restored = self._strategy.restore(encoded, _NO_TOOLS).image
        assert restored is not None  # picture strategies restore pictures
        return encoded.payload_bytes, restored, encode_ms


_NO_TOOLS: Any = None  # picture strategies use none


class _Photo:
    """One photo on its way through every rendering."""

    def __init__(self, pieces: Pieces, name: str, asked: Sequence[Asked]) -> None:
        self._pieces, self._plan, self._name, self._asked = pieces, pieces.plan, name, asked
        self._kept = _kept(pieces.path(name))
        self._photo: Image.Image | None = None
        self._new = False
        self._detected: dict[int, tuple[list[Line], float]] = {}
        self._waited_ms = 0.0  # of a detection that an earlier setting paid for

    def renderings(self) -> dict[str, Seen]:
        """All of them; what is new is written at the end."""
        plan = self._plan
        full = self._lines_at_full_size()
        for sent in (plan.first, *plan.whole):
            self._make(whole_key(sent), partial(self._whole_cuts, sent.size), sent.quality)
        for crops in plan.text:
            self._make(text_key(crops), partial(self._text_cuts, crops), crops.quality)
        self._make(window_key(CONTRAST, plan), lambda: [_as_it_is(self._contrast())], plan.crop_quality)
        self._make(window_key(RANDOM, plan), lambda: [_as_it_is(self._random())], plan.crop_quality)
        for asked in self._asked:
            self._make(true_key(asked), partial(self._true_cuts, asked, full), plan.crop_quality)
        if self._new:
            self._write()
        return {key: Seen.from_json(facts) for key, facts in self._kept.items() if key != _LINES}

    @property
    def photo(self) -> Image.Image:
        """The photo, read when it is first needed."""
        if self._photo is None:
            self._photo = self._pieces.load(self._name)
        return self._photo

    def _lines_at_full_size(self) -> list[Line]:
        if _LINES not in self._kept:
            started = processor_s()
            lines = self._pieces.lines(self.photo)
            read_ms = 1000 * (processor_s() - started)
            self._kept[_LINES] = [[line.text, list(line.box), line.height] for line in lines]
            texts = tuple(vqa_form(line.text) for line in lines)
            piece = Piece(self._pieces.file_bytes(self._name), self._everything(), texts)
            self._keep(FULL, Seen((piece,), 0.0, 0.0, read_ms))
        return [Line(text, PixelBox(*box), height) for text, box, height in self._kept[_LINES]]

    def _make(self, key: str, choose: Callable[[], list[Cut]], quality: int) -> None:
        if key in self._kept:
            return
        photo, started = self.photo, processor_s()
        cuts = choose()
        found_ms, encode_ms, read_ms = 1000 * (processor_s() - started), 0.0, 0.0
        found_ms, self._waited_ms = found_ms + self._waited_ms, 0.0
        made = []
        for cut in cuts:
            setting: Setting = {"size": cut.size, "quality": quality}
            payload_bytes, picture, spent_ms = self._pieces.through(photo.crop(cut.box), setting)
            started = processor_s()
            texts = tuple(vqa_form(line.text) for line in self._pieces.lines(picture))
            read_ms += 1000 * (processor_s() - started)
            encode_ms += spent_ms
            made.append(Piece(payload_bytes, cut.box, texts))
        self._keep(key, Seen(tuple(made), found_ms, encode_ms, read_ms))

    def _keep(self, key: str, seen: Seen) -> None:
        self._kept[key] = seen.to_json()
        self._new = True

    def _write(self) -> None:
        path = self._pieces.path(self._name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_text(json.dumps(self._kept) + "\n", encoding="utf-8")

    def _everything(self) -> PixelBox:
        return PixelBox(0, 0, *self.photo.size)

    def _whole_cuts(self, size: int) -> list[Cut]:
        return [Cut(self._everything(), size)]

    def _text_cuts(self, crops: TextCrops) -> list[Cut]:
        lines = self._lines_found(crops.detector)
        return text_cuts(lines, self.photo.size, crops=crops.crops, line_height=crops.line_height)

    def _lines_found(self, size: int) -> list[Line]:
        """What the device's detector finds; it is asked once, and each setting is charged for it."""
        if size in self._detected:
            lines, self._waited_ms = self._detected[size]
            return lines
        photo, started = self.photo, processor_s()
        lines = self._pieces.detected(photo, size)
        self._detected[size] = lines, 1000 * (processor_s() - started)
        return lines

    def _contrast(self) -> PixelBox:
        return contrast_box(self.photo, self._plan.window)

    def _random(self) -> PixelBox:
        return random_box(self._contrast(), self.photo.size, self._name)

    def _true_cuts(self, asked: Asked, full: Sequence[Line]) -> list[Cut]:
        box = true_box(full, asked.answers, self.photo.size)
        return [] if box is None else [_as_it_is(box)]


_LINES = "lines"


def _as_it_is(box: PixelBox) -> Cut:
    return Cut(box, max(box.right - box.left, box.bottom - box.top))


def _kept(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataMissingError().noted(f"{path} cannot be read: remove it, and the photo is read again.") from error
    if not isinstance(found, dict):
        raise DataMissingError().noted(f"{path} is not what was kept of a photo: remove it, and it is read again.")
    return found

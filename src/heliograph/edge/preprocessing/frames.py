"""Preprocessing of any family as data: a few frames, and how each one's pixels become numbers.

::

    RGB (W, H) --nearest frame by aspect ratio--> resized to exactly that frame, uint8
               --resized once more for each source--> (h, w, 3) uint8 --table of 3 x 256 values--> (1, 3, h, w) float32

A frame is a size of photo whose pixels the model's own processor copies as they are, so that after the first line all
is as if a photo of that size had been handed to it. Most families need one source, the frame itself; those with tiles
a second one, the whole photo in small. How the copies are arranged in the model's own pixel tensor (patches, tiles,
masks) is part of the exported encoder. Normalising by table gives what the processor's own floats are, bit for bit.

The first format, one square frame of the Idefics3 family, is
:class:`heliograph.edge.preprocessing.square.Preprocessor`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from heliograph.codec.header import check_grid
from heliograph.codec.manifest import PREPROCESSING
from heliograph.edge.preprocessing.checks import RESAMPLERS, finite, side, whole
from heliograph.edge.preprocessing.square import Preprocessor
from heliograph.errors import BundleDamagedError, ShapeError
from heliograph.reasons import BundlePart, FileFault
from heliograph.strategies.baseline.pictures import to_rgb
from heliograph.types import FloatArray, Grid

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.codec.bundle import Bundle

FRAMES = "frames"
"""The key that tells this format from the first one."""

MAX_FRAMES, MAX_SOURCES, MAX_TABLES = 16, 4, 16
LEVELS, CHANNELS = 256, 3
_ENCODER_NAME = re.compile(r"encoder(-[0-9]{1,2})?\.onnx")
_COUNTS = range(1, 1 << 14)
_MAX_VALUE = 1e6  # of a pixel's number


@dataclass(frozen=True)
class Source:
    """A picture that the encoder takes.

    Attributes:
        width, height: in pixels.
        table: which table of levels turns its pixels into numbers.
    """

    width: int
    height: int
    table: int = 0


@dataclass(frozen=True)
class Frame:
    """A size of photo that one exported graph takes.

    Attributes:
        grid: how its tokens lie; ``photo_width`` and ``photo_height`` are the frame's size in pixels, and what the
            stream's header tells the cloud.
        sources: the graph's inputs, in order.
        encoder: file name of the graph.
    """

    grid: Grid
    sources: tuple[Source, ...]
    encoder: str

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.grid.photo_width, self.grid.photo_height

    def to_config(self) -> dict[str, Any]:
        """The description as JSON values."""
        return {
            "size": list(self.size),
            "grid": [self.grid.rows, self.grid.columns, self.grid.tiles],
            "sources": [[one.width, one.height, one.table] for one in self.sources],
            "encoder": self.encoder,
        }


@dataclass(frozen=True)
class FramePixels:
    """A photo as one frame's graph takes it.

    Attributes:
        frame: place of the frame among the bundle's frames.
        sources: (1, 3, h, w) float32 each.
    """

    frame: int
    sources: tuple[FloatArray, ...]


class FramePreprocessor:
    """Preprocessing by frames.

    Args:
        frames: at least one.
        resample: Pillow's filter number, for every change of size.
        tables: (T, 3, 256) float32, what the model reads for each channel's 8-bit levels.
    """

    def __init__(self, frames: Sequence[Frame], resample: int, tables: FloatArray) -> None:
        self.frames, self.resample, self.tables = tuple(frames), resample, tables

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read the content of ``preprocessing.json``.

        Raises:
            BundleDamagedError: a value is missing or out of range.
        """
        try:
            tables = np.array([_table(table) for table in _few(config["tables"], MAX_TABLES)], np.float32)
            frames = [_frame(frame, len(tables)) for frame in _few(config[FRAMES], MAX_FRAMES)]
            return cls(frames, whole(RESAMPLERS, config["resample"]), tables)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, ShapeError) as error:
            raise BundleDamagedError(BundlePart.PREPROCESSING, FileFault.CONTENT) from error

    def to_config(self) -> dict[str, Any]:
        """The description as JSON values; :meth:`from_config` gives the same floats back."""
        return {
            "resample": self.resample,
            "tables": self.tables.astype(np.float64).tolist(),
            FRAMES: [frame.to_config() for frame in self.frames],
        }

    @property
    def input_size(self) -> int:
        """Longest side of the largest frame in pixels."""
        return max(max(frame.size) for frame in self.frames)

    def nearest(self, width: int, height: int) -> int:
        """Place of the frame that changes a photo's aspect ratio least; the first of equals."""
        wanted = math.log(width / height)
        changes = [abs(math.log(frame.size[0] / frame.size[1]) - wanted) for frame in self.frames]
        return changes.index(min(changes))

    def __call__(self, photo: Image) -> FramePixels:
        """The photo in its nearest frame."""
        place = self.nearest(*photo.size)
        pairs = zip(self._pictures(photo, place), self.frames[place].sources, strict=True)
        return FramePixels(place, tuple(self._numbers(picture, source) for picture, source in pairs))

    def pictures(self, photo: Image) -> tuple[Image, ...]:
        """The RGB pictures that the photo's nearest frame is made of, at the sizes of its sources."""
        return self._pictures(photo, self.nearest(*photo.size))

    def _pictures(self, photo: Image, place: int) -> tuple[Image, ...]:
        frame = self.frames[place]
        framed = self._resized(to_rgb(photo), frame.size)
        return tuple(self._resized(framed, (source.width, source.height)) for source in frame.sources)

    def _numbers(self, picture: Image, source: Source) -> FloatArray:
        levels = np.asarray(picture)  # (h, w, 3) uint8
        table = self.tables[source.table]
        return np.stack([table[channel][levels[..., channel]] for channel in range(CHANNELS)])[None]

    def _resized(self, picture: Image, size: tuple[int, int]) -> Image:
        return picture if picture.size == size else picture.resize(size, self.resample)


AnyPreprocessor = Preprocessor | FramePreprocessor


def open_preprocessor(config: Mapping[str, Any]) -> AnyPreprocessor:
    """The preprocessing that a bundle states, of either format.

    Raises:
        BundleDamagedError: a value is missing or out of range.
        ModelUnsupportedError: a checkpoint's configuration with steps that the device does not do.
    """
    return FramePreprocessor.from_config(config) if FRAMES in config else Preprocessor.from_config(config)


def device_grids(bundle: Bundle) -> frozenset[Grid]:
    """The grids that devices with a bundle send, photo sizes included; empty where it does not say.

    Raises:
        BundleDamagedError: its preprocessing cannot be read.
    """
    if PREPROCESSING not in bundle.file_names:
        return frozenset()
    return frozenset(frame.grid for frame in getattr(open_preprocessor(bundle.preprocessing), FRAMES, ()))


def _few(values: Any, most: int) -> list[Any]:
    if not isinstance(values, list) or not 1 <= len(values) <= most:
        raise ValueError("not a list of the allowed length")
    return values


def _table(channels: Any) -> list[list[float]]:
    if len(channels) != CHANNELS or any(len(levels) != LEVELS for levels in channels):
        raise ValueError("not three channels of 256 levels")
    table = [[finite(level) for level in levels] for levels in channels]
    if any(abs(level) > _MAX_VALUE for levels in table for level in levels):
        raise ValueError("no normalised pixel")
    return table


def _frame(values: Mapping[str, Any], tables: int) -> Frame:
    width, height = (side(value) for value in values["size"])
    rows, columns, tiles = (whole(_COUNTS, value) for value in values["grid"])
    grid = Grid(rows, columns, tiles, width, height)
    check_grid(grid)
    if not _ENCODER_NAME.fullmatch(values["encoder"]):
        raise ValueError("no name of an encoder")
    return Frame(grid, tuple(_source(one, tables) for one in _few(values["sources"], MAX_SOURCES)), values["encoder"])


def _source(values: Any, tables: int) -> Source:
    width, height, table = values
    return Source(side(width), side(height), whole(range(tables), table))

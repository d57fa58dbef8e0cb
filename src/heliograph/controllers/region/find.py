"""Where to look again: from a map of attention over the photo to one box in its pixels (arXiv 2512.16349).

::

    own maps (P, H, rows, columns), generic maps (H, rows, columns) --RegionSetting--> relative map (rows, columns)
    relative map --bilinear, 8 steps a cell--> every place of every window --contrast--> the best one --> photo pixels

Pure and deterministic. The contrast of a window is the correlation between the map and the window's outline (1 inside,
0 outside): the difference of the two means, in a form in which windows of different sizes can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from heliograph.boxes import PixelBox
from heliograph.codec.bundle import Bundle
from heliograph.codec.manifest import REGION
from heliograph.errors import BundleDamagedError, ShapeError, UsageError
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import BundleFault, BundlePart, FileFault

Map = npt.NDArray[np.floating]

STEPS_PER_CELL = 8
WINDOWS = (0.25,)
"""Sides of the windows as shares of the photo's shorter side."""

MIN_SIDE = 32
"""A box has at least so many pixels a side, where the photo does: less shows a model nothing new."""

_MAX_ASPECT = 4.0
_MAX_CELLS, _MAX_SIDE, _MAX_WINDOWS = 1 << 16, 1 << 20, 16
_MAX_LAYERS, _MAX_EXPONENTS, _MAX_EXPONENT, _MAX_CHARACTERS = 1024, 4096, 64.0, 400
_MAX_FILE_BYTES = 1 << 18
_FLAT = 1e-12

_damaged = partial(BundleDamagedError, BundlePart.REGION)


@dataclass(frozen=True)
class Found:
    """A region worth a look.

    Attributes:
        box: of the photo.
        contrast: 0 (the map is flat) to 1 (all of the map lies evenly inside the box, nothing outside).
    """

    box: PixelBox
    contrast: float


@dataclass(frozen=True)
class RegionSetting:
    """How a model's attention becomes a map: chosen once per model on photos with known regions, a few numbers.

    With exponents the map is the product of every head's map to its own power, of the question's and of the generic
    prompt's, each floored; without them it is the paper's: mean over heads at the last prompt position, divided by
    the generic prompt's. The latter is the former with every power 1 and -1 and the mean taken first.

    Attributes:
        layer: decoder layer, 0 the first.
        generic_question: the prompt whose map says where any question looks; empty for none.
        floor: least value that a map is divided by, or raised, in means of that map.
        prompt_rows: so many last prompt positions are read.
        own: exponents by position, then head, P x H of them; empty for the mean over heads.
        generic: exponents by head, H of them; empty where there is no generic question, or for the mean over heads.
        windows: sides as shares of the photo's shorter side.
        least_share: side of a box at least, as a share of the photo's shorter side: what the model reads well.
    """

    layer: int
    generic_question: str = ""
    floor: float = 1.0
    prompt_rows: int = 1
    own: tuple[float, ...] = ()
    generic: tuple[float, ...] = ()
    windows: tuple[float, ...] = WINDOWS
    least_share: float = WINDOWS[0]

    def relative(self, own: Map, generic: Map | None) -> npt.NDArray[np.float64]:
        """(rows, columns) float64 of what this question looks at.

        Args:
            own: (P, H, rows, columns) of the question, the last prompt position last.
            generic: (H, rows, columns) of the generic question; None where there is none.

        Raises:
            ShapeError: maps of other shapes than the setting is for, or values that are negative or not finite.
        """
        own = np.asarray(own, dtype=np.float64)
        if own.ndim != 4 or own.shape[0] != self.prompt_rows:
            raise ShapeError().noted(
                f"own must be maps of {self.prompt_rows} prompt rows in four axes, not {own.shape}."
            )
        if (generic is None) != (not self.generic_question):
            raise ShapeError().noted("generic must be given exactly where the setting has a generic question.")
        if not self.own:
            usual = None if generic is None else np.asarray(generic, dtype=np.float64).mean(axis=0)
            return relative_map(own[-1].mean(axis=0), usual, self.floor)
        maps = [*own.reshape(-1, *own.shape[2:])]
        if generic is not None and self.generic:
            maps += [*np.asarray(generic, dtype=np.float64)]
        powers = (*self.own, *self.generic)
        if len(maps) != len(powers):
            raise ShapeError().noted(f"the setting weighs {len(powers)} maps, not {len(maps)}.")
        logs = sum(power * log_map(one, self.floor) for power, one in zip(powers, maps, strict=True))
        return np.asarray(np.exp(logs - np.max(logs)))

    def find(self, own: Map, generic: Map | None, photo_size: tuple[int, int]) -> Found:
        """The region of one photo; see :meth:`relative` and :meth:`locate`.

        Raises:
            ShapeError, UsageError: as these.
        """
        return self.locate(self.relative(own, generic), photo_size)

    def locate(self, relative: Map, photo_size: tuple[int, int]) -> Found:
        """The region in a relative map; see :func:`find_box`.

        Raises:
            ShapeError, UsageError: as this.
        """
        least_side = max(MIN_SIDE, round(self.least_share * min(photo_size)))
        return find_box(relative, photo_size, windows=self.windows, least_side=least_side)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "layer": self.layer,
            "generic_question": self.generic_question,
            "floor": self.floor,
            "prompt_rows": self.prompt_rows,
            "own": list(self.own),
            "generic": list(self.generic),
            "windows": list(self.windows),
            "least_share": self.least_share,
        }

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read ``region.json``.

        Raises:
            BundleDamagedError: not there, too large, or not what :meth:`to_json` gives.
        """
        return cls.from_json(read_json_object(path, max_bytes=_MAX_FILE_BYTES, error=_damaged, links=False))

    @classmethod
    def of(cls, bundle: Bundle) -> Self | None:
        """A bundle's setting; None where nobody has chosen one for its model.

        Raises:
            BundleDamagedError: as :meth:`load`.
        """
        return cls.load(bundle.file(REGION)) if REGION in bundle.file_names else None

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """What ``to_json`` gave.

        Raises:
            BundleDamagedError: a value is missing, of the wrong kind, not finite or out of bounds.
        """
        try:
            made = cls(
                layer=_whole(data["layer"], 0, _MAX_LAYERS),
                generic_question=_text(data["generic_question"]),
                floor=_number(data["floor"], 1e-9, 1e9),
                prompt_rows=_whole(data["prompt_rows"], 1, 64),
                own=_powers(data["own"]),
                generic=_powers(data["generic"]),
                windows=tuple(_number(share, 1e-6, 1.0) for share in data["windows"]),
                least_share=_number(data["least_share"], 1e-6, 1.0),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(FileFault.CONTENT) from error
        if not 1 <= len(made.windows) <= _MAX_WINDOWS:
            raise _damaged(BundleFault.TOO_MANY if made.windows else FileFault.EMPTY)
        if len(made.own) % made.prompt_rows or (made.generic and not (made.own and made.generic_question)):
            raise _damaged(BundleFault.SHAPE)
        return made


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_CHARACTERS:
        raise _damaged(FileFault.CONTENT)
    return value


def _whole(value: Any, least: int, most: int) -> int:
    if type(value) is not int:
        raise _damaged(FileFault.CONTENT)
    if not least <= value <= most:
        raise _damaged(BundleFault.RANGE)
    return value


def _number(value: Any, least: float, most: float) -> float:
    if type(value) not in (int, float):
        raise _damaged(FileFault.CONTENT)
    if not least <= value <= most:  # NaN compares false
        raise _damaged(BundleFault.RANGE)
    return float(value)


def _powers(data: Any) -> tuple[float, ...]:
    if not isinstance(data, list):
        raise _damaged(FileFault.CONTENT)
    if len(data) > _MAX_EXPONENTS:
        raise _damaged(BundleFault.TOO_MANY)
    return tuple(_number(value, -_MAX_EXPONENT, _MAX_EXPONENT) for value in data)


def log_map(values: Map, floor: float) -> npt.NDArray[np.float64]:
    """Logarithm of a map in means of it, nothing below ``floor``; zeros where nothing is looked at at all.

    Raises:
        ShapeError: values that are negative or not finite.
    """
    found = checked_map(values)
    mean = found.mean()
    return np.log(np.maximum(found / mean, floor)) if mean > 0 else np.zeros_like(found)


def relative_map(own: Map, generic: Map | None, floor: float) -> npt.NDArray[np.float64]:
    """The map divided by the one that a generic prompt gives: what this question looks at, and any question does not.

    Args:
        own: (rows, columns), not negative.
        generic: of the same shape; None divides by nothing.
        floor: least divisor, in means of ``generic``: without one, places that a generic prompt hardly looks at win.

    Raises:
        ShapeError: shapes that do not fit, or values that are negative or not finite.
        UsageError: ``floor`` is not above 0.
    """
    wanted = checked_map(own)
    if generic is None:
        return wanted
    usual = checked_map(generic)
    if usual.shape != wanted.shape:
        raise ShapeError().noted(f"own and generic must have one shape, not {wanted.shape} and {usual.shape}.")
    if not 0 < floor < np.inf:
        raise UsageError.of_argument("floor", "a finite number above 0", floor)
    least = floor * usual.mean()
    return wanted / np.maximum(usual, least) if least > 0 else wanted


def find_box(
    attention: Map,
    photo_size: tuple[int, int],
    *,
    windows: Sequence[float] = WINDOWS,
    covered: tuple[float, float] = (1.0, 1.0),
    least_side: int = MIN_SIDE,
) -> Found:
    """The window with the highest contrast, in photo pixels.

    A flat map has no such window: then the box is central, its contrast 0. Of equally good windows the one nearest to
    the centre wins, then the uppermost, then the leftmost.

    Args:
        attention: (rows, columns) over the photo, not negative.
        photo_size: width and height in pixels.
        windows: sides of square windows, as shares of the photo's shorter side.
        covered: share of the map's columns and rows that show the photo, from the top left; the rest is padding.
        least_side: of the box in pixels, where the photo has so many.

    Raises:
        ShapeError: no map: wrong dimensions, nothing in it, or values that are negative or not finite.
        UsageError: a photo without pixels, no window, or a share outside 0 to 1.
    """
    fine = _fine_map(checked_map(attention), covered)
    width, height = _checked_size(photo_size)
    if not 1 <= len(windows) <= _MAX_WINDOWS or not all(0 < share <= 1 for share in windows):
        raise UsageError.of_argument(
            "windows", f"1 to {_MAX_WINDOWS} shares above 0, up to 1", tuple(windows[:_MAX_WINDOWS])
        )
    if least_side < 1:
        raise UsageError.of_argument("least_side", "1 pixel or more", least_side)
    sums = np.zeros((fine.shape[0] + 1, fine.shape[1] + 1))
    sums[1:, 1:] = fine.cumsum(axis=0).cumsum(axis=1)
    sides = [share * min(width, height) for share in windows]
    best = max((_best_place(fine, sums, side, (width, height)) for side in sides), key=lambda found: found.contrast)
    return Found(grown(best.box, (width, height), least_side), best.contrast)


def grown(box: PixelBox, photo_size: tuple[int, int], side: int) -> PixelBox:
    """The box about the same centre, at least ``side`` pixels wide and high and no longer than four times its width,
    inside the photo.

    Raises:
        UsageError: a photo without pixels.
    """
    width, height = _checked_size(photo_size)
    left, top, right, bottom = box
    wide, high = max(right - left, side, 1), max(bottom - top, side, 1)
    wide, high = max(wide, round(high / _MAX_ASPECT)), max(high, round(wide / _MAX_ASPECT))
    x, across = _placed((left + right) / 2, wide, width)
    y, down = _placed((top + bottom) / 2, high, height)
    return PixelBox(x, y, x + across, y + down)


def holds(box: PixelBox, region: PixelBox) -> bool:
    """Whether a box holds all of a region."""
    across = box.left <= region.left and region.right <= box.right
    return across and box.top <= region.top and region.bottom <= box.bottom


def _placed(centre: float, length: int, limit: int) -> tuple[int, int]:
    """First pixel and length of a stretch about a centre, moved and cut to lie within 0 to ``limit``."""
    length = min(length, limit)
    return int(min(max(round(centre - length / 2), 0), limit - length)), length


def checked_map(values: Map) -> npt.NDArray[np.float64]:
    """(rows, columns) float64 of a map.

    Raises:
        ShapeError: wrong dimensions, too large, nothing in it, or values that are negative or not finite.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 2 or not 1 <= found.size <= _MAX_CELLS:
        raise ShapeError().noted(f"a map has two axes and 1 to {_MAX_CELLS} cells; this one is {found.shape}.")
    if not np.all(np.isfinite(found)) or found.min() < 0:
        raise ShapeError().noted("a map's values must be finite and not negative.")
    return found


def _checked_size(photo_size: tuple[int, int]) -> tuple[int, int]:
    width, height = photo_size
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE):
        raise UsageError.of_argument("photo_size", f"1 to {_MAX_SIDE} pixels a side", photo_size)
    return int(width), int(height)


def _fine_map(cells: npt.NDArray[np.float64], covered: tuple[float, float]) -> npt.NDArray[np.float64]:
    """The map at eight steps a cell, linear between the cells' centres, without padding."""
    if not all(0 < share <= 1 for share in covered):
        raise UsageError.of_argument("covered", "two shares above 0, up to 1", covered)
    across, down = covered
    rows = _interpolation(cells.shape[0], down)
    columns = _interpolation(cells.shape[1], across)
    fine: npt.NDArray[np.float64] = rows @ (cells / max(cells.max(), _FLAT)) @ columns.T
    return fine


def _interpolation(cells: int, share: float) -> npt.NDArray[np.float64]:
    """(steps, cells) weights, each row summing to 1."""
    steps = max(1, round(cells * share * STEPS_PER_CELL))
    places = np.clip((np.arange(steps) + 0.5) / STEPS_PER_CELL - 0.5, 0, cells - 1)
    first = places.astype(np.int64)
    weights = np.zeros((steps, cells))
    weights[np.arange(steps), first] = 1 - (places - first)
    weights[np.arange(steps), np.minimum(first + 1, cells - 1)] += places - first
    return weights


def _best_place(
    fine: npt.NDArray[np.float64], sums: npt.NDArray[np.float64], side: float, size: tuple[int, int]
) -> Found:
    """The best place of one window; ``sums`` (steps + 1, steps + 1) are the map's running sums."""
    rows, columns = fine.shape
    wide = max(1, round(side / size[0] * columns))
    high = max(1, round(side / size[1] * rows))
    inside = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    total, cells = sums[-1, -1], wide * high
    spread, share = float(fine.std()), cells / fine.size
    if spread < _FLAT or share >= 1:
        contrast = np.zeros_like(inside)
    else:
        difference = inside / cells - (total - inside) / (fine.size - cells)
        contrast = np.clip(difference * np.sqrt(share * (1 - share)) / spread, 0.0, 1.0)
    top, left = _nearest_to_centre(contrast)
    x, across = left * size[0] / columns, wide * size[0] / columns
    y, down = top * size[1] / rows, high * size[1] / rows
    box = PixelBox(round(x), round(y), max(round(x + across), round(x) + 1), max(round(y + down), round(y) + 1))
    return Found(box, float(contrast[top, left]))


def _nearest_to_centre(values: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Place of the largest value; of equal ones the most central."""
    rows, columns = np.nonzero(values >= values.max() - _FLAT)
    off = np.hypot(rows - (values.shape[0] - 1) / 2, columns - (values.shape[1] - 1) / 2)
    first = int(np.lexsort((columns, rows, np.round(off, 9)))[0])
    return int(rows[first]), int(columns[first])

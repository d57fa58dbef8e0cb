"""What a model's own processor does with photos of one size, read off what it makes of a few probes.

No family is known here. Of a size that the processor does not change, every number that it makes is the level of one
pixel, normalised, or a constant such as padding. Twelve photos of noise give each pixel a name of its own, and each
number says by its twelve levels which pixel it is a copy of; a black and a white photo say how levels become numbers.
Numbers that are of no pixel of the photo are looked for in the photo made smaller (the whole beside its tiles).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from heliograph.edge.preprocessing.frames import CHANNELS, LEVELS, MAX_SOURCES, Source
from heliograph.errors import EncoderNotExportableError
from heliograph.training.export.pixel_layout import Index, PixelLayout
from heliograph.types import FloatArray

Size = tuple[int, int]
Process = Callable[[Image.Image], Mapping[str, Any]]
"""Photo to the arguments of ``get_image_features``."""

_PROBES, _OBSERVED = 12, 4
_SEED = 20_260
_MAX_DEVIATION = 0.05  # of a level, by float32's rounding
_MIN_SIDE = 8

Keys = npt.NDArray[np.uint64]
Levels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PixelReading:
    """What photos of one size become.

    Attributes:
        sources: pictures that the numbers are copied from, the photo first.
        tables: (T, 3, 256) float32, the number of each level; sources name theirs.
        layouts: of each argument with pixels.
        constants: the other arguments.
    """

    sources: tuple[Source, ...]
    tables: FloatArray
    layouts: Mapping[str, PixelLayout]
    constants: Mapping[str, Any]


def read_pixels(process: Process, size: Size, resample: int) -> PixelReading:
    """Read the processor.

    Args:
        process: always the same for the same photo.
        size: (width, height) of photos.
        resample: Pillow's filter number, for photos made smaller.

    Raises:
        EncoderNotExportableError: it resizes photos of this size, or makes numbers that are no copies.
    """
    black, white = (process(Image.new("RGB", size, (level,) * CHANNELS)) for level in (0, LEVELS - 1))
    names = [name for name, value in black.items() if _differ(value, white[name])]
    constants = {name: value for name, value in black.items() if name not in names}
    if not names or any(not black[name].is_floating_point() for name in names):
        raise EncoderNotExportableError().noted(
            f"its processor makes no floating-point pixels of a photo of {size[0]}x{size[1]} pixels."
        )
    ranges = {name: _Range(_numbers(black[name]), _numbers(white[name])) for name in names}
    keys, observed = _probed(process, size, ranges, constants)
    collected, layouts = _Collected([], []), {}
    for name in names:
        shape = tuple(black[name].shape)
        found = _find(keys[name], ranges[name].moving, [size, *_smaller(shape, size)], size, resample)
        pairs = [(_pool(photo, found.sizes, resample), made[name]) for photo, made in observed]
        places = collected.add(found.sizes, _table(found, ranges[name], pairs))
        layouts[name] = _layout(shape, places, found, ranges[name])
    if len(collected.sources) > MAX_SOURCES:
        raise EncoderNotExportableError().noted(
            f"its processor reads a photo at {len(collected.sources)} sizes; a device makes {MAX_SOURCES} at most."
        )
    return PixelReading(tuple(collected.sources), np.stack(collected.tables), layouts, constants)


@dataclass(frozen=True)
class _Range:
    """(E,) float32 numbers of a black and of a white photo."""

    black: FloatArray
    white: FloatArray

    @property
    def moving(self) -> npt.NDArray[np.bool_]:
        """(E,) which numbers are no constants."""
        return np.asarray(self.black != self.white)


def _probed(
    process: Process, size: Size, ranges: Mapping[str, _Range], constants: Mapping[str, Any]
) -> tuple[dict[str, Keys], list[tuple[Image.Image, dict[str, FloatArray]]]]:
    """(E,) keys of each argument's numbers, and a few of the probes with what was made of them.

    Raises:
        EncoderNotExportableError: a constant is none, or a number is of no level.
    """
    keys = {name: np.zeros(len(one.black), np.uint64) for name, one in ranges.items()}
    observed: list[tuple[Image.Image, dict[str, FloatArray]]] = []
    for photo, factor in _probes(size):
        made = process(photo)
        if any(_differ(value, made[name]) for name, value in constants.items()):
            raise EncoderNotExportableError().noted(
                f"its processor changes more than pixels with what a photo of {size[0]}x{size[1]} pixels shows."
            )
        numbers = {name: _numbers(made[name]) for name in ranges}
        for name, one in ranges.items():
            keys[name] += _levels(numbers[name], one) * factor
        if len(observed) < _OBSERVED:
            observed.append((photo, numbers))
    return keys, observed


def _layout(shape: tuple[int, ...], places: tuple[int, ...], found: _Found, one: _Range) -> PixelLayout:
    """The layout with the constants that remain put behind the pictures."""
    index, areas = found.index.copy(), _areas(found.sizes)
    fixed, inverse = np.unique(one.black[index < 0], return_inverse=True)
    index[index < 0] = sum(areas) + inverse
    return PixelLayout(shape, places, tuple(areas), index, fixed)


@dataclass(frozen=True)
class _Found:
    """Where numbers come from: (E,) places in pictures of these sizes end to end; -1 for constants."""

    sizes: tuple[Size, ...]
    index: Index


@dataclass(frozen=True)
class _Collected:
    """Sources and tables of all arguments, each once."""

    sources: list[Source]
    tables: list[FloatArray]

    def add(self, sizes: Sequence[Size], table: FloatArray) -> tuple[int, ...]:
        """Places of sources of these sizes that are read by this table."""
        same = [number for number, known in enumerate(self.tables) if np.array_equal(known, table)]
        if not same:
            self.tables.append(table)
        number = same[0] if same else len(self.tables) - 1
        wanted = [Source(*size, number) for size in sizes]
        self.sources.extend(one for one in wanted if one not in self.sources)
        return tuple(self.sources.index(one) for one in wanted)


def _probes(size: Size) -> Iterator[tuple[Image.Image, np.uint64]]:
    """Photos of noise, and an odd factor for each: the sum of factors times levels names a pixel."""
    random = np.random.default_rng(_SEED)
    width, height = size
    for _ in range(_PROBES):
        factor = np.uint64(random.integers(1 << 63, dtype=np.uint64) * 2 + 1)
        yield Image.fromarray(random.integers(0, LEVELS, (height, width, CHANNELS), dtype=np.uint8)), factor


def _differ(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor):
        return not isinstance(second, Tensor) or not torch.equal(first, second)
    return bool(first != second)


def _numbers(value: Tensor) -> FloatArray:
    return np.asarray(value.detach().float().cpu().numpy().reshape(-1), np.float32)


def _levels(numbers: FloatArray, one: _Range) -> Keys:
    """(E,) levels of numbers; 0 for constants.

    Raises:
        EncoderNotExportableError: a number is of no level.
    """
    moving = one.moving
    if (numbers[~moving] != one.black[~moving]).any():
        raise EncoderNotExportableError().noted(
            "its processor computes a number of several pixels, so that no device could copy it."
        )
    exact = (numbers - one.black) / np.where(moving, one.white - one.black, np.float32(1)) * np.float32(LEVELS - 1)
    levels = np.rint(exact)
    if np.abs(exact - levels).max() > _MAX_DEVIATION or levels.min() < 0 or levels.max() >= LEVELS:
        raise EncoderNotExportableError().noted(
            f"its processor makes numbers that are none of a pixel's {LEVELS} levels, as by resizing a photo."
        )
    return levels.astype(np.uint8).astype(np.uint64)


def _smaller(shape: tuple[int, ...], size: Size) -> list[Size]:
    """Sizes of the whole photo that may lie beside its tiles."""
    tile = (shape[-1], shape[-2]) if len(shape) >= 4 else size
    return [tile] if tile != size and min(tile) >= _MIN_SIDE else []


def _areas(sizes: Sequence[Size]) -> list[int]:
    return [CHANNELS * width * height for width, height in sizes]


def _pool(photo: Image.Image, sizes: Sequence[Size], resample: int) -> Levels:
    """(M,) levels of a photo's pictures of these sizes, channel by channel, end to end."""
    pictures = [photo if photo.size == size else photo.resize(size, resample) for size in sizes]
    return np.concatenate([np.asarray(picture).transpose(2, 0, 1).reshape(-1) for picture in pictures])


def _find(keys: Keys, moving: npt.NDArray[np.bool_], candidates: Sequence[Size], size: Size, resample: int) -> _Found:
    """Look for every number among pixels; sizes that are of no use are left out.

    Raises:
        EncoderNotExportableError: a number is a copy of none.
    """
    index = np.full(len(keys), -1, np.int64)
    missing, used, total = moving.copy(), [], 0
    for candidate in candidates:
        if not missing.any():
            break
        names = np.zeros(sum(_areas([candidate])), np.uint64)
        for photo, factor in _probes(size):
            names += _pool(photo, [candidate], resample).astype(np.uint64) * factor
        places = _looked_up(keys[missing], names)
        hit = places >= 0
        if hit.any():
            index[np.flatnonzero(missing)[hit]] = places[hit] + total
            missing[np.flatnonzero(missing)[hit]] = False
            used.append(candidate)
            total += len(names)
    if missing.any() or not used:
        raise EncoderNotExportableError().noted(
            f"its processor makes pixels that no copy of a photo of {size[0]}x{size[1]} pixels has."
        )
    return _Found(tuple(used), index)


def _looked_up(keys: Keys, names: Keys) -> Index:
    """Place of each key among names, the first of equals; -1 for those that are not there."""
    order, ranks = np.argsort(names, kind="stable"), np.argsort(keys)
    sought, known = keys[ranks], names[order]  # both in order: a search that walks along memory
    nearest = np.searchsorted(known, sought).clip(max=len(names) - 1)
    places = np.empty(len(keys), np.int64)
    places[ranks] = np.where(known[nearest] == sought, order[nearest], -1)
    return places


def _table(found: _Found, span: _Range, pairs: Sequence[tuple[Levels, FloatArray]]) -> FloatArray:
    """(3, 256) float32: the number of each level, as it was seen; on a straight line where it was not.

    Raises:
        EncoderNotExportableError: one level has several numbers.
    """
    areas = _areas(found.sizes)
    channels = np.concatenate([np.repeat(np.arange(CHANNELS), area // CHANNELS) for area in areas])
    copied = found.index >= 0
    channel = channels[found.index[copied]]
    table = np.zeros((CHANNELS, LEVELS), np.float32)
    for one in range(CHANNELS):
        members = np.flatnonzero(channel == one)
        if members.size:
            first, last = (float(end[copied][members[0]]) for end in (span.black, span.white))
            table[one] = first + (last - first) * np.arange(LEVELS) / (LEVELS - 1)
    for pool, numbers in pairs:
        table[channel, pool[found.index[copied]]] = numbers[copied]
    if any((table[channel, pool[found.index[copied]]] != numbers[copied]).any() for pool, numbers in pairs):
        raise EncoderNotExportableError().noted("its processor gives one level of a channel several numbers.")
    return table

"""Turns decoded rows of any kind into an upright 8-bit sRGB photo, holding as few bytes as possible.

A decoder's rows are turned into RGB, laid over white, converted to sRGB, reduced and turned in strips, so that nothing
but the decoded picture and the photo are held at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliograph.edge.photos.colour import srgb_conversion
from heliograph.edge.photos.turn import UPRIGHT, without_camera_data
from heliograph.errors import PhotoTooLargeError
from heliograph.strategies.baseline.pictures import to_rgb
from heliograph.types import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image, Transpose

DECODING_BYTES = 104_000_000
"""Most that reading a photo may hold at any moment, beside what the device process is itself."""

PHOTO_BYTES = 64_000_000
"""Most that a photo may hold once it is read: 16 megapixels."""

MIN_PIXELS = 1_000_000
"""A photo that would have to shrink below this is refused: it would not show any more what its owner sees."""

RGB_BYTES = 4
"""Bytes per pixel of an RGB picture in memory."""

_STRIP_PIXELS = 1 << 18
_WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_BYTE_MAX, _WORD_MAX = 255, 65535
_SIDEWAYS = (5, 6, 7, 8)
_FROM_BELOW, _FROM_RIGHT = (3, 4), (6, 7)


@dataclass(frozen=True)
class Rows:
    """A decoded photo, as its rows.

    Attributes:
        size: width and height in pixels.
        strip: rows from one to before another, top to bottom and each once, as a Pillow picture.
        held_bytes: what the decoded rows hold.
        orientation: EXIF's 1 to 8.
        profile: ICC profile of the colours.
        whole: all rows as a picture, where they are one.
    """

    size: tuple[int, int]
    strip: Callable[[int, int], Image]
    held_bytes: int
    orientation: int = UPRIGHT
    profile: bytes | None = None
    whole: Image | None = None


def finished(rows: Rows) -> Image:
    """The photo.

    Raises:
        PhotoTooLargeError: there is no room for it beside the rows.
    """
    convert = srgb_conversion(rows.profile)
    whole = rows.whole
    if whole is not None and _is_plain(whole) and rows.orientation == UPRIGHT and fits(rows.held_bytes):
        return convert(whole, without_camera_data(whole))
    white = _white(rows)
    factor = reduction(rows.size, rows.held_bytes)
    return _assembled(rows, factor, lambda strip: convert(strip, to_rgb(_eight_bit(strip, white))))


def cutter(picture: Image) -> Callable[[int, int], Image]:
    """What cuts strips from a picture in memory."""
    return lambda top, bottom: picture.crop((0, top, picture.width, bottom))


def fits(photo_bytes: int) -> bool:
    """Whether a photo of so many bytes may be held."""
    return photo_bytes <= PHOTO_BYTES


def shows_enough(pixels: float, factor: float) -> bool:
    """Whether a photo that shrank by ``factor`` to so many pixels is still worth sending."""
    return factor == 1 or pixels >= MIN_PIXELS


def reduction(size: tuple[int, int], held_bytes: int) -> int:
    """The smallest whole factor by which both edges must shrink, for the photo to fit beside the decoded rows.

    Raises:
        PhotoTooLargeError: none is small enough.
    """
    pixels = size[0] * size[1]
    room = min(PHOTO_BYTES, DECODING_BYTES - held_bytes)
    for factor in range(1, min(16, max(size)) + 1):
        if RGB_BYTES * pixels <= room * factor**2 and shows_enough(pixels / factor**2, factor):
            return factor
    raise PhotoTooLargeError


def _is_plain(image: Image) -> bool:
    return image.mode == "RGB" and image.info.get("transparency") is None


def _assembled(rows: Rows, factor: int, convert: Callable[[Image], Image]) -> Image:
    from PIL import Image as images

    turn = _turns().get(rows.orientation)
    width, height = (-(-edge // factor) for edge in rows.size)
    photo = images.new("RGB", (height, width) if rows.orientation in _SIDEWAYS else (width, height))
    for top, bottom in _strips(rows.size, factor):
        strip = convert(rows.strip(top, bottom))
        if factor > 1:
            strip = strip.reduce(factor)
        first, last = top // factor, top // factor + strip.height
        if turn is not None:
            strip = strip.transpose(turn)
        photo.paste(strip, _place(rows.orientation, first, last, height))
    return photo


def _place(orientation: int, first: int, last: int, height: int) -> tuple[int, int]:
    """Where a turned strip lies that held the rows from ``first`` to before ``last`` of ``height``."""
    if orientation in _SIDEWAYS:
        return (height - last if orientation in _FROM_RIGHT else first), 0
    return 0, (height - last if orientation in _FROM_BELOW else first)


def _strips(size: tuple[int, int], factor: int = 1) -> Iterator[tuple[int, int]]:
    step = max(1, _STRIP_PIXELS // size[0] // factor) * factor
    for top in range(0, size[1], step):
        yield top, min(top + step, size[1])


def _turns() -> dict[int, Transpose]:
    from PIL.Image import Transpose

    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }


def _white(rows: Rows) -> float:
    """The level that becomes 255: the whole range, or the brightest pixel beyond it."""
    if rows.whole is None or rows.whole.mode not in _WIDE_MODES:
        return _WORD_MAX
    usual = 1.0 if rows.whole.mode == "F" else float(_WORD_MAX)
    return max(usual, *(float(_levels(rows.strip(*place)).max()) for place in _strips(rows.size)))


def _eight_bit(image: Image, white: float) -> Image:
    """Grey levels of 16 or 32 bits or floats scaled to 8 bits; Pillow's own conversion would clip them."""
    from PIL import Image as images

    if image.mode not in _WIDE_MODES:
        return image
    return images.fromarray(np.rint(_levels(image) * (_BYTE_MAX / white)).astype(np.uint8))


def _levels(image: Image) -> FloatArray:
    return np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0.0, neginf=0.0).clip(0)

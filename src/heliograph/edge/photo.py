"""From a file that a person named to an upright 8-bit RGB photo, or a named error.

``load_photo`` never shows a traceback for a bad file: whatever Pillow's readers raise becomes one of three errors.
The size is read from the header and refused before any pixel is decoded.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from heliograph.errors import PhotoMissingError, PhotoTooLargeError, PhotoUnreadableError
from heliograph.strategies.pictures import to_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PHOTO_PIXELS = 100_000_000
"""More than any camera in a phone writes as one whole photo today; 400 MB once decoded."""

REDUCED_ABOVE_PIXELS = 24_000_000
"""JPEGs beyond this are decoded at a half, quarter or eighth of their size (by the DCT, before any pixel exists), to
keep the device under its memory bound; they stay several times larger than any model's input."""

PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM")
"""Photos and drawings that devices write (the JPEG reader takes MPO too).

Not in it: formats whose readers call other programs, such as EPS."""

_WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_BYTE_MAX, _WORD_MAX = 255, 65535


def load_photo(source: Path | str | bytes) -> Image:
    """An upright RGB photo, 8 bits per channel: first frame, EXIF rotation applied, transparency over white.

    Args:
        source: a path, or a file's content.

    Raises:
        PhotoMissingError: no file there, or a folder.
        PhotoUnreadableError: empty, truncated, or no image of a known format.
        PhotoTooLargeError: more than 100 million pixels.
    """
    if isinstance(source, bytes):
        return _read(io.BytesIO(source))
    path = Path(source)
    try:
        if not path.is_file():
            raise PhotoMissingError
        with path.open("rb") as file:
            return _read(file)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        if isinstance(error, PermissionError):
            raise PhotoUnreadableError from error
        raise PhotoMissingError from error


def _read(file: BinaryIO) -> Image:
    from PIL import Image as images

    try:
        with _quiet(), images.open(file, formats=PHOTO_FORMATS) as image:
            if image.width * image.height > MAX_PHOTO_PIXELS:
                raise PhotoTooLargeError
            _reduce(image)
            image.load()
            return _upright(to_rgb(_eight_bit(image)), image)
    except PhotoTooLargeError:
        raise
    except images.DecompressionBombError as error:
        raise PhotoTooLargeError from error
    except Exception as error:  # Pillow's readers raise almost anything on damaged files
        raise PhotoUnreadableError from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Pillow warns of large sizes and broken camera data; both are handled here and are no news to a user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _reduce(image: Image) -> None:
    """Let the JPEG reader decode at a fraction where the photo is larger than the device can hold."""
    divisor = 1
    while image.width * image.height > REDUCED_ABOVE_PIXELS * divisor**2 and divisor < 8:
        divisor *= 2
    if divisor > 1:
        image.draft(None, (image.width // divisor, image.height // divisor))


def _eight_bit(image: Image) -> Image:
    """Grey levels of 16 or 32 bits or floats scaled to 8 bits; Pillow's own conversion would clip them."""
    from PIL import Image as images

    if image.mode not in _WIDE_MODES:
        return image
    levels = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0.0, neginf=0.0).clip(0)
    usual_white = 1.0 if image.mode == "F" else float(_WORD_MAX)
    white = max(usual_white, float(levels.max()))
    return images.fromarray(np.rint(levels * (_BYTE_MAX / white)).astype(np.uint8))


def _upright(photo: Image, opened: Image) -> Image:
    """``photo`` turned as the EXIF orientation of the opened file says; damaged EXIF data turns nothing."""
    from PIL import ExifTags
    from PIL import Image as images

    turns = {
        2: images.Transpose.FLIP_LEFT_RIGHT,
        3: images.Transpose.ROTATE_180,
        4: images.Transpose.FLIP_TOP_BOTTOM,
        5: images.Transpose.TRANSPOSE,
        6: images.Transpose.ROTATE_270,
        7: images.Transpose.TRANSVERSE,
        8: images.Transpose.ROTATE_90,
    }
    try:
        turn = turns.get(opened.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # camera data is an extra: a photo with broken ones is still a photo
        turn = None
    upright = photo if turn is None else photo.transpose(turn)
    plain = upright.copy() if upright is opened else upright
    plain.info.clear()
    return plain

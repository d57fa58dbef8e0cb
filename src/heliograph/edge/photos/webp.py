"""Large WebP, scaled row by row inside its own decoder, through libvips: Pillow would hold three whole pictures.

libvips is loaded when the first such photo needs it.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, BinaryIO

from heliograph.edge.photos.rows import DECODING_BYTES, PHOTO_BYTES, RGB_BYTES, Rows, shows_enough
from heliograph.errors import MissingExtraError, PhotoTooLargeError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

MAX_SCALED_PIXELS = 100_000_000
"""A bound on time: every pixel of them is decoded."""

_LIBRARY_BYTES = 16_000_000
_SCALED_BYTES, _LOSSLESS_BYTES, _ALPHA_BYTES = 12, 5, 3
"""Per pixel: of the scaled picture; of the whole one inside the lossless decoder; inside that of transparency."""

_MODES = {1: "L", 3: "RGB"}
_HEAD_BYTES = 4096


def scaled_webp_rows(image: ImageFile, file: BinaryIO, file_bytes: int, orientation: int) -> Rows:
    """The photo at the largest scale that fits.

    Args:
        image: opened by Pillow and not loaded.
        file: what it was opened from.
        file_bytes: its length.
        orientation: EXIF's.

    Raises:
        MissingExtraError: libvips is not installed.
        PhotoTooLargeError: even scaled it would hold too much, or it has more pixels than are allowed.
    """
    pixels = image.width * image.height
    scale = _scale(pixels, _LIBRARY_BYTES + 2 * file_bytes + _whole_bytes(file) * pixels)
    file.seek(0)
    vips = _vips()
    opened = vips.Image.webpload_buffer(file.read(), scale=scale, access="sequential", fail_on="error")
    scaled = opened.flatten(background=[255]) if opened.hasalpha() else opened
    width, height, mode = scaled.width, scaled.height, _MODES[scaled.bands]
    data = memoryview(scaled.write_to_memory())
    row_bytes = len(data) // height

    def strip(top: int, bottom: int) -> Image:
        from PIL import Image as images

        return images.frombytes(mode, (width, bottom - top), data[top * row_bytes : bottom * row_bytes])

    held = len(data) + _LIBRARY_BYTES
    return Rows((width, height), strip, held, orientation, image.info.get("icc_profile"))


def _scale(pixels: int, whole_bytes: int) -> float:
    """The largest scale, at most 1, at which decoder and photo fit."""
    room = min(PHOTO_BYTES / RGB_BYTES, (DECODING_BYTES - whole_bytes) / _SCALED_BYTES)
    if pixels > MAX_SCALED_PIXELS or not shows_enough(room, max(1, pixels / max(room, 1))):
        raise PhotoTooLargeError
    return min(1.0, math.sqrt(room / pixels))


def _whole_bytes(file: BinaryIO) -> int:
    """Bytes per pixel of the whole picture that its coding needs."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if head[12:16] == b"VP8 ":
        return 0
    alpha = _ALPHA_BYTES if head[12:16] == b"VP8X" and head[20] & 0x10 else 0
    return max(alpha, _LOSSLESS_BYTES if b"VP8L" in head else 0)


@functools.cache
def _vips() -> Any:
    try:
        import pyvips
    except (ImportError, OSError) as error:  # OSError: the binding without the library
        raise MissingExtraError("edge") from error
    pyvips.cache_set_max(0)  # operations, and with them pictures, that nobody will ask for again
    pyvips.concurrency_set(1)  # every thread would hold rows of its own
    return pyvips

"""Which way up a photo was taken: the EXIF orientation, read without decoding and without leaving a trace."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

UPRIGHT = 1
_ORIENTATION_TAG = 0x0112


def orientation_of(image: ImageFile) -> int:
    """1 to 8; damaged EXIF data turns nothing."""
    from PIL import Image as images

    try:
        # The class's own: that of PNG files would decode the picture to look behind it.
        found = images.Image.getexif(image).get(_ORIENTATION_TAG, UPRIGHT)
        return found if found in range(1, 9) else UPRIGHT
    except Exception:  # camera data is an extra: a photo with broken ones is still a photo
        return UPRIGHT


def without_camera_data(image: Image) -> Image:
    """The picture itself, with nothing left of what its file said beside the pixels."""
    image.info.clear()
    with contextlib.suppress(Exception):  # damaged camera data; it is not used, and goes with the file
        image.getexif().clear()
    return image

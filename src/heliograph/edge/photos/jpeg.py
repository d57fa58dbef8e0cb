"""JPEG: decoded at a half, quarter or eighth where the whole would take too much, and used where its tail is missing.

libjpeg scales while it transforms, before any pixel exists, so the size of a sequential file costs time and no memory.
A progressive file is another matter: see :mod:`heliograph.strategies.baseline.jpeg_header`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from heliograph.edge.photos.rows import DECODING_BYTES, PHOTO_BYTES, RGB_BYTES, Rows, cutter, shows_enough
from heliograph.edge.photos.turn import UPRIGHT, orientation_of
from heliograph.errors import PhotoTooLargeError, PhotoUnreadableError
from heliograph.strategies.baseline.jpeg_header import read_jpeg_header
from heliograph.strategies.baseline.picture_memory import mode_bytes

if TYPE_CHECKING:
    from PIL.JpegImagePlugin import JpegImageFile

MAX_JPEG_PIXELS = 250_000_000
"""A bound on time: the largest photos of phones today have 200 megapixels."""

_DIVISORS = (1, 2, 4, 8)
_MIN_SHARE = 0.25
"""Share of the picture's rows below which there is no photo to speak of."""

_END_OF_IMAGE = b"\xff\xd9"
_STRIP_ROWS = 64


def is_jpeg(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is JPEG (or MPO, several in one file)."""
    return head.startswith(b"\xff\xd8\xff")


def jpeg_rows(file: BinaryIO) -> tuple[Rows, float | None]:
    """The decoded photo, and how much of it is missing: None for nothing at all.

    Raises:
        PhotoTooLargeError: more than 250 megapixels, or progressive and too large for what must be held.
        PhotoUnreadableError: more than three quarters are missing.
    """
    from PIL.JpegImagePlugin import JpegImageFile

    header = read_jpeg_header(file)
    if header.width * header.height > MAX_JPEG_PIXELS:
        raise PhotoTooLargeError
    source = _EndedFile(file)
    image = JpegImageFile(cast(BinaryIO, source))  # not by Image.open, whose own bound is below that of phones
    orientation = orientation_of(image)
    plain = image.mode == "RGB" and orientation == UPRIGHT
    divisor = _divisor(image, header.coefficient_bytes, plain)
    if divisor > 1:
        image.draft(None, (max(1, image.width // divisor), max(1, image.height // divisor)))
    source.may_end = True
    image.load()
    missing = _missing_share(image) if source.ended else None
    if missing is not None and missing > 1 - _MIN_SHARE:
        raise PhotoUnreadableError
    profile = image.info.get("icc_profile")
    rows = Rows(image.size, cutter(image), _picture_bytes(image, 1), orientation, profile, image)
    return rows, missing


def missing_note(share: float) -> str:
    """What to tell a user of a photo that ends early."""
    if share == 0:
        return "The photo's file ends early: a little of the picture may be missing."
    return f"The photo's file ends early: {share:.0%} of the picture is missing."


def _divisor(image: JpegImageFile, coefficient_bytes: int, plain: bool) -> int:
    """The divisor of both edges with which decoding and what follows fit."""
    for divisor in _DIVISORS:
        decoded = _picture_bytes(image, divisor)
        photo = -(-image.width // divisor) * -(-image.height // divisor) * RGB_BYTES
        most = max(coefficient_bytes + decoded, decoded if plain else decoded + photo)
        if photo <= PHOTO_BYTES and most <= DECODING_BYTES and shows_enough(photo / RGB_BYTES, divisor):
            return divisor
    raise PhotoTooLargeError


def _picture_bytes(image: JpegImageFile, divisor: int) -> int:
    return -(-image.width // divisor) * -(-image.height // divisor) * mode_bytes(image.mode)


class _EndedFile:
    """A file that goes on with an end marker where it was cut, so that the decoder shows what is there.

    Pillow would do the same by a switch that holds for the whole process and for every format.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.may_end = False
        self.ended = False
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, count: int = -1) -> bytes:
        data = self._file.read(count)
        if data or self.ended or not self.may_end:
            return data
        self.ended = True
        return _END_OF_IMAGE


def _missing_share(image: JpegImageFile) -> float:
    """Share of rows at the lower edge that the decoder had nothing for and filled with one colour."""
    filling = np.asarray(image.crop((image.width - 1, image.height - 1, image.width, image.height)))
    bottom = image.height
    while bottom > 0:
        top = max(0, bottom - _STRIP_ROWS)
        strip = np.asarray(image.crop((0, top, image.width, bottom)))
        differing = np.flatnonzero((strip != filling).reshape(len(strip), -1).any(axis=1))
        if len(differing):
            return 1 - (top + int(differing[-1]) + 1) / image.height
        bottom = top
    return 1.0

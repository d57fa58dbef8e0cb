"""Reads a photo file that a person named: an upright 8-bit sRGB photo, or a named error.

``read_photo`` never shows a traceback for a bad file: whatever the readers raise becomes a named error. What decoding
will hold is known from the header and refused before any pixel is decoded (docs/decisions/0016-reading-photos.md).
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from heliograph.edge.photos.extras import check_extras
from heliograph.edge.photos.heif import heif_rows, is_heif
from heliograph.edge.photos.jpeg import is_jpeg, jpeg_rows, missing_note
from heliograph.edge.photos.pillow import picture_rows
from heliograph.edge.photos.rows import finished
from heliograph.errors import (
    HeliographError,
    PhotoForbiddenError,
    PhotoMemoryError,
    PhotoMissingError,
    PhotoUnreadableError,
)

if TYPE_CHECKING:
    from PIL.Image import Image

_HEAD_BYTES = 256


@dataclass(frozen=True)
class Photo:
    """A photo that was read.

    Attributes:
        image: upright RGB, 8 bits per channel, colours in sRGB.
        notes: what a user should know about it, as sentences; constant but for numbers.
    """

    image: Image
    notes: tuple[str, ...] = ()


def load_photo(source: Path | str | bytes) -> Image:
    """The picture alone, as :func:`read_photo` reads it."""
    return read_photo(source).image


def read_photo(source: Path | str | bytes) -> Photo:
    """First frame or largest page, EXIF rotation applied, transparency over white, ICC profile converted to sRGB.

    A photo that would take more memory than a device has for it is read smaller where its format allows that.

    Args:
        source: a path, or a file's content.

    Raises:
        PhotoMissingError: no file there, or a folder.
        PhotoForbiddenError: no permission to read it.
        PhotoUnreadableError: empty, truncated (but for a JPEG's tail), or no image of a known format.
        PhotoTooLargeError: decoding it would hold more than is allowed.
        PhotoMemoryError: the system has less memory than that.
        MissingExtraError: HEIC or HEIF without the extra ``heif``; a large WebP without libvips.
    """
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), len(source))
    with open_photo_file(source) as file:
        return _read(file, os.fstat(file.fileno()).st_size)


@contextlib.contextmanager
def open_photo_file(path: Path | str) -> Iterator[io.BufferedReader]:
    """The file, for reading.

    Raises:
        PhotoMissingError: no file there, or a folder, pipe or device.
        PhotoForbiddenError: no permission to read it.
        PhotoUnreadableError: the disk fails while it is read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise PhotoMissingError
        file = open(path, "rb")  # noqa: SIM115
    except PermissionError as error:
        raise PhotoForbiddenError from error
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise PhotoMissingError from error
    with file:
        try:
            yield file
        except OSError as error:
            raise PhotoUnreadableError from error


def _read(file: BinaryIO, file_bytes: int) -> Photo:
    try:
        with _quiet():
            check_extras(file, file_bytes)
            head = file.read(_HEAD_BYTES)
            file.seek(0)
            if is_jpeg(head):
                rows, cut = jpeg_rows(file)
                return Photo(finished(rows), (missing_note(cut),) if cut is not None else ())
            rows = heif_rows(file, file_bytes) if is_heif(head) else picture_rows(file, file_bytes)
            return Photo(finished(rows))
    except (HeliographError, ImportError):
        raise
    except MemoryError as error:
        raise PhotoMemoryError from error
    except Exception as error:  # readers raise almost anything on damaged files
        raise PhotoUnreadableError from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Pillow warns of large sizes and broken camera data; both are handled here and are no news to a user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

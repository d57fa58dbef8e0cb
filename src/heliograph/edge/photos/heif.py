"""HEIC and HEIF, what phones write by default, through the optional extra ``heif``."""

from __future__ import annotations

from typing import BinaryIO

from heliograph.edge.photos.rows import DECODING_BYTES, Rows
from heliograph.errors import MissingExtraError, PhotoTooLargeError

_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1")
)
_MAX_BRANDS_BYTES = 256

_BYTES_PER_PIXEL = 7
"""Planes and packed levels at once inside libheif; measured with ``heliograph.bench.hardening.photo_memory``."""


def is_heif(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is HEIF by its brands, and not AVIF, which Pillow reads itself.

    >>> is_heif(b"\\0\\0\\0\\x18ftypheic\\0\\0\\0\\0mif1heic")
    True
    >>> is_heif(b"\\0\\0\\0\\x1cftypmif1\\0\\0\\0\\0mif1avifmiaf")
    False
    """
    if head[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(head[:4], "big"), _MAX_BRANDS_BYTES, len(head))
    brands = {head[8:12], *(head[place : place + 4] for place in range(16, end - 3, 4))}
    return not brands & _AVIF_BRANDS and bool(brands & _HEIF_BRANDS)


def heif_rows(file: BinaryIO, file_bytes: int) -> Rows:
    """The primary picture, upright.

    Raises:
        MissingExtraError: the extra is not installed.
        PhotoTooLargeError: decoding it would hold too much.
    """
    from PIL import Image as images

    try:
        import pillow_heif
    except ImportError as error:
        raise MissingExtraError("heif") from error
    picture = pillow_heif.open_heif(file, convert_hdr_to_8bit=True)
    width, height = picture.size
    if width * height * _BYTES_PER_PIXEL + file_bytes > DECODING_BYTES:
        raise PhotoTooLargeError
    data, stride, mode = picture.data, picture.stride, picture.mode

    def strip(top: int, bottom: int) -> images.Image:
        rows = memoryview(data)[top * stride : bottom * stride]
        return images.frombytes(mode, (width, bottom - top), rows, "raw", mode, stride)

    # libheif turns the picture as the file's own properties say; the camera's tag repeats them and is not followed.
    return Rows((width, height), strip, stride * height, profile=picture.info.get("icc_profile"))

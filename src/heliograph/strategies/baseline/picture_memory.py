"""What Pillow holds while it decodes a picture, by format, told from the header before any pixel is decoded.

Figures are bytes per pixel of the whole picture, measured with ``heliograph.bench.hardening.photo_memory`` and rounded
up. A picture in memory takes four bytes per pixel in RGB, RGBA, LA and CMYK, one in L and P.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

from heliograph.strategies.baseline.jpeg_header import read_jpeg_header

if TYPE_CHECKING:
    from PIL.Image import Image

_MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
_OTHER_MODE_BYTES = 4

_WEBP_FRAME_BYTES = 12
"""Two canvases in RGBA inside libwebp's animation decoder, which Pillow uses for stills too, and the frame itself."""

_AV1_CONFIGURATION = re.compile(rb"av1C\x81(.)(.)", re.DOTALL)
_AV1_SEARCHED_BYTES = 1 << 16
_AV1_WORST_PLANES = 8
_AV1_EXTRA_BYTES = 0.75

_FILE_COPIES = 2
"""Formats that are not read in pieces: the file's bytes, and the decoder's own copy of them."""


def mode_bytes(mode: str) -> int:
    """Bytes per pixel of a Pillow picture."""
    return _MODE_BYTES.get(mode, _OTHER_MODE_BYTES)


def frame_bytes(image: Image) -> int:
    """Bytes of an opened WebP or AVIF's frame as its decoder hands it over: packed, unlike a picture."""
    bands = 4 if image.format == "WEBP" else len(image.getbands())
    return image.width * image.height * bands


def decoding_bytes(image: Image, file: BinaryIO, file_bytes: int) -> int:
    """Most bytes held while an opened picture is decoded at its full size, the decoded picture included.

    Args:
        image: opened and not loaded.
        file: what it was opened from.
        file_bytes: its length.

    Raises:
        ValueError: the header says nothing usable.
    """
    pixels = image.width * image.height
    picture = pixels * mode_bytes(image.mode)
    match image.format:
        case "JPEG" | "MPO":
            return picture + read_jpeg_header(file).coefficient_bytes
        case "WEBP":
            return _WEBP_FRAME_BYTES * pixels + _FILE_COPIES * file_bytes
        case "AVIF":
            planes = _av1_plane_bytes(file, alpha="A" in image.getbands()) + _AV1_EXTRA_BYTES
            return int(planes * pixels) + 2 * frame_bytes(image) + _FILE_COPIES * file_bytes
        case "TIFF":
            return picture + _strip_bytes(image) + file_bytes  # libtiff maps the file
        case "PPM":
            return picture + (0 if _is_raw(image) else 8 * pixels)  # Pillow gathers the others' levels in Python
        case "BMP":
            return picture + (0 if _is_raw(image) else 4 * pixels)
        case "GIF":
            return 2 * picture
        case _:
            return picture


def _av1_plane_bytes(file: BinaryIO, alpha: bool) -> float:
    """Bytes per pixel of the decoder's own planes, by depth and chroma sampling of the AV1 configuration."""
    place = file.tell()
    try:
        file.seek(0)
        head = file.read(_AV1_SEARCHED_BYTES)
    finally:
        file.seek(place)
    found = [_planes(flags[0]) for _, flags in _AV1_CONFIGURATION.findall(head)]
    return sum(found[:2]) if found and (len(found) > 1 or not alpha) else _AV1_WORST_PLANES


def _planes(flags: int) -> float:
    depth = 2 if flags & 0x40 else 1
    monochrome, across, down = flags & 0x10, flags & 0x08, flags & 0x04
    chroma = 0.0 if monochrome else 2.0 / ((2 if across else 1) * (2 if down else 1))
    return depth * (1 + chroma)


def _strip_bytes(image: Image) -> int:
    """A TIFF's strip or row of tiles, which is decompressed as one."""
    tags = getattr(image, "tag_v2", {})
    rows = tags.get(323) or tags.get(278) or image.height
    across = max(image.width, tags.get(322) or 0)
    bits = max(tags.get(258) or (1,)) if isinstance(tags.get(258), tuple) else tags.get(258) or 1
    samples = tags.get(277) or 1
    return int(min(rows, image.height + (tags.get(323) or 0)) * across * max(4, samples * -(-bits // 8)))


def _is_raw(image: Image) -> bool:
    return all(tile[0] == "raw" for tile in getattr(image, "tile", ()))

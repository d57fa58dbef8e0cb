"""What a photo file carries beside its picture: readers hold it in memory, so it is bounded before they open it.

Camera data, thumbnails and colour profiles of real photos have well under a megabyte; a panorama's or a burst's inner
pictures a few. Only lengths are read here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from heliograph.errors import PhotoTooLargeError

MAX_EXTRA_BYTES = 12_000_000
MAX_FILE_BYTES = 64_000_000
"""Bound of formats whose readers take in the whole file (WebP, AVIF, HEIC, GIF); larger ones decode to too much."""

_MAX_PARTS = 1 << 16
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_TIFF_ORDERS = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
_WHOLE = (b"RIFF", b"GIF8")
_START_OF_SCAN = 0xDA
_TIFF_TYPE_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Of the types whose values have more than one byte."""


def check_extras(file: BinaryIO, file_bytes: int) -> None:
    """Refuse a file that carries too much beside its picture; leaves the file at its beginning.

    Raises:
        PhotoTooLargeError: see above.
    """
    head = file.read(12)
    if head[:4] in _WHOLE or head[4:8] == b"ftyp":
        too_large = file_bytes > MAX_FILE_BYTES
    elif head.startswith(_JPEG):
        too_large = _too_much(_jpeg_segments(file))
    elif head.startswith(_PNG):
        too_large = _too_much(_png_extras(file))
    elif head[:4] in _TIFF_ORDERS:
        too_large = _too_much(_tiff_values(file, _TIFF_ORDERS[head[:4]], big=head[2:4] in (b"+\0", b"\0+")))
    else:
        too_large = False
    file.seek(0)
    if too_large:
        raise PhotoTooLargeError


def _too_much(lengths: Iterator[int]) -> bool:
    total = 0
    for count, length in enumerate(lengths):
        total += length
        if total > MAX_EXTRA_BYTES or count > _MAX_PARTS:
            return True
    return False


def _jpeg_segments(file: BinaryIO) -> Iterator[int]:
    """Lengths of everything before the first scan."""
    file.seek(2)
    while len(marker := file.read(4)) == 4 and marker[0] == 0xFF:
        if marker[1] == 0xFF:  # fill bytes before a marker
            file.seek(-3, os.SEEK_CUR)
            yield 1
            continue
        if marker[1] == _START_OF_SCAN:
            return
        length = int.from_bytes(marker[2:], "big")
        yield length
        file.seek(max(length - 2, 0), os.SEEK_CUR)


def _png_extras(file: BinaryIO) -> Iterator[int]:
    """Lengths of all chunks but those of the picture; 0 for each of these."""
    file.seek(len(_PNG))
    while len(chunk := file.read(8)) == 8:
        length = int.from_bytes(chunk[:4], "big")
        yield 0 if chunk[4:] == b"IDAT" else length
        file.seek(length + 4, os.SEEK_CUR)


def _tiff_values(file: BinaryIO, order: str, *, big: bool) -> Iterator[int]:
    """Bytes of every value of every directory; strips and tiles are not among them, only their offsets."""
    offset_form, count_form, entry_form = (
        (f"{order}Q", f"{order}Q", f"{order}HHQ8x")
        if big
        else (
            f"{order}I",
            f"{order}H",
            f"{order}HHI4x",
        )
    )
    file.seek(8 if big else 4)
    seen: set[int] = set()
    while (offset := _number(file, offset_form)) and offset not in seen:
        seen.add(offset)
        file.seek(offset)
        for _ in range(min(_number(file, count_form), _MAX_PARTS)):
            entry = file.read(struct.calcsize(entry_form))
            if len(entry) < struct.calcsize(entry_form):
                return
            _, kind, count = struct.unpack(entry_form, entry)
            yield _TIFF_TYPE_BYTES.get(kind, 1) * count


def _number(file: BinaryIO, form: str) -> int:
    data = file.read(struct.calcsize(form))
    return int(struct.unpack(form, data)[0]) if len(data) == struct.calcsize(form) else 0

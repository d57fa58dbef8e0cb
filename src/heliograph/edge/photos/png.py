"""PNG in strips: each one goes through Pillow as a small PNG of its own, so that the whole never lies in memory.

::

    IDAT --zlib--> filtered rows --of 16 bits the high bytes--> strip --behind the row above it--> PNG --Pillow--> rows

A row's filters look at the row above and at bytes of the same place in a pixel. So a strip needs the last row of the
one before, and the high bytes of 16-bit levels, which are all that an 8-bit photo keeps, go without the low ones.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

MAX_STREAMED_PIXELS = 100_000_000
"""A bound on time: every pixel of them is decompressed."""

STREAM_BYTES = 12_000_000
"""What a strip takes on its way, in all its forms."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_COLOUR_OF_LANES = {1: 0, 2: 4, 3: 2, 4: 6}
_READ_BYTES = 1 << 16
_STORED = 0


class PngStrips:
    """The rows of a PNG that is not interlaced, top to bottom.

    Args:
        image: opened by Pillow and not loaded: says what the levels mean.
        file: what it was opened from.

    Raises:
        OSError: the header is damaged.
    """

    def __init__(self, image: ImageFile, file: BinaryIO) -> None:
        self._image = image
        self._chunks = _idat(file)
        width, height, self._depth, colour = _header(file)
        if (width, height) != image.size or colour not in _CHANNELS:
            raise OSError("two headers")
        channels = _CHANNELS[colour]
        self._stored_bytes = 1 + -(-width * channels * self._depth // 8)
        self._lanes = channels if self._depth >= 8 else 1
        self._row_bytes = (self._stored_bytes - 1) // (2 if self._depth == 16 else 1)
        self._raw_mode = _eight_bit_raw_mode(image)
        self._mode = "L" if image.mode.startswith("I") else image.mode
        self._above = bytes(self._row_bytes)
        self._inflater = zlib.decompressobj()

    def strip(self, top: int, bottom: int) -> Image:
        """The next rows; ``top`` is where the last strip ended.

        Raises:
            OSError: the file is cut or damaged.
        """
        from PIL import Image as images

        rows = self._unfiltered(self._stored_rows(bottom - top), bottom - top)
        self._above = rows[-self._row_bytes :]
        strip = images.frombytes(self._mode, (self._image.width, bottom - top), rows, "raw", self._raw_mode)
        if self._image.palette is not None and self._mode == "P":
            strip.putpalette(self._image.palette)
        if "transparency" in self._image.info and self._depth < 16:
            strip.info["transparency"] = self._image.info["transparency"]
        return strip

    def _stored_rows(self, count: int) -> bytes:
        """Filter byte and filtered bytes of ``count`` rows."""
        wanted = count * self._stored_bytes
        parts: list[bytes] = []
        while wanted:
            pending = self._inflater.unconsumed_tail or next(self._chunks, b"")
            try:
                part = self._inflater.decompress(pending, wanted)
            except zlib.error as error:
                raise OSError("damaged") from error
            if not part and (not pending or self._inflater.eof):
                raise OSError("cut")
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)

    def _unfiltered(self, stored: bytes, count: int) -> bytes:
        """Levels of ``count`` rows, 8 bits each or packed."""
        from PIL import Image as images

        if self._depth == 16:
            rows = np.frombuffer(stored, np.uint8).reshape(count, self._stored_bytes)
            stored = np.concatenate([rows[:, :1], rows[:, 1::2]], axis=1).tobytes()
        data = zlib.compress(b"".join((b"\0", self._above, stored)), _STORED)
        size = self._row_bytes // self._lanes, count + 1
        header = struct.pack(">IIBBBBB", *size, 8, _COLOUR_OF_LANES[self._lanes], 0, 0, 0)
        small = io.BytesIO(_SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b""))
        with images.open(small, formats=("PNG",)) as image:
            return image.crop((0, 1, *size)).tobytes()


def _eight_bit_raw_mode(image: ImageFile) -> str:
    """How the levels lie in a row once their low bytes are gone."""
    stated = image.tile[0][3] or image.mode
    raw_mode = stated if isinstance(stated, str) else str(stated[0])
    if raw_mode.startswith("I;16"):
        return "L"
    return raw_mode.removesuffix(";16B")


def _header(file: BinaryIO) -> tuple[int, int, int, int]:
    """Width, height, depth and colour type; the file is left where it was."""
    place = file.tell()
    file.seek(len(_SIGNATURE) + 8)
    content = file.read(10)
    file.seek(place)
    if len(content) < 10:
        raise OSError("cut")
    width, height, depth, colour = struct.unpack(">IIBB", content)
    return width, height, depth, colour


def _idat(file: BinaryIO) -> Iterator[bytes]:
    """The compressed rows, in pieces."""
    file.seek(len(_SIGNATURE))
    started = False
    while len(head := file.read(8)) == 8:
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if name != b"IDAT":
            if started:
                return
            file.seek(length + 4, 1)
            continue
        started = True
        while length:
            piece = file.read(min(length, _READ_BYTES))
            if not piece:
                return
            length -= len(piece)
            yield piece
        file.seek(4, 1)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))

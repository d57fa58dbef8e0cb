"""``jpeg``, ``webp`` and ``avif``: a picture file at some size and quality: the full-cloud opponents.

They are given what a careful engineer would give them: Lanczos downscaling, 4:2:0 chroma, no metadata, the best
effort that still runs on a device, and for JPEG the smaller of an optimised baseline and a progressive file.
A picture is restored when its last byte is there; a progressive JPEG also from a prefix.
"""

from __future__ import annotations

import io
import re
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from heliograph.errors import StreamDamagedError, StreamTruncatedError
from heliograph.reasons import StreamFault
from heliograph.strategies.base import (
    CloudTools,
    DeviceTools,
    Kind,
    Restored,
    Setting,
    Strategy,
    int_knob,
    joined,
    sliced,
)
from heliograph.strategies.baseline.pictures import MAX_PICTURE_BYTES, MAX_PICTURE_SIDE, decode_picture, shrunk, to_rgb
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from PIL.Image import Image

_SIZES = (32, 48, 64, 80, 96, 128, 192, 256, 512)
_QUALITIES = (5, 10, 20, 35, 50, 75, 90)
_WEBP_METHOD = 6
_AVIF_SMALL_SIDE, _AVIF_SPEED_SMALL, _AVIF_SPEED_LARGE = 256, 4, 6
"""Speed 4 gains 0.3 dB over 6 at equal bytes and triples the time, which only small pictures can afford."""

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_PROGRESSIVE, _JPEG_SCAN, _JPEG_APP0 = 0xC2, 0xDA, 0xE0
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""What ends a scan's data: a marker that is neither a stuffed zero nor a restart."""


class PictureStrategy(Strategy):
    """A picture file in slices, without a header. Knobs: ``size``, longest edge in pixels; ``quality``, 1 to 100."""

    picture_format: ClassVar[str]
    kind: ClassVar[Kind] = Kind.PICTURE
    needs_bundle: ClassVar[bool] = False
    tuned: ClassVar[bool] = True

    def settings(self) -> tuple[Setting, ...]:
        """Sizes x qualities, ordered by pixels times a rough bits-per-pixel of the quality."""
        pairs = [(size, quality) for size in _SIZES for quality in _QUALITIES]
        pairs.sort(key=lambda pair: pair[0] ** 2 * (10 + pair[1]))
        return tuple({"size": size, "quality": quality} for size, quality in pairs)

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """The photo as a file of this format; never enlarged."""
        completed = self.complete_setting(setting)
        size = int_knob(completed, "size", 1, MAX_PICTURE_SIDE)
        quality = int_knob(completed, "quality", 1, 100)
        return self._encoded(shrunk(to_rgb(photo), size), quality)

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """The picture.

        Raises:
            StreamTruncatedError: the file is not complete.
            StreamDamagedError: not a file of this format, or larger than is allowed.
        """
        return Restored(image=decode_picture(self._complete(self._file_of(encoded)), self.picture_format))

    def _encoded(self, picture: Image, quality: int) -> EncodedImage:
        """An RGB picture as a stream."""
        return EncodedImage(self.name, b"", sliced(self._file(picture, quality)))

    def _file_of(self, encoded: EncodedImage) -> bytes:
        """The file, or the beginning of it, that a stream holds."""
        data = joined(encoded.segments, MAX_PICTURE_BYTES)
        if encoded.header:
            raise StreamDamagedError(StreamFault.HEADER)
        if data is None:
            raise StreamDamagedError(StreamFault.LENGTH)
        return data

    @abstractmethod
    def _file(self, picture: Image, quality: int) -> bytes:
        """The smallest file that this encoder makes of an RGB picture at ``quality``."""

    @abstractmethod
    def _complete(self, data: bytes) -> bytes:
        """``data`` as a whole file; raises StreamTruncatedError where it cannot be one."""


class JpegStrategy(PictureStrategy):
    """JPEG (ITU-T T.81)."""

    name: ClassVar[str] = "jpeg"
    picture_format: ClassVar[str] = "JPEG"
    default_setting: ClassVar[Setting] = {"size": 512, "quality": 75}

    def _file(self, picture: Image, quality: int) -> bytes:
        return min(optimised_jpegs(picture, quality), key=len)

    def _complete(self, data: bytes) -> bytes:
        if data.endswith(_JPEG_END):
            return data
        return progressive_prefix(data) + _JPEG_END  # the decoder then shows the scans that are there


class WebpStrategy(PictureStrategy):
    """Lossy WebP (VP8) at its slowest method."""

    name: ClassVar[str] = "webp"
    picture_format: ClassVar[str] = "WEBP"
    default_setting: ClassVar[Setting] = {"size": 512, "quality": 75}

    def _file(self, picture: Image, quality: int) -> bytes:
        return saved(picture, "WEBP", quality=quality, method=_WEBP_METHOD)

    def _complete(self, data: bytes) -> bytes:
        if len(data) < 8 or len(data) < 8 + int.from_bytes(data[4:8], "little"):  # RIFF: tag, length of the rest
            raise StreamTruncatedError().noted("webp needs the whole file, and the end of it is not here.")
        # Pillow's WebP reader makes room for the whole canvas before it tells the size, so the size is read here.
        width, height = (int.from_bytes(data[place : place + 2], "little") & 0x3FFF for place in (26, 28))
        if data[12:16] != b"VP8 " or max(width, height) > MAX_PICTURE_SIDE:
            raise StreamDamagedError(StreamFault.PICTURE)
        return data


class AvifStrategy(PictureStrategy):
    """AVIF still picture (AV1), 4:2:0."""

    name: ClassVar[str] = "avif"
    picture_format: ClassVar[str] = "AVIF"
    default_setting: ClassVar[Setting] = {"size": 512, "quality": 60}

    def _file(self, picture: Image, quality: int) -> bytes:
        return saved(picture, "AVIF", quality=quality, speed=avif_speed(picture), subsampling="4:2:0", max_threads=1)

    def _complete(self, data: bytes) -> bytes:
        position = 0
        while position < len(data):
            length = int.from_bytes(data[position : position + 4], "big")  # ISO base media box: length, type, content
            if length < 8:
                raise StreamDamagedError(StreamFault.PICTURE)
            position += length
        if position != len(data) or b"mdat" not in data:
            raise StreamTruncatedError().noted("avif needs the whole file, and the end of it is not here.")
        return data


def avif_speed(picture: Image) -> int:
    """The encoder's speed for a picture: slower where it is small."""
    return _AVIF_SPEED_SMALL if max(picture.size) <= _AVIF_SMALL_SIDE else _AVIF_SPEED_LARGE


def progressive_prefix(data: bytes) -> bytes:
    """The longest prefix of a cut progressive JPEG that ends in a scan's data, not in the tables between two scans.

    Raises:
        StreamTruncatedError: not progressive, or the cut comes before the first scan's data.
    """
    usable, progressive, position = 0, False, len(_JPEG_START)
    while data.startswith(_JPEG_START) and position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        progressive = progressive or marker == _JPEG_PROGRESSIVE
        position += 2 + max(length, 2)
        if marker == _JPEG_SCAN and position < len(data):
            next_marker = _JPEG_MARKER.search(data, position)
            usable = position = next_marker.start() if next_marker else len(data)
    if not (progressive and usable):
        raise StreamTruncatedError().noted(
            "jpeg shows nothing before its first scan begins, and less than that is here."
        )
    return data[:usable].removesuffix(b"\xff")


def optimised_jpegs(picture: Image, quality: int) -> tuple[bytes, bytes]:
    """The picture as a progressive and as a sequential file, each with Huffman tables of its own."""
    options = {"quality": quality, "optimize": True, "subsampling": 2}
    return saved(picture, "JPEG", progressive=True, **options), saved(picture, "JPEG", progressive=False, **options)


def saved(picture: Image, picture_format: str, **options: object) -> bytes:
    """The picture as a file without metadata; ``options`` are Pillow's."""
    picture = picture.copy()
    picture.info.clear()  # Pillow would write comment, profile and camera data that it finds there
    out = io.BytesIO()
    picture.save(out, picture_format, **options)
    return _without_jfif(out.getvalue()) if picture_format == "JPEG" else out.getvalue()


def _without_jfif(data: bytes) -> bytes:
    """A JPEG without its APP0 marker: 18 bytes of density and version that no decoder needs."""
    if data[2:4] != bytes([0xFF, _JPEG_APP0]):
        return data
    return data[:2] + data[4 + int.from_bytes(data[4:6], "big") :]

"""``jpeg-bare``, ``webp-bare`` and ``avif-bare``: the picture files without the bytes that the receiver can rebuild.

The file is that of the plain strategy at the same setting (for JPEG also one with the standard Huffman tables), and
the cloud decodes exactly this file: the device rebuilds it first and compares. A file that cannot be rebuilt travels
whole behind one byte. ``docs/bare-pictures.md`` has the layouts.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from heliograph.codec.header import read_varint, write_varint
from heliograph.errors import HeliographError, StreamDamagedError, StreamTruncatedError
from heliograph.reasons import StreamFault
from heliograph.strategies.base import joined, sliced
from heliograph.strategies.baseline.bare_avif import rebuilt_avif, stripped_avif
from heliograph.strategies.baseline.bare_file import BareFile
from heliograph.strategies.baseline.bare_jpeg import rebuilt_jpeg, stripped_jpeg
from heliograph.strategies.baseline.bare_webp import rebuilt_webp, stripped_webp
from heliograph.strategies.baseline.pictures import MAX_PICTURE_BYTES
from heliograph.strategies.baseline.pixels import (
    AvifStrategy,
    JpegStrategy,
    PictureStrategy,
    WebpStrategy,
    optimised_jpegs,
    saved,
)
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from PIL.Image import Image

_WHOLE = b"\x00"
_BARE, _LENGTH, _FLAGS_SHIFT = 1, 2, 2
_LENGTH_BYTES = 4
_NUMBER_BYTES = 3


class _BarePictureStrategy(PictureStrategy):
    """The header says what is left out; the segments hold the rest in slices."""

    numbers: ClassVar[int]
    """How many numbers of the format stand in the header."""

    def _encoded(self, picture: Image, quality: int) -> EncodedImage:
        streams = (self._bare_or_whole(file) for file in self._files(picture, quality))
        return min(streams, key=lambda one: one.payload_bytes)

    def _files(self, picture: Image, quality: int) -> tuple[bytes, ...]:
        """Files of the same picture; the one with the shortest stream is sent."""
        return (self._file(picture, quality),)

    def _bare_or_whole(self, file: bytes) -> EncodedImage:
        bare = self._stripped(file)
        if bare is None or not self._gives(bare, file):
            return EncodedImage(self.name, _WHOLE, sliced(file))
        segments = sliced(bare.body)
        one = len(segments) == 1
        flags = _BARE | (0 if one else _LENGTH) | bare.flags << _FLAGS_SHIFT
        length = b"" if one else write_varint(len(bare.body))
        return EncodedImage(self.name, bytes([flags]) + b"".join(map(write_varint, bare.numbers)) + length, segments)

    def _gives(self, bare: BareFile, file: bytes) -> bool:
        try:
            return bool(bare.body) and self._rebuilt(bare) == file
        except HeliographError:  # a size or length that no receiver takes
            return False

    def _file_of(self, encoded: EncodedImage) -> bytes:
        data = joined(encoded.segments, MAX_PICTURE_BYTES)
        if data is None:
            raise StreamDamagedError(StreamFault.LENGTH)
        if encoded.header == _WHOLE:
            return data
        return self._rebuilt(self._read(encoded.header, data))

    def _read(self, header: bytes, data: bytes) -> BareFile:
        if not header or not header[0] & _BARE:
            raise StreamDamagedError(StreamFault.HEADER)
        position, numbers = 1, []
        try:
            for _ in range(self.numbers):
                number, position = read_varint(header, position, _NUMBER_BYTES)
                numbers.append(number)
            length = 0
            if header[0] & _LENGTH:
                length, position = read_varint(header, position, _LENGTH_BYTES)
        except StreamTruncatedError as error:
            raise StreamDamagedError(StreamFault.HEADER) from error  # a header arrives whole or not at all
        if position != len(header):
            raise StreamDamagedError(StreamFault.HEADER)
        if header[0] & _LENGTH and not len(data) <= length <= MAX_PICTURE_BYTES:
            raise StreamDamagedError(StreamFault.LENGTH)
        complete = bool(data) and len(data) >= length
        return BareFile(header[0] >> _FLAGS_SHIFT, tuple(numbers), data, complete)

    @abstractmethod
    def _stripped(self, file: bytes) -> BareFile | None:
        """What a file holds beyond what the receiver knows; None for one of another layout."""

    @abstractmethod
    def _rebuilt(self, bare: BareFile) -> bytes:
        """The file, or as much of it as ``bare`` has.

        Raises:
            StreamTruncatedError: the format needs more than that.
            StreamDamagedError: it is what :meth:`_stripped` makes of no file.
        """


class BareJpegStrategy(_BarePictureStrategy, JpegStrategy):
    """JPEG without its quantisation tables and markers, and with Huffman tables in few bytes or none."""

    name: ClassVar[str] = "jpeg-bare"
    numbers: ClassVar[int] = 3

    def _files(self, picture: Image, quality: int) -> tuple[bytes, ...]:
        standard = saved(picture, "JPEG", quality=quality, subsampling=2)
        return (standard, *optimised_jpegs(picture, quality))

    def _stripped(self, file: bytes) -> BareFile | None:
        return stripped_jpeg(file)

    def _rebuilt(self, bare: BareFile) -> bytes:
        return rebuilt_jpeg(bare)


class BareWebpStrategy(_BarePictureStrategy, WebpStrategy):
    """Lossy WebP without its container and the start of its frame."""

    name: ClassVar[str] = "webp-bare"
    numbers: ClassVar[int] = 3

    def _stripped(self, file: bytes) -> BareFile | None:
        return stripped_webp(file)

    def _rebuilt(self, bare: BareFile) -> bytes:
        return rebuilt_webp(bare)


class BareAvifStrategy(_BarePictureStrategy, AvifStrategy):
    """AVIF without its boxes, its sequence header and the start of its frame header."""

    name: ClassVar[str] = "avif-bare"
    numbers: ClassVar[int] = 2

    def _stripped(self, file: bytes) -> BareFile | None:
        return stripped_avif(file)

    def _rebuilt(self, bare: BareFile) -> bytes:
        return rebuilt_avif(bare)

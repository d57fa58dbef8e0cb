"""``jpeg-dct``: quantised DCT coefficients of the photo, which become patch embeddings without a pixel in between.

::

    DEVICE  photo --tools.pictures--> RGB at the model's input size --DCT, JPEG's quantisers--> levels of Y, Cb, Cr
            --bit planes, the coarsest first--> one codeword; no vision tower, no bundle's codec
    CLOUD   any prefix --> levels --W_dct, a matrix per patch--> (T, rows, columns, d) --rest of the tower--> (N, D)

The idea is arXiv 2211.16421's ("RGB no more"), which trains networks on the coefficients of JPEG files. Here nothing is
trained: W_dct follows from the first layer of a tower that was trained on pixels (see
:mod:`heliograph.strategies.compressed_domain.fold`), and is exact but for what decoders round and clip. A JPEG's own
entropy coding is replaced by one of which every prefix decodes, so that the coefficients are those of a JPEG and the
bytes are fewer. Chroma is sent at half size and enlarged as libjpeg does, where the article joins blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from heliograph.codec.cuts import cut, segment_ends
from heliograph.codec.header import read_varint, write_varint
from heliograph.errors import BudgetTooSmallError, ShapeError, StreamDamagedError, StreamTruncatedError
from heliograph.reasons import StreamFault
from heliograph.strategies.base import (
    CloudTools,
    DeviceTools,
    Family,
    Kind,
    Restored,
    Setting,
    Strategy,
    int_knob,
    joined,
)
from heliograph.strategies.compressed_domain.coefficients import BLOCK, PictureShape, quantised
from heliograph.strategies.compressed_domain.contexts import shipped_tables
from heliograph.strategies.compressed_domain.fold import fold_of
from heliograph.strategies.compressed_domain.stream import decode, encode
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from PIL.Image import Image

    Size = tuple[int, int]

MAX_SIDE = 4096
MAX_PICTURES = 3
MAX_STREAM_BYTES = 1 << 24
MAX_BYTES_OF_A_PIXEL = 4
"""Noise of black and white at the finest quality takes 3.5; more would only make a cloud work."""

FULL, HALVED = 1, 2
"""Values of the knob ``chroma``."""

_FULL_BIT = 0x80
_SIDE_BYTES = 2
_BUDGETS = (40, 80, 120, 180, 260, 380, 560, 820, 1200, 1800)
_QUALITIES = (75, 90)


class JpegDctStrategy(Strategy):
    """Header: quality (1 byte; 128 more for chroma in full), the grade of the first pass (1 byte), and of each picture
    width - 1 and height - 1 as varints. Segments: slices of the codeword.

    Knobs: ``quality``, 1 to 100, as libjpeg's; ``chroma``, 2 at half size (4:2:0), 1 in full (4:4:4); ``max_bytes``,
    payload bytes at most, 0 for no bound.
    """

    name: ClassVar[str] = "jpeg-dct"
    default_setting: ClassVar[Setting] = {"quality": 75, "chroma": HALVED, "max_bytes": 0}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = False
    embedded: ClassVar[bool] = True
    family: ClassVar[Family] = Family.COMPRESSED_DOMAIN
    paper: ClassVar[str | None] = "2211.16421"
    enters_tower: ClassVar[bool] = True

    def settings(self) -> tuple[Setting, ...]:
        """Prefixes, which depend little on the quality that they are of, then whole streams."""
        prefixes: list[Setting] = [{"quality": _QUALITIES[0], "max_bytes": budget} for budget in _BUDGETS]
        whole: list[Setting] = [{"quality": quality} for quality in _QUALITIES]
        return (*prefixes, *whole)

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """The coefficients of the pictures that the model reads of the photo.

        Raises:
            BudgetTooSmallError: ``max_bytes`` have no room for more than the header.
        """
        completed = self.complete_setting(setting)
        quality = int_knob(completed, "quality", 1, 100)
        chroma = int_knob(completed, "chroma", FULL, HALVED)
        limit = int_knob(completed, "max_bytes", 0, MAX_STREAM_BYTES)
        pictures = tools.pictures(photo)
        sides = b"".join(write_varint(side - 1) for picture in pictures for side in picture.size)
        room = limit - 2 - len(sides) if limit else MAX_STREAM_BYTES
        if room <= 0:
            raise BudgetTooSmallError().noted(f"a bound of {limit} bytes holds the header of {2 + len(sides)} at most.")
        coefficients = [quantised(picture, quality, chroma == HALVED) for picture in pictures]
        grade, codeword = encode(coefficients, shipped_tables(), room)
        header = bytes([quality | (_FULL_BIT if chroma == FULL else 0), grade]) + sides
        return EncodedImage(self.name, header, cut(codeword, segment_ends(len(codeword))))

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N tokens from any prefix, the empty one included.

        Raises:
            ModelUnsupportedError: the model's tower does not begin with an affine map of patches.
            ShapeError: the model reads pictures of other sizes.
            StreamDamagedError: a header that no device writes, or too many bytes.
        """
        quality, halved, sizes = self._read(encoded.header)
        data = joined(encoded.segments, _most_bytes(sizes))
        if data is None:
            raise StreamDamagedError(StreamFault.LENGTH)
        reader = tools.patch_reader(sizes[0])
        if reader.pictures != sizes:
            raise ShapeError().noted(f"this model reads pictures of {_text(reader.pictures)}, not of {_text(sizes)}.")
        fold = fold_of(reader, halved)
        shapes = [PictureShape(*size, halved) for size in sizes]
        pictures = decode(shapes, quality, encoded.header[1], data, shipped_tables())
        return Restored(tokens=reader.tokens(fold.embedded(pictures)))

    def _read(self, header: bytes) -> tuple[int, bool, tuple[Size, ...]]:
        """Quality, whether chroma is halved, and (width, height) of each picture."""
        sides: list[int] = []
        position = 2
        try:
            while position < len(header) and len(sides) < 2 * MAX_PICTURES:
                less, position = read_varint(header, position, _SIDE_BYTES)
                sides.append(less + 1)
        except StreamTruncatedError as error:
            raise StreamDamagedError(StreamFault.HEADER) from error  # a header arrives whole or not at all
        if position != len(header) or not sides or len(sides) % 2 or max(sides) > MAX_SIDE:
            raise StreamDamagedError(StreamFault.HEADER)
        quality = header[0] & ~_FULL_BIT
        if not 1 <= quality <= 100:
            raise StreamDamagedError(StreamFault.HEADER)
        return quality, not header[0] & _FULL_BIT, tuple(zip(sides[::2], sides[1::2], strict=True))


def _most_bytes(sizes: tuple[Size, ...]) -> int:
    """Bytes that a codeword can have: those of all pixels, whole blocks counted."""
    pixels = sum((width + 2 * BLOCK) * (height + 2 * BLOCK) for width, height in sizes)
    return min(MAX_BYTES_OF_A_PIXEL * pixels, MAX_STREAM_BYTES)


def _text(sizes: tuple[Size, ...]) -> str:
    return " and ".join(f"{width}x{height}" for width, height in sizes)

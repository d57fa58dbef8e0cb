"""``read``: the text in a photo, found by a reader on the device; nothing of the pixels travels.

::

    photo --detector, recogniser (extra ocr)--> lines --largest and surest first--> codeword --slices--> segments
    cloud: whole lines --> "large text top left: OPEN" ... --> before the question, or drawn

Semantic compression of the kind of VLM-CSC (arXiv 2407.00020), with what is written in the place of what is depicted:
a question about a sign needs nothing else, and most other questions get nothing at all. What differs from sending the
text as a file: sizes and places go along, in some five bits a line; a small frozen network knows what signs say; and
every prefix is whole lines, the most important ones.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from heliograph.errors import StreamDamagedError, StreamTruncatedError
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
from heliograph.strategies.semantic.lines import MAX_LINES, decode_lines, encode_lines, placed
from heliograph.strategies.semantic.text_model import VERSION, text_model
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_WORD_BYTES = 1 << 13
"""Of a codeword of words: 2,000 characters at four bytes each."""

NOTHING_READ = "There is no text in it."


class ReadStrategy(Strategy):
    """Header: the version of the text coder, 1 byte. Segments: slices of the codeword, each ending with a line.

    Knob ``lines``: how many at most.
    """

    name: ClassVar[str] = "read"
    default_setting: ClassVar[Setting] = {"lines": 32}
    kind: ClassVar[Kind] = Kind.TEXT
    needs_bundle: ClassVar[bool] = False
    extra: ClassVar[str] = "ocr"
    family: ClassVar[Family] = Family.SEMANTIC
    paper: ClassVar[str | None] = "2407.00020"

    def settings(self) -> tuple[Setting, ...]:
        """From the largest line to 64."""
        return tuple({"lines": count} for count in (1, 2, 4, 8, 16, 32, 64))

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """What the device's reader finds.

        Raises:
            MissingExtraError: the extra ``ocr`` is not installed.
        """
        most = int_knob(self.complete_setting(setting), "lines", 1, MAX_LINES)
        codeword, ends = encode_lines(placed(tools.text_lines(photo), most), text_model())
        return EncodedImage(self.name, bytes([VERSION]), cut_at(codeword, ends))

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """The whole lines of a prefix, one a line.

        Raises:
            StreamTruncatedError: not even one is whole.
            StreamVersionError: the lines are coded by a version that is not here.
            StreamDamagedError: no device sends this.
        """
        if len(encoded.header) != 1:
            raise StreamDamagedError(StreamFault.HEADER)
        model = text_model(encoded.header[0])
        data = joined(encoded.segments, MAX_WORD_BYTES)
        if data is None:
            raise StreamDamagedError(StreamFault.LENGTH)
        lines, whole = decode_lines(data, model)
        if whole and encode_lines(lines, model)[0] != data:
            raise StreamDamagedError(StreamFault.LENGTH)
        if not lines and not whole:
            raise StreamTruncatedError().noted("read shows whole lines of text, and none of them is whole here.")
        return Restored(text="\n".join(map(str, lines)) or NOTHING_READ)


def cut_at(codeword: bytes, ends: list[int]) -> tuple[bytes, ...]:
    """A codeword in slices that end where something is whole, the last one with the codeword."""
    borders = sorted({0, *ends, len(codeword)})
    return tuple(codeword[begin:end] for begin, end in pairwise(borders))

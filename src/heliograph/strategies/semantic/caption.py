"""``caption``: the photo in the words of the device's own model, coded with what both ends know of such words.

::

    photo --tower, language model of the bundle--> "a red star top left, a sign K52 top center."
          --knowledge base: template, slots, place of each--> some 8 bits a thing --> segments
    cloud: the same words, to the letter --> before the question, or drawn

After VLM-CSC (arXiv 2407.00020): a caption through a semantic codec, a shared knowledge base, a generator that redraws
at the other end. Different here: the knowledge base is templates by version and not a memory that learns; words are
coded without loss by an arithmetic coder, and there is no channel code, since the link below brings bytes whole. What
nobody asked the device to say is lost: answers of the cloud know the caption alone.
"""

from __future__ import annotations

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
from heliograph.strategies.semantic.lines import MAX_CHARACTERS, clean, decode_text, encode_text
from heliograph.strategies.semantic.read import MAX_WORD_BYTES, cut_at
from heliograph.strategies.semantic.symbol_coder import SymbolDecoder, SymbolEncoder
from heliograph.strategies.semantic.templates import MAX_PARTS, VERSIONS, knowledge_base
from heliograph.strategies.semantic.text_model import TextState, text_model
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from PIL.Image import Image

_NO_BASE = 0


class CaptionStrategy(Strategy):
    """Header: number of the knowledge base, 1 byte, 0 for none. Segments: slices of the codeword, each ending with a
    thing.

    Knobs: ``base``, the knowledge base, 0 for the text coder alone, which is also what descriptions take that would not
    come back to the letter; ``things``, how many are told at most, in the order of the description, 0 for all.
    """

    name: ClassVar[str] = "caption"
    default_setting: ClassVar[Setting] = {"base": VERSIONS[-1], "things": 0}
    kind: ClassVar[Kind] = Kind.TEXT
    needs_bundle: ClassVar[bool] = False
    speaks: ClassVar[bool] = True
    family: ClassVar[Family] = Family.SEMANTIC
    paper: ClassVar[str | None] = "2407.00020"

    def settings(self) -> tuple[Setting, ...]:
        """From one thing to all, then all of them as text."""
        bases = [(VERSIONS[-1], count) for count in (1, 2, 3, 4, 5, 6, 0)]
        return tuple({"base": base, "things": count} for base, count in (*bases, (_NO_BASE, 0)))

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """What the device's model says of the photo.

        Raises:
            BundleDamagedError: the device's bundle holds no language model.
        """
        completed = self.complete_setting(setting)
        base = int_knob(completed, "base", _NO_BASE, VERSIONS[-1])
        things = int_knob(completed, "things", 0, MAX_PARTS)
        text = clean(tools.describe(photo).replace("\n", " "))[:MAX_CHARACTERS]
        parts = knowledge_base(base).parts(text) if base else None
        if parts is None:
            return EncodedImage(self.name, bytes([_NO_BASE]), cut_at(_encoded_text(text), []))
        codeword, ends = knowledge_base(base).encode(parts[: things or None], text_model())
        return EncodedImage(self.name, bytes([base]), cut_at(codeword, ends))

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """The description, or the things of it that a prefix holds whole.

        Raises:
            StreamTruncatedError: not even one is whole; of a text without a knowledge base, it is not.
            StreamVersionError: a knowledge base that is not here.
            StreamDamagedError: no device sends this.
        """
        if len(encoded.header) != 1:
            raise StreamDamagedError(StreamFault.HEADER)
        data = joined(encoded.segments, MAX_WORD_BYTES)
        if data is None:
            raise StreamDamagedError(StreamFault.LENGTH)
        version = encoded.header[0]
        text, whole = _decoded_text(data) if version == _NO_BASE else _decoded_parts(data, version)
        if not whole and not text:
            raise StreamTruncatedError().noted("caption shows whole things, and none of them is whole here.")
        return Restored(text=text or _NOTHING_SAID)


_NOTHING_SAID = "There is nothing to be said of it."


def _encoded_text(text: str) -> bytes:
    encoder = SymbolEncoder()
    encode_text(encoder, text, TextState(text_model()))
    return encoder.finish()[0]


def _decoded_text(data: bytes) -> tuple[str, bool]:
    text = decode_text(SymbolDecoder(data), TextState(text_model()), MAX_CHARACTERS)
    if text is not None and _encoded_text(text) != data:
        raise StreamDamagedError(StreamFault.LENGTH)
    return text or "", text is not None


def _decoded_parts(data: bytes, version: int) -> tuple[str, bool]:
    base, model = knowledge_base(version), text_model()
    parts, whole = base.decode(data, model)
    if whole and base.encode(parts, model)[0] != data:
        raise StreamDamagedError(StreamFault.LENGTH)
    return base.text(parts) if parts else "", whole

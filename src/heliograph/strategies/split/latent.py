"""``klt`` and ``meta``: visual tokens as one embedded codeword of a codec; any prefix restores all tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from heliograph.codec.fallback import closed_form_stream, nearer_stream, written_by
from heliograph.errors import BudgetTooSmallError, CodecMissingError
from heliograph.strategies.base import (
    CloudTools,
    DeviceTools,
    Family,
    Kind,
    Restored,
    Setting,
    Strategy,
    int_knob,
)
from heliograph.types import EncodedImage, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.codec.meta import MetaCodec

_MAX_BYTES = 2**24


class LatentStrategy(Strategy):
    """Progressive latent in the manner of arXiv 2604.26508, from the bundle's codec of the strategy's name.

    Knob ``max_bytes``: payload bytes at most, header (3 to 16 bytes) included; 0 sends the whole codeword and leaves
    the stop to the controller.
    """

    default_setting: ClassVar[Setting] = {"max_bytes": 0}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    embedded: ClassVar[bool] = True
    family: ClassVar[Family] = Family.SPLIT
    paper: ClassVar[str | None] = "2604.26508"

    def settings(self) -> tuple[Setting, ...]:
        """Rates about a quarter apart from 16 bytes to 4 kB, where the bytes are few; then the whole codeword."""
        sweep = (16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 0)
        return tuple({"max_bytes": limit} for limit in sweep)

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """Tokens through the codec, cut at ``max_bytes``.

        Raises:
            BudgetTooSmallError: the header alone is longer than ``max_bytes``.
        """
        limit = int_knob(self.complete_setting(setting), "max_bytes", 0, _MAX_BYTES)
        tools.codec(self.name)  # before the tower runs: a bundle without this codec is refused at once
        encoded = self._encoded(tools.encode_tokens(photo), tools, limit or None)
        if 0 < limit < len(encoded.header):
            raise BudgetTooSmallError().noted(
                f"max_bytes={limit} shows nothing: the header alone takes {len(encoded.header)} bytes of this photo."
            )
        return replace(encoded, strategy=self.name)

    def _encoded(self, tokens: VisualTokens, tools: DeviceTools, limit: int | None) -> EncodedImage:
        return tools.codec(self.name).encode(tokens, max_bytes=limit)

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N x D tokens from any prefix, the empty one included."""
        kind, header = written_by(encoded)
        return Restored(tokens=tools.codec(kind).decode(header, encoded.segments))


class KltStrategy(LatentStrategy):
    """The closed-form codec, :mod:`heliograph.codec.klt`."""

    name: ClassVar[str] = "klt"
    codec: ClassVar[str] = "klt"


class MetaStrategy(LatentStrategy):
    """The learned codec, :mod:`heliograph.codec.meta`; photos that are none of its kind may be left to ``klt``, and
    photos whose grid it has not learned are."""

    name: ClassVar[str] = "meta"
    codec: ClassVar[str] = "meta"

    def _encoded(self, tokens: VisualTokens, tools: DeviceTools, limit: int | None) -> EncodedImage:
        codec = cast("MetaCodec", tools.codec(self.name))
        if not codec.takes(tokens.grid):
            return closed_form_stream(tokens, tools.codec, limit)
        encoded, unusual = codec.encode_watchfully(tokens, max_bytes=limit)
        if not unusual:
            return encoded
        try:
            return nearer_stream(encoded, tokens, tools.codec)
        except CodecMissingError:
            return encoded  # the bundle holds nothing to fall back to

"""Visual tokens as one embedded codeword: what strategies share whose streams are those of ``klt`` or ``meta``."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from heliograph.codec.fallback import CLOSED_FORM, closed_form_stream, nearer_stream, written_by
from heliograph.codec.klt import fineness_of
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

_MAX_BYTES, _MAX_LEVEL = 2**24, 2**12


class LatentStrategy(Strategy):
    """Progressive latent in the manner of arXiv 2604.26508, from the bundle's codec of the strategy's name.

    Knob ``max_bytes``: payload bytes at most, header (1 to 16 bytes) included. The other knob is the level, in the
    codec's own unit, that the stream ends at; see :mod:`heliograph.codec.levels`. Whichever is shorter counts; 0 is
    no limit, and leaves the stop to the controller.
    """

    level_knob: ClassVar[str]
    levels: ClassVar[tuple[int, ...]]
    """Of the sweep for the bench, from coarse to fine."""

    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    embedded: ClassVar[bool] = True
    family: ClassVar[Family] = Family.SPLIT
    paper: ClassVar[str | None] = "2604.26508"

    def settings(self) -> tuple[Setting, ...]:
        """A ladder of levels, then the whole codeword."""
        return tuple({self.level_knob: level} for level in (*self.levels, 0))

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """Tokens through the codec, cut where the setting says.

        Raises:
            BudgetTooSmallError: ``max_bytes`` have no room for more than the header.
        """
        return self._made(photo, tools, setting, None)

    def encode_towards(self, photo: Image, tools: DeviceTools, setting: Setting, agreement: float) -> EncodedImage:
        """The same; of ``klt`` with a plane that ends where so large a share of answers agrees."""
        return self._made(photo, tools, setting, agreement)

    def _made(self, photo: Image, tools: DeviceTools, setting: Setting, agreement: float | None) -> EncodedImage:
        completed = self.complete_setting(setting)
        limit = int_knob(completed, "max_bytes", 0, _MAX_BYTES)
        level = int_knob(completed, self.level_knob, 0, _MAX_LEVEL)
        tools.codec(self.codec)  # before the tower runs: a bundle without this codec is refused at once
        encoded = self._encoded(tools.encode_tokens(photo), tools, limit or None, level or None, agreement)
        if 0 < limit <= len(encoded.header):
            raise BudgetTooSmallError().noted(
                f"a bound of {limit} shows nothing: with its header the least takes {len(encoded.header) + 1} bytes of "
                "this photo."
            )
        return replace(encoded, strategy=self.name)

    @abstractmethod
    def _encoded(
        self, tokens: VisualTokens, tools: DeviceTools, limit: int | None, level: int | None, agreement: float | None
    ) -> EncodedImage:
        """The stream of some tokens."""

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N x D tokens from any prefix, the empty one included."""
        kind, header = written_by(encoded)
        return Restored(tokens=tools.codec(kind).decode(header, encoded.segments))


class LearnedStrategy(LatentStrategy):
    """Streams of the learned codec, :mod:`heliograph.codec.meta`; photos that are none of its kind may be left to
    ``klt``, and photos whose grid it has not learned are. Knob ``latents``: how many of every tile."""

    codec: ClassVar[str] = "meta"
    level_knob: ClassVar[str] = "latents"
    levels: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52)
    default_setting: ClassVar[Setting] = {"latents": 0, "max_bytes": 0}

    def _encoded(
        self, tokens: VisualTokens, tools: DeviceTools, limit: int | None, level: int | None, agreement: float | None
    ) -> EncodedImage:
        codec = cast("MetaCodec", tools.codec(self.codec))
        if not codec.takes(tokens.grid):
            return closed_form_stream(tokens, tools.codec, limit, fineness_for(tools, agreement))
        encoded, unusual = codec.encode_watchfully(tokens, max_bytes=limit, level=level)
        if not unusual:
            return encoded
        try:
            return nearer_stream(encoded, tokens, tools.codec, fineness_for(tools, agreement))
        except CodecMissingError:
            return encoded  # the bundle holds nothing to fall back to


def fineness_for(tools: DeviceTools, agreement: float | None) -> int | None:
    """The fineness of the closed-form streams of which a plane ends where so large a share of answers agrees; None
    where nothing is asked for, or nobody has measured it.

    Raises:
        CodecMissingError: the bundle has no closed-form codec.
    """
    if agreement is None:
        return None
    curve = tools.codec(CLOSED_FORM).levels
    return None if curve is None else fineness_of(curve.level_for(agreement))

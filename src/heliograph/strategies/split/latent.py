"""``klt`` and ``meta``: visual tokens as one embedded codeword of a codec; any prefix restores all tokens."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from heliograph.codec.familiarity import measured_stream
from heliograph.strategies.base import DeviceTools, Setting
from heliograph.strategies.latent_streams import LatentStrategy, LearnedStrategy, fineness_for
from heliograph.types import EncodedImage, VisualTokens

if TYPE_CHECKING:
    from heliograph.codec.klt import KltCodec


class KltStrategy(LatentStrategy):
    """The closed-form codec, :mod:`heliograph.codec.klt`. Knob ``level``: eighth octaves of the finest quantiser step
    above which everything is known; fewer are finer."""

    name: ClassVar[str] = "klt"
    codec: ClassVar[str] = "klt"
    level_knob: ClassVar[str] = "level"
    levels: ClassVar[tuple[int, ...]] = (60, 56, 52, 48, 44, 42, *range(40, 9, -2), 8)
    default_setting: ClassVar[Setting] = {"level": 0, "max_bytes": 0}

    def _encoded(
        self, tokens: VisualTokens, tools: DeviceTools, limit: int | None, level: int | None, agreement: float | None
    ) -> EncodedImage:
        codec = cast("KltCodec", tools.codec(self.codec))
        fineness = None if level is not None else fineness_for(tools, agreement)
        encode = partial(codec.encode, tokens, level=level, fineness=fineness)
        return measured_stream(codec, tokens, limit, encode, whole=level is None)


class MetaStrategy(LearnedStrategy):
    """The learned codec, as it is."""

    name: ClassVar[str] = "meta"

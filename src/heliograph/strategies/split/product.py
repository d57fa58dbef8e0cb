"""``pq``: visual tokens by product quantisation, one byte per token and subspace; an opponent of fixed rate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

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
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.codec.product import ProductCodec

_MAX_BYTES = 64


class ProductStrategy(Strategy):
    """One segment per row of the grid, from the bundle's codec ``pq``.

    Knob ``token_bytes``: bytes per token at most; the codec's finest quantiser of so many or fewer is taken.
    """

    name: ClassVar[str] = "pq"
    default_setting: ClassVar[Setting] = {"token_bytes": 2}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    codec: ClassVar[str] = "pq"
    family: ClassVar[Family] = Family.SPLIT

    def settings(self) -> tuple[Setting, ...]:
        """Settings from one byte a token to eight."""
        return tuple({"token_bytes": count} for count in (1, 2, 4, 8))

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """All tokens by one quantiser."""
        per_token = int_knob(self.complete_setting(setting), "token_bytes", 1, _MAX_BYTES)
        codec = tools.codec(self.name)  # before the tower runs: a bundle without this codec is refused at once
        encoded = cast("ProductCodec", codec).encode_at(tools.encode_tokens(photo), per_token)
        return replace(encoded, strategy=self.name)

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N x D tokens; those that have not come are the mean token of their position."""
        return Restored(tokens=tools.codec(self.name).decode(encoded.header, encoded.segments))

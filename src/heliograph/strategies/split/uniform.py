"""``int8`` and ``int4``: all visual tokens uniformly quantised, in row-major order, without any further coding."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from heliograph.errors import StreamDamagedError
from heliograph.reasons import StreamFault
from heliograph.strategies.base import (
    CloudTools,
    DeviceTools,
    Family,
    Kind,
    Restored,
    Setting,
    Strategy,
)
from heliograph.strategies.token_bytes import filled_with_mean, read_records, token_records
from heliograph.types import EncodedImage, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image


class UniformStrategy(Strategy):
    """Tokens in a few bits, without a header; one segment per token, first token first."""

    bits: ClassVar[int]
    default_setting: ClassVar[Setting] = {}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    family: ClassVar[Family] = Family.SPLIT

    def settings(self) -> tuple[Setting, ...]:
        """The one empty setting."""
        return ({},)

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """N records of 2 + D * bits / 8 bytes."""
        self.complete_setting(setting)
        return EncodedImage(self.name, b"", token_records(tools.encode_tokens(photo).values, self.bits))

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N tokens; those that have not come are the mean of those that have.

        Raises:
            StreamDamagedError: header or records do not fit the model.
        """
        if encoded.header:
            raise StreamDamagedError(StreamFault.HEADER)
        rows = read_records(encoded.segments, tools.hidden_size, tools.grid.tokens, self.bits)
        places = np.arange(len(rows))
        return Restored(tokens=VisualTokens(filled_with_mean(rows, places, tools.grid.tokens), tools.grid))


class Int8Strategy(UniformStrategy):
    """Eight bits a value."""

    name: ClassVar[str] = "int8"
    bits: ClassVar[int] = 8


class Int4Strategy(UniformStrategy):
    """Four bits a value."""

    name: ClassVar[str] = "int4"
    bits: ClassVar[int] = 4

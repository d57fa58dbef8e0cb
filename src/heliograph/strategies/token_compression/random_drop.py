"""``random-drop``: a random subset of the visual tokens at eight bits; the missing ones become their mean.

Dropping tokens at random beats many clever choices of tokens, so it is a baseline that every method must meet.
"""

from __future__ import annotations

import zlib
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
    int_knob,
)
from heliograph.strategies.token_bytes import filled_with_mean, read_records, token_records
from heliograph.types import EncodedImage, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_TOKENS = 2**16
_WORD = 2**64 - 1


class RandomDropStrategy(Strategy):
    """Header: the seed, 2 bytes big endian. One segment per kept token, in the order of the seeded shuffle.

    Knobs: ``keep``, the number of tokens sent; ``seed``, mixed with the photo's checksum so that every photo loses
    other tokens and a bench over many photos averages over subsets too.
    """

    name: ClassVar[str] = "random-drop"
    default_setting: ClassVar[Setting] = {"keep": 32, "seed": 0}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    family: ClassVar[Family] = Family.TOKEN_COMPRESSION

    def settings(self) -> tuple[Setting, ...]:
        """Settings from one token to forty-eight."""
        return tuple({"keep": keep, "seed": 0} for keep in (1, 2, 4, 8, 12, 16, 24, 32, 48))

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """The first ``keep`` tokens of the shuffled order (all of them where the model has fewer)."""
        completed = self.complete_setting(setting)
        keep = int_knob(completed, "keep", 1, _MAX_TOKENS)
        seed = (int_knob(completed, "seed", 0, 2**16 - 1) + zlib.crc32(photo.tobytes())) % 2**16
        tokens = tools.encode_tokens(photo)
        kept = shuffled(tokens.grid.tokens, seed)[:keep]
        return EncodedImage(self.name, seed.to_bytes(2, "big"), token_records(tokens.values[kept]))

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N tokens; those that were not sent are the mean of those that were.

        Raises:
            StreamDamagedError: header or records do not fit the model.
        """
        if len(encoded.header) != 2:
            raise StreamDamagedError(StreamFault.HEADER)
        rows = read_records(encoded.segments, tools.hidden_size, tools.grid.tokens)
        places = shuffled(tools.grid.tokens, int.from_bytes(encoded.header, "big"))[: len(rows)]
        return Restored(tokens=VisualTokens(filled_with_mean(rows, places, tools.grid.tokens), tools.grid))


def shuffled(count: int, seed: int) -> np.ndarray:
    """0 to ``count`` - 1 in an order that ``seed`` decides: Fisher-Yates over SplitMix64 (Steele et al., 2014).

    Written out here because both ends must agree for ever, and numpy's own streams may change between versions.
    """
    order = np.arange(count)
    state = seed
    for last in range(count - 1, 0, -1):
        state = (state + 0x9E3779B97F4A7C15) & _WORD
        word = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
        other = (word ^ (word >> 31)) % (last + 1)
        order[last], order[other] = order[other], order[last]
    return order

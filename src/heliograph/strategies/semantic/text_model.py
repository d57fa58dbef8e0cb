"""Chances of the next character of a text, from the eight before it: a small network in integers, frozen here.

::

    8 symbols --embedding, int8--> (64,) --first, int8--> ReLU (96,) --second, int8--> + the last one's bigram --> (97,)
              --2 ** (. / 64), integer table--> frequencies, each at least 1, together 2 ** 16
              --what followed the same characters earlier in this text gets a share more--> frequencies

Every step is integer arithmetic on tables that are in the package, so both ends compute the same frequencies whatever
machine they are. A version of the tables is a version of the stream; a version that is not here is refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import isqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec.checks import check_shape
from heliograph.codec.storage import Arrays, read_arrays, write_arrays
from heliograph.errors import BundleDamagedError, StreamVersionError
from heliograph.reasons import BundleFault, BundlePart, FileFault
from heliograph.strategies.semantic.symbol_coder import TOTAL

END, ESCAPE = 0, 96
SYMBOLS = 97
"""The end of a line, the printable characters of ASCII from the space on, and an escape before the bytes of another."""

CONTEXT = 8
EMBEDDING, HIDDEN = 8, 96
FIRST_SHIFT, SECOND_SHIFT, BIGRAM_SHIFT = 5, 6, 2
"""Places behind the point: a product of two weights has more of them than the numbers that it is added up to."""

MAX_HIDDEN = 1023
STEPS_PER_OCTAVE = 64
"""A logit is in 1/64 octave: one of 64 more makes a symbol twice as likely."""

MATCH_BITS = 8
MATCH_ONE = 1 << MATCH_BITS

VERSION = 1
_STEM = "text"
_POWER_BITS = 24

Int = npt.NDArray[np.int64]


@lru_cache(maxsize=1)
def powers() -> Int:
    """(1600,) 2 ** (24 - k / 64), to the nearest: a chain of integer square roots, the same on every machine."""
    bits = 96
    root = 1 << (2 * bits - 1)  # 1/2
    factor = isqrt(root)  # 2 ** -1/2
    for _ in range(5):
        factor = isqrt(factor << bits)
    value, found = 1 << bits, []
    for _ in range(STEPS_PER_OCTAVE * (_POWER_BITS + 1)):
        found.append((value + (1 << (bits - _POWER_BITS - 1))) >> (bits - _POWER_BITS))
        value = value * factor >> bits
    return np.array(found, dtype=np.int64)


_SHAPES = {
    "embedding": (SYMBOLS, EMBEDDING),
    "first": (CONTEXT * EMBEDDING, HIDDEN),
    "first_bias": (HIDDEN,),
    "second": (HIDDEN, SYMBOLS),
    "bigram": (SYMBOLS, SYMBOLS),
    "bias": (SYMBOLS,),
    "more": (33,),
    "match": (CONTEXT + 1,),
    "sizes": (4,),
    "places": (9,),
}


@dataclass(frozen=True)
class TextModel:
    """The tables.

    Attributes:
        embedding: (97, 8) int8.
        first: (64, 96) int8, from eight embeddings, the oldest first.
        first_bias: (96,) int32.
        second: (96, 97) int8.
        bigram: (97, 97) int8, what the last symbol adds to each.
        bias: (97,) int32.
        more: (33,) int32, of 2 ** 16: how likely another line follows after so many.
        match: (9,) int32, of 256: the share that goes to what followed the longest earlier occurrence of the last
            characters, by how many these are, 0 to 8.
        sizes, places: (4,) and (9,) int32, frequencies of lines' sizes and places, each summing up to 2 ** 16.
    """

    embedding: Int
    first: Int
    first_bias: Int
    second: Int
    bigram: Int
    bias: Int
    more: Int
    match: Int
    sizes: Int
    places: Int

    def frequencies(self, context: Sequence[int]) -> Int:
        """(97,) chances of 2 ** 16, each at least 1, behind eight symbols."""
        seen = self.embedding[list(context)].reshape(-1)  # (64,)
        hidden = (seen @ self.first + self.first_bias) >> FIRST_SHIFT
        hidden = np.clip(hidden, 0, MAX_HIDDEN)  # (96,)
        logits = ((hidden @ self.second + self.bias) >> SECOND_SHIFT) + (self.bigram[context[-1]] << BIGRAM_SHIFT)
        table = powers()
        weights = table[np.minimum(logits.max() - logits, len(table) - 1)]
        found = 1 + weights * (TOTAL - SYMBOLS) // weights.sum()
        found[int(logits.argmax())] += TOTAL - int(found.sum())
        return np.asarray(found, dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Write ``text-1.safetensors``, 1 being the version."""
        small = ("embedding", "first", "second", "bigram")
        arrays: Arrays = {name: getattr(self, name).astype(np.int8 if name in small else np.int32) for name in _SHAPES}
        write_arrays(folder, f"{_STEM}-{VERSION}", {"version": VERSION}, arrays)


class TextState:
    """Where a text stands: what comes next, by the model and by what came before.

    Args:
        model: of both ends.
    """

    def __init__(self, model: TextModel) -> None:
        self._model = model
        self._seen = bytearray([END] * CONTEXT)

    def sums(self) -> list[int]:
        """(98,) sums of the frequencies before each symbol."""
        found = self._model.frequencies(self._seen[-CONTEXT:])
        length, following = self.match()
        if length:
            share = int(self._model.match[length])
            found = 1 + ((found - 1) * (MATCH_ONE - share) >> MATCH_BITS)
            found[following] += TOTAL - int(found.sum())
        return [0, *accumulate(found.tolist())]

    def match(self) -> tuple[int, int]:
        """How many of the last characters, up to eight, stood together before, and what followed them; 0 for none."""
        seen = self._seen
        for length in range(min(CONTEXT, len(seen) - CONTEXT), 0, -1):
            at = seen.rfind(seen[-length:], CONTEXT, len(seen) - 1)
            if at >= 0:
                return length, seen[at + length]
        return 0, END

    def take(self, symbol: int) -> None:
        """Go on behind a symbol."""
        self._seen.append(symbol)


@lru_cache(maxsize=4)
def text_model(version: int = VERSION) -> TextModel:
    """The tables of a version, as the package has them.

    Raises:
        StreamVersionError: no such version here.
        BundleDamagedError: the package's file is damaged.
    """
    if version != VERSION:
        raise StreamVersionError().noted(f"Its words are coded by version {version}, and this program knows {VERSION}.")
    return load_text_model(Path(__file__).parent)


def load_text_model(folder: Path) -> TextModel:
    """What ``save`` wrote.

    Raises:
        BundleDamagedError: missing, or of other shapes.
    """
    _, arrays = read_arrays(folder, f"{_STEM}-{VERSION}")
    if set(arrays) != set(_SHAPES):
        raise BundleDamagedError(BundlePart.TABLES, FileFault.CONTENT)
    for name, shape in _SHAPES.items():
        check_shape(BundlePart.TABLES, arrays[name], shape)
    model = TextModel(**{name: array.astype(np.int64) for name, array in arrays.items()})
    for shares in (model.sizes, model.places):
        if int(shares.sum()) != TOTAL or int(shares.min()) < 1:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.RANGE)
    if not (model.match >= 0).all() or not (model.match < MATCH_ONE).all():
        raise BundleDamagedError(BundlePart.TABLES, BundleFault.RANGE)
    if not (model.more > 0).all() or not (model.more < TOTAL).all():
        raise BundleDamagedError(BundlePart.TABLES, BundleFault.RANGE)
    return model

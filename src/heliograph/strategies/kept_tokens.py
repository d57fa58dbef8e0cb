"""Streams of chosen or averaged tokens: one packing for every strategy that sends fewer tokens than there are.

::

    header:  level, 128 more where a number follows (1 byte); tokens that come, less one (varint); header of ``klt``
    payload: a codeword of :mod:`heliograph.codec.token_rows`, [place, token] by [place, token]

So what is compared between these strategies is their choice of tokens, and not how tokens become bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from heliograph.codec.cuts import cut, segment_ends
from heliograph.codec.fallback import CLOSED_FORM
from heliograph.codec.header import pack_header, parse_header, read_varint, write_varint
from heliograph.codec.row_places import Places
from heliograph.codec.symbols import SymbolDecoder, SymbolEncoder
from heliograph.codec.tables import Int
from heliograph.codec.token_rows import MAX_ROW_LEVEL, MAX_ROW_VALUES, RowCoder
from heliograph.errors import ShapeError, StreamDamagedError, StreamTruncatedError
from heliograph.reasons import StreamFault
from heliograph.strategies.base import CloudTools, DeviceTools
from heliograph.types import FloatArray, Grid, VisualTokens, tokens_make_sense

if TYPE_CHECKING:
    from heliograph.codec.klt import KltCodec

_COUNTED = 128  # of the first byte
_COUNT_BYTES = 2  # a varint below 2 ** 14, as many as a grid has tokens


@dataclass(frozen=True)
class StreamHead:
    """What a header says.

    Attributes:
        level: of the tokens, 0 to ``MAX_ROW_LEVEL``.
        grid: of the photo.
        small: 0 to 7, of the strategy's own meaning.
        count: tokens that come; 0 where the header does not say.
        extra: 1 to 255, of the strategy's own meaning; 0 for none.
    """

    level: int
    grid: Grid
    small: int = 0
    count: int = 0
    extra: int = 0

    def pack(self, codec: KltCodec) -> bytes:
        """The header as bytes, at most 16.

        Raises:
            ShapeError: the grid is none that a header can state.
        """
        first = bytes((self.level | _COUNTED,)) + write_varint(self.count - 1) if self.count else bytes((self.level,))
        return first + pack_header(self.grid, codec.grid, small=self.small, extra=self.extra)


def read_head(header: bytes, tools: CloudTools) -> StreamHead:
    """What a header says, its grid held against what the cloud can have.

    Raises:
        ShapeError: a grid that is none of the model's.
        StreamTruncatedError, StreamDamagedError, StreamVersionError: it cannot be read.
    """
    if not header:
        raise StreamTruncatedError().noted("The header is empty; the shortest has 2 bytes.")
    count, start = 0, 1
    if header[0] & _COUNTED:
        less, start = read_varint(header, 1, _COUNT_BYTES)
        count = less + 1
    codec = closed_form(tools)
    grid = codec.stated_grid(header[start:])
    tools.check_grid(grid)
    found = parse_header(header[start:], codec.grid)
    if count > grid.tokens:
        raise StreamDamagedError(StreamFault.HEADER)
    return StreamHead(header[0] & MAX_ROW_LEVEL, grid, found.small, count, found.extra)


def closed_form(tools: CloudTools | DeviceTools) -> KltCodec:
    """The bundle's ``klt``.

    Raises:
        CodecMissingError: it has none.
    """
    return cast("KltCodec", tools.codec(CLOSED_FORM))


def checked_tokens(tokens: VisualTokens, codec: KltCodec) -> VisualTokens:
    """Tokens that the codec's transform takes.

    Raises:
        ShapeError: N or D do not fit, or a value is not finite.
    """
    wanted = (tokens.grid.tokens, codec.hidden_size)
    if tokens.values.shape != wanted:
        raise ShapeError().noted(f"tokens of this grid have the shape {wanted}, not {tokens.values.shape}.")
    if not tokens_make_sense(tokens.values):
        raise ShapeError().noted("a value is not finite, or larger than a vision tower makes.")
    return tokens


Part = tuple[Sequence[int], "Places | None"]
"""Places among all N of tokens that come one after the other, and how their places are coded; None where both ends know
them."""


def packed(
    values: FloatArray, parts: Sequence[Part], coder: RowCoder, grid: Grid, *, chapters: bool
) -> tuple[bytes, ...]:
    """The segments of tokens.

    Args:
        values: (k, D) float32, in the order of the parts.
        parts: where they lie.
        coder: at the level wanted.
        grid: that the places are of.
        chapters: whether the stream may end after any token without saying how many there are.

    Raises:
        ShapeError: more than a stream may hold.
    """
    places, positions = [place for part, _ in parts for place in part], grid.rows * grid.columns
    if len(places) * coder.components > MAX_ROW_VALUES:
        raise ShapeError().noted(
            f"a stream holds {MAX_ROW_VALUES // coder.components} tokens, not {len(places)}: keep fewer."
        )
    integers = coder.quantised(values, [place % positions for place in places]).tolist()
    rows, encoder = iter(integers), SymbolEncoder()
    for part, order in parts:
        for place in part:
            if chapters:
                encoder.begin()
            if order is not None:
                order.encode(encoder, place)
            coder.encode(encoder, next(rows), place % positions)
    data = encoder.finish()
    return cut(data, segment_ends(len(data)))


class PackedTokens:
    """Reads tokens of a stream's prefix, one after the other.

    Args:
        segments: of the stream.
        coder: at the level that its header states.
        grid: likewise.
        chapters: as they were packed.
    """

    def __init__(self, segments: Sequence[bytes], coder: RowCoder, grid: Grid, *, chapters: bool) -> None:
        self._most = min(MAX_ROW_VALUES // coder.components, grid.tokens)
        self._decoder, self._coder, self._chapters = SymbolDecoder(b"".join(segments)), coder, chapters
        self._positions = grid.rows * grid.columns
        self.places: list[int] = []
        self._integers: list[list[int]] = []

    def take(self, count: int, order: Places) -> bool:
        """Read tokens whose places are coded; False where the bytes end before so many."""
        for _ in range(count):
            if len(self.places) == self._most or not self._begun():
                return False
            place = order.decode(self._decoder)
            if place is None or not self._take(place):
                return False
        return True

    def take_at(self, places: Iterable[int]) -> bool:
        """Read tokens at places that are known; False where the bytes end before all of them."""
        return all(len(self.places) < self._most and self._begun() and self._take(place) for place in places)

    def _begun(self) -> bool:
        if self._chapters:
            self._decoder.begin()
        return not self._decoder.ended

    def _take(self, place: int) -> bool:
        integers = self._coder.decode(self._decoder, place % self._positions)
        if integers is None:
            return False
        self.places.append(place)
        self._integers.append(integers)
        return True

    @property
    def spectrum(self) -> FloatArray:
        """(k, R) float32 channel coefficients of the tokens read."""
        found: Int = np.array(self._integers, dtype=np.int64).reshape(len(self.places), self._coder.components)
        return self._coder.restored(found, [place % self._positions for place in self.places])

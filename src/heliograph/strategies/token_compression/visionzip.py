"""``visionzip``: the visual tokens that the tower looks at most, and a few averages of the others.

::

    tower --queries, keys of its second-last layer--> attention received (N,), keys (N, K)
    most attended tokens, the most important first ─┐
    the rest, merged by keys into evenly spaced ones ┴--[place, token] each, then tokens alone--> one codeword
    any prefix --tokens known so far--> kriging over the grid --> (N, D)

VisionZip (arXiv 2412.04467) keeps dominant tokens by the attention of the class token in the second-last layer and
merges the others into contextual ones: every n-th of them is a target, and each other joins the target whose key is
nearest by cosine. Different here: towers without a class token, so attention received counts, pooled over the patches
of a token where the connector merges some, as keys are; what joins a target is averaged with it as one more token (in
its code the mean is added, which takes more bytes here and answers no better); tokens are quantised and entropy-coded;
the cloud's model gets all N places, and what no token came for is predicted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from heliograph.codec.row_places import ChosenPlaces
from heliograph.codec.token_rows import MAX_ROW_LEVEL, RowCoder, row_statistics
from heliograph.errors import StreamDamagedError
from heliograph.reasons import StreamFault
from heliograph.strategies.base import CloudTools, DeviceTools, Family, Kind, Restored, Setting, Strategy, int_knob
from heliograph.strategies.kept_tokens import PackedTokens, StreamHead, checked_tokens, closed_form, packed, read_head
from heliograph.strategies.missing import PREDICTED, filled_tokens
from heliograph.strategies.towers import AttendedTokens
from heliograph.types import EncodedImage, FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_TOKENS, _MAX_CONTEXTUAL = 2**14, 255


class VisionZipStrategy(Strategy):
    """Header: that of :mod:`heliograph.strategies.kept_tokens`, with the number of dominant tokens; the extra byte of
    ``klt``'s is the number of contextual ones.

    Knobs: ``dominant`` and ``contextual``, numbers of tokens; ``level``, eighth octaves of the codec's finest step
    above which everything is known of them.
    """

    name: ClassVar[str] = "visionzip"
    default_setting: ClassVar[Setting] = {"dominant": 12, "contextual": 12, "level": 20}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    embedded: ClassVar[bool] = True
    codec: ClassVar[str] = "klt"
    missing: ClassVar[str] = PREDICTED
    family: ClassVar[Family] = Family.TOKEN_COMPRESSION
    paper: ClassVar[str | None] = "2412.04467"

    def settings(self) -> tuple[Setting, ...]:
        """Settings from four tokens to sixty-four, half of them contextual, with levels that suit them."""
        coarse = ((2, 28), (4, 28), (6, 28), (8, 28), (12, 28), (12, 25), (16, 25), (12, 20), (16, 20), (20, 20))
        ladder = (*coarse, (24, 14), (32, 14), (32, 8))
        return tuple({"dominant": count, "contextual": count, "level": level} for count, level in ladder)

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """Dominant tokens by importance, then contextual ones in the order of their places.

        Raises:
            CodecMissingError: the bundle has no ``klt``.
            AttentionMissingError: its encoder does not tell what its tower looks at.
        """
        completed = self.complete_setting(setting)
        dominant = int_knob(completed, "dominant", 1, _MAX_TOKENS)
        contextual = int_knob(completed, "contextual", 0, _MAX_CONTEXTUAL)
        level = int_knob(completed, "level", 0, MAX_ROW_LEVEL)
        codec = closed_form(tools)  # before the tower runs: a bundle without this codec is refused at once
        attended = tools.encode_attended(photo)
        tokens = checked_tokens(attended.tokens, codec)
        grid, first = tokens.grid, dominant_places(attended.received, dominant)
        targets = contextual_places(first, grid.tokens, contextual)
        values = np.concatenate([tokens.values[first], merged_tokens(attended, first, targets)])
        head = StreamHead(level, grid, count=len(first), extra=len(targets))
        coder = RowCoder(row_statistics(codec, grid), level)
        parts = [(first, ChosenPlaces(grid.tokens)), (targets, None)]
        return EncodedImage(self.name, head.pack(codec), packed(values, parts, coder, grid, chapters=False))

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N tokens from any prefix.

        Raises:
            StreamDamagedError: the header is none of this strategy's.
        """
        head = read_head(encoded.header, tools)
        if head.small or not head.count:
            raise StreamDamagedError(StreamFault.HEADER)
        grid, statistics = head.grid, row_statistics(closed_form(tools), head.grid)
        found = PackedTokens(encoded.segments, RowCoder(statistics, head.level), grid, chapters=False)
        if found.take(head.count, ChosenPlaces(grid.tokens)):
            found.take_at(contextual_places(found.places, grid.tokens, head.extra))
        return Restored(tokens=filled_tokens(found.spectrum, found.places, statistics, grid, self.missing))


def dominant_places(received: FloatArray, count: int) -> list[int]:
    """Places of the ``count`` tokens of N that get most attention, most of all first; of equals the first."""
    found: list[int] = np.argsort(-received, kind="stable")[:count].tolist()
    return found


def contextual_places(dominant: list[int], tokens: int, count: int) -> list[int]:
    """Places of the targets among the rest of N: every (rest // count)-th of it, from its first on."""
    rest = np.setdiff1d(np.arange(tokens), dominant)
    if not count or not len(rest):
        return []
    found: list[int] = rest[:: max(1, len(rest) // count)][:count].tolist()
    return found


def merged_tokens(attended: AttendedTokens, dominant: list[int], targets: list[int]) -> FloatArray:
    """(c, D) contextual tokens: each target's mean with the tokens of the rest whose keys are nearest to its own.

    Args:
        attended: tokens and keys.
        dominant: places that take no part.
        targets: places of the c targets.
    """
    values = attended.tokens.values
    if not targets:
        return values[:0]
    keys = attended.keys / np.maximum(np.linalg.norm(attended.keys, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    rest = np.setdiff1d(np.arange(len(values)), [*dominant, *targets])
    nearest = (keys[rest] @ keys[targets].T).argmax(axis=1)  # (rest,) which target each joins
    sums, counts = values[targets].astype(np.float64), np.ones((len(targets), 1))
    np.add.at(sums, nearest, values[rest])
    np.add.at(counts, nearest, 1)
    return np.asarray(sums / counts, dtype=np.float32)

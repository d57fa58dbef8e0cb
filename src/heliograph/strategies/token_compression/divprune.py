"""``divprune``: the visual tokens that differ most from each other; the cloud predicts those between them.

::

    tokens (N, D) --greedy max-min choice--> k places, in the order of choice --[place, token] each--> one codeword
    any prefix --tokens known so far--> kriging over the grid --> (N, D)

DivPrune (arXiv 2503.02175) solves the max-min diversity problem greedily over cosine distances and gives the language
model the k tokens alone. Here the order of choice is what is sent, so that every prefix is DivPrune's own choice for
fewer tokens, the kept tokens are quantised and entropy-coded (:mod:`heliograph.codec.token_rows`), and since the
cloud's model is left as it is, missing tokens are predicted (:mod:`heliograph.strategies.missing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from heliograph.codec.row_places import ChosenPlaces, SortedPlaces
from heliograph.codec.token_rows import MAX_ROW_LEVEL, RowCoder, row_statistics
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
    choice_knob,
    int_knob,
)
from heliograph.strategies.kept_tokens import PackedTokens, StreamHead, checked_tokens, closed_form, packed, read_head
from heliograph.strategies.missing import PREDICTED, filled_tokens
from heliograph.types import EncodedImage, FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_TOKENS = 2**14
_ROWS = 256  # of distances at a time
CHOSEN, SORTED = "chosen", "sorted"


class DivPruneStrategy(Strategy):
    """Header: that of :mod:`heliograph.strategies.kept_tokens`, with a number of tokens where they are sorted.

    Knobs: ``keep``, the number of tokens; ``level``, eighth octaves of the codec's finest step above which everything
    is known of them; ``order``, ``chosen`` or ``sorted``: a natural prefix, or a cheaper set of places.
    """

    name: ClassVar[str] = "divprune"
    default_setting: ClassVar[Setting] = {"keep": 24, "level": 20, "order": CHOSEN}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    embedded: ClassVar[bool] = True
    codec: ClassVar[str] = "klt"
    missing: ClassVar[str] = PREDICTED
    family: ClassVar[Family] = Family.TOKEN_COMPRESSION
    paper: ClassVar[str | None] = "2503.02175"

    def settings(self) -> tuple[Setting, ...]:
        """Settings from two tokens to sixty-four, with levels that suit them."""
        coarse = ((2, 28), (4, 28), (6, 25), (8, 25), (12, 25), (16, 25), (24, 25))
        ladder = (*coarse, (24, 20), (32, 20), (48, 20), (48, 14), (64, 14), (64, 8))
        return tuple({"keep": keep, "level": level, "order": CHOSEN} for keep, level in ladder)

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """The first ``keep`` tokens of the greedy order (all of them where the model has fewer).

        Raises:
            CodecMissingError: the bundle has no ``klt``.
        """
        completed = self.complete_setting(setting)
        keep = int_knob(completed, "keep", 1, _MAX_TOKENS)
        level = int_knob(completed, "level", 0, MAX_ROW_LEVEL)
        in_order = choice_knob(completed, "order", (CHOSEN, SORTED)) == CHOSEN
        codec = closed_form(tools)  # before the tower runs: a bundle without this codec is refused at once
        tokens = checked_tokens(tools.encode_tokens(photo), codec)
        grid, picked = tokens.grid, diverse(tokens.values, keep)
        places = picked if in_order else sorted(picked)
        order = ChosenPlaces(grid.tokens) if in_order else SortedPlaces(grid.tokens, len(places))
        head = StreamHead(level, grid, count=0 if in_order else len(places))
        coder = RowCoder(row_statistics(codec, grid), level)
        segments = packed(tokens.values[places], [(places, order)], coder, grid, chapters=in_order)
        return EncodedImage(self.name, head.pack(codec), segments)

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N tokens from any prefix.

        Raises:
            StreamDamagedError: header or codeword are none of this strategy's.
        """
        head = read_head(encoded.header, tools)
        if head.small or head.extra:
            raise StreamDamagedError(StreamFault.HEADER)
        grid, statistics = head.grid, row_statistics(closed_form(tools), head.grid)
        found = PackedTokens(encoded.segments, RowCoder(statistics, head.level), grid, chapters=not head.count)
        order = SortedPlaces(grid.tokens, head.count) if head.count else ChosenPlaces(grid.tokens)
        found.take(head.count or grid.tokens, order)
        return Restored(tokens=filled_tokens(found.spectrum, found.places, statistics, grid, self.missing))


def diverse(values: FloatArray, keep: int) -> list[int]:
    """Places of the ``keep`` tokens of (N, D) that DivPrune chooses, in the order of choice.

    First the token whose nearest other one is farthest, then always the one farthest from all chosen ones; distances
    are 1 - cosine, and of equals the first is taken.
    """
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    unit = values / np.maximum(norms, np.finfo(np.float32).tiny)  # (N, D)
    picked = [_most_alone(unit)]
    nearest = 1 - unit @ unit[picked[0]]  # (N,) distance to the nearest chosen token
    nearest[picked[0]] = -np.inf
    while len(picked) < min(keep, len(values)):
        picked.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, 1 - unit @ unit[picked[-1]])
        nearest[picked[-1]] = -np.inf
    return picked


def _most_alone(unit: FloatArray) -> int:
    """The token of (N, D) whose nearest other one is farthest; rows of the distances are made a few at a time."""
    alone = np.zeros(len(unit), dtype=np.float32)
    for start in range(0, len(unit), _ROWS):
        rows = 1 - unit[start : start + _ROWS] @ unit.T
        rows[np.arange(len(rows)), start + np.arange(len(rows))] = np.inf
        alone[start : start + _ROWS] = rows.min(axis=1)
    return int(alone.argmax())

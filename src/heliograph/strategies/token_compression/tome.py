"""``tome``: visual tokens that become one within the tower, block by block; the cloud takes them apart again.

::

    each block: attention --keys, mean over heads--> even against odd units, the r most alike pairs become one --> MLP
    tokens (k, D) of what is left, and which of the N places belongs to which --map, then tokens--> one codeword
    any prefix --> each place: its own mean token and what its cluster's token differs by; kriging for the others

Token Merging (arXiv 2210.09461): bipartite matching by cosine of keys, averages weighted by size, keys that count as
often as what they stand for. The tower gets cheaper from block to block, and nothing is trained. Different here: units
are the patches of one visual token, so that a connector that joins s x s patches still finds them (their keys side by
side are what is compared); there is no class token; and since the cloud's model is left as it is, the tokens are
quantised and entropy-coded (:mod:`heliograph.codec.token_rows`) with the map, and put back at all their places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from heliograph.codec.row_clusters import MAX_WORK, ClusterPlaces
from heliograph.codec.token_rows import MAX_ROW_LEVEL, RowCoder, row_statistics
from heliograph.errors import ShapeError, StreamDamagedError
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
from heliograph.strategies.kept_tokens import PackedTokens, StreamHead, checked_tokens, closed_form, packed, read_head
from heliograph.strategies.missing import PREDICTED, filled_tokens
from heliograph.strategies.towers import BlockUnits, Shortening
from heliograph.types import EncodedImage, FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

Indices = npt.NDArray[np.int64]
_MAX_MERGED = 4096


class TomeStrategy(Strategy):
    """Header: that of :mod:`heliograph.strategies.kept_tokens`, with the number of clusters.

    Knobs: ``merge``, r, units that go in each block; ``level``, eighth octaves of the codec's finest step above which
    everything is known of the tokens.
    """

    name: ClassVar[str] = "tome"
    default_setting: ClassVar[Setting] = {"merge": 6, "level": 20}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    embedded: ClassVar[bool] = True
    codec: ClassVar[str] = "klt"
    missing: ClassVar[str] = PREDICTED
    family: ClassVar[Family] = Family.TOKEN_COMPRESSION
    paper: ClassVar[str | None] = "2210.09461"

    def settings(self) -> tuple[Setting, ...]:
        """Settings from seven of 64 tokens to 58 in six blocks, with levels that suit them."""
        ladder = (
            (10, 28),
            (9, 28),
            (8, 28),
            (8, 25),
            (7, 25),
            (6, 25),
            (6, 20),
            (4, 20),
            (2, 20),
            (2, 14),
            (1, 14),
            (1, 8),
        )
        return tuple({"merge": merge, "level": level} for merge, level in ladder)

    def tower_units(self, setting: Setting, tokens: int, blocks: int) -> tuple[BlockUnits, ...]:
        """r units fewer behind the attention of each block."""
        merge, left, found = int(self.complete_setting(setting)["merge"]), tokens, list[BlockUnits]()
        for _ in range(blocks):
            after = left - min(merge, left // 2)
            found.append(BlockUnits(left, after))
            left = after
        return tuple(found)

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """The map, then a token for each cluster in the order of their first places.

        Raises:
            CodecMissingError: the bundle has no ``klt``.
            ModelUnsupportedError: its encoder is no tower of plain blocks.
            ShapeError: more clusters of more places than a stream may hold.
        """
        completed = self.complete_setting(setting)
        merge = int_knob(completed, "merge", 0, _MAX_MERGED)
        level = int_knob(completed, "level", 0, MAX_ROW_LEVEL)
        codec = closed_form(tools)  # before the tower runs: a bundle without this codec is refused at once
        short = tools.tower.shortened(photo, lambda now: merged_pairs(now, merge))
        tokens = checked_tokens(short.tokens, codec)
        grid, clusters = tokens.grid, renumbered(short.clusters)
        count = int(clusters.max()) + 1
        if count * grid.tokens > MAX_WORK:
            raise ShapeError().noted(f"a map of {grid.tokens} places and {count} clusters is larger than a stream's.")
        statistics = row_statistics(codec, grid)
        firsts = [int(np.flatnonzero(clusters == one)[0]) for one in range(count)]
        means = np.tile(statistics.mean, (grid.tiles, 1))  # (N, D)
        values = tokens.values[firsts] - cluster_means(means, clusters, count) + means[firsts]
        order = ClusterPlaces(grid.tokens, grid.columns, count, clusters.tolist())
        segments = packed(_float(values), [(firsts, order)], RowCoder(statistics, level), grid, chapters=False)
        return EncodedImage(self.name, StreamHead(level, grid, count=count).pack(codec), segments)

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N tokens from any prefix.

        Raises:
            StreamDamagedError: the header is none of this strategy's.
        """
        head = read_head(encoded.header, tools)
        if head.small or head.extra or not head.count or head.count * head.grid.tokens > MAX_WORK:
            raise StreamDamagedError(StreamFault.HEADER)
        grid, statistics = head.grid, row_statistics(closed_form(tools), head.grid)
        found = PackedTokens(encoded.segments, RowCoder(statistics, head.level), grid, chapters=False)
        order = ClusterPlaces(grid.tokens, grid.columns, head.count)
        found.take(head.count, order)
        clusters = np.array(order.clusters, np.int64)  # of all places, or none
        places = np.flatnonzero(clusters < len(found.places)).tolist()
        spectrum = found.spectrum[clusters[places]] if places else found.spectrum
        return Restored(tokens=filled_tokens(spectrum, places, statistics, grid, self.missing))


def merged_pairs(now: Shortening, merge: int) -> Indices | None:
    """Which unit each of t becomes: of even units the ``merge`` whose nearest odd one is nearest become one with it."""
    if now.keys is None or not merge or len(now.keys) < 2:
        return None
    metric = now.keys.reshape(len(now.keys), -1)
    metric = metric / np.maximum(np.linalg.norm(metric, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    scores = metric[::2] @ metric[1::2].T  # (even, odd)
    going = np.argsort(-scores.max(axis=1), kind="stable")[: min(merge, len(now.keys) // 2)]
    becomes = np.arange(len(now.keys))
    becomes[2 * going] = 2 * scores.argmax(axis=1)[going] + 1
    return np.unique(becomes, return_inverse=True)[1].astype(np.int64)


def renumbered(clusters: Indices) -> Indices:
    """The same (N,), numbered as they first appear."""
    _, firsts, inverse = np.unique(clusters, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(firsts))[inverse].astype(np.int64)


def cluster_means(values: FloatArray, clusters: Indices, count: int) -> FloatArray:
    """(k, D): the mean of (N, D) over each cluster's places."""
    sums = np.zeros((count, values.shape[1]), np.float64)
    np.add.at(sums, clusters, values)
    return _float(sums / np.bincount(clusters, minlength=count)[:, None])


def _float(values: npt.ArrayLike) -> FloatArray:
    return np.ascontiguousarray(values, np.float32)

"""What a vision tower looks at, per visual token: from queries and keys that its encoder tells.

::

    queries, keys (P, width) --heads--> softmax(s Q K^T) --mean over heads and queries--> attention received (P,)
                                        keys --mean over heads--> (P, K)
    both --mean over the s x s patches that the connector merges--> (N,) and (N, K)

Towers of this kind have no class token, so attention received from all patches stands for that of a class token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

import numpy as np

from heliograph.types import FloatArray, Grid

QUERIES, KEYS = "queries", "keys"
"""Outputs of an encoder behind its tokens."""

HEADS, SCALE = "heliograph.heads", "heliograph.scale"
"""Keys of its metadata."""

LAYER_FROM_END = 2
"""Of which layer: the second-last."""

_MAX_HEADS, _MAX_SCALE = 1024, 1024.0


@dataclass(frozen=True)
class AttentionFacts:
    """How to read an encoder's queries and keys.

    Attributes:
        heads: of the layer.
        scale: of its scores.
    """

    heads: int
    scale: float

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> AttentionFacts | None:
        """From an encoder's metadata; None where they are none."""
        try:
            found = cls(int(metadata[HEADS]), float(metadata[SCALE]))
        except (KeyError, ValueError):
            return None
        return found if 1 <= found.heads <= _MAX_HEADS and 0 < found.scale <= _MAX_SCALE else None


def attention_received(queries: FloatArray, keys: FloatArray, facts: AttentionFacts) -> FloatArray:
    """(P,) float32: the mean attention, over heads and queries, that each of P patches gets; 1 / P if all get the same.

    Args:
        queries, keys: (P, width) float32.
        facts: of their encoder.
    """
    size = queries.shape[1] // facts.heads
    received = np.zeros(len(keys), dtype=np.float64)
    for head in range(facts.heads):
        part = slice(head * size, (head + 1) * size)
        scores = np.float32(facts.scale) * queries[:, part] @ keys[:, part].T  # (P, P)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        received += (weights / weights.sum(axis=1, keepdims=True)).mean(axis=0)
    return np.asarray(received / facts.heads, dtype=np.float32)


def over_heads(keys: FloatArray, heads: int) -> FloatArray:
    """(P, width) keys of all heads to (P, K), their mean."""
    return np.asarray(keys.reshape(len(keys), heads, -1).mean(axis=1), dtype=np.float32)


def merged(patches: int, grid: Grid) -> int | None:
    """How many patches a side a visual token is made of; None where they do not lie in squares over one tile."""
    side = isqrt(patches // grid.tokens)
    return side if grid.tiles == 1 and side and side * side * grid.tokens == patches else None


def pooled(values: FloatArray, grid: Grid, side: int) -> FloatArray:
    """(P, ...) of patches, row by row, to (N, ...) of visual tokens: means over their squares of ``side`` patches."""
    squares = values.reshape(grid.rows, side, grid.columns, side, *values.shape[1:])
    return np.asarray(squares.mean(axis=(1, 3)).reshape(grid.tokens, *values.shape[1:]), dtype=np.float32)

"""What a vision tower looks at, per visual token: from queries and keys within its encoder.

::

    queries, keys (P, width) --heads--> softmax(s Q K^T) --mean over heads and queries--> attention received (P,)
                                        keys --mean over heads--> (P, K)
    both --mean over the s x s patches that the connector merges--> (N,) and (N, K)

Towers of this kind have no class token, so attention received from all patches stands for that of a class token.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np

from heliograph.types import FloatArray, Grid

LAYER_FROM_END = 2
"""Which layer's attention tells what tokens matter: the second-last."""

_MAX_HEADS, _MAX_SIZE, _MAX_SCALE = 1024, 4096, 1024.0


@dataclass(frozen=True)
class AttentionFacts:
    """How to read a layer's queries and keys.

    Attributes:
        heads: of the layer; 0 where only their size is known.
        scale: of its scores.
        size: channels of one head; 0 where only the number of heads is known.
    """

    heads: int
    scale: float
    size: int = 0

    @classmethod
    def of(cls, heads: float, scale: float, size: float = 0) -> AttentionFacts | None:
        """None where these are no such numbers; what a graph leaves open is below 1."""
        counts = [int(one) if 1 <= one <= most else 0 for one, most in ((heads, _MAX_HEADS), (size, _MAX_SIZE))]
        return cls(counts[0], scale, counts[1]) if any(counts) and 0 < scale <= _MAX_SCALE else None

    def heads_of(self, width: int) -> int:
        """Heads that share so many channels; 0 where they cannot."""
        heads = self.heads or width // self.size
        return heads if heads and width % heads == 0 and self.size in (0, width // heads) else 0


def attention_received(queries: FloatArray, keys: FloatArray, facts: AttentionFacts) -> FloatArray:
    """(P,) float32: the mean attention, over heads and queries, that each of P patches gets; 1 / P if all get the same.

    Args:
        queries, keys: (P, width) float32.
        facts: of their layer.
    """
    heads = facts.heads_of(queries.shape[1])
    size = queries.shape[1] // heads
    received = np.zeros(len(keys), dtype=np.float64)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = np.float32(facts.scale) * queries[:, part] @ keys[:, part].T  # (P, P)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        received += (weights / weights.sum(axis=1, keepdims=True)).mean(axis=0)
    return np.asarray(received / heads, dtype=np.float32)


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

"""Fewer visual tokens for the language model: of tokens that are alike one stands for all, and counts as so many.

::

    tokens (N, D) --DivPrune's k places--> every other token joins the kept one nearest by cosine
                  --> means (k, D), places (k,), sizes (k,)
    prompt ids (B, L) --placeholders of the others left out--> (B, L - N + k), at the positions that they had,
                        log(size) added to the attention that each of the k gets

Which tokens stay is DivPrune's choice (arXiv 2503.02175); that attention counts a merged token by its size is Token
Merging's proportional attention (arXiv 2210.09461), here in the language model, by its own attention mask: the model is
unmodified. Positions are those of the places where the kept tokens lay, since rotary positions are how these models
know where something is in a photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from heliograph.strategies.token_compression.divprune import diverse
from heliograph.types import FloatArray

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class MergedTokens:
    """k tokens that stand for N.

    Attributes:
        values: (k, D) mean of the tokens that each stands for.
        places: (k,) int64, ascending, which of the N places each has.
        sizes: (k,) int64, how many tokens each stands for; their sum is N.
    """

    values: Tensor
    places: Tensor
    sizes: Tensor


def merge_tokens(values: FloatArray, count: int) -> MergedTokens:
    """At most ``count`` tokens for (N, D) ones; as many as there are where ``count`` is no smaller.

    Args:
        values: (N, D) float32.
        count: 1 or more.
    """
    kept = np.sort(np.asarray(diverse(values, count), dtype=np.int64))  # (k,)
    unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), _TINY)  # (N, D)
    owner = (unit @ unit[kept].T).argmax(axis=1)  # (N,) which of the k each joins
    owner[kept] = np.arange(len(kept))  # of equal tokens each keeps its own
    sizes = np.bincount(owner, minlength=len(kept))
    sums = np.zeros((len(kept), values.shape[1]), dtype=np.float64)
    np.add.at(sums, owner, values)
    means = (sums / sizes[:, None]).astype(np.float32)
    return MergedTokens(torch.from_numpy(means), torch.from_numpy(kept), torch.from_numpy(sizes))


class MergedCache(DynamicCache):  # type: ignore[misc]
    """A key-value cache whose first columns stand for more positions than they are.

    Attributes:
        left_out: positions that have no column.
        weights: (B, P) float32, log(size) of each of the first P columns.
    """

    def __init__(self, left_out: int, weights: Tensor, **settings: Any) -> None:
        super().__init__(**settings)
        self.left_out = left_out
        self.weights = weights

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows, in this order."""
        super().batch_select_indices(indices)
        self.weights = self.weights[indices.to(self.weights.device)]


@dataclass(frozen=True)
class MergedPrompt:
    """A prompt without the placeholders of tokens that others stand for; L' = L - left_out.

    Attributes:
        ids: (B, L') int64.
        positions: (B, L') int64 that they have in the whole prompt.
        weights: (B, L') float32, log(size); 0 for text.
        left_out: placeholders that are gone from each row.
    """

    ids: Tensor
    positions: Tensor
    weights: Tensor
    left_out: int


def merged_prompt(ids: Tensor, merged: Sequence[MergedTokens], placeholder: int) -> MergedPrompt:
    """Leave out placeholders.

    Args:
        ids: (B, L) int64 with the placeholders of all tokens, image by image.
        merged: of every image of every row, row by row; each stands for as many tokens into as many.
        placeholder: the id.
    """
    stays = ids != placeholder  # (B, L)
    weights = torch.zeros(ids.shape, dtype=torch.float32)
    slots = (ids == placeholder).nonzero()  # (B * images * N, 2), image by image
    starts = np.cumsum([0, *(int(one.sizes.sum()) for one in merged)])
    for one, start in zip(merged, starts[:-1].tolist(), strict=True):
        rows, columns = slots[start + one.places].T
        stays[rows, columns] = True
        weights[rows, columns] = one.sizes.float().log()
    kept = int(stays[0].sum())
    positions = torch.arange(ids.shape[1]).expand(ids.shape)
    return MergedPrompt(
        ids[stays].view(-1, kept), positions[stays].view(-1, kept), weights[stays].view(-1, kept), ids.shape[1] - kept
    )


def weighted_bias(weights: Tensor, queries: int, dtype: torch.dtype) -> Tensor:
    """(B, 1, L, P + L) to add to the attention of ``queries`` = L new columns, each of which sees all before it and
    itself.

    Args:
        weights: (B, P) of the columns before them, or with the new ones where those have weights of their own.
        queries: L.
        dtype: of the model.
    """
    seen = weights.shape[1] - queries
    hidden = torch.ones(queries, weights.shape[1], dtype=torch.bool, device=weights.device).triu(seen + 1)
    bias = weights.to(dtype)[:, None, None, :].expand(-1, 1, queries, -1).clone()
    return bias.masked_fill_(hidden, torch.finfo(dtype).min)

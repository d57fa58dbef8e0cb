"""Where ``tokens-1d`` starts: principal components of whole pictures, quantised by one codebook after another.

The codes of rank k quantise, by k-means, the c directions in which what the codes before it leave varies most. Over the
components that is the greedy solution of a residual vector quantiser: ordered, and a prefix of any length decodes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from heliograph.training.meta.start import principal_components
from heliograph.training.ordered.network import RegisterCoder

_MEANS_STEPS = 12
_PLACED_AT_ONCE = 2048


@torch.no_grad()
def start_greedily(coder: RegisterCoder, features: Tensor, seed: int = 0) -> list[float]:
    """Set linear path and codebooks from (I, N, R) features of training pictures.

    Returns:
        (K + 1,) share of the features' energy that is left after so many codes.
    """
    sizes = coder.sizes
    rows = features.flatten(1)  # (I, N * R)
    directions, _ = principal_components(rows, sizes.components)
    coder.encoder.straight.copy_(directions)
    coder.decoder.straight.copy_(directions.T)
    left = rows @ directions  # (I, S)
    whole, seen = float(rows.square().sum()), float(left.square().sum())
    shares = [1.0]
    generator = torch.Generator().manual_seed(seed)
    for rank in range(sizes.codes):
        axes = _leading(left, sizes.channels)  # (S, c)
        values = left @ axes
        book, codes = _means(values, sizes.words, generator)
        coder.encoder.look[rank].copy_(axes)
        coder.decoder.tell[rank].copy_(axes.T)
        coder.books.words[rank].copy_(book)
        coder.books.counts[rank].copy_(torch.bincount(codes, minlength=sizes.words) / len(rows) * 64)
        left = left - book[codes] @ axes.T
        shares.append((whole - seen + float(left.square().sum())) / whole)
    return shares


def _leading(rows: Tensor, count: int) -> Tensor:
    """(S, count) principal directions of (I, S) rows."""
    _, vectors = torch.linalg.eigh((rows.T @ rows).double() / len(rows))
    leading: Tensor = vectors.flip(1)[:, :count].float()
    return leading


def _means(values: Tensor, words: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """k-means of (I, c) values: (words, c) means and (I,) which one each fell to."""
    drawn = torch.randint(len(values), (words,), generator=generator)
    if words <= len(values):
        drawn = torch.randperm(len(values), generator=generator)[:words]
    book = values[drawn].clone()
    for _ in range(_MEANS_STEPS):
        codes = _placed(values, book)
        met = torch.bincount(codes, minlength=words).float()  # (words,)
        sums = torch.zeros_like(book).index_add_(0, codes, values)
        book = torch.where(met[:, None] > 0, sums / met.clamp(min=1)[:, None], book)
    return book, _placed(values, book)


def _placed(values: Tensor, book: Tensor) -> Tensor:
    """(I,) the nearest of (C, c) means of each of (I, c) values."""
    size = book.square().sum(1)
    parts = [torch.argmin(size - 2 * part @ book.T, dim=1) for part in torch.split(values, _PLACED_AT_ONCE)]
    return torch.cat(parts)

"""Which of several photos a sentence is of: what keeps a model from saying what fits any photo.

::

    k photos x k sentences --language model--> nats (k, k) ┬--diagonal--> mean nats a token
                                                           └--columns---> which photo it is likeliest of

A model that only learns what people write gains nothing on the columns, however likely its sentences become. The loss
is that of noise-contrastive estimation over the photos of a batch (InfoNCE, arXiv 1807.03748), and what is compared is
the language model's own likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class BatchLosses:
    """Means over one batch.

    Attributes:
        answers: nats a token of answers to questions; zero where there are none.
        sentences: nats a token of each photo's own sentence; zero where there are none.
        contrast: nats of choosing the right photo for each sentence; zero with fewer than two.
    """

    answers: Tensor
    sentences: Tensor
    contrast: Tensor


def batch_losses(losses: Tensor, lengths: Sequence[Sequence[int]], sentences: Sequence[int]) -> BatchLosses:
    """Sort the losses of a batch by what they are of.

    Args:
        losses: (K,) nats of every token, photo by photo and answer by answer.
        lengths: tokens of each answer, for each photo.
        sentences: how many of a photo's answers, the last ones, are sentences: none, or the same k for k photos, of
            which the i-th photo's own is the i-th.

    Returns:
        Scalars to sum with weights.
    """
    nats: list[list[Tensor]] = []
    parts = iter(torch.split(losses, [length for row in lengths for length in row]))
    for row in lengths:
        nats.append([next(parts) for _ in row])
    answers = [one for row, count in zip(nats, sentences, strict=True) for one in row[: len(row) - count]]
    shown = [row[len(row) - count :] for row, count in zip(nats, sentences, strict=True) if count]
    nothing = losses.new_zeros(())
    if not shown:
        return BatchLosses(_mean(answers, nothing), nothing, nothing)
    own = [row[place] for place, row in enumerate(shown)]
    summed = torch.stack([torch.stack([one.sum() for one in row]) for row in shown])  # (k photos, k sentences)
    contrast = functional.cross_entropy(-summed.T, torch.arange(len(shown)))
    return BatchLosses(_mean(answers, nothing), _mean(own, nothing), contrast)


def _mean(parts: Sequence[Tensor], otherwise: Tensor) -> Tensor:
    return torch.cat(list(parts)).mean() if parts else otherwise

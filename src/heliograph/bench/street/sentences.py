"""What the model makes of people's sentences about a photo: how likely the photo's own is, and which of ten it picks.

As :mod:`heliograph.training.field.judging` has it, with each photo's first caption alone and the ten in one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from heliograph.bench.stats import DoubleArray
from heliograph.training.field.judging import CHOICES
from heliograph.training.field.packed import PackedReader
from heliograph.training.field.questions import SENTENCE
from heliograph.types import FloatArray

_SEED = 1
_AT_ONCE = 8  # captions under the mean photo


@dataclass(frozen=True)
class CaptionScores:
    """What the captions of I photos are worth.

    Attributes:
        nats: (I,) summed over the own caption's tokens.
        picked: (I,) 1 where the own caption gains most from the photo; captions that gain equally share it.
    """

    nats: DoubleArray
    picked: DoubleArray


class Sentences:
    """Ten captions for each photo, its own first.

    Args:
        reader: the model.
        captions: the first one of each photo, ten photos at least.
        mean: (N, D) float32 tokens of the mean photo.
    """

    def __init__(self, reader: PackedReader, captions: Sequence[str], mean: FloatArray) -> None:
        self._reader, self._captions = reader, captions
        rng = np.random.default_rng(_SEED)
        count = len(captions)
        self._chosen = [
            [place, *rng.choice([i for i in range(count) if i != place], CHOICES - 1, replace=False).tolist()]
            for place in range(count)
        ]
        shown = torch.from_numpy(mean)[None]
        parts = [range(at, min(at + _AT_ONCE, count)) for at in range(0, count, _AT_ONCE)]
        self._unseen = np.concatenate([self._summed(part, shown) for part in parts])
        self.tokens = np.array([reader.answer_tokens(one) for one in captions], np.float64)

    def __len__(self) -> int:
        return len(self._captions)

    def scores(self, visual: FloatArray) -> CaptionScores:
        """Scores of these photos, from their (I, N, D) visual tokens as they were restored."""
        nats, picked = np.zeros(len(self)), np.zeros(len(self))
        for place, chosen in enumerate(self._chosen):
            seen = self._summed(chosen, torch.from_numpy(visual[place : place + 1]))
            gains = self._unseen[chosen] - seen
            nats[place] = seen[0]
            picked[place] = float(gains[0] == gains.max()) / int((gains == gains.max()).sum())
        return CaptionScores(nats, picked)

    @torch.no_grad()
    def _summed(self, chosen: Sequence[int], visual: Tensor) -> DoubleArray:
        """(K,) nats of so many captions under one photo's (1, N, D) tokens."""
        texts = [self._captions[i] for i in chosen]
        found = self._reader.losses(self._reader.pack_answers(SENTENCE[0], texts), visual)
        lengths = [self._reader.answer_tokens(text) for text in texts]
        return np.array([float(part.sum()) for part in torch.split(found, lengths)], np.float64)

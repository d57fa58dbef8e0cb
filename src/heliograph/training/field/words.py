"""A first alignment without the language model: visual tokens near the embeddings of words that the photo is about.

::

    visual tokens --direction . direction of a word's embedding--> (N, W) --softest maximum over tokens--> (W) --> odds

The frozen language model reads word embeddings well, so tokens that point at the right words are a good place to begin
from; it takes minutes where learning through the language model takes hours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from heliograph.training.field.questions import SURE, Known

_FEWEST = 6  # photos with a word
_SHARPNESS = 8.0
_GAIN = 0.25
_STOP_WORDS = (
    "a an the of in on at is are and with to his her its their it by as from while for through over into near up down "
    "he she they that another other some there who out off him them be has have very this which or each"
)


@dataclass(frozen=True)
class WordTargets:
    """Words, and how many of a photo's captions have them.

    Attributes:
        words: each is one token of the language model, with the space before it.
        ids: (W,) int64, of these tokens.
        shares: (I, W) float32, 0 to 1.
    """

    words: tuple[str, ...]
    ids: Tensor
    shares: Tensor


def word_targets(known: Sequence[Known], tokenizer: Any) -> WordTargets:
    """Words that captions have or the teacher sees in at least six photos, in alphabetical order.

    Args:
        known: of I photos.
        tokenizer: the language model's; a word that it splits is left out.
    """
    shares = [_word_shares(one) for one in known]
    counts = Counter(word for one in shares for word in one)
    ids: dict[str, int] = {}
    stop_words = frozenset(_STOP_WORDS.split())
    for word, count in sorted(counts.items()):
        found = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
        if count >= _FEWEST and word not in stop_words and len(found) == 1:
            ids[word] = found[0]
    table = torch.tensor([[one.get(word, 0.0) for word in ids] for one in shares])
    return WordTargets(tuple(ids), torch.tensor(list(ids.values()), dtype=torch.int64), table)


def _word_shares(known: Known) -> dict[str, float]:
    """Words with the share of captions that have them, 1 for what the teacher is sure of and no caption names."""
    captions = known.photo.captions
    counts = Counter(word for text in captions for word in set(text.lower().replace(",", " ").split()))
    made = {word: count / len(captions) for word, count in counts.items() if word.isalpha()}
    for one in known.things:
        if one.score >= SURE:
            made.setdefault(one.name, 1.0)
    return made


class WordPhase(nn.Module):
    """Odds of words from visual tokens.

    Args:
        targets: of the photos that are learnt from.
        embeddings: (V, D) float32 of the language model.
    """

    def __init__(self, targets: WordTargets, embeddings: Tensor) -> None:
        super().__init__()
        self._targets = targets
        self._directions = functional.normalize(embeddings[targets.ids], dim=-1)  # (W, D)
        usual = targets.shares.mean(0).clamp(1e-3, 0.9)
        self.bias = nn.Parameter(torch.logit(usual))
        self.gain = nn.Parameter(torch.tensor(8.0))

    def odds(self, visual: Tensor) -> Tensor:
        """(B, N, D) visual tokens to (B, W) log odds."""
        alike = functional.normalize(visual, dim=-1) @ self._directions.T  # (B, N, W)
        best = torch.logsumexp(alike * _SHARPNESS, 1) - np.log(visual.shape[1])
        found: Tensor = self.gain * _GAIN * best + self.bias
        return found

    def loss(self, visual: Tensor, rows: Sequence[int]) -> Tensor:
        """Binary cross-entropy in nats of photos ``rows``, summed over words, as the mean of photos.

        Args:
            visual: (B, N, D) of these photos.
            rows: B places of them in the targets.
        """
        wanted = self._targets.shares[list(rows)]
        return functional.binary_cross_entropy_with_logits(self.odds(visual), wanted, reduction="none").sum(1).mean()


def scale_tokens(projector: Any, make: Callable[[], Tensor], wanted: float) -> None:
    """Give visual tokens the mean length of word embeddings, by the projector's last layer.

    Args:
        projector: LLaVA's; its last layer is changed in place.
        make: visual tokens (..., D) of some photos.
        wanted: mean length.
    """
    with torch.no_grad():
        factor = wanted / make().norm(dim=-1).mean()
        projector.linear_2.weight.mul_(factor)
        projector.linear_2.bias.mul_(factor)

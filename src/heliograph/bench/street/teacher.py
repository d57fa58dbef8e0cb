"""The frozen field model for codecs that are made for it: what it notices of a token's error, and its own answers.

::

    tokens, roughly restored --questions of the suite, and people's sentences--> log-likelihood --gradient--> (D, D)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from heliograph.bench.street.asked import QUESTIONS, answered
from heliograph.errors import CodecNotFittedError
from heliograph.training.field.packed import PackedReader
from heliograph.training.field.questions import SENTENCE
from heliograph.training.meta.teacher import OwnAnswer
from heliograph.training.progress import Advance
from heliograph.types import FloatArray, Grid, VisualTokens

_TEMPERATURE = 4.0  # a sure model shows no gradient (docs/experiments.md)
_WORKING_SHARE = 0.85  # of the energy, as where the gradients of every fit are taken
_SAMPLED = 2048  # rows of tokens for the leading directions

_TEXTS = [one.text for one in QUESTIONS]
_WORDS = tuple(dict.fromkeys(word for one in QUESTIONS for word in one.answers))
_COLUMNS = [[_WORDS.index(word) for word in one.answers] for one in QUESTIONS]


class FrozenField:
    """See :class:`heliograph.training.meta.teacher.FrozenModel`; every photo is asked the suite's questions.

    Args:
        reader: the model, whose weights stay as they are.
    """

    def __init__(self, reader: PackedReader) -> None:
        self._reader = reader
        reader.model.requires_grad_(False)

    def own_answers(self, tokens: Sequence[VisualTokens], asked: Sequence[Sequence[str]]) -> list[list[OwnAnswer]]:
        """Which of its answers each question of the suite has; none about photos that nothing is asked about."""
        wanted = [place for place, questions in enumerate(asked) if questions]
        made: list[list[OwnAnswer]] = [[] for _ in asked]
        if wanted:
            found = answered(self._reader, np.stack([tokens[place].values for place in wanted]))
            for place, row in zip(wanted, found.places.tolist(), strict=True):
                made[place] = [(text, (number,)) for text, number in zip(_TEXTS, row, strict=True)]
        return made

    def pack(self, asked: Sequence[Sequence[OwnAnswer]], grids: Sequence[Grid]) -> None:
        """Do nothing: every photo is asked the same."""

    def distance(self, batch: None, exact: Tensor, restored: Tensor, hidden_weight: float = 0.0) -> Tensor:
        """Mean divergence of the possible answers' distributions at (B, N, D) tokens, in nats a question."""
        with torch.no_grad():
            wanted = self._shares(exact)
        parts = [
            (one.exp() * (one - other)).sum(-1).mean()
            for one, other in zip(wanted, self._shares(restored), strict=True)
        ]
        return torch.stack(parts).mean()

    def _shares(self, tokens: Tensor) -> list[Tensor]:
        """(B, answers) logarithms of each question's shares."""
        logits = self._reader.first_logits(tokens, _TEXTS, _WORDS).float()
        return [torch.log_softmax(logits[:, number, own], dim=-1) for number, own in enumerate(_COLUMNS)]

    def sensitivity(self, tokens: Tensor, captions: Sequence[str], advance: Advance) -> FloatArray:
        """(D, D) float32 second moment of what the model notices, of a mean diagonal of one.

        Half of it is the gradient of its own answers to the suite's questions, half that of people's sentences.

        Args:
            tokens: (I, N, D) float16 of a few dozen photos.
            captions: of each; empty where there is none.
            advance: counts photos.

        Raises:
            CodecNotFittedError: no gradient at all.
        """
        mean = tokens.float().mean(0)  # (N, D)
        rough = _leading(tokens.float() - mean)  # (D, r)
        moments = [torch.zeros(tokens.shape[2], tokens.shape[2], dtype=torch.float64) for _ in range(2)]
        for one, caption in zip(tokens.float(), captions, strict=True):
            seen = (mean + ((one - mean) @ rough) @ rough.T)[None]  # (1, N, D)
            moments[0] += _square(self._answers_gradient(one[None], seen))
            if caption:
                moments[1] += _square(self._sentence_gradient(seen, caption))
            advance(1)
        scaled = [moment / moment.trace() for moment in moments if float(moment.trace()) > 0]
        if not scaled:
            raise CodecNotFittedError().noted("the field model notices nothing of its visual tokens.")
        total = torch.stack(scaled).mean(0)
        return np.asarray((total * (len(total) / total.trace())).numpy(), dtype=np.float32)

    def _answers_gradient(self, exact: Tensor, seen: Tensor) -> Tensor:
        with torch.no_grad():
            own = [int(one.argmax()) for one in self._shares(exact)]
        given = seen.clone().requires_grad_(True)
        logits = self._reader.first_logits(given, _TEXTS, _WORDS).float() / _TEMPERATURE
        likely = [
            torch.log_softmax(logits[0, number, columns], dim=-1)[place]
            for number, (columns, place) in enumerate(zip(_COLUMNS, own, strict=True))
        ]
        (found,) = torch.autograd.grad(torch.stack(likely).sum(), given)
        return found[0]

    def _sentence_gradient(self, seen: Tensor, caption: str) -> Tensor:
        given = seen.clone().requires_grad_(True)
        losses = self._reader.losses(self._reader.pack([[(SENTENCE[0], caption)]]), given)
        (found,) = torch.autograd.grad(losses.sum() / len(losses) ** 0.5, given)
        return found[0]


def _square(gradient: Tensor) -> Tensor:
    """(N, D) to (D, D)."""
    return (gradient.T @ gradient).double()


def _leading(centred: Tensor) -> Tensor:
    """(I, N, D) to (D, r): orthonormal directions that hold the working share of the energy."""
    rows = centred.flatten(0, 1)
    rows = rows[:: max(1, len(rows) // _SAMPLED)].double()
    values, vectors = torch.linalg.eigh(rows.T @ rows)
    shares = values.flip(0).clamp(min=0).cumsum(0) / values.clamp(min=0).sum().clamp(min=1e-30)
    kept: Tensor = vectors.flip(1)[:, : int((shares < _WORKING_SHARE).sum()) + 1].float()
    return kept

"""Any family's frozen model as a teacher: one photo and one question at a time, so that memory does not grow.

::

    restored tokens (tiles, N, D) of some photos
      -- each photo and question: own forward, tokens at the tap --> logits --> divergence --backward--> gradient
      -- all of them: added up --> a scalar with that gradient

A family's own ``forward`` cannot be asked several questions about one photo at once, so this teacher is slower than
:class:`heliograph.training.meta.teacher.Teacher`; what it needs beside the weights is one sequence's activations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from heliograph.errors import UsageError
from heliograph.training.meta.teacher import OwnAnswer
from heliograph.types import Grid, VisualTokens
from heliograph.vlm.contract import TorchModel

_ANSWER_TOKENS = 24
_TEMPERATURE = 4.0  # a sure model shows no gradient (docs/experiments.md)


@dataclass(frozen=True)
class AskedPhoto:
    """One photo's questions with the model's own answers, and its grid."""

    grid: Grid
    own: Sequence[OwnAnswer]


class GeneralTeacher:
    """A VLM of any family whose weights stay as they are.

    Args:
        model: as it was opened.
    """

    def __init__(self, model: TorchModel) -> None:
        self.model = model
        model.torch_model.requires_grad_(False)
        self._end = min(model.end_ids, default=0)  # its place counts, not what stands there

    def own_answers(self, tokens: Sequence[VisualTokens], asked: Sequence[Sequence[str]]) -> list[list[OwnAnswer]]:
        """Greedy answers from these tokens, for each photo's questions."""
        return [
            [(question, self._answer(question, one)) for question in questions]
            for one, questions in zip(tokens, asked, strict=True)
        ]

    def _answer(self, question: str, tokens: VisualTokens) -> tuple[int, ...]:
        return self.model.answer(question, [tokens], max_new_tokens=_ANSWER_TOKENS).token_ids

    def pack(self, asked: Sequence[Sequence[OwnAnswer]], grids: Sequence[Grid]) -> list[AskedPhoto]:
        """Photos with their questions."""
        return [AskedPhoto(grid, own) for own, grid in zip(asked, grids, strict=True)]

    def distance(
        self, batch: Sequence[AskedPhoto], exact: Tensor, restored: Tensor, hidden_weight: float = 0.0
    ) -> Tensor:
        """Divergence of the answers' distributions from those at the exact tokens, in nats per answer token.

        The gradient is taken here, photo by photo, and given back with the scalar, so that no photo's activations
        outlive its turn.

        Args:
            batch: from :meth:`pack`.
            exact, restored: (tiles, N, D), the tiles of one photo after another.
            hidden_weight: must be 0: what a foreign family holds in between has no common name.

        Raises:
            UsageError: another hidden weight.
        """
        if hidden_weight:
            raise UsageError.of_argument("hidden_weight", "0 for a model of this family", hidden_weight)
        differentiates = torch.is_grad_enabled() and restored.requires_grad
        gradient = torch.zeros_like(restored) if differentiates else None
        total, count, row = 0.0, 0, 0
        for photo in batch:
            rows = slice(row, row + photo.grid.tiles)
            row += photo.grid.tiles
            for question, answer in photo.own:
                given = restored[rows].detach().requires_grad_(differentiates)
                with torch.set_grad_enabled(differentiates):
                    found = self._divergence(photo.grid, question, answer, exact[rows], given)
                total, count = total + float(found.detach()), count + len(answer) + 1
                if gradient is not None:
                    gradient[rows] += torch.autograd.grad(found, given)[0]
        mean = restored.new_tensor(total / max(count, 1))
        if gradient is None:
            return mean
        slope = (restored * gradient).sum() / max(count, 1)
        return mean + (slope - slope.detach())

    def _divergence(self, grid: Grid, question: str, answer: tuple[int, ...], exact: Tensor, given: Tensor) -> Tensor:
        """Summed over the answer's tokens and its end, in nats."""
        with torch.no_grad():
            wanted = torch.log_softmax(self._logits(grid, question, answer, exact), dim=-1)  # (A + 1, V)
        found = torch.log_softmax(self._logits(grid, question, answer, given), dim=-1)
        return (wanted.exp() * (wanted - found)).sum()

    def _logits(self, grid: Grid, question: str, answer: tuple[int, ...], tokens: Tensor) -> Tensor:
        """(A + 1, V) float32 at each token of the answer and its end, from (T, N, D)."""
        return self.model.answer_logits(question, tokens.flatten(0, 1), grid, [*answer, self._end]).float()

    def gradient(self, tokens: Tensor, grid: Grid, own: OwnAnswer) -> Tensor:
        """(T, N, D) gradient of the softened log-likelihood of an answer of the model's own at these tokens."""
        question, answer = own
        given = tokens.detach().requires_grad_(True)
        with torch.enable_grad():
            likely = torch.log_softmax(self._logits(grid, question, answer, given) / _TEMPERATURE, dim=-1)
            ids = torch.tensor([*answer, self._end], device=likely.device)[:, None]
            likelihood = likely.gather(1, ids).sum() / len(ids) ** 0.5  # a long answer does not outweigh short ones
            (found,) = torch.autograd.grad(likelihood, given)
        return found


Gradient = Callable[[Tensor, Grid, OwnAnswer], Tensor]
"""What :meth:`GeneralTeacher.gradient` is."""

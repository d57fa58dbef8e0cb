"""The frozen VLM as a teacher: its own answers to questions, and how far restored tokens move them. No labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Protocol

import torch
from torch import Tensor

from heliograph.errors import ModelUnsupportedError
from heliograph.training.reference.packing import Branch, PackedBatch, pack_branches
from heliograph.types import Grid, VisualTokens
from heliograph.vlm.contract import TorchModel

OwnAnswer = tuple[str, tuple[int, ...]]
"""A question and the ids that the model answers from uncompressed tokens, without the end."""

_ANSWER_TOKENS = 24


class FrozenModel(Protocol):
    """What the learned codec trains for: anything that answers from visual tokens and can be differentiated."""

    def own_answers(self, tokens: Sequence[VisualTokens], asked: Sequence[Sequence[str]]) -> list[list[OwnAnswer]]:
        """Answers from these tokens, for each picture's questions."""
        ...

    def pack(self, asked: Sequence[Sequence[OwnAnswer]], grids: Sequence[Grid]) -> Any:
        """Whatever ``distance`` needs to know of the questions of each picture, and of the grid that it lies on."""
        ...

    def distance(self, batch: Any, exact: Tensor, restored: Tensor, hidden_weight: float = 0.0) -> Tensor:
        """How far the answers from (B, N, D) restored tokens are from those of the exact ones, in nats; plus so many
        times the relative squared difference of what the model holds in between. B counts tiles, those of one picture
        after another."""
        ...


class Teacher:
    """A VLM whose weights stay as they are.

    Args:
        model: one whose language model can be asked with sequences of our making.

    Raises:
        ModelUnsupportedError: it cannot.
    """

    def __init__(self, model: TorchModel) -> None:
        if model.text is None:
            raise ModelUnsupportedError().noted("the language model of this family cannot be taught with.")
        self.model, self._text = model, model.text
        for parameter in model.torch_model.parameters():
            parameter.requires_grad_(False)
        self._end = min(model.end_ids)
        self._head = list(self._text.prompts.build("what?", 1).head)

    def own_answers(self, tokens: Sequence[VisualTokens], asked: Sequence[Sequence[str]]) -> list[list[OwnAnswer]]:
        """Greedy answers from uncompressed tokens, for each picture's questions."""
        pairs = [(question, (one,)) for one, questions in zip(tokens, asked, strict=True) for question in questions]
        answers = iter(self.model.answer_many(pairs, max_new_tokens=_ANSWER_TOKENS))
        return [[(question, tuple(next(answers).token_ids)) for question in questions] for questions in asked]

    def pack(self, asked: Sequence[Sequence[OwnAnswer]], grids: Sequence[Grid] = ()) -> PackedBatch:
        """All questions of each picture in one sequence, exactly as the processor would put each alone; its grid is
        always the same."""
        branches = [[self._branch(*one) for one in picture] for picture in asked]
        batch = pack_branches([self._head] * len(asked), branches, self._end)
        device = self.model.torch_model.device
        return PackedBatch(*(getattr(batch, field.name).to(device) for field in fields(batch)))

    def _branch(self, question: str, answer: tuple[int, ...]) -> Branch:
        tail = list(self._text.prompts.build(question, 1).tail)
        reply = [token for token in answer if token not in self.model.end_ids]
        return [*tail, *reply, self._end], len(tail)

    def logits(self, batch: PackedBatch, tokens: Tensor) -> Tensor:
        """(answer tokens, V) float32 logits wherever the batch has a target, from (B, N, D) visual tokens."""
        return self._pass(batch, tokens, hidden=False)[0]

    def _pass(self, batch: PackedBatch, tokens: Tensor, *, hidden: bool) -> tuple[Tensor, Tensor | None]:
        """Logits, and (layers, positions, D) hidden states of the middle and the last layer wherever text is read."""
        text = self._text
        states, layers = text.read(batch.ids, tokens, batch.mask, batch.positions, every_layer=hidden)
        found = text.logits(states[batch.targets != -100])
        if not hidden:
            return found, None
        read = ~text.places(batch.ids)
        return found, torch.stack([layers[len(layers) // 2][read], layers[-1][read]])

    def distance(self, batch: PackedBatch, exact: Tensor, restored: Tensor, hidden_weight: float = 0.0) -> Tensor:
        """See :class:`FrozenModel`; in nats per answer token."""
        with torch.no_grad():
            wanted, wanted_hidden = self._pass(batch, exact, hidden=hidden_weight > 0)
        found, found_hidden = self._pass(batch, restored, hidden=hidden_weight > 0)
        distance = divergence(wanted, found, batch.weights[batch.targets != -100])
        if wanted_hidden is None or found_hidden is None:
            return distance
        return distance + hidden_weight * relative_error(wanted_hidden, found_hidden)


def relative_error(wanted: Tensor, found: Tensor) -> Tensor:
    """Squared error as a share of the wanted values' squares, mean over the leading dimension."""
    errors = (found - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1).clamp(min=1e-12)
    return errors.mean()


def divergence(wanted: Tensor, found: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean Kullback-Leibler divergence of (answers, V) logits from the wanted ones, in nats."""
    log_wanted, log_found = torch.log_softmax(wanted, dim=-1), torch.log_softmax(found, dim=-1)
    each = (log_wanted.exp() * (log_wanted - log_found)).sum(-1)
    return (each * weights).sum() / weights.sum()

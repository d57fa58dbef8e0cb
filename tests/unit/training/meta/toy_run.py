"""A codec's training without a VLM: the frozen model is one linear layer. As a script, one of several processes."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from heliograph.training.meta.data import MetaData
from heliograph.training.meta.devices import open_accelerator
from heliograph.training.meta.loop import MetaRecipe, MetaRun
from heliograph.training.meta.network import MetaSizes, TokenSpace
from heliograph.training.meta.teacher import OwnAnswer, divergence
from heliograph.types import Grid, VisualTokens

GRID = Grid(2, 2)
SIZES = MetaSizes(2, 2, 6, latents=4, channels=2, width=8, encoder_layers=1, decoder_layers=1, heads=2)


class Linear:
    """Answers with the largest of five scores of the mean token."""

    def __init__(self) -> None:
        self.weights = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))

    def own_answers(self, tokens: Sequence[VisualTokens], asked: Sequence[Sequence[str]]) -> list[list[OwnAnswer]]:
        best = [int((torch.from_numpy(one.values).mean(0) @ self.weights).argmax()) for one in tokens]
        return [[(question, (b,)) for question in questions] for b, questions in zip(best, asked, strict=True)]

    def pack(self, asked: Sequence[Sequence[OwnAnswer]], grids: Sequence[Grid]) -> None:
        return None

    def distance(self, batch: Any, exact: Tensor, restored: Tensor, hidden_weight: float = 0.0) -> Tensor:
        wanted, found = exact.mean(1) @ self.weights, restored.mean(1) @ self.weights
        return divergence(wanted, found, torch.ones(len(exact)))


def toy_run(out: Path, recipe: MetaRecipe, progress: Callable[[str], None], accelerator: Any = None) -> MetaRun:
    """On 48 pictures of four tokens."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(48, 4, 6, generator=generator).half()
    model = Linear()
    pictures = [VisualTokens(one.float().numpy(), GRID) for one in tokens]
    data = MetaData(tokens, model.own_answers(pictures, [("which?",)] * 48), GRID)
    space = TokenSpace(torch.zeros(4, 6), torch.eye(6), torch.eye(6))
    return MetaRun(model, data, space, SIZES, recipe, out, 3, progress, accelerator)


def weights_of(run: MetaRun) -> str:
    """Their hash."""
    digest = hashlib.sha256()
    for _, value in sorted(run._modules.state_dict().items()):
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    said: list[str] = []
    run = toy_run(Path(sys.argv[1]), MetaRecipe(batch=4, accumulate=2), said.append, open_accelerator(cpu=True))
    for _ in range(3):
        run.step(0.1)
    run.report({})
    print(run.accelerator.process_index, run.accelerator.num_processes, weights_of(run), len(said))

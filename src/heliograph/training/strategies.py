"""``heliograph train strategy NAME``: which training makes the part of which strategy."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from heliograph.codec.parts import Part
from heliograph.registry import Registry
from heliograph.types import Reporter


class TrainPart(Protocol):
    """A training that goes on where it was stopped."""

    def __call__(self, name: str, out: Path, *, model: str, minutes: float, seed: int, progress: Reporter) -> Part:
        """Train a strategy's part and write it.

        Args:
            name: of the strategy.
            out: folder of the part; what a later run goes on from lies in its folder ``run``.
            model: whose tokens it is for.
            minutes: of optimisation, earlier calls included.
            seed: of weights and batches.
            progress: receives a line at every report.

        Raises:
            ModelUnsupportedError: the strategy cannot be trained for this model.
            UsageError: ``out`` holds another run.
            OutputUnwritableError: the disk refuses.
        """
        ...


TRAININGS = Registry(
    "strategy with a trained part",
    {
        "latent-neck": "heliograph.training.latent_neck.train:train_neck",
        "tokens-1d": "heliograph.training.ordered.train:train_tokens_1d",
        "question-coded": "heliograph.training.ordered.train:train_question_coded",
        "side-info": "heliograph.training.ordered.train:train_side_info",
        "feature-adapt": "heliograph.training.latent_neck.train:train_adapter",
        "dynamicvit": "heliograph.training.pruning.train:train_part",
        "entropic-student": "heliograph.training.bottleneck.train:train_in_stages",
        "frankensplit": "heliograph.training.bottleneck.train:train_part",
    },
)
"""By strategy; each is called as :class:`TrainPart`."""

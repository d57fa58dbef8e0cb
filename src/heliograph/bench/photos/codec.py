"""Trains ``meta`` for the suite ``photos``.

The frozen model is MobileNetV2's tail: one question, "class", whose answer is the top-1 class. It learns from fitting
photos of ``textvqa-dev`` and random crops of them, without labels; the test photos are never seen, neither by the
training nor by the choice of its settings (:mod:`heliograph.bench.photos.choosing`).

The network's features need all 320 channels, and their mean over the grid matters twenty times as much as the rest, so
that the start is taken from ``klt``'s transform over channels and grid (docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heliograph.bench.photos.mobilenet import GRID, SplitFeatures, Tail
from heliograph.codec.klt import KltCodec
from heliograph.codec.meta import MetaCodec
from heliograph.training.files import refusals_named
from heliograph.training.meta.card import training_facts, write_card
from heliograph.training.meta.data import MetaData
from heliograph.training.meta.error_head import fit_error_head, judge
from heliograph.training.meta.export import export_meta, round_to_shipped
from heliograph.training.meta.loop import MetaRecipe, MetaRun
from heliograph.training.meta.network import MetaSizes
from heliograph.training.meta.start import token_space
from heliograph.training.meta.teacher import OwnAnswer, divergence, relative_error
from heliograph.types import Grid, Reporter, VisualTokens

CROPS = 30
QUESTION = "class"
_LATENTS, _CHANNELS = 64, 16
RECIPE = MetaRecipe(tokens_alone=0.0, answer_weight=0.3, rate_weight=0.0, batch=24, asked_batch=24, questions=1)


@dataclass(frozen=True)
class MetaSettings:
    """What is chosen on tuning photos.

    Attributes:
        reach: of the integers, see :class:`heliograph.training.meta.network.MetaSizes`.
        start_step: see :class:`MetaRecipe`.
        eight_bits: whether the linear paths ship as int8.
        minutes: of optimisation; 0 for none.
        answer_rate: of AdamW.
    """

    reach: int
    start_step: float
    eight_bits: bool = False
    minutes: float = 0.0
    answer_rate: float = 3e-5

    @property
    def text(self) -> str:
        """For people."""
        paths = "int8" if self.eight_bits else "float16"
        training = f"{self.minutes:g} minutes at {self.answer_rate:g}" if self.minutes else "none"
        return f"reach {self.reach}, start step {self.start_step:g}, linear paths of {paths}, training: {training}"

    @property
    def label(self) -> str:
        """For a folder."""
        return f"{self.reach}-{self.start_step:g}-{self.eight_bits:d}-{self.minutes:g}-{self.answer_rate:g}"


class FrozenTail:
    """The tail as the model that is trained for: see :class:`heliograph.training.meta.teacher.FrozenModel`."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        parts = tail.expand, tail.expand_bias, tail.classify, tail.classify_bias
        self._expand, self._expand_bias, self._classify, self._classify_bias = (
            torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32)) for part in parts
        )

    def own_answers(self, tokens: Sequence[VisualTokens], asked: Sequence[Sequence[str]]) -> list[list[OwnAnswer]]:
        """The top-1 class, whatever is asked."""
        classes = [self._tail.top1(one.values) for one in tokens]
        return [[(question, (c,)) for question in questions] for c, questions in zip(classes, asked, strict=True)]

    def pack(self, asked: Sequence[Sequence[OwnAnswer]], grids: Sequence[Grid]) -> None:
        """Do nothing: every picture is asked the same."""

    def logits(self, features: Tensor) -> Tensor:
        """(B, 49, 320) to (B, 1001), without the file's rounding of activations, which has no gradient."""
        return self._pooled(features) @ self._classify.T + self._classify_bias

    def _pooled(self, features: Tensor) -> Tensor:
        """(B, 49, 320) to (B, 1280)."""
        return (features @ self._expand.T + self._expand_bias).clamp(0, 6).mean(dim=-2)

    def distance(self, batch: None, exact: Tensor, restored: Tensor, hidden_weight: float = 0.0) -> Tensor:
        """Divergence of the class distribution, in nats; what is held in between is the pool before the classifier."""
        with torch.no_grad():
            wanted = self.logits(exact)
        distance = divergence(wanted, self.logits(restored), torch.ones(len(exact)))
        if hidden_weight == 0:
            return distance
        with torch.no_grad():
            pooled = self._pooled(exact)
        return distance + hidden_weight * relative_error(pooled[None], self._pooled(restored)[None])


def train(
    features: SplitFeatures,
    klt: KltCodec,
    out: Path,
    settings: MetaSettings,
    *,
    recipe: MetaRecipe = RECIPE,
    seed: int = 0,
    **options: Any,
) -> MetaCodec:
    """Train and write the codec folder; a run that was stopped goes on where it was.

    Args:
        features: of the photos and their crops.
        klt: fitted on the same photos; its transform is where the network starts.
        out: codec folder.
        settings: the chosen ones.
        recipe: losses; what the settings name is theirs.
        seed: of weights and batches.
        options: ``sizes``, what differs from the defaults; ``progress``, receives a line every five minutes.

    Raises:
        OutputUnwritableError: the disk refuses.
    """
    progress: Reporter = options.get("progress", print)
    frozen = FrozenTail(features.network.tail)
    tokens = torch.from_numpy(np.stack([one.values for one in features.fit]).astype(np.float16))
    asked = frozen.own_answers(features.fit, [(QUESTION,)] * len(features.fit))
    data = MetaData(tokens, asked, GRID)
    space = token_space(klt, tokens, tokens.shape[2])
    wanted = {"latents": _LATENTS, "channels": _CHANNELS, **options.get("sizes", {})}
    sizes = MetaSizes(GRID.rows, GRID.columns, int(space.analysis.shape[1]), reach=settings.reach, **wanted)
    recipe = replace(recipe, start_step=settings.start_step, answer_rate=settings.answer_rate)
    run = MetaRun(frozen, data, space, sizes, recipe, out / "run", seed, progress)
    run.run(settings.minutes)
    round_to_shipped(space, run.encoder, run.decoder, eight_bits=settings.eight_bits)
    head, trust = fit_error_head(judge(frozen, space, run.encoder, run.decoder, run.dev, seed), seed)
    with refusals_named():
        codec = export_meta(
            space, run.encoder, run.decoder, head, run.train, run.dev, out, eight_bits=settings.eight_bits
        )
        source = {
            "model": "MobileNetV2's tail",
            "pictures": len(data),
            "source": "textvqa-dev, fitting photos and crops",
        }
        write_card(out, training_facts(run, codec, source, trust))
    return codec

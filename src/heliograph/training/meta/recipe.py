"""What a training of the learned codec varies, where it stands, and its learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

_MIN_SHARE = 0.2  # of the peak rate, at the end of a phase before another


@dataclass(frozen=True)
class MetaRecipe:
    """What an ablation varies.

    Attributes:
        token_weight: of the squared error of features, as a share of their mean square.
        noticed_share: how much of that weight goes by what the language model notices; the rest is spread evenly.
        noticed_power: of the squared gradient that says what it notices; below 1, since few sketches estimate it.
        tokens_alone: share of the run in which nothing is asked: features are cheap, answers are not, and in short runs
            asking has not paid yet (docs/experiments.md).
        answer_weight: of the divergence of the frozen model's answers.
        hidden_weight: of the relative error of the language model's hidden states, within the answers' weight.
        rate_weight: per byte of the whole stream.
        prefix: how the length of the kept prefix is drawn.
        only_latents: train for this prefix length alone, at no rate but its own; 0 trains for all.
        batch, asked_batch: pictures per step, and how many of them are asked.
        questions: asked of a picture per step.
        peak_rate: of AdamW while nothing is asked.
        answer_rate: of AdamW at the start of the second phase, whose gradients are far noisier.
        start_step: the start's quantiser step in standard deviations of the component at a tenth of the integers;
            coarser ones ended below B99.
        accumulate: batches whose gradients are added up to one step.
        patience: reports without a better figure on held-out pictures after which the last phase ends, and the weights
            of the best one are kept; 0 trains to the end and keeps the last weights.
        report_seconds: between reports.
        report_pictures: held-out pictures that are answered for a report; a large model takes seconds for each.
    """

    token_weight: float = 2.0
    noticed_share: float = 0.0
    noticed_power: float = 0.6
    answer_weight: float = 1.0
    hidden_weight: float = 0.0
    rate_weight: float = 0.00015
    tokens_alone: float = 1.0
    prefix: str = "uniform"
    only_latents: int = 0
    batch: int = 16
    asked_batch: int = 12
    questions: int = 6
    peak_rate: float = 1e-3
    answer_rate: float = 3e-4
    start_step: float = 0.36
    accumulate: int = 1
    patience: int = 0
    report_seconds: float = 300.0
    report_pictures: int = 150


@dataclass
class MetaState:
    """Where the run stands; ``phase_step`` counts from the step with which the present phase began, ``stale`` the
    reports since the ``best`` figure."""

    seed: int
    step: int = 0
    phase_step: int = 0
    asks: bool = False
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: float | None = None
    stale: int = 0


def learning_rate(recipe: MetaRecipe, share: float) -> float:
    """Learning rate at ``share`` of the run: half a cosine in each phase, to 0 (a fifth where another follows)."""
    if share < recipe.tokens_alone:
        fallen = 0.5 * (1 + math.cos(math.pi * share / recipe.tokens_alone))
        least = _MIN_SHARE if recipe.tokens_alone < 1 else 0.0
        return recipe.peak_rate * (least + (1 - least) * fallen)
    passed = (min(share, 1.0) - recipe.tokens_alone) / max(1 - recipe.tokens_alone, 1e-9)
    return recipe.answer_rate * 0.5 * (1 + math.cos(math.pi * passed))

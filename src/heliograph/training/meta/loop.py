"""The training run of the learned codec: resumable, seeded, with a line of rate and agreement as it goes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.errors import UsageError
from heliograph.training.files import replacing
from heliograph.training.meta.data import MetaData
from heliograph.training.meta.network import MetaDecoder, MetaEncoder, MetaSizes, RateModel, TokenSpace, rounded
from heliograph.training.meta.start import start_from_components
from heliograph.training.meta.teacher import FrozenModel
from heliograph.types import VisualTokens

Progress = Callable[[str], None]

_WARM_UP_STEPS = 100
_STRAIGHT_SHARE = 0.03  # of the learning rate, for the linear paths
_LEAST_SHARE = 0.2  # of the peak rate, at the end of a phase before another
_WHOLE_SHARE = 0.2  # of the pictures in a batch keep every latent
_REPORT_SECONDS = 300.0
_REPORT_BYTES = (48, 80, 112, 144, 400)
_REPORT_PICTURES = 150
_CHUNK = 256
_PREFIXES = ("log-uniform", "uniform")


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


@dataclass
class MetaState:
    """Where the run stands; ``phase_step`` counts from the step with which the present phase began."""

    seed: int
    step: int = 0
    phase_step: int = 0
    asks: bool = False
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


class MetaRun:
    """One training run.

    Args:
        teacher: the frozen model.
        data: pictures; the last sixteenth only reports.
        space: tokens to features, fixed.
        sizes, recipe: the network and its losses.
        out: folder of ``checkpoint.pt``; a later run with the same sizes goes on from it.
        seed: of weights and batches.
        progress: receives a line every five minutes.

    Raises:
        UsageError: an unknown prefix rule, or the checkpoint in ``out`` belongs to other sizes.
    """

    def __init__(
        self,
        teacher: FrozenModel,
        data: MetaData,
        space: TokenSpace,
        sizes: MetaSizes,
        recipe: MetaRecipe,
        out: Path,
        seed: int = 0,
        progress: Progress = print,
    ) -> None:
        if recipe.prefix not in _PREFIXES:
            raise UsageError
        self.teacher, self.recipe, self.out, self.progress = teacher, recipe, out, progress
        self.train, self.dev = data.split()
        torch.manual_seed(seed)
        self.space = space
        self.encoder, self.decoder, self.rate = MetaEncoder(sizes), MetaDecoder(sizes), RateModel(sizes)
        self.sizes, self.state = sizes, MetaState(seed)
        self._modules = nn.ModuleDict({"encoder": self.encoder, "decoder": self.decoder, "rate": self.rate})
        self._optimiser = self._make_optimiser()
        out.mkdir(parents=True, exist_ok=True)
        if self._checkpoint.exists():
            self._load()
        else:
            features = space.features(self.train.tokens.float())
            start_from_components(self.encoder, self.decoder, self.rate, features, recipe.start_step)

    def _make_optimiser(self) -> torch.optim.Optimizer:
        """AdamW, far slower on the linear paths: they start near where they belong, and steps of equal size on their
        million small weights would drown them in the gradient's noise."""
        straight = [self.encoder.straight, self.decoder.straight]
        others = [p for p in self._modules.parameters() if all(p is not one for one in straight)]
        groups = [
            {"params": others, "share": 1.0, "weight_decay": 0.01},
            {"params": straight, "share": _STRAIGHT_SHARE, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.recipe.peak_rate)

    @property
    def _checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    def run(self, minutes: float) -> None:
        """Train until ``minutes`` of optimisation are spent in all, earlier calls included."""
        budget = minutes * 60
        began, reported = time.monotonic() - self.state.seconds, time.monotonic()
        while (elapsed := time.monotonic() - began) < budget:
            figures = self.step(elapsed / budget)
            self.state.seconds = elapsed
            if time.monotonic() - reported > _REPORT_SECONDS:
                self.report(figures)
                reported = time.monotonic()
        self.report({})

    def step(self, share: float) -> dict[str, float]:
        """One step at ``share`` of the run; returns its losses."""
        recipe, rng = self.recipe, np.random.default_rng((self.state.seed, self.state.step))
        if share >= recipe.tokens_alone and not self.state.asks:
            self._begin_asking()
        chosen = self._choose(rng)
        exact = self.train.tokens[torch.from_numpy(chosen)].float()  # (B, N, D)
        features = self.space.features(exact)  # (B, N, R)
        values = self.encoder(features)  # (B, K, c)
        noise = torch.rand(values.shape, generator=self._generator()).to(values.device) - 0.5
        bits = self.rate(values + noise)  # (B, K)
        known = self._prefixes(rng, recipe.batch)
        restored = self.decoder(rounded(values), known)  # (B, N, R)
        token_error = (self._weights(chosen) * (restored - features).square()).mean() / features.square().mean()
        answer_error = torch.zeros(())
        if self.state.asks:
            answer_error = self._answer_error(rng, chosen, exact, self.space.tokens(restored))
        counted = bits * known if recipe.only_latents else bits
        stream_bytes = counted.sum(dim=1).mean() / 8
        errors = recipe.token_weight * token_error + recipe.answer_weight * answer_error
        loss = errors + recipe.rate_weight * stream_bytes
        self._descend(loss, share)
        named = {"token error": token_error, "answer error": answer_error, "bytes": stream_bytes}
        return {name: float(value.detach()) for name, value in named.items()}

    def _choose(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        """(B,) pictures of one step; where they are asked, those that have questions."""
        rows = self._asked_rows if self.state.asks else np.arange(len(self.train))
        return rows[rng.integers(len(rows), size=self.recipe.batch)]

    @cached_property
    def _asked_rows(self) -> np.ndarray[Any, Any]:
        return np.flatnonzero([len(own) > 0 for own in self.train.asked])

    def _weights(self, chosen: np.ndarray[Any, Any]) -> Tensor:
        """(B, N, R) or (1,) weight of each feature's squared error, 1 on average over all pictures.

        Pictures without questions show nothing that the model notices: there all features weigh alike.
        """
        if self.train.noticed is None:
            return torch.ones(1)
        noticed = self.train.noticed[torch.from_numpy(chosen)].float() ** (2 * self.recipe.noticed_power)
        share = self.recipe.noticed_share
        weights = (1 - share) + share * noticed / self._mean_noticed
        return torch.where(noticed.flatten(1).any(1)[:, None, None], weights, 1.0)

    @cached_property
    def _mean_noticed(self) -> float:
        """Of the pictures with questions."""
        noticed = self.train.noticed
        assert noticed is not None
        parts = [part.float() ** (2 * self.recipe.noticed_power) for part in torch.split(noticed, _CHUNK)]
        means = torch.cat([part.flatten(1).mean(1) for part in parts])  # (I,)
        return float(means[means > 0].mean()) if means.any() else 1.0

    def _begin_asking(self) -> None:
        """A fresh optimiser: Adam's memory of the first phase's small gradients would make the first steps huge."""
        self.state.asks, self.state.phase_step = True, 0
        self._optimiser = self._make_optimiser()

    def _generator(self) -> torch.Generator:
        """Of this step alone, so that a run that was stopped and resumed repeats one that was not."""
        return torch.Generator().manual_seed((self.state.seed << 32) + self.state.step)

    def _prefixes(self, rng: np.random.Generator, batch: int) -> Tensor:
        """(B, K) bool: which leading latents each picture keeps."""
        latents = self.sizes.latents
        if self.recipe.only_latents:
            return (torch.arange(latents) < self.recipe.only_latents).expand(batch, -1)
        draw = rng.random(batch)
        length = latents**draw if self.recipe.prefix == "log-uniform" else latents * draw
        length = np.where(rng.random(batch) < _WHOLE_SHARE, latents, np.clip(np.rint(length), 1, latents))
        return torch.arange(latents)[None] < torch.from_numpy(length)[:, None]

    def _answer_error(
        self, rng: np.random.Generator, chosen: np.ndarray[Any, Any], exact: Tensor, restored: Tensor
    ) -> Tensor:
        count = min(self.recipe.asked_batch, len(chosen))
        asked = []
        for index in chosen[:count]:
            own = self.train.asked[int(index)]
            asked.append([own[i] for i in rng.permutation(len(own))[: self.recipe.questions]])
        batch = self.teacher.pack(asked)
        # bfloat16 pays on a GPU; processors without such units emulate it, three times slower than float32
        with torch.autocast(exact.device.type, dtype=torch.bfloat16, enabled=exact.device.type == "cuda"):
            return self.teacher.distance(batch, exact[:count], restored[:count], self.recipe.hidden_weight)

    def _descend(self, loss: Tensor, share: float) -> None:
        rate = min(1.0, (self.state.phase_step + 1) / _WARM_UP_STEPS) * learning_rate(self.recipe, share)
        for group in self._optimiser.param_groups:
            group["lr"] = rate * group["share"]
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._modules.parameters(), 1.0)
        self._optimiser.step()
        self.state.step += 1
        self.state.phase_step += 1

    # ---- figures -------------------------------------------------------------------------------
    @torch.no_grad()
    def curve(self, budgets: tuple[int, ...] = _REPORT_BYTES) -> list[tuple[float, float]]:
        """(mean bytes, agreement with the uncompressed answers) of held-out pictures cut at each budget.

        Bytes are those that the training's rate model asks for.
        """
        dev = self.dev.tokens[:_REPORT_PICTURES].float()
        latents = self.encoder(self.space.features(dev)).round()
        running = self.rate(latents).cumsum(dim=1)  # (I, K) bits
        points = []
        for budget in budgets:
            known = running <= 8 * budget
            restored = self.space.tokens(self.decoder(latents, known))
            used = (running * known).max(dim=1).values.mean() / 8
            points.append((float(used), self._agreement(restored)))
        return points

    @torch.no_grad()
    def at_latents(self, count: int) -> tuple[float, float]:
        """(mean bytes, agreement) of held-out pictures of which the leading ``count`` latents are known."""
        dev = self.dev.tokens.float()
        latents = self.encoder(self.space.features(dev)).round()
        known = (torch.arange(self.sizes.latents) < count).expand(len(dev), -1)
        used = (self.rate(latents) * known).sum(dim=1).mean() / 8
        return float(used), self._agreement(self.space.tokens(self.decoder(latents, known)))

    def branch(self, recipe: MetaRecipe, out: Path) -> MetaRun:
        """Another run on the same pictures that begins with this one's weights."""
        data = self.dev.followed_by(self.train)
        other = MetaRun(self.teacher, data, self.space, self.sizes, recipe, out, self.state.seed, self.progress)
        if other.state.step == 0:
            other._modules.load_state_dict(self._modules.state_dict())
        return other

    def _agreement(self, restored: Tensor) -> float:
        asked = self.dev.asked[: len(restored)]
        tokens = [VisualTokens(np.ascontiguousarray(one.numpy()), self.dev.grid) for one in restored]
        again = self.teacher.own_answers(tokens, [[question for question, _ in own] for own in asked])
        same = [a == b for own, new in zip(asked, again, strict=True) for a, b in zip(own, new, strict=True)]
        return float(np.mean(same))

    def report(self, figures: dict[str, float]) -> None:
        """Save the run and pass on one line of figures."""
        points = self.curve()
        self.state.history.append({"step": self.state.step, "seconds": self.state.seconds, "curve": points, **figures})
        self._save()
        losses = "  ".join(f"{name} {value:.3g}" for name, value in figures.items())
        shown = "  ".join(f"{size:.0f} B {agreement:.3f}" for size, agreement in points)
        self.progress(f"{self.state.seconds / 60:.1f} min  step {self.state.step}  {losses}  agreement {shown}")

    # ---- disk ----------------------------------------------------------------------------------
    def _save(self) -> None:
        saved = {
            "modules": self._modules.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "state": asdict(self.state),
            "sizes": asdict(self.sizes),
        }
        with replacing(self._checkpoint) as partial:
            torch.save(saved, partial)

    def _load(self) -> None:
        saved = torch.load(self._checkpoint, weights_only=True)
        if saved["sizes"] != asdict(self.sizes):
            raise UsageError
        self._modules.load_state_dict(saved["modules"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self.state = MetaState(**saved["state"])
        self.progress(f"going on from step {self.state.step}")


def learning_rate(recipe: MetaRecipe, share: float) -> float:
    """At ``share`` of the run: half a cosine within each phase, to nothing (to a fifth where another phase follows)."""
    if share < recipe.tokens_alone:
        fallen = 0.5 * (1 + math.cos(math.pi * share / recipe.tokens_alone))
        least = _LEAST_SHARE if recipe.tokens_alone < 1 else 0.0
        return recipe.peak_rate * (least + (1 - least) * fallen)
    passed = (min(share, 1.0) - recipe.tokens_alone) / max(1 - recipe.tokens_alone, 1e-9)
    return recipe.answer_rate * 0.5 * (1 + math.cos(math.pi * passed))

"""The training run of the learned codec: on any devices, resumable, seeded, with a rate-distortion line as it goes."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from heliograph.errors import UsageError
from heliograph.training.files import replacing
from heliograph.training.meta.data import MetaData, Rows, pictures_at_once
from heliograph.training.meta.devices import of_the_first, open_accelerator
from heliograph.training.meta.evaluation import Examination, RatePoint, packed
from heliograph.training.meta.network import Coder, MetaDecoder, MetaEncoder, MetaSizes, RateModel, TokenSpace
from heliograph.training.meta.recipe import MetaRecipe as MetaRecipe
from heliograph.training.meta.recipe import MetaState
from heliograph.training.meta.recipe import learning_rate as learning_rate
from heliograph.training.meta.start import start_from_components, start_pictures
from heliograph.training.meta.teacher import FrozenModel
from heliograph.types import Reporter

if TYPE_CHECKING:
    from accelerate import Accelerator


_WARM_UP_STEPS = 100
_STRAIGHT_SHARE = 0.03  # of the learning rate, for the linear paths
_WHOLE_SHARE = 0.2  # of the pictures in a batch keep every latent
_REPORT_BYTES = (48, 80, 112, 144, 400)  # of each tile
_NOTICED_AT_ONCE = 256
_WIDE = 1024  # channels from which on features are made once and kept: making them takes longer than a step
_MAX_KEPT = 1 << 31  # values
_PREFIXES = ("log-uniform", "uniform")


class MetaRun:
    """One training run.

    Args:
        teacher: the frozen model, on the accelerator's device.
        data: pictures; the first sixteenth only reports.
        space: tokens to features, fixed; it moves to the accelerator's device until :meth:`move_to_cpu`.
        sizes, recipe: the network and its losses.
        out: folder of ``checkpoint.pt``; a later run with the same sizes goes on from it.
        seed: of weights and batches.
        progress: receives a line at every report.
        accelerator: where it trains; None takes the CPU.

    Raises:
        UsageError: an unknown prefix rule, no batch a step, or the checkpoint in ``out`` belongs to other sizes.
        MissingExtraError: Accelerate is not installed.
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
        progress: Reporter = print,
        accelerator: Accelerator | None = None,
    ) -> None:
        if recipe.prefix not in _PREFIXES:
            raise UsageError.of_argument("recipe.prefix", f"one of {', '.join(_PREFIXES)}", recipe.prefix)
        if recipe.accumulate < 1:
            raise UsageError.of_argument("recipe.accumulate", "1 or more", recipe.accumulate)
        self.accelerator = open_accelerator(cpu=True) if accelerator is None else accelerator
        self.device = self.accelerator.device
        self.teacher, self.recipe, self.out, self.progress = teacher, recipe, out, progress
        self.train, self.dev = data.split()
        torch.manual_seed(seed)
        self.space = space.to(self.device)
        self._modules = Coder(sizes)
        self.sizes, self.state = sizes, MetaState(seed)
        self._best: dict[str, Tensor] | None = None
        out.mkdir(parents=True, exist_ok=True)
        saved = self._read_checkpoint()
        if saved is None:
            features = self._start_features()
            start_from_components(self.encoder, self.decoder, self.rate, features, recipe.start_step)
        self._prepared = self.accelerator.prepare(self._modules)
        self._optimiser = self._make_optimiser()
        if saved is not None:
            self._optimiser.load_state_dict(saved["optimiser"])

    @property
    def encoder(self) -> MetaEncoder:
        """The encoder half."""
        return self._modules.encoder

    @property
    def decoder(self) -> MetaDecoder:
        """The decoder half."""
        return self._modules.decoder

    @property
    def rate(self) -> RateModel:
        """What counts bits while training."""
        return self._modules.rate

    def _make_optimiser(self) -> Any:
        """AdamW, far slower on the linear paths: they start near where they belong, and steps of equal size on their
        million small weights would drown them in the gradient's noise."""
        straight = [self.encoder.straight, self.decoder.straight]
        others = [p for p in self._modules.parameters() if all(p is not one for one in straight)]
        groups = [
            {"params": others, "share": 1.0, "weight_decay": 0.01},
            {"params": straight, "share": _STRAIGHT_SHARE, "weight_decay": 0.0},
        ]
        return self.accelerator.prepare(torch.optim.AdamW(groups, lr=self.recipe.peak_rate))

    def run(self, minutes: float) -> None:
        """Train until ``minutes`` of optimisation are spent in all, earlier calls included, or until held-out pictures
        have gained nothing for as long as the recipe waits; then the best weights are taken up again."""
        budget = minutes * 60
        began = time.monotonic() - self.state.seconds
        reported = self.state.seconds
        figures: dict[str, float] = {}
        while (elapsed := self._agreed(time.monotonic() - began)) < budget and not self.has_stalled:
            if elapsed - reported > self.recipe.report_seconds:
                self.report(figures)
                reported = self._agreed(time.monotonic() - began)
            figures = self.step(elapsed / budget)
            self.state.seconds = elapsed
        self.report({})
        if self._best is not None:
            self._modules.load_state_dict(self._best)

    @property
    def has_stalled(self) -> bool:
        """Whether held-out pictures have gained nothing for ``patience`` reports."""
        return 0 < self.recipe.patience <= self.state.stale

    def _agreed(self, value: float) -> float:
        """The value that the first process has."""
        return of_the_first(self.accelerator, value)

    def step(self, share: float) -> dict[str, float]:
        """One step at ``share`` of the run; returns the losses of its last batch."""
        if share >= self.recipe.tokens_alone and not self.state.asks:
            self._begin_asking()
        self.accelerator.gradient_accumulation_steps = self.recipe.accumulate
        self.accelerator.step = 0  # other runs may have used it
        figures: dict[str, Tensor] = {}
        for turn in range(self.recipe.accumulate):
            with self.accelerator.accumulate(self._prepared):
                loss, figures = self._loss(turn * self.accelerator.num_processes + self.accelerator.process_index)
                self._descend(loss, share)
        self.state.step += 1
        self.state.phase_step += 1
        return {name: float(value.detach()) for name, value in figures.items()}

    def _loss(self, part: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one batch; ``part`` counts those of one step, over all processes."""
        recipe, sizes, rng = self.recipe, self.sizes, self._rng(part)
        chosen, rows, owners = self._draw(rng)
        features = self._features(rows)  # (B, N, R)
        shape = len(rows), sizes.latents, sizes.channels
        noise = torch.rand(shape, generator=self._generator(part)).to(self.device) - 0.5
        known = self._prefixes(rng, recipe.batch)[owners].to(self.device)  # (B, K)
        bits, restored = self._prepared(features, noise, known)
        token_error = (self._weights(rows) * (restored - features).square()).mean() / features.square().mean()
        answer_error = torch.zeros((), device=self.device)
        if self.state.asks:
            answer_error = self._answer_error(rng, chosen, rows, restored)
        counted = bits * known if recipe.only_latents else bits
        stream_bytes = counted.sum(dim=1).mean() / 8
        errors = recipe.token_weight * token_error + recipe.answer_weight * answer_error
        loss = errors + recipe.rate_weight * stream_bytes
        return loss, {"token error": token_error, "answer error": answer_error, "bytes": stream_bytes}

    def _draw(self, rng: np.random.Generator) -> tuple[Rows, Rows, Rows]:
        """What one batch learns from: pictures, their tiles, and whose each tile is.

        Where nothing is asked tiles are drawn instead, each a picture of its own; else pictures that have questions.
        """
        batch = self.recipe.batch
        if not self.state.asks:
            rows = rng.integers(len(self.train.tokens), size=batch)
            return rows, rows, np.arange(batch)
        chosen = self._asked_rows[rng.integers(len(self._asked_rows), size=batch)]
        return chosen, self.train.rows_of(chosen), np.repeat(np.arange(batch), self.train.tile_counts[chosen])

    @cached_property
    def _asked_rows(self) -> Rows:
        return np.flatnonzero([len(own) > 0 for own in self.train.asked])

    def _tokens(self, rows: Rows) -> Tensor:
        """(B, N, D) float32 of these tiles, where the training runs."""
        return self.train.tokens[torch.from_numpy(rows)].float().to(self.device)

    def _features(self, rows: Rows) -> Tensor:
        """(B, N, R) of these tiles."""
        if self._kept is None:
            return self.space.features(self._tokens(rows))
        return self._kept[torch.from_numpy(rows)].float().to(self.device)

    @cached_property
    def _kept(self) -> Tensor | None:
        """(tiles, N, R) float16 of all training pictures; None where making them is cheap, or they are too many."""
        tiles, positions, width = self.train.tokens.shape
        if width < _WIDE or tiles * positions * self.sizes.features > _MAX_KEPT:
            return None
        return self._all_features(tiles).half()

    def _all_features(self, tiles: int) -> Tensor:
        """(tiles, N, R) of the first tiles, on the CPU."""
        parts = torch.split(self.train.tokens[:tiles], pictures_at_once(self.train.tokens[0].numel()))
        return torch.cat([self.space.features(part.float().to(self.device)).cpu() for part in parts])

    def _start_features(self) -> Tensor:
        """Features of the pictures that the linear paths are computed from."""
        most = start_pictures(self.sizes)
        return self._all_features(most) if self._kept is None else self._kept[:most].float()

    def _weights(self, rows: Rows) -> Tensor:
        """(B, N, R) or (1,) weight of each feature's squared error, 1 on average over all pictures.

        Pictures without questions show nothing that the model notices: there all features weigh alike.
        """
        if self.train.noticed is None:
            return torch.ones(1, device=self.device)
        noticed = self.train.noticed[torch.from_numpy(rows)].float().to(self.device) ** (2 * self.recipe.noticed_power)
        share = self.recipe.noticed_share
        weights = (1 - share) + share * noticed / self._mean_noticed
        return torch.where(noticed.flatten(1).any(1)[:, None, None], weights, 1.0)

    @cached_property
    def _mean_noticed(self) -> float:
        """Mean of what is noticed, over the pictures with questions."""
        noticed = self.train.noticed
        assert noticed is not None
        parts = [part.float() ** (2 * self.recipe.noticed_power) for part in torch.split(noticed, _NOTICED_AT_ONCE)]
        means = torch.cat([part.flatten(1).mean(1) for part in parts])  # (I,)
        return float(means[means > 0].mean()) if means.any() else 1.0

    def _begin_asking(self) -> None:
        """A fresh optimiser: Adam's memory of the first phase's small gradients would make the first steps huge."""
        self.state.asks, self.state.phase_step = True, 0
        self._optimiser = self._make_optimiser()

    def _rng(self, part: int) -> np.random.Generator:
        return np.random.default_rng((self.state.seed, self.state.step, *([part] if part else [])))

    def _generator(self, part: int) -> torch.Generator:
        """A generator for this batch alone, so that a resumed run repeats one that was never stopped."""
        return torch.Generator().manual_seed((part << 48) + (self.state.seed << 32) + self.state.step)

    def _prefixes(self, rng: np.random.Generator, batch: int) -> Tensor:
        """(B, K) bool: which leading latents each picture keeps."""
        latents = self.sizes.latents
        if self.recipe.only_latents:
            return (torch.arange(latents) < self.recipe.only_latents).expand(batch, -1)
        draw = rng.random(batch)
        length = latents**draw if self.recipe.prefix == "log-uniform" else latents * draw
        length = np.where(rng.random(batch) < _WHOLE_SHARE, latents, np.clip(np.rint(length), 1, latents))
        return torch.arange(latents)[None] < torch.from_numpy(length)[:, None]

    def _answer_error(self, rng: np.random.Generator, chosen: Rows, rows: Rows, restored: Tensor) -> Tensor:
        """Answer error of the first pictures of a batch, given the (tiles, N, R) restored features of all."""
        count = min(self.recipe.asked_batch, len(chosen))
        asked = []
        for index in chosen[:count]:
            own = self.train.asked[int(index)]
            asked.append([own[i] for i in rng.permutation(len(own))[: self.recipe.questions]])
        batch = packed(self.teacher, asked, self.train, chosen[:count])
        tiles = int(self.train.tile_counts[chosen[:count]].sum())
        exact, found = self._tokens(rows[:tiles]), self.space.tokens(restored[:tiles])
        with self.accelerator.autocast():  # bfloat16 pays on a GPU; processors without such units emulate it
            return self.teacher.distance(batch, exact, found, self.recipe.hidden_weight)

    def _descend(self, loss: Tensor, share: float) -> None:
        """Gradients of one batch; with those of the last batch of a step, the step."""
        rate = min(1.0, (self.state.phase_step + 1) / _WARM_UP_STEPS) * learning_rate(self.recipe, share)
        for group in self._optimiser.param_groups:
            group["lr"] = rate * group["share"]
        self.accelerator.backward(loss)
        if self.accelerator.sync_gradients:
            self.accelerator.clip_grad_norm_(self._modules.parameters(), 1.0)
        self._optimiser.step()
        self._optimiser.zero_grad()

    # ---- figures -------------------------------------------------------------------------------
    def curve(self, budgets: tuple[int, ...] = _REPORT_BYTES) -> list[tuple[float, float]]:
        """(mean bytes, agreement with the uncompressed answers) of held-out pictures cut at each budget.

        Bytes are those that the training's rate model asks for; budgets are for each tile.
        """
        return [(point.bytes, point.agreement) for point in self._points(budgets)]

    def at_latents(self, count: int) -> tuple[float, float]:
        """(mean bytes, agreement) of held-out pictures of which the leading ``count`` latents are known."""
        return self._examination.at_latents(count)

    def _points(self, budgets: tuple[int, ...]) -> list[RatePoint]:
        diverging = self._watches and self.state.asks
        return self._examination.points(budgets, self.recipe.report_pictures, diverging=diverging)

    @cached_property
    def _examination(self) -> Examination:
        return Examination(self._modules, self.space, self.dev, self.teacher, self.device)

    @property
    def _watches(self) -> bool:
        """Whether a report counts for early stopping: in the last phase alone, whose figures can be compared."""
        return self.recipe.patience > 0 and (self.state.asks or self.recipe.tokens_alone >= 1)

    def branch(self, recipe: MetaRecipe, out: Path) -> MetaRun:
        """Another run on the same pictures that begins with this one's weights."""
        data = self.dev.followed_by(self.train)
        other = MetaRun(
            self.teacher, data, self.space, self.sizes, recipe, out, self.state.seed, self.progress, self.accelerator
        )
        if other.state.step == 0:
            other._modules.load_state_dict(self._modules.state_dict())
        return other

    def move_to_cpu(self) -> None:
        """Bring networks and space to the CPU, for the export; the training is over."""
        self._modules.cpu()
        self.space.cpu()

    def report(self, figures: dict[str, float]) -> None:
        """Save the run and pass on one line of figures; the first of several processes does it for all."""
        if self.accelerator.is_main_process:
            points = self._points(_REPORT_BYTES)
            noted = {
                "curve": [(point.bytes, point.agreement) for point in points],
                "errors": [point.error for point in points],
                "divergences": [point.divergence for point in points],
            }
            if self._watches:
                noted["held out"] = self._watched(points)
            self.state.history.append({"step": self.state.step, "seconds": self.state.seconds, **noted, **figures})
            self._save()
            losses = "".join(f"{name} {value:.3g}  " for name, value in figures.items())
            shown = "  ".join(point.text for point in points)
            self.progress(f"{self.state.seconds / 60:.1f} min  step {self.state.step}  {losses}held out  {shown}")
            if self.has_stalled:
                self.progress(f"no gain on held-out pictures for {self.state.stale} reports")
        self.state.stale = round(self._agreed(self.state.stale))

    def _watched(self, points: list[RatePoint]) -> float:
        """The training's loss of held-out pictures; keeps the weights where it is the lowest so far."""
        size, error = self._examination.rate_and_error()
        asked = [point.divergence for point in points if point.divergence is not None]
        answers = float(np.mean(asked)) if asked else 0.0
        recipe = self.recipe
        figure = recipe.token_weight * error + recipe.rate_weight * size + recipe.answer_weight * answers
        last = self.state.history[-1]["step"] if self.state.history else None
        if self.state.best is None or figure < self.state.best:
            self.state.best, self.state.stale = figure, 0
            self._best = {name: value.cpu().clone() for name, value in self._modules.state_dict().items()}
        elif last != self.state.step:  # a run that is taken up again looks twice at the same weights
            self.state.stale += 1
        return figure

    # ---- disk ----------------------------------------------------------------------------------
    @property
    def _checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    def _save(self) -> None:
        saved = {
            "modules": self._modules.state_dict(),
            "best": self._best,
            "optimiser": self._optimiser.state_dict(),
            "state": asdict(self.state),
            "sizes": asdict(self.sizes),
        }
        with replacing(self._checkpoint) as partial:
            torch.save(saved, partial)

    def _read_checkpoint(self) -> dict[str, Any] | None:
        """Weights and state as they were left; the optimiser's part is for later."""
        if not self._checkpoint.exists():
            return None
        saved: dict[str, Any] = torch.load(self._checkpoint, weights_only=True, map_location="cpu")
        if saved["sizes"] != asdict(self.sizes):
            raise UsageError().noted(
                f"{self._checkpoint} was trained with other sizes: name another folder, or delete it to start again."
            )
        self._modules.load_state_dict(saved["modules"])
        self._best = saved.get("best")
        self.state = MetaState(**saved["state"])
        if self.accelerator.is_main_process:
            self.progress(f"going on from step {self.state.step}")
        return saved

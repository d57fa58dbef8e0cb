"""Trains the predictors of ``dynamicvit`` with the tower frozen, and writes them as a part.

::

    scenes --tower as it is--> tokens T (N, D);  --tower with decisions m (N,)--> tokens U
    loss = error of what the cloud restores, m U + (1 - m) mean of the place, against T
         + 0.5 x error of U where m = 1  +  20 x mean over stages of (share kept - ratio^stage)^2

DynamicViT's classification loss and its divergence from the teacher's classes have no counterpart in a tower without
classes: the first term stands for both. Errors are squares over the variance of a channel; with a weight of 2, as in
the article, nothing went, for keeping all tokens has no error. The teacher is the tower
itself, so no label and no answer is needed. A run is seeded, keeps its state in ``run`` and goes on from there.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from heliograph.clock import now_s
from heliograph.codec.parts import Part, write_card
from heliograph.edge.short_tower import unit_patches
from heliograph.errors import ModelUnsupportedError, UsageError
from heliograph.strategies.token_compression.dynamicvit import usual_stages
from heliograph.training.bottleneck.scenes import SceneCache
from heliograph.training.export.onnx_graphs import trace
from heliograph.training.files import refusals_named, replacing
from heliograph.training.pruning.predictor import DecidedTower, Predictor, Scores
from heliograph.types import Reporter
from heliograph.vlm.checkpoint.fingerprint import model_fingerprint
from heliograph.vlm.model import VisionLanguageModel

_SCENES, _BATCH = 1500, 24
_RATE, _FADED = 1e-3, 0.05
_RATIO = 0.7
_RATIO_WEIGHT, _KEPT_WEIGHT = 20.0, 0.5
_REPORT_S, _SAVE_S = 20.0, 60.0
_RUN, _STATE, _STATED = "run", "state.pt", "run.json"


@dataclass(frozen=True)
class _Lesson:
    """What a step needs beside the tower: (N, D) mean tokens, (D,) variances."""

    mean: Tensor
    variance: Tensor

    def error(self, found: Tensor, wanted: Tensor) -> Tensor:
        """(B, N) mean over channels."""
        made: Tensor = ((found - wanted).square() / self.variance).mean(-1)
        return made

    def loss(self, tower: DecidedTower, pixels: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and its terms."""
        with torch.no_grad():
            wanted = tower.whole(pixels)
        made, decisions = tower.decided(pixels)
        kept = decisions[-1]
        restored = kept[..., None] * made + (1 - kept[..., None]) * self.mean
        whole = self.error(restored, wanted).mean()
        own = (self.error(made, wanted) * kept).sum() / kept.sum().clamp(min=1)
        ratio = torch.stack(
            [(one.mean(1) - _RATIO ** (stage + 1)).square().mean() for stage, one in enumerate(decisions)]
        ).mean()
        terms = {"restored": whole.item(), "kept": own.item(), "ratio": ratio.item(), "share": kept.mean().item()}
        return whole + _KEPT_WEIGHT * own + _RATIO_WEIGHT * ratio, terms


def train_part(name: str, out: Path, *, model: str, minutes: float, seed: int, progress: Reporter) -> Part:
    """Train and write the part; see :class:`heliograph.training.strategies.TrainPart`.

    Raises:
        ModelUnsupportedError: no model of the reference's kind.
        UsageError: ``out`` holds another run.
        OutputUnwritableError: the disk refuses.
    """
    vlm = VisionLanguageModel.load(model)
    vision = vlm.torch_model.model.vision_model
    if not hasattr(vision, "encoder") or vlm.input_size != 128:
        raise ModelUnsupportedError().noted("predictors are trained on scenes of the reference model's size.")
    run = out / _RUN
    stated = {"strategy": name, "seed": seed, "model": model}
    with refusals_named():
        run.mkdir(parents=True, exist_ok=True)
        if not (run / _STATED).exists():
            (run / _STATED).write_text(json.dumps(stated), encoding="utf-8")
    if json.loads((run / _STATED).read_text(encoding="utf-8")) != stated:
        raise UsageError().noted(f"{out} holds another run: {run / _STATED}.")
    torch.manual_seed(seed)
    cache = SceneCache(run / "scenes", _SCENES, seed, progress)
    pixels = torch.from_numpy(cache.pixels())  # (I, S, S, 3) uint8
    side = round((vision.embeddings.num_patches / vlm.grid.tokens) ** 0.5)
    patches = torch.from_numpy(unit_patches(vlm.grid, side))
    vlm.torch_model.requires_grad_(False)
    count = len(vision.encoder.layers)
    tower = DecidedTower(vlm.torch_model, usual_stages(count), patches)
    with torch.no_grad():
        seen = torch.cat([tower.whole(_levels(part)) for part in torch.split(pixels[:256], _BATCH)])  # (I, N, D)
    lesson = _Lesson(seen.mean(0), seen.var((0, 1)))
    facts = _optimised(tower, lesson, pixels, run, 60 * minutes, seed, progress) | {
        "seed": seed,
        "data": f"{_SCENES} generated scenes from seed {cache.first}",
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
    }
    return _written(name, out, tower, facts, vlm)


def _optimised(
    tower: DecidedTower, lesson: _Lesson, pixels: Tensor, run: Path, seconds: float, seed: int, progress: Reporter
) -> dict[str, Any]:
    predictors = tower.predictors
    optimiser = torch.optim.AdamW(predictors.parameters(), lr=_RATE, weight_decay=0.05)
    steps, spent, terms = 0, 0.0, dict[str, float]()
    if (run / _STATE).exists():
        state = torch.load(run / _STATE, weights_only=True)
        predictors.load_state_dict(state["predictors"])
        optimiser.load_state_dict(state["optimiser"])
        steps, spent = state["steps"], state["spent"]
    reported = saved = started = now_s()
    while spent < seconds:
        generator = np.random.default_rng((seed, steps))
        torch.manual_seed(seed * 1_000_003 + steps)
        batch = _levels(pixels[torch.from_numpy(generator.integers(0, len(pixels), _BATCH))])
        for group in optimiser.param_groups:
            group["lr"] = _RATE * max(_FADED, 1 - spent / seconds)
        loss, terms = lesson.loss(tower, batch)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        steps, now = steps + 1, now_s()
        spent, started = spent + now - started, now
        if now - reported > _REPORT_S:
            reported = now
            progress(f"step {steps}, {spent / 60:.1f} min: " + ", ".join(f"{k} {v:.4f}" for k, v in terms.items()))
        if now - saved > _SAVE_S or spent >= seconds:
            saved = now
            _save(run, predictors.state_dict(), optimiser.state_dict(), steps, spent)
    figures = {f"last_{name}": round(value, 4) for name, value in terms.items()}  # of the last batch
    return {"steps": steps, "minutes": round(spent / 60, 1), "figures": figures}


def _save(run: Path, predictors: Any, optimiser: Any, steps: int, spent: float) -> None:
    state = {"predictors": predictors, "optimiser": optimiser, "steps": steps, "spent": spent}
    with refusals_named(), replacing(run / _STATE) as partial:
        torch.save(state, partial)


def _written(name: str, out: Path, tower: DecidedTower, facts: dict[str, Any], vlm: VisionLanguageModel) -> Part:
    width = int(tower.vision.config.hidden_size)
    files = []
    for stage, predictor in zip(tower.stages, tower.predictors, strict=True):
        files.append(f"stage-{stage}.onnx")
        with refusals_named():
            trace(
                Scores(cast(Predictor, predictor)).eval(),
                (torch.zeros(1, 8, width),),
                out / files[-1],
                input_names=["states"],
                output_names=["scores"],
                dynamic_axes={"states": {1: "patches"}, "scores": {1: "patches"}},
            )
    return write_card(
        out, files, {"strategy": name, "stages": list(tower.stages), **facts}, model_fingerprint(vlm.name)
    )


def _levels(pixels: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 to (B, 3, S, S) from -1 to 1."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0

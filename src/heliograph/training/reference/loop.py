"""``heliograph train reference``: the three stages in one resumable run.

Stages share the minutes as ``SHARES`` says; within a stage the learning rate follows a cosine over the
stage's own minutes. A checkpoint is written every minute, so a run that was cut off goes on where it was.
"""

from __future__ import annotations

import json
import math
import platform
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.reference.recipe import HIDDEN_SIZE, build_model, build_processor
from heliograph.reference.scenes import DEV_START
from heliograph.training.files import replacing
from heliograph.training.reference.data import SceneStore, load_easy_store
from heliograph.training.reference.language import JointPhase, LanguagePhase, SampleMaker
from heliograph.training.reference.model_card import write_model_card
from heliograph.training.reference.phases import Phase, TowerPhase
from heliograph.training.reference.scene_shards import render_rows, render_shard
from heliograph.training.reference.tower import DenseHeads
from heliograph.types import Reporter

SHARES = {"tower": 0.36, "language": 0.58, "joint": 0.06}  # joint finetuning brought nothing (docs/experiments.md)
DEFAULT_SHARDS = 40
HELD_OUT_SEEDS = range(DEV_START + 50_000, DEV_START + 50_400)
_WARM_UP_STEPS = 100
_MUON_GAIN = 2.5
_REPORT_SECONDS = 60.0


@dataclass
class RunState:
    """Where a run is: what the checkpoint and the model card hold beside the weights."""

    seed: int
    minutes: float
    phase: str = "tower"
    phase_seconds: float = 0.0
    steps: dict[str, int] = field(default_factory=dict)
    spent_minutes: dict[str, float] = field(default_factory=dict)
    figures: dict[str, dict[str, float]] = field(default_factory=dict)


class Optimiser:
    """Muon for the matrices of transformer layers, AdamW for everything else.

    On this task Muon needed about a third of AdamW's steps for the same tower accuracy.
    """

    def __init__(self, phase: Phase, gain: float = _MUON_GAIN) -> None:
        named = [pair for module in phase.modules() for pair in module.named_parameters()]
        self._parameters = [parameter for _, parameter in named]
        matrices = [p for name, p in named if p.ndim == 2 and "layers." in name]
        chosen = {id(p) for p in matrices}
        rest = [p for p in self._parameters if id(p) not in chosen]
        self._gain = gain
        self._muon = torch.optim.Muon(matrices, lr=1e-3, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
        self._adamw = torch.optim.AdamW(rest, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.02)

    def step(self, loss: Tensor, rate: float) -> None:
        """One clipped step at learning rate ``rate``."""
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        for optimiser, factor in ((self._muon, self._gain), (self._adamw, 1.0)):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
            optimiser.step()  # type: ignore[no-untyped-call]
            optimiser.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """State of both optimisers."""
        return {"muon": self._muon.state_dict(), "adamw": self._adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore both."""
        self._muon.load_state_dict(state["muon"])
        self._adamw.load_state_dict(state["adamw"])


def train_reference(
    out: Path,
    *,
    minutes: float = 60.0,
    seed: int = 20_261_121,
    shards: int | None = None,
    resume: bool = True,
    card_scenes: int = 400,
    progress: Reporter = print,
) -> Path:
    """Train the reference model and write the checkpoint folder ``out/model``.

    Args:
        out: also holds rendered shards and ``checkpoint.pt``; a later call with ``resume`` goes on from there.
        minutes: of optimisation, rendering not counted.
        seed: of weights and batches.
        shards: how many shards of 500 scenes to train on (default 40).
        card_scenes: how many test scenes the model card's figures come from; 0 writes no card.
        progress: receives one line a minute.

    Returns:
        The folder with model, processor and card, loadable by ``from_pretrained``.
    """
    folder = ReferenceRun(out, minutes, seed, shards or DEFAULT_SHARDS, resume, progress).run()
    if card_scenes:
        write_model_card(folder, scenes=card_scenes, progress=progress)
    return folder


class ReferenceRun:
    """One training run with its model, data and state."""

    def __init__(self, out: Path, minutes: float, seed: int, shards: int, resume: bool, progress: Reporter) -> None:
        self.out, self.progress = out, progress
        out.mkdir(parents=True, exist_ok=True)
        self.processor = build_processor()
        self.model: Any = build_model(self.processor.tokenizer, seed).train()
        embeddings = self.model.model.text_model.embed_tokens.weight
        with torch.no_grad():
            embeddings.normal_(std=HIDDEN_SIZE**-0.5)  # rows of length one: targets of the dense labels
        self.heads = DenseHeads(self.processor.tokenizer, embeddings)
        self.state = RunState(seed, minutes)
        self._optimiser_state: dict[str, Any] | None = None
        if resume and self._checkpoint.exists():
            self._load()
        self.state.minutes = minutes
        self.scenes, self.held_out = self._scenes(shards), self._held_out()
        self.easy = load_easy_store(seed)
        progress(f"{len(self.scenes)} scenes, easy-VQA {'at hand' if self.easy else 'absent, left out'}")

    @property
    def _checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    def run(self) -> Path:
        """All stages that are left, then the checkpoint folder."""
        names = list(SHARES)
        for name in names[names.index(self.state.phase) :]:
            if name != self.state.phase:
                self.state.phase, self.state.phase_seconds, self._optimiser_state = name, 0.0, None
            self._run_phase(self._phase(name))
        return self.export()

    def _phase(self, name: str) -> Phase:
        if name == "tower":
            return TowerPhase(self.model, self.heads, self.scenes, self.held_out, self.easy)
        maker, tokenizer = SampleMaker(self.scenes, self.easy), self.processor.tokenizer
        if name == "language":
            return LanguagePhase(self.model, tokenizer, maker, self.held_out)
        return JointPhase(self.model, tokenizer, maker, self.heads, self.held_out)

    def _run_phase(self, phase: Phase) -> None:
        budget = self.state.minutes * SHARES[phase.name] * 60
        optimiser = Optimiser(phase, gain=1.0 if phase.name == "joint" else _MUON_GAIN)
        if self._optimiser_state is not None:
            optimiser.load_state_dict(self._optimiser_state)
        step = self.state.steps.get(phase.name, 0)
        rng = np.random.Generator(np.random.PCG64((self.state.seed, list(SHARES).index(phase.name), step)))
        phase.loss(rng, 0.0)  # caches fill outside the stage's minutes
        started, reported = time.monotonic() - self.state.phase_seconds, time.monotonic()
        while (elapsed := time.monotonic() - started) < budget:
            share = elapsed / budget
            loss = phase.loss(rng, share)
            optimiser.step(loss, _rate(phase.peak_rate, step, share))
            step += 1
            if time.monotonic() - reported > _REPORT_SECONDS:
                reported = time.monotonic()
                self._note(phase, step, elapsed, float(loss.detach()))
                self._save(optimiser)
        self._note(phase, step, budget, float("nan"))
        self._save(optimiser)

    def _note(self, phase: Phase, step: int, elapsed: float, loss: float) -> None:
        self.model.eval()
        figures = {key: round(value, 4) for key, value in phase.report().items()}
        self.model.train()
        self.state.steps[phase.name], self.state.phase_seconds = step, elapsed
        self.state.spent_minutes[phase.name] = round(elapsed / 60, 2)
        self.state.figures[phase.name] = figures
        shown = "  ".join(f"{key} {value:.3f}" for key, value in figures.items())
        self.progress(f"{phase.name} {elapsed / 60:.1f} min  step {step}  loss {loss:.3f}  {shown}")

    def _save(self, optimiser: Optimiser) -> None:
        saved = {
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "optimiser": optimiser.state_dict(),
            "state": asdict(self.state),
        }
        with replacing(self._checkpoint) as partial:
            torch.save(saved, partial)

    def _load(self) -> None:
        saved = torch.load(self._checkpoint, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.heads.load_state_dict(saved["heads"])
        self._optimiser_state = saved["optimiser"]
        self.state = RunState(**saved["state"])
        self.progress(f"going on from {self.state.phase}, step {self.state.steps.get(self.state.phase, 0)}")

    def _scenes(self, shards: int) -> SceneStore:
        folder = self.out / "shards"
        for index in range(shards):
            if not (folder / f"scenes-{index:05d}.npz").exists():
                self.progress(f"rendering shard {index + 1} of {shards}")
                render_shard(index, folder)
        return SceneStore(folder, most_shards=shards)

    def _held_out(self) -> SceneStore:
        folder = self.out / "held-out"
        path = folder / "scenes-00000.npz"
        if not path.exists():
            render_rows(HELD_OUT_SEEDS, path)
        return SceneStore(folder)

    def export(self) -> Path:
        """Write ``out/model``: fp16 safetensors, processor, tokenizer and the card's figures."""
        folder = self.out / "model"
        model = self.model.eval()
        saved = {name: value.half() for name, value in model.state_dict().items()}
        model.half().save_pretrained(folder, state_dict=saved)
        model.float()
        self.processor.save_pretrained(folder)
        card = {
            "seed": self.state.seed,
            "scenes": len(self.scenes),
            "train_seeds": [int(self.scenes.seeds.min()), int(self.scenes.seeds.max())],
            "easy_vqa_train": self.easy is not None,
            "minutes": self.state.spent_minutes,
            "steps": self.state.steps,
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
            "held_out_figures": self.state.figures,
        }
        (folder / "training.json").write_text(json.dumps(card, indent=2) + "\n")
        return folder


def _rate(peak: float, step: int, share: float) -> float:
    """Linear warm-up, then a cosine to a fiftieth of the peak."""
    warm = min(1.0, (step + 1) / _WARM_UP_STEPS)
    return peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))

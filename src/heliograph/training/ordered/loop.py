"""One resumable, seeded training loop for the ordered strategies; what is learned is a :class:`Lesson`."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.errors import UsageError
from heliograph.training.files import replacing
from heliograph.types import Reporter

_WARM_UP_STEPS = 50
_FINAL_SHARE = 0.05  # of the learning rate, at the end
_REPORT_S = 240.0


class Lesson(Protocol):
    """What a run learns.

    Attributes:
        module: whose weights and buffers a checkpoint holds.
        first_asks: share of the run before answers are asked for; 0 asks from the beginning.
    """

    first_asks: float

    @property
    def module(self) -> nn.Module:
        """See the class."""

    def groups(self) -> list[dict[str, Any]]:
        """Parameters for AdamW, with ``share``, of the learning rate."""

    def loss(self, rng: np.random.Generator, *, asks: bool) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch, with figures to report."""

    def stepped(self) -> None:
        """After every step."""

    def figures(self) -> str:
        """What held-out pictures say."""


@dataclass
class RunState:
    """Where a run stands."""

    seed: int
    step: int = 0
    seconds: float = 0.0
    asks: bool = False
    phase_step: int = 0
    history: list[str] = field(default_factory=list)


class OrderedRun:
    """One training run, in this process, on the CPU.

    Args:
        lesson: what is learned.
        out: folder of ``checkpoint.pt``; a later run goes on from it.
        facts: what must be the same in a run that goes on, such as sizes.
        rates: peak learning rate while nothing is asked, and after.
        seed: of batches.
        progress: receives a line at every report.

    Raises:
        UsageError: the checkpoint in ``out`` is of another run.
    """

    def __init__(
        self,
        lesson: Lesson,
        out: Path,
        facts: dict[str, Any],
        *,
        rates: tuple[float, float],
        seed: int = 0,
        progress: Reporter = print,
    ) -> None:
        self._lesson, self._facts, self._rates, self._progress = lesson, facts, rates, progress
        self._checkpoint = out / "checkpoint.pt"
        self.state = RunState(seed)
        out.mkdir(parents=True, exist_ok=True)
        saved = self._read()
        self._optimiser = self._fresh()
        if saved is not None:
            self._optimiser.load_state_dict(saved["optimiser"])

    def run(self, minutes: float) -> None:
        """Train until ``minutes`` of optimisation are spent in all, earlier calls included."""
        budget = max(minutes * 60, 1e-9)
        began = time.monotonic() - self.state.seconds
        reported = self.state.seconds
        found: dict[str, float] = {}
        while (elapsed := time.monotonic() - began) < budget:
            if elapsed - reported > _REPORT_S:
                self._report(found)
                reported = time.monotonic() - began
            found = self.step(elapsed / budget)
            self.state.seconds = elapsed
        self.state.seconds = elapsed  # with the last step's, or a finished run would take one more when called again
        self._report(found)

    def step(self, share: float) -> dict[str, float]:
        """One step at ``share`` of the run."""
        state, lesson = self.state, self._lesson
        if share >= lesson.first_asks and not state.asks:
            state.asks, state.phase_step = True, 0
            self._optimiser = self._fresh()  # the first phase's memory would make the first steps huge
        torch.manual_seed((state.seed << 32) + state.step)
        loss, found = lesson.loss(np.random.default_rng((state.seed, state.step)), asks=state.asks)
        rate = self._rate(share) * min(1.0, (state.phase_step + 1) / _WARM_UP_STEPS)
        for group in self._optimiser.param_groups:
            group["lr"] = rate * group["share"]
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for group in self._optimiser.param_groups:
            torch.nn.utils.clip_grad_norm_(group["params"], 1.0)
        self._optimiser.step()
        lesson.stepped()
        state.step, state.phase_step = state.step + 1, state.phase_step + 1
        return found

    def _rate(self, share: float) -> float:
        """Half a cosine in each phase."""
        border = self._lesson.first_asks
        if share < border:
            return self._rates[0] * max(_FINAL_SHARE, 0.5 * (1 + math.cos(math.pi * share / border)))
        passed = (min(share, 1.0) - border) / max(1 - border, 1e-9)
        return self._rates[1] * max(_FINAL_SHARE, 0.5 * (1 + math.cos(math.pi * passed)))

    def _fresh(self) -> torch.optim.AdamW:
        return torch.optim.AdamW(self._lesson.groups(), lr=self._rates[0], weight_decay=0.01)

    def _report(self, found: dict[str, float]) -> None:
        losses = "  ".join(f"{name} {value:.3g}" for name, value in found.items())
        line = f"{self.state.seconds / 60:.1f} min  step {self.state.step}  {losses}  held out {self._lesson.figures()}"
        self.state.history.append(line)
        self._progress(line)
        saved = {
            "module": self._lesson.module.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "state": asdict(self.state),
            "facts": self._facts,
        }
        with replacing(self._checkpoint) as partial:
            torch.save(saved, partial)

    def _read(self) -> dict[str, Any] | None:
        if not self._checkpoint.exists():
            return None
        saved: dict[str, Any] = torch.load(self._checkpoint, weights_only=True, map_location="cpu")
        if saved["facts"] != self._facts:
            raise UsageError().noted(
                f"{self._checkpoint} is of another run: name another folder, or delete it to start again."
            )
        self._lesson.module.load_state_dict(saved["module"])
        self.state = RunState(**saved["state"])
        self._progress(f"going on from step {self.state.step}")
        return saved

"""A run whose minutes are spent stays as it is: what was frozen for another training must not move when it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from heliograph.training.ordered.loop import OrderedRun

MINUTES = 0.2


class Line:
    """A lesson of one weight."""

    first_asks = 1.0

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.Linear(1, 1)

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.module.parameters()), "share": 1.0}]

    def loss(self, rng: np.random.Generator, *, asks: bool) -> tuple[Tensor, dict[str, float]]:
        loss = (self.module(torch.ones(1, 1)) - 3).square().sum()
        return loss, {"error": float(loss.detach())}

    def stepped(self) -> None:
        """Nothing."""

    def figures(self) -> str:
        return "nothing"


def silent(line: str) -> None:
    """A reporter."""


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only steps take time, 2.5 seconds each, so that none ends where the minutes do."""
    now = [0.0]
    plain = Line.loss

    def slow(self: Line, rng: np.random.Generator, *, asks: bool) -> tuple[Tensor, dict[str, float]]:
        now[0] += 2.5
        return plain(self, rng, asks=asks)

    monkeypatch.setattr(Line, "loss", slow)
    monkeypatch.setattr("heliograph.training.ordered.loop.time.monotonic", lambda: now[0])


def opened(lesson: Line, out: Path) -> OrderedRun:
    return OrderedRun(lesson, out, {"what": "line"}, rates=(1e-2, 1e-2), progress=silent)


def test_a_finished_run_takes_no_step_when_it_is_opened_again(tmp_path: Path) -> None:
    first = Line()
    run = opened(first, tmp_path)
    run.run(MINUTES)
    assert run.state.step >= 2
    for _ in range(2):
        again = Line()
        later = opened(again, tmp_path)
        later.run(MINUTES - 0.01)
        later.run(MINUTES)
        assert later.state.step == run.state.step
        assert torch.equal(again.module.weight, first.module.weight)


def test_more_minutes_go_on(tmp_path: Path) -> None:
    run = opened(Line(), tmp_path)
    run.run(MINUTES)
    later = opened(Line(), tmp_path)
    later.run(2 * MINUTES)
    assert later.state.step > run.state.step

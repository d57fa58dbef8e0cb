"""Training stops where held-out pictures gain nothing, adds up batches, and shares gradients among processes."""

from __future__ import annotations

import importlib.util
import socket
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from heliograph.errors import UsageError
from heliograph.training.meta.loop import MetaRecipe
from processes import ended, started

SCRIPT = Path(__file__).with_name("toy_run.py")
RECIPE = MetaRecipe(batch=4, patience=2, report_seconds=0.0)


@pytest.fixture(scope="module")
def toy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("toy_run", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_stops_where_nothing_is_gained(toy: ModuleType, tmp_path: Path) -> None:
    said: list[str] = []
    run = toy.toy_run(tmp_path, replace(RECIPE, peak_rate=0.0), said.append)
    run.run(60.0)  # an hour, were it not for the patience
    assert run.has_stalled
    assert run.state.seconds < 60
    assert "no gain on held-out pictures for 2 reports" in said
    steps = run.state.step
    again = toy.toy_run(tmp_path, replace(RECIPE, peak_rate=0.0), said.append)
    again.run(60.0)
    assert again.state.step == steps


def test_the_best_weights_are_kept(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run(tmp_path, replace(RECIPE, peak_rate=3.0), lambda line: None)  # far too fast: it falls apart
    run.run(60.0)
    assert run.state.best is not None
    figures = [entry["held out"] for entry in run.state.history]
    assert run.state.best == min(figures) < figures[-1]
    size, error = run._examination.rate_and_error()
    assert RECIPE.token_weight * error + RECIPE.rate_weight * size == pytest.approx(run.state.best)
    again = toy.toy_run(tmp_path, replace(RECIPE, peak_rate=3.0), lambda line: None)
    assert toy.weights_of(again) != toy.weights_of(run)  # it would go on from the last ones
    again.run(60.0)
    assert toy.weights_of(again) == toy.weights_of(run)


def test_without_patience_the_last_weights_stay(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run(tmp_path, MetaRecipe(batch=4, peak_rate=3.0, report_seconds=0.0), lambda line: None)
    run.run(0.005)
    assert run._best is None
    assert toy.weights_of(run) == toy.weights_of(toy.toy_run(tmp_path, MetaRecipe(batch=4), lambda line: None))


def test_answers_count_for_the_best_once_they_are_asked(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run(tmp_path, replace(RECIPE, tokens_alone=0.5), lambda line: None)
    run.step(0.1)
    run.report({})
    assert run.state.best is None  # figures of two phases cannot be compared
    run.step(0.6)
    run.report({})
    entry = run.state.history[-1]
    assert run.state.best == entry["held out"]
    assert all(divergence >= 0 for divergence in entry["divergences"])


def test_batches_are_added_up_to_one_step(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run(tmp_path, MetaRecipe(batch=4, accumulate=3), lambda line: None)
    seen: list[torch.Tensor] = []
    loss = run._loss
    run._loss = lambda part: (seen.append(loss(part)[0].detach()), loss(part))[1]
    run.step(0.1)
    assert len(set(map(float, seen))) == 3  # three different batches
    assert run.state.step == 1
    counts = {int(state["step"]) for state in run._optimiser.state_dict()["state"].values()}
    assert counts == {1}
    with pytest.raises(UsageError):
        toy.toy_run(tmp_path / "none", MetaRecipe(accumulate=0), lambda line: None)


def test_two_processes_train_the_same_network(toy: ModuleType, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {"ACCELERATE_USE_CPU": "true"}
    command = (sys.executable, SCRIPT, tmp_path)
    with (
        started(command, **shared, RANK="0", LOCAL_RANK="0") as one,
        started(command, **shared, RANK="1", LOCAL_RANK="1") as other,
    ):
        lines = [ended(process)[0].split() for process in (one, other)]
    (first, second) = sorted(lines)
    assert [first[:2], second[:2]] == [["0", "2"], ["1", "2"]]
    assert first[2] == second[2]  # the same weights
    assert (first[3], second[3]) == ("1", "0")  # the first alone reports
    alone = toy.toy_run(tmp_path / "alone", MetaRecipe(batch=4, accumulate=2), lambda line: None)
    for _ in range(3):
        alone.step(0.1)
    assert toy.weights_of(alone) != first[2]  # the other's batches counted

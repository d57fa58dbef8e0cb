"""Strategies that need a program of other people get a stand-in, so that what holds for all of them holds for these."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from heliograph.strategies.split import nnc

STAND_IN = Path(__file__).parents[2] / "support" / "nnc_stand_in.py"


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that speaks as nncodec's does."""
    monkeypatch.setenv("HELIOGRAPH_NNC", sys.executable)
    monkeypatch.setattr(nnc, "WORKER", STAND_IN)

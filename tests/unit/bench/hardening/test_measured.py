"""Parts of the suite outlive a run that was stopped, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.bench.hardening.measured import Measured, Values


def test_a_part_is_measured_once_for_its_key(tmp_path: Path) -> None:
    taken = list[str]()

    def measure(name: str) -> Values:
        taken.append(name)
        return {"value": (1, 2)}

    for _ in range(2):  # the second run finds what the first has kept
        assert Measured(tmp_path / "parts", "commit 1").part("waits", lambda: measure("one")) == {"value": [1, 2]}
    assert taken == ["one"]
    assert Measured(tmp_path / "parts", "commit 2").part("waits", lambda: measure("two")) == {"value": [1, 2]}
    assert taken == ["one", "two"]


def test_a_part_that_fails_leaves_nothing(tmp_path: Path) -> None:
    kept = Measured(tmp_path, "commit")

    def fail() -> Values:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        kept.part("waits", fail)
    assert list(tmp_path.iterdir()) == []
    assert kept.part("waits", lambda: {"p99": 1.5}) == {"p99": 1.5}

"""What is published of the tests themselves: shares, bounds, the worst room, lines of decisions; and the picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tools"))

from mutation_operators import Mutant  # noqa: E402
from mutation_verdicts import Tally  # noqa: E402
from tests_suite import published, suite_result  # noqa: E402

from heliograph.bench.redraw import redraw  # noqa: E402

SURVIVOR = Mutant("a.py", 1, 0, 1, "2", "constant")
ROOMS = {"one": Tally(45, ()), "two": Tally(36, (SURVIVOR,) * 9)}


def test_figures_are_those_of_all_rooms_and_of_the_worst(tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.json"
    modules = [{"module": "a.py", "lines": 30, "missed": [1, 2]}, {"module": "b.py", "lines": 10, "missed": []}]
    decisions.write_text(json.dumps(modules))
    found = suite_result(ROOMS, 7, decisions).figures
    assert [figure.value for figure in found] == pytest.approx([0.9, 0.8, 0.95])
    assert [(figure.must, figure.aim) for figure in found] == [(0.92, 0.97), (0.85, 0.92), (0.95, None)]
    low, high = found[0].interval or (0, 0)
    assert (low, high) == pytest.approx((0.82076, 0.94649), abs=1e-5)  # Wilson's, 81 of 90


def test_what_is_published_can_be_drawn_again(tmp_path: Path) -> None:
    published(suite_result(ROOMS, 7, None), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"tests.json", "tests.md", "tests-mutants.png"}
    first = (tmp_path / "tests-mutants.png").read_bytes()
    assert "| two | 45 | 36 | 80.0 |" in (tmp_path / "tests.md").read_text()
    (tmp_path / "tests-mutants.png").unlink()
    assert tmp_path / "tests-mutants.png" in redraw(tmp_path)
    assert (tmp_path / "tests-mutants.png").read_bytes() == first

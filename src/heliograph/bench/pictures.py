"""Which pictures each suite has. All of them are drawn from what its JSON holds, so that they can be drawn again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from heliograph.bench.hardening import plots as hardening
from heliograph.bench.loop import plots as loop
from heliograph.bench.planner import plot as planner
from heliograph.bench.plots import plot_rate_accuracy, plot_time_accuracy
from heliograph.bench.region import plots as region
from heliograph.bench.results import SuiteResult

Draw = Callable[[SuiteResult, Path], bool]
"""Draws into the path; False, and no file, where the suite's run holds nothing for it."""

_USUAL: Mapping[str, Draw] = {"rate_accuracy.png": plot_rate_accuracy, "time_accuracy.png": plot_time_accuracy}

_OF_SUITE: Mapping[str, Mapping[str, Draw]] = {
    "loop": {
        "rate_accuracy.png": loop.plot_stopping,
        "confidence-right.png": partial(loop.plot_separation, target="right"),
        "confidence-agrees.png": partial(loop.plot_separation, target="agrees"),
    },
    "region": {"policies.png": region.plot_policies},
    "planner": {"times.png": planner.plot_medians},
    "hardening": {"waits.png": hardening.plot_waits, "photos.png": hardening.plot_photos},
}


def draw_pictures(result: SuiteResult, folder: Path, prefix: str = "") -> list[Path]:
    """Every picture of the suite.

    Args:
        result: of a run, or read from its JSON.
        folder: that they are written into.
        prefix: of the files' names.

    Returns:
        what was written.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    paths = {folder / f"{prefix}{name}": draw for name, draw in _OF_SUITE.get(result.suite, _USUAL).items()}
    return [path for path, draw in paths.items() if draw(result, path)]

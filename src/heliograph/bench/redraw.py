"""Draws the published pictures and tables again from the published JSON, measuring nothing.

``python -m heliograph.bench.redraw docs/results``. The JSON itself stays as it is; pictures that need more than the
JSON holds (photos with what the model looked at) are left alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from heliograph.bench import mutants_plot
from heliograph.bench.bytes import plot as bytes_plot
from heliograph.bench.families import plots as families
from heliograph.bench.hardening import plots as hardening
from heliograph.bench.loop import plots as loop
from heliograph.bench.loop.times_plot import draw_time_to_final
from heliograph.bench.photos import unfamiliar_plot
from heliograph.bench.planner import plot as planner
from heliograph.bench.reference.error_head_plot import plot_error_head
from heliograph.bench.reference.foresight_plot import plot_foresight
from heliograph.bench.region import plots as region
from heliograph.bench.report import draw_pictures, markdown
from heliograph.bench.results import SuiteResult
from heliograph.bench.second_look import plot as second_look
from heliograph.bench.street import plot as street
from heliograph.reference.assets import shipped_bundle_folder

_OF_SUITE = {
    "loop": loop.PICTURES,
    "region": region.PICTURES,
    "planner": planner.PICTURES,
    "hardening": hardening.PICTURES,
    "tests": mutants_plot.PICTURES,
    "bytes": bytes_plot.PICTURES,
    "families": families.PICTURES,
    "street": street.PICTURES,
    "second-look": second_look.PICTURES,
    "unfamiliar": unfamiliar_plot.PICTURES,
}
"""Suites with pictures of their own."""

_BESIDE = {
    "loop-times.json": ("loop-time_to_final.png", draw_time_to_final),
    "foresight.json": ("foresight.png", plot_foresight),
}
"""Files that no suite wrote: the picture of each, and who draws it."""

_TRAINING = "meta.training.json"


def redraw(folder: Path) -> list[Path]:
    """Every picture and table whose JSON lies in the folder, and the picture of the shipped codec's error head.

    Args:
        folder: of ``SUITE.json`` files, as ``heliograph bench --publish`` fills it.

    Returns:
        what was written.
    """
    written: list[Path] = []
    for path in sorted(folder.glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        if "suite" in facts:
            written += _suite(read_result(facts), folder)
        elif path.name in _BESIDE:
            name, draw = _BESIDE[path.name]
            draw(facts, folder / name)
            written.append(folder / name)
    training = shipped_bundle_folder() / _TRAINING
    if training.is_file():
        plot_error_head(json.loads(training.read_text(encoding="utf-8"))["error_head"], folder / "error-head.png")
        written.append(folder / "error-head.png")
    return written


def read_result(facts: Mapping[str, Any]) -> SuiteResult:
    """A published result with the pictures of its suite."""
    result = SuiteResult.from_json(facts)
    return replace(result, pictures=_OF_SUITE.get(result.suite))


def _suite(result: SuiteResult, folder: Path) -> list[Path]:
    plots = draw_pictures(result, folder, f"{result.suite}-")
    kept = [path for path in sorted(folder.glob(f"{result.suite}-*.png")) if path not in plots and not _is_beside(path)]
    table = folder / f"{result.suite}.md"
    table.write_text(markdown(result, [path.name for path in (*plots, *kept)]), encoding="utf-8")
    return [*plots, table]


def _is_beside(path: Path) -> bool:
    return any(path.name == name for name, _ in _BESIDE.values())


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m heliograph.bench.redraw", description=__doc__)
    parser.add_argument("folder", type=Path, help="of the published JSON files, docs/results")
    for path in redraw(parser.parse_args().folder):
        print(path)


if __name__ == "__main__":
    main()

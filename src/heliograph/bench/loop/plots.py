"""Pictures of suite ``loop``, drawn from its JSON: what stopping saves, and what confidences tell apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from heliograph.bench.metrics import ALL
from heliograph.bench.plots import UNCOMPRESSED, draw_rates, headline_rows, material, series_of
from heliograph.bench.results import Row, SuiteResult
from heliograph.bench.style import GREY, LIGHT, OTHER, OURS, picture

UNCOMPRESSED_NOTE = "Accuracy of uncompressed tokens, mean over tasks: "
"""Begins the note that says what no policy can be better than."""

AUROC_TABLE = "AUROC of confidences"
_SHOWN = ("oracle", "combined", "stability", "error-head", "fixed", "min-entropy")
_NAMES = {
    "oracle": "oracle: stops at the first right draft",
    "combined": "combined confidence",
    "stability": "two equal drafts",
    "error-head": "expected token error",
    "fixed": "fixed number of bytes",
    "min-entropy": "min-entropy",
}
_MIN_ACCURACY = 60
_TARGETS = {"right": "right answers from wrong ones", "agrees": "answers that stay from those that change"}


def plot_stopping(result: SuiteResult, path: Path) -> bool:
    """Accuracy against mean bytes at the stop, for six policies."""
    whole = _with_uncompressed(result)
    rows = [r for r in headline_rows(whole) if r.strategy in _SHOWN]
    found = series_of(rows, lambda r: r.payload_bytes)
    curves = {name: [p for p in found[name] if p[1] >= _MIN_ACCURACY] for name in _SHOWN if name in found}
    curves = {name: points for name, points in curves.items() if points}
    if not curves:
        return False
    ours, fixed = result.b99.get("combined"), result.b99.get("fixed")
    message = "When to stop the stream"
    if ours and fixed:
        message = f"Stopping when sure enough: 99 % of the accuracy for {ours:,.0f} bytes instead of {fixed:,.0f}"
    facts = f"{material(whole)}; a draft at every segment of the shipped meta stream; bands: 95 % intervals"
    with picture(path, message, facts) as (axes,):
        axes.set_ylim(bottom=_MIN_ACCURACY)
        draw_rates(axes, curves, whole, _NAMES, place=0.3)
        axes.set_xlabel("mean payload when the stream is stopped (bytes)")
    return True


def _with_uncompressed(result: SuiteResult) -> SuiteResult:
    """The suite keeps the uncompressed accuracy as a note alone."""
    notes = [note for note in result.notes if note.startswith(UNCOMPRESSED_NOTE)]
    found = [note.removeprefix(UNCOMPRESSED_NOTE).rstrip(".") for note in notes]
    if not found:
        return result
    row = Row(UNCOMPRESSED, "default", ALL, 0, accuracy=float(found[0]))
    return replace(result, rows=(*result.rows, row))


def plot_separation(result: SuiteResult, path: Path, target: str) -> bool:
    """AUROC of every confidence over all drafts, and by kind of question.

    Args:
        result: of the suite.
        path: PNG to write.
        target: "right" or "agrees".
    """
    table = result.table(AUROC_TABLE)
    first = 2  # the columns before are the target and the confidence
    kinds = [place for place in range(first + 1, len(table.head)) if table.head[place] != "small-print"]
    lines = [row for row in table.body if row[0] == target]
    if not lines:
        return False
    lines.sort(key=lambda row: float(row[first]))
    best = lines[-1]
    message = f"The {best[1]} confidence tells {_TARGETS[target]} best: AUROC {best[first]}"
    facts = (
        f"{material(result)}, drafts at every prefix; large: all kinds of questions together; "
        f"small: {', '.join(table.head[place] for place in kinds)} apart; 0.5 is chance"
    )
    with picture(path, message, facts, size=(7.4, 0.36 * len(lines) + 0.8)) as (axes,):
        for height, row in enumerate(lines):
            single = [float(row[place]) for place in kinds if row[place]]
            axes.scatter(single, [height] * len(single), s=16, color=LIGHT, zorder=2)
            colour = OURS if row is best else OTHER if row[1] == "min-entropy" else GREY
            axes.scatter([float(row[first])], [height], s=60, color=colour, zorder=3)
            spot = {"textcoords": "offset points", "ha": "center", "fontsize": 8, "color": colour}
            axes.annotate(row[first], (float(row[first]), height), xytext=(0, 6), **spot)
        axes.set_yticks(range(len(lines)), [row[1] for row in lines])
        axes.set_ylim(-0.5, len(lines) - 0.2)
        axes.set_xlim(0.5, 1)
        axes.set_xlabel("AUROC (area under the ROC curve)")
    return True


PICTURES: Mapping[str, Callable[[SuiteResult, Path], bool]] = {
    "rate_accuracy.png": plot_stopping,
    "confidence-right.png": partial(plot_separation, target="right"),
    "confidence-agrees.png": partial(plot_separation, target="agrees"),
}

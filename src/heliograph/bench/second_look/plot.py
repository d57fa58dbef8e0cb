"""The picture of suite ``second-look``, drawn from its JSON: legible share against bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heliograph.bench.labels import label_series
from heliograph.bench.metrics import ALL
from heliograph.bench.results import Row, SuiteResult
from heliograph.bench.style import GREY, OTHER, OURS, SECOND, log_axis, picture, reference_line

_CHOSEN = "chosen on the other half"
_SHOWN = {
    "whole": ("whole photo", OTHER, "s"),
    "text": ("first stage and text crops", OURS, "o"),
    "contrast": ("crop by contrast", "#E69F00", "^"),
    "random": ("random crop", GREY, "v"),
    "true place": ("crop of the true place", SECOND, "D"),
}
_FULL = "full"


def plot_legible(result: SuiteResult, path: Path) -> bool:
    """Legible share against mean payload (log), with 95 % intervals. False where there is nothing to draw."""
    rows = [row for row in result.rows if row.task == ALL and row.accuracy is not None and row.payload_bytes]
    full = next((row for row in rows if row.strategy == _FULL), None)
    ours = _chosen(rows, "text")
    opponent = _chosen(rows, "whole")
    if full is None or ours is None or opponent is None:
        return False
    share = 100 * (ours.payload_bytes or 0) / (opponent.payload_bytes or 1)
    message = (
        f"Text crops: {100 * (ours.accuracy or 0):.0f} % of answers legible in {share:.0f} % of a whole photo's bytes, "
        f"which shows {100 * (opponent.accuracy or 0):.0f} %"
    )
    facts = (
        f"TextVQA photos, {full.questions:,} questions; answers that a frozen reader can read in what arrived; "
        "bars: 95 % intervals over photos; rings: settings chosen on the other half of the photos"
    )
    with picture(path, message, facts, size=(9.2, 4.4)) as (axes,):
        curves = {name: _draw(axes, rows, name) for name in _SHOWN}
        for row in (ours, opponent):
            x, y = row.payload_bytes, 100 * (row.accuracy or 0)
            axes.plot([x], [y], "o", markersize=11, markerfacecolor="none", color=_SHOWN[row.strategy][1], zorder=4)
        log_axis(axes.xaxis)
        reference_line(axes, 100 * (full.accuracy or 0), "read in the photo's own file")
        axes.set_xlabel("mean payload per question (bytes)")
        axes.set_ylabel("answers legible (%)")
        axes.margins(x=0.08, y=0.12)
        axes.autoscale_view()
        names, colours = ({name: one[part] for name, one in _SHOWN.items()} for part in (0, 1))
        label_series(axes, {name: points for name, points in curves.items() if points}, names, colours)
    return True


def _draw(axes: Any, rows: list[Row], name: str) -> list[tuple[float, float]]:
    _, colour, marker = _SHOWN[name]
    shown = [row for row in rows if row.strategy == name and not row.setting.startswith(_CHOSEN)]
    points = sorted((row.payload_bytes or 0.0, 100 * (row.accuracy or 0.0), row.accuracy_ci) for row in shown)
    for x, y, interval in points:
        low, high = (y, y) if interval is None else (100 * interval[0], 100 * interval[1])
        axes.vlines(x, low, high, color=colour, linewidth=1.0, alpha=0.5, zorder=2)
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
    axes.plot(xs, ys, color=colour, marker=marker, linewidth=1.4, zorder=3)
    return [(x, y) for x, y, _ in points]


def _chosen(rows: list[Row], name: str) -> Row | None:
    return next((row for row in rows if row.strategy == name and row.setting.startswith(_CHOSEN)), None)


PICTURES = {"legible.png": plot_legible}

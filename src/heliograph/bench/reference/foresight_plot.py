"""The picture of ``foresight.json``: what the cloud expected of its answers beside what came true, by bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from heliograph.bench.labels import label_series
from heliograph.bench.style import GREY, OURS, SECOND, picture

_AMBER = "#E69F00"
_MEANS = {
    "agreement": ("same answer, found", OURS, "o"),
    "predicted_agreement": ("same answer, expected", SECOND, "s"),
    "consistency": ("semantic consistency, found", _AMBER, "^"),
    "consistency_floor": ("semantic consistency of unrelated answers", GREY, "."),
}
_CORRELATIONS = {
    "agreement_correlation": ("expected chance and same answer", OURS, "o"),
    "consistency_correlation": ("expected chance and semantic consistency", _AMBER, "^"),
    "error_correlation": ("expected and real token error (logarithms)", GREY, "D"),
}


def plot_foresight(facts: Mapping[str, Any], path: Path) -> None:
    """Two panels by bytes: means of what was expected and found, and how the two go together.

    Args:
        facts: what :mod:`heliograph.bench.reference.foresight` writes as JSON.
        path: PNG to write.
    """
    prefixes = facts["prefixes"]
    gaps = [abs(one["agreement"] - one["predicted_agreement"]) for one in prefixes]
    message = f"What the cloud expects of its answers comes true within {100 * max(gaps):.0f} points on average"
    text = (
        f"generated scenes, {facts['scenes']:,} photos, {prefixes[0]['answers']:,} answers per point; "
        "each point one length of the stream"
    )
    with picture(path, message, text, columns=2, size=(11.4, 3.8)) as (left, right):
        _draw(left, prefixes, _MEANS)
        left.set_title("means over all answers")
        left.set_ylabel("share of answers, or cosine")
        _draw(right, prefixes, _CORRELATIONS)
        right.set_title("correlation at one length of the stream")
        right.set_ylabel("Pearson's correlation")


def _draw(axes: Any, prefixes: Sequence[Mapping[str, Any]], series: Mapping[str, tuple[str, str, str]]) -> None:
    curves: dict[str, list[tuple[float, float]]] = {}
    for key, (_, colour, marker) in series.items():
        points = [(one["bytes"], one[key]) for one in prefixes if one.get(key) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, zorder=3)
            curves[key] = points
    lowest = min((y for points in curves.values() for _, y in points), default=0.0)
    axes.set_ylim(min(0.0, lowest) - 0.05, 1.03)
    axes.set_xlabel("mean payload (bytes)")
    names, colours = ({key: one[part] for key, one in series.items()} for part in (0, 1))
    label_series(axes, curves, names, colours)

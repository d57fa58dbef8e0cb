"""The two pictures of suite ``hardening``, drawn from its JSON: waits beside hostile senders, and memory by photo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heliograph.bench.results import SuiteResult
from heliograph.bench.style import GREY, LIGHT, OTHER, SECOND, picture, reference_line

WAITS_TABLE, PHOTOS_TABLE = "Beside a hostile sender", "Odd photos"
_MEMORY_BOUND_MB = 200
_KINDS = (("GET /health", 2), ("opening a session (WELCOME)", 4))


def plot_waits(result: SuiteResult, path: Path) -> bool:
    """99th percentiles of both waits, without and beside each sender."""
    body = [row for row in result.table(WAITS_TABLE).body][::-1]
    if not body:
        return False
    found = [[float(row[place].replace(",", "")) for place in range(2, 6)] for row in body]
    worst = max(max(row) for row in found)
    message = f"Beside the worst hostile sender, 99 % of the others wait {worst:.0f} ms at most"
    facts = "99th percentiles of the same run, measured on loopback; grey: without the sender, orange: beside it"
    size = (11.2, 0.3 * len(body) + 0.9)
    with picture(path, message, facts, columns=2, size=size) as panels:
        for axes, (title, column) in zip(panels, _KINDS, strict=True):
            pairs = [(row[column - 2], row[column - 1]) for row in found]
            _draw_waits(axes, pairs)
            axes.set_yticks(range(len(body)), [row[0] for row in body])
            axes.set_title(title)
    return True


def _draw_waits(axes: Any, pairs: list[tuple[float, float]]) -> None:
    heights = range(len(pairs))
    without, beside = ([pair[part] for pair in pairs] for part in (0, 1))
    axes.hlines(heights, without, beside, color=LIGHT, linewidth=3, zorder=1)
    axes.scatter(without, heights, s=34, color=GREY, zorder=2)
    axes.scatter(beside, heights, s=34, color=OTHER, zorder=3)
    for height, value in zip(heights, beside, strict=True):
        axes.annotate(
            f"{value:.0f}", (value, height), xytext=(7, -3), textcoords="offset points", fontsize=8, color=OTHER
        )
    axes.set_xlim(0, 1.1 * max(beside))
    axes.set_ylim(-0.6, len(pairs) - 0.4)
    axes.set_xlabel("99th percentile of the wait (ms)")


def plot_photos(result: SuiteResult, path: Path) -> bool:
    """Peak memory of the device process, a point a photo, by kind of file; refused ones hollow."""
    kinds: dict[str, list[tuple[str, float, bool]]] = {}
    for name, peak, _, used in result.table(PHOTOS_TABLE).body:
        kinds.setdefault(name.rpartition(".")[2], []).append((name, float(peak.replace(",", "")), " x " in used))
    accepted = [peak for photos in kinds.values() for _, peak, kept in photos if kept]
    if not accepted:
        return False
    message = f"No accepted photo takes the device above {max(accepted):.0f} MB (bound {_MEMORY_BOUND_MB} MB)"
    facts = (
        f"{sum(map(len, kinds.values()))} odd photos of 1 to 250 megapixels, a fresh process each, measured; "
        "hollow: refused with a named error"
    )
    order = sorted(kinds, key=lambda kind: max(peak for _, peak, _ in kinds[kind]))
    with picture(path, message, facts, size=(7.4, 0.32 * len(order) + 0.9)) as (axes,):
        for height, kind in enumerate(order):
            for _, megabytes, kept in kinds[kind]:
                fill = SECOND if kept else "white"
                axes.scatter([megabytes], [height], s=30, edgecolor=SECOND, facecolor=fill, alpha=0.75)
            largest = max(kinds[kind], key=lambda one: one[1])
            axes.annotate(
                largest[0], (largest[1], height), xytext=(7, -3), textcoords="offset points", fontsize=8, color=GREY
            )
        axes.set_yticks(range(len(order)), order)
        axes.set_ylim(-0.6, len(order) - 0.2)
        axes.set_xlim(0, 1.1 * _MEMORY_BOUND_MB)
        reference_line(axes, _MEMORY_BOUND_MB, "bound", vertical=True, place=0.02)
        axes.set_xlabel("peak memory of the device process (MB)")
    return True


PICTURES = {"waits.png": plot_waits, "photos.png": plot_photos}

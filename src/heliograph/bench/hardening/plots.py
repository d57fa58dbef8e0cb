"""The two pictures of the suite ``hardening``: waits beside hostile senders, and peak memory by photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from heliograph.bench.hardening.hostile_sender import Compared
from heliograph.bench.hardening.photo_memory import PhotoMemory
from heliograph.bench.plots import new_figure, save

WITHOUT, BESIDE, REFUSED = "#7F7F7F", "#D55E00", "#CCCCCC"
_BAR = 0.38
_SHOWN_PHOTOS = 40


def plot_waits(found: Mapping[str, Compared], path: Path) -> None:
    """99th percentiles of both waits, without and beside each sender."""
    figure, panels = new_figure(columns=2)
    names = list(found)[::-1]
    kinds = (("GET /health", "health_p99_ms"), ("WELCOME", "welcome_p99_ms"))
    for axes, (title, attribute) in zip(panels, kinds, strict=True):
        for offset, colour, which in ((_BAR / 2, WITHOUT, "without"), (-_BAR / 2, BESIDE, "beside")):
            values = [getattr(getattr(found[name], which), attribute) for name in names]
            places = [place + offset for place in range(len(names))]
            axes.barh(places, values, height=_BAR, color=colour, label=f"{which} the sender")
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("99th percentile (ms)")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    panels[0].legend(fontsize=8, frameon=False)
    save(figure, path)


def plot_photos(found: Sequence[PhotoMemory], path: Path) -> None:
    """Peak memory of the device process by photo, largest first; refused ones in grey."""
    figure, (axes,) = new_figure()
    shown = sorted(found, key=lambda one: one.peak_mb)[-_SHOWN_PHOTOS:]
    figure.set_size_inches(7.2, 0.19 * len(shown) + 1.2)
    colours = [REFUSED if one.error else WITHOUT for one in shown]
    axes.barh([one.name for one in shown], [one.peak_mb for one in shown], color=colours)
    axes.axvline(200, color=BESIDE, linewidth=1)
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel("peak memory of the device process (MB); the line is its bound, light bars were refused")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    save(figure, path)

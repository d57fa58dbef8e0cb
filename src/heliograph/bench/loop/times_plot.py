"""Distribution of the time to the final answer, ``push`` against ``pull``, a panel for each link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from heliograph.bench.plots import new_figure, save

_COLOURS = {
    "push, own stop": "#5B2C8F",
    "push, same prefix": "#0072B2",
    "pull": "#D55E00",
    "pull, first chunk asked for": "#7F7F7F",
}
_QUALITY = 0.95  # the target that is drawn


def draw_time_to_final(result: dict[str, Any], path: Path) -> None:
    """One curve per policy: share of questions answered within so many milliseconds.

    Args:
        result: of :func:`heliograph.bench.loop.times.run_loop_times`.
        path: PNG to write.
    """
    links = list(dict.fromkeys(row["link"] for row in result["rows"]))
    figure, panels = new_figure(rows=1, columns=len(links))
    for axes, link in zip(panels, links, strict=True):
        for policy, colour in _COLOURS.items():
            times = np.sort(result["final_ms"][f"{link}|{_QUALITY}|{policy}"])
            axes.step(times, np.arange(1, len(times) + 1) / len(times), where="post", color=colour, label=policy)
        axes.set_ylim(0, 1)
        axes.set_xlim(left=0)
        axes.set_xlabel("ms to the final answer (modelled link)")
        axes.set_title(f"{link}, quality {_QUALITY:g}, {result['questions']} questions", fontsize=10, loc="left")
    panels[0].set_ylabel("share of questions")
    panels[-1].legend(frameon=False, fontsize=9, loc="center")
    save(figure, path)

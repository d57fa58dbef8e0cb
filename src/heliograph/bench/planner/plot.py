"""The picture of suite ``planner``: how many answers have come by when. Colours: Okabe and Ito's palette."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.bench.plots import new_figure, save

STYLES = {
    "oracle": ("#000000", "--"),
    "foresight": ("#56B4E9", "-"),
    "planner": ("#0072B2", "-"),
    "best fixed": ("#D55E00", "-"),
}


def draw_times(times_s: Mapping[str, Mapping[str, npt.NDArray[np.float64]]], path: Path) -> None:
    """One panel per device: share of questions answered by a time.

    Args:
        times_s: seconds to the final answer by device and contestant.
        path: PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, panels = new_figure(columns=len(times_s))
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axes, (device, found) in zip(panels, times_s.items(), strict=True):
        for who, seconds in found.items():
            colour, line = STYLES[who]
            ordered = np.sort(1000 * seconds)
            shares = np.arange(1, len(ordered) + 1) / len(ordered)
            axes.step(ordered, 100 * shares, where="post", color=colour, linestyle=line, linewidth=1.6, label=who)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("time to the final answer (ms, modelled)")
        axes.set_ylabel("questions answered (%)")
        axes.set_title(f"Device: {device}, no model of its own", fontsize=10, loc="left")
        axes.grid(True, which="major", color="#DDDDDD", linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    panels[-1].legend(frameon=False, loc="lower right")
    save(figure, path)

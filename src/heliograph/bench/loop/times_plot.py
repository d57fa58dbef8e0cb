"""Distribution of the time to the final answer, ``push`` against ``pull``, a panel for each link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from heliograph.bench.labels import label_series
from heliograph.bench.style import GREY, OTHER, OURS, picture

_POLICIES = {
    "push, same prefix": ("push", OURS),
    "pull": ("pull", OTHER),
    "pull, first chunk asked for": ("pull from the start", GREY),
}
_QUALITY = 0.95  # the target that is drawn


def link_words(link: str) -> str:
    """``20kbit,100ms`` as people write it: ``20 kbit/s, 100 ms round trip``."""
    rate, _, delay = link.partition(",")
    rate = rate.replace("kbit", " kbit/s").replace("mbit", " Mbit/s")
    return f"{rate}, {delay.replace('ms', ' ms')} round trip" if delay else rate


def draw_time_to_final(result: dict[str, Any], path: Path) -> None:
    """One curve per policy: share of questions answered within so many milliseconds.

    Args:
        result: of :func:`heliograph.bench.loop.times.run_loop_times`.
        path: PNG to write.
    """
    links = list(dict.fromkeys(row["link"] for row in result["rows"]))
    medians = {
        (row["link"], row["policy"]): row["median_final_ms"] for row in result["rows"] if row["quality"] == _QUALITY
    }
    worse = max(medians[link, "push, same prefix"] / medians[link, "pull"] for link in links)
    message = f"Sending without waiting for a round trip answers in {100 * worse:.0f} % of the median time or less"
    facts = (
        f"generated scenes, {result['questions']:,} questions, target quality {_QUALITY:g}; "
        "times from the link model; pull: the cloud asks for every chunk after the first, or for the first too; "
        "push: the device keeps sending and is stopped after as much"
    )
    with picture(path, message, facts, columns=len(links), size=(5.2 * len(links), 3.4)) as panels:
        for axes, link in zip(panels, links, strict=True):
            curves = {}
            for policy, (_, colour) in _POLICIES.items():
                times = np.sort(result["final_ms"][f"{link}|{_QUALITY}|{policy}"])
                shares = 100 * np.arange(1, len(times) + 1) / len(times)
                axes.step(times, shares, where="post", color=colour, zorder=3)
                curves[policy] = list(zip(times.tolist(), shares.tolist(), strict=True))[:: max(1, len(times) // 20)]
            axes.set_ylim(0, 102)
            axes.set_xlim(left=0, right=1.2 * axes.get_xlim()[1])
            axes.set_xlabel("time to the final answer (ms)")
            axes.set_title(link_words(link))
            axes.set_ylabel("questions answered (%)")
            names, colours = ({policy: one[part] for policy, one in _POLICIES.items()} for part in (0, 1))
            label_series(axes, curves, names, colours)

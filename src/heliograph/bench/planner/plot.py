"""The picture of suite ``planner``, drawn from its JSON: median times of the planner, an oracle and a fixed choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heliograph.bench.results import SuiteResult, Table
from heliograph.bench.style import GREY, LIGHT, OTHER, OURS, log_axis, picture

TARGETS_TABLE = "Targets and devices"
_COLUMNS = {"oracle": "oracle", "planner": "planner, median ms", "best fixed": "best fixed"}
_LOOKS = {"oracle": (GREY, "|", 90), "planner": (OURS, "o", 46), "best fixed": (OTHER, "s", 34)}


def plot_medians(result: SuiteResult, path: Path) -> bool:
    """Per target and device without a model of its own: median times of planner, oracle and the best fixed choice."""
    tables = [one for one in result.tables if one.title.startswith(TARGETS_TABLE)]
    if not tables:
        return False
    ratio = next((f.value for f in result.figures if "the best fixed" in f.name and "no own model" in f.name), None)
    message = "The planner against the best fixed choice"
    if ratio is not None:
        message = f"Choosing per question takes {100 * ratio:.0f} % of the best fixed choice's median time"
    questions = max((row.questions for row in result.rows if row.link_mbit is None), default=0)
    facts = (
        f"generated scenes, {questions:,} questions per row over replayed mobile traces, equal quality; times from the "
        "link model; device without a model of its own; the oracle knows every arrival and answer"
    )
    lines = [row for row in tables[0].body if row[2] == "no"]
    size = (5.4 * len(tables), 0.36 * len(lines) + 0.9)
    with picture(path, message, facts, columns=len(tables), size=size) as panels:
        for place, (axes, table) in enumerate(zip(panels, tables, strict=True)):
            _draw(axes, table, first=place == 0)
    return True


def _draw(axes: Any, table: Table, *, first: bool) -> None:
    lines = [row for row in table.body if row[2] == "no"][::-1]
    columns = {who: table.head.index(name) for who, name in _COLUMNS.items()}
    found = {who: [float(row[column].replace(",", "")) for row in lines] for who, column in columns.items()}
    heights = range(len(lines))
    axes.hlines(heights, found["oracle"], found["best fixed"], color=LIGHT, linewidth=2, zorder=1)
    widest = max(heights, key=lambda place: found["best fixed"][place] / found["oracle"][place])
    for who, (colour, marker, size) in _LOOKS.items():
        axes.scatter(found[who], heights, s=size, color=colour, marker=marker, zorder=3)
        shift = (0, -14) if who == "oracle" else (0, 8)
        spot = {"xytext": shift, "textcoords": "offset points", "ha": "center", "fontsize": 9, "color": colour}
        axes.annotate(who, (found[who][widest], widest), **spot)
    axes.set_ylim(-0.5, len(lines) + 0.1)
    axes.set_yticks(heights, [f"{row[0]}, {row[1]}" for row in lines] if first else [""] * len(lines))
    log_axis(axes.xaxis)
    axes.set_xlabel("median time to the final answer (ms)")
    axes.set_title(table.title.removeprefix(f"{TARGETS_TABLE}, ").split(" (")[0])


PICTURES = {"times.png": plot_medians}

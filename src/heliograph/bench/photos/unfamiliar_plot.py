"""The picture of suite ``unfamiliar``, drawn from its JSON: the confidence in photos that nothing was fitted on."""

from __future__ import annotations

from pathlib import Path

from heliograph.bench.results import Figure, SuiteResult
from heliograph.bench.style import GREY, OTHER, OURS, SECOND, picture, reference_line

SHOWN, WITHOUT, MODEL, RIGHT = (
    "mean confidence shown of street photos",
    "the same without the misfit",
    "the model's own confidence",
    "share of their own questions answered rightly",
)
_ROWS = (
    (MODEL, "the model's own confidence", OTHER),
    (WITHOUT, "calibrated, without the misfit", SECOND),
    (SHOWN, "shown: calibrated with the misfit", OURS),
    (RIGHT, "their own questions answered rightly", GREY),
)


def plot_unfamiliar(result: SuiteResult, path: Path) -> bool:
    """Mean confidences of street photos' answers with their 95 % intervals, and how many answers are right.

    False where a figure is not in the result.
    """
    found: dict[str, Figure] = {}
    for figure in result.figures:
        found.setdefault(figure.name, figure)  # a later figure of scenes has the name of one of street photos
    values = {name: figure.value for name, figure in found.items() if figure.value is not None}
    if not {name for name, _, _ in _ROWS} <= values.keys():
        return False
    shown, own = _percent(values[SHOWN]), _percent(values[MODEL])
    message = f"On street photos a bundle for generated scenes shows {shown} confidence, not {own}"
    facts = "Mean confidence in answers about 100 street photos, from whole streams; bars: 95 % intervals"
    with picture(path, message, facts, size=(7.4, 2.2)) as (axes,):
        for row, (name, _, colour) in enumerate(reversed(_ROWS)):
            value, interval = 100 * values[name], found[name].interval
            low, high = (value, value) if interval is None else (100 * interval[0], 100 * interval[1])
            axes.hlines(row, low, high, color=colour, linewidth=2.2, zorder=2)
            axes.plot([value], [row], color=colour, marker="o", zorder=3)
            axes.annotate(
                f"{value:.0f} %", (high, row), xytext=(6, -3), textcoords="offset points", color=colour, fontsize=9
            )
        axes.set_yticks(range(len(_ROWS)), [label for _, label, _ in reversed(_ROWS)])
        axes.grid(axis="y", visible=False)
        axes.set_ylim(-0.6, len(_ROWS) - 0.4)
        axes.set_xlim(0, 100)
        axes.set_xlabel("mean confidence, or share of right answers (%)")
        must = found[SHOWN].must
        if must is not None:
            reference_line(axes, 100 * must, f"at most {_percent(must)} may be shown", vertical=True, place=0.03)
    return True


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


PICTURES = {"unfamiliar.png": plot_unfamiliar}

"""A trace as a picture: two lifelines with the frames slanting from one to the other, and the bytes and chances beside.

A frame's line leaves when it was queued and ends when the other end had read it; with the trace of one end it is level.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from heliograph.cli.trace.ladder import Arrow, arrows_and_events, start_of
from heliograph.cli.trace.words import DECISIONS, event_text
from heliograph.errors import MissingExtraError, OutputUnwritableError, UsageError
from heliograph.tracing.exchanges import FRAME_EVENTS
from heliograph.tracing.merging import UP, Merged, Step
from heliograph.tracing.table import CLOUD, DEVICE

_COLOURS = {
    "QUESTION": "#000000",
    "IMAGE": "#0072B2",
    "SEGMENT": "#0072B2",
    "IMAGE_END": "#0072B2",
    "DRAFT": "#E69F00",
    "FINAL": "#009E73",
    "ENOUGH": "#D55E00",
    "MORE": "#CC79A7",
    "REGION": "#CC79A7",
    "CROP": "#CC79A7",
    "ERROR": "#D55E00",
}
_OTHER, _LIFELINE, _DECISION = "#7F7F7F", "#444444", "#5B2C8F"
_ENDINGS = (".png", ".svg")
_ROW_INCHES, _MIN_INCHES, _MAX_INCHES = 0.17, 5.0, 40.0
_MAX_LABEL_CHARACTERS, _MAX_NOTES = 62, 400
_LABEL_INCHES = 0.135


def draw(merged: Merged, path: Path) -> None:
    """Write the picture, as PNG or SVG by the path's ending.

    Raises:
        UsageError: another ending.
        MissingExtraError: matplotlib is not installed.
        OutputUnwritableError: the disk refuses.
    """
    if path.suffix.lower() not in _ENDINGS:
        raise UsageError().noted(f"{path}: a picture ends with .png or .svg.")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingExtraError("bench") from missing
    merged = _from_zero(merged)
    items = arrows_and_events(merged)
    height = min(max(_MIN_INCHES, _ROW_INCHES * min(len(items), _MAX_NOTES)), _MAX_INCHES)
    figure = Figure(figsize=(12, height), layout="constrained")
    FigureCanvasAgg(figure)
    rungs, curves = figure.subplots(1, 2, sharey=True, width_ratios=(3.4, 1))
    _draw_rungs(rungs, merged, items)
    _draw_curves(curves, merged)
    try:
        figure.savefig(path, dpi=130, metadata={"Software": None} if path.suffix.lower() == ".png" else {"Date": None})
    except OSError as error:
        raise OutputUnwritableError from error


def _from_zero(merged: Merged) -> Merged:
    start_ms = start_of(merged)
    return replace(merged, steps=tuple(replace(step, time_ms=step.time_ms - start_ms) for step in merged.steps))


def _draw_rungs(axes: Any, merged: Merged, items: list[Arrow | Step]) -> None:
    times = [step.time_ms for step in merged.steps] or [0.0]
    span = max(times) - min(times) or 1.0
    axes.set_xlim(-1.4, 2.4)
    axes.set_ylim(max(times) + 0.03 * span, min(times) - 0.05 * span)
    for place, name in ((0, DEVICE), (1, CLOUD)):
        axes.axvline(place, color=_LIFELINE, linewidth=1.2, zorder=1)
        axes.text(place, 1.005, name, transform=axes.get_xaxis_transform(), ha="center", fontweight="bold")
    labels = _Labels(_LABEL_INCHES / axes.figure.get_figheight() * span)
    for item in items:
        if isinstance(item, Arrow):
            _draw_arrow(axes, merged, item, labels)
        else:
            _draw_event(axes, item, labels)
    axes.set_ylabel("ms" if len({step.side for step in merged.steps}) < 2 else "ms on the device's clock")
    axes.set_xticks([])
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)


class _Labels:
    """Keeps the labels of one column apart: one that would cover the last one moves down, or is left out.

    Args:
        gap: least distance of two labels, in ms.
    """

    def __init__(self, gap: float) -> None:
        self._gap = gap
        self._next: dict[str, float] = {}

    def place(self, column: str, at: float, most_gaps: float) -> float | None:
        """Where a label goes; None where it would move by more than ``most_gaps``."""
        free = max(at, self._next.get(column, at))
        if free - at > most_gaps * self._gap:
            return None
        self._next[column] = free + self._gap
        return free


def _draw_arrow(axes: Any, merged: Merged, arrow: Arrow, labels: _Labels) -> None:
    step = arrow.step
    if step.partner is not None and not step.sent:
        return  # drawn from where it left
    partner = None if step.partner is None else merged.steps[step.partner]
    came_ms = step.time_ms if partner is None else partner.time_ms
    if arrow.arrived_ms is not None:
        came_ms = arrow.arrived_ms
    start, end = (0.0, 1.0) if step.direction == UP else (1.0, 0.0)
    if arrow.lost:
        end = 0.5
    colour = _COLOURS.get(str(step.event.data.get("frame")), _OTHER)
    axes.annotate(
        "",
        xy=(end, came_ms),
        xytext=(start, step.time_ms),
        arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0},
        zorder=2,
    )
    middle = (step.time_ms + came_ms) / 2
    at = labels.place("link", middle, 1.0)
    if at is not None:
        text = arrow.label + (" (lost)" if arrow.lost else "")
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
        axes.text(0.5, at, _plain(text), color=colour, fontsize=7.5, ha="center", va="center", bbox=box, zorder=3)


def _draw_event(axes: Any, step: Step, labels: _Labels) -> None:
    place, side = (0, "right") if step.side == DEVICE else (1, "left")
    decision = step.event.name in DECISIONS
    colour = _DECISION if decision else _LIFELINE
    axes.plot([place], [step.time_ms], marker="o", markersize=3.5 if decision else 2.5, color=colour, zorder=4)
    at = labels.place(step.side, step.time_ms, 6.0)
    if at is not None:
        shift = -0.03 if side == "right" else 0.03
        text = _plain(event_text(step.event.name, step.event.data))
        axes.text(place + shift, at, text, color=colour, fontsize=7, ha=side, va="center", zorder=3)


def _draw_curves(axes: Any, merged: Merged) -> None:
    """Payload bytes so far, and how sure each draft and answer was."""
    sides = {step.side for step in merged.steps}
    side = DEVICE if DEVICE in sides else CLOUD
    frames = [step for step in merged.steps if step.event.name in FRAME_EVENTS and step.side == side]
    times, bytes_so_far = [step.time_ms for step in frames[:1]], [0]
    for step in frames:
        size = step.event.data.get("payload_bytes")
        if size and step.direction == UP:
            times.append(step.time_ms)
            bytes_so_far.append(bytes_so_far[-1] + size)
    axes.step(bytes_so_far[: len(times)], times, where="pre", color=_COLOURS["SEGMENT"], linewidth=1.4)
    axes.set_xlabel("payload bytes", color=_COLOURS["SEGMENT"])
    sure = axes.twiny()
    for kind in ("DRAFT", "FINAL"):
        answers = [step for step in frames if step.event.data.get("frame") == kind]
        chances = [100 * (step.event.data.get("confidence") or 0.0) for step in answers]
        sure.scatter(
            chances, [step.time_ms for step in answers], color=_COLOURS[kind], s=22, label=kind.lower(), zorder=3
        )
    sure.set_xlim(-3, 103)
    sure.set_xlabel("confidence (%)")
    sure.legend(frameon=False, fontsize=8, loc="lower left")
    for one in (axes, sure):
        one.tick_params(labelsize=8)
        one.spines["right"].set_visible(False)


def _plain(text: str) -> str:
    """The text without formulas, and cut to what fits."""
    cut = text if len(text) <= _MAX_LABEL_CHARACTERS else text[: _MAX_LABEL_CHARACTERS - 1] + "…"
    return cut.replace("$", r"\$")

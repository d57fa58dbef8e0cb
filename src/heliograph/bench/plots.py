"""The two pictures: quality against bytes and against time. Colours: Okabe and Ito's palette."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import hypot, log10
from pathlib import Path
from typing import Any

from heliograph.bench.metrics import ALL, envelope
from heliograph.bench.results import Row, SuiteResult
from heliograph.errors import MissingExtraError

# Strategy -> colour, marker; the order here is the order of drawing and of labels.
STYLES: dict[str, tuple[str, str]] = {
    "klt": ("#0072B2", "o"),
    "meta": ("#5B2C8F", "p"),
    "jpeg": ("#D55E00", "s"),
    "webp": ("#E69F00", "^"),
    "avif": ("#CC79A7", "D"),
    "downsample": ("#009E73", "v"),
    "random-drop": ("#56B4E9", "P"),
    "pq": ("#8C510A", "d"),
    "int8": ("#000000", "X"),
    "int4": ("#000000", "P"),
    "rgb": ("#7F7F7F", "*"),
    "local": ("#B8A800", "h"),
    # Stop policies of the suite loop.
    "fixed": ("#000000", "s"),
    "energy": ("#7F7F7F", "D"),
    "min-entropy": ("#D55E00", "^"),
    "margin": ("#CC79A7", "v"),
    "error-head": ("#009E73", "P"),
    "stability": ("#56B4E9", "d"),
    "combined": ("#5B2C8F", "o"),
    "oracle": ("#B8A800", "*"),
}
_OTHER = ("#444444", ".")
_LETTER_WIDTH = 0.0155  # of an axis, at font size 9
_DISTANCES = (0.03, 0.06, 0.1, 0.15)  # of a label from its point
_DIRECTIONS = ((1, 0), (-1, 0), (0.7, 0.7), (0.7, -0.7), (-0.7, 0.7), (-0.7, -0.7), (0, 1), (0, -1))


def plot_rate_accuracy(result: SuiteResult, path: Path) -> bool:
    """Quality against mean payload bytes (log), one line per strategy. False where there is nothing to draw."""
    rows = [r for r in _headline(result) if r.link_mbit is None and r.payload_bytes]
    if not rows:
        return False
    figure, (axes,) = new_figure()
    quality, name = _quality_of(rows)
    curves = _curves(rows, lambda r: r.payload_bytes, quality)
    _draw_curves(axes, curves)
    _finish_rate_axes(axes, name, result)
    _label_curves(axes, curves)
    save(figure, path)
    return True


def plot_time_accuracy(result: SuiteResult, path: Path) -> bool:
    """Quality against mean time to the final answer (log), one panel per link. False where no times are known."""
    rows = [r for r in _headline(result) if r.link_mbit is not None and r.final_ms and r.source == "modelled"]
    links = sorted({(r.link_mbit or 0.0, r.rtt_ms or 0.0) for r in rows})
    if not links:
        return False
    quality, name = _quality_of(rows)
    columns = min(2, len(links))
    figure, panels = new_figure(rows=-(-len(links) // columns), columns=columns)
    for axes, (mbit, rtt) in zip(panels, links, strict=False):
        here = [r for r in rows if (r.link_mbit, r.rtt_ms) == (mbit, rtt)]
        curves = _curves(here, lambda r: r.final_ms, quality)
        _draw_curves(axes, curves)
        axes.set_xscale("log")
        axes.set_title(f"{mbit:g} Mbit/s up, {rtt:g} ms round trip", fontsize=10, loc="left")
        axes.set_xlabel("mean time to the final answer (ms, modelled)")
        axes.set_ylabel(name)
        _plain_log_ticks(axes)
        _label_curves(axes, curves)
    for axes in panels[len(links) :]:
        axes.set_visible(False)
    save(figure, path)
    return True


Curve = list[tuple[float, float]]


def _headline(result: SuiteResult) -> list[Row]:
    has_all = any(r.task == ALL for r in result.rows)
    return [r for r in result.rows if not has_all or r.task == ALL]


def _quality_of(rows: Sequence[Row]) -> tuple[Callable[[Row], float | None], str]:
    if any(r.accuracy is not None for r in rows):
        return lambda r: r.accuracy, "accuracy, mean over tasks (%)"
    return lambda r: r.agreement, "top-1 agreement with the unsplit network (%)"


def _curves(
    rows: Sequence[Row], place: Callable[[Row], float | None], quality: Callable[[Row], float | None]
) -> dict[str, Curve]:
    curves: dict[str, Curve] = {}
    for row in rows:
        x, y = place(row), quality(row)
        if x and y is not None:
            curves.setdefault(row.strategy, []).append((x, 100 * y))
    known = [s for s in STYLES if s in curves]
    return {s: sorted(curves[s]) for s in known + [s for s in curves if s not in STYLES]}


def _draw_curves(axes: Any, curves: dict[str, Curve]) -> None:
    for strategy, points in curves.items():
        colour, marker = STYLES.get(strategy, _OTHER)
        best = envelope(points)
        axes.plot([x for x, _ in best], [y for _, y in best], color=colour, linewidth=1.6, zorder=2)
        axes.margins(0.07)
        axes.scatter([x for x, _ in points], [y for _, y in points], color=colour, marker=marker, s=22, zorder=3)


def _finish_rate_axes(axes: Any, name: str, result: SuiteResult) -> None:
    axes.set_xscale("log")
    axes.set_xlabel("mean payload per photo (bytes)")
    axes.set_ylabel(name)
    axes.set_title(f"Suite {result.suite}: what each byte buys", fontsize=11, loc="left")
    _plain_log_ticks(axes)


def _plain_log_ticks(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if _decades(axes) < 2.5 else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(True, which="major", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _decades(axes: Any) -> float:
    low, high = axes.get_xlim()
    return log10(high / low) if low > 0 else 9.0


def _label_curves(axes: Any, curves: dict[str, Curve]) -> None:
    """Each strategy's name in its colour near one of its own points, where it is clearest of everything else.

    A thin line ties the name to its point, so that crowded curves stay told apart.
    """
    low_x, high_x = (log10(float(x)) for x in axes.get_xlim())
    low_y, high_y = (float(y) for y in axes.get_ylim())

    def on_axes(point: Spot) -> Spot:
        return (log10(point[0]) - low_x) / (high_x - low_x), (point[1] - low_y) / (high_y - low_y)

    spots = {strategy: [on_axes(point) for point in points] for strategy, points in curves.items()}
    ink = {strategy: _along(points) for strategy, points in spots.items()}
    taken: list[Spot] = []
    for strategy in sorted(curves, key=lambda s: len(curves[s])):
        width = _LETTER_WIDTH * len(strategy)
        others = [spot for name, line in ink.items() if name != strategy for spot in line] + taken
        x, y, px, py = max(
            (
                (px + dx * (distance + width / 2), py + dy * distance, px, py)
                for px, py in spots[strategy]
                for distance in _DISTANCES
                for dx, dy in _DIRECTIONS
            ),
            key=lambda found: _merit(found, width, others, others + ink[strategy]),
        )
        colour = STYLES.get(strategy, _OTHER)[0]
        axes.text(x, y, strategy, transform=axes.transAxes, color=colour, fontsize=9, ha="center", va="center")
        end = min(max(px, x - width / 2), x + width / 2)  # the nearest end of the name
        axes.plot(
            [px, end], [py, y - 0.02 * ((y > py) - (y < py))], color=colour, linewidth=0.6, transform=axes.transAxes
        )
        taken += [(x + part * width / 2, y) for part in (-1, -0.5, 0, 0.5, 1)] + _along([(px, py), (end, y)])


Spot = tuple[float, float]
"""A place in shares of the axes, from the lower left."""


def _merit(
    place: tuple[float, float, float, float], width: float, others: Sequence[Spot], ink: Sequence[Spot]
) -> float:
    """How good a label's centre (x, y) for the point (px, py) is: inside, clear, its line crossing nothing, near."""
    x, y, px, py = place
    inside = width / 2 <= x <= 1.02 - width / 2 and 0.03 <= y <= 0.98
    nearest = min((hypot(max(abs(ix - x) - width / 2, 0.0), 1.3 * (iy - y)) for ix, iy in ink), default=1.0)
    line = _along([(px, py), (min(max(px, x - width / 2), x + width / 2), y)])[1:]
    crossed = min((hypot(ix - lx, iy - ly) for lx, ly in line for ix, iy in others), default=1.0)
    return 2.0 * inside + 10 * min(nearest, 0.045) + 10 * min(crossed, 0.015) - hypot(x - px, y - py)


def _along(points: Sequence[Spot]) -> list[Spot]:
    """Spots on the straight lines between points, close enough that no label slips between them."""
    found = list(points)
    for (x0, y0), (x1, y1) in pairwise(points):
        steps = max(1, int(hypot(x1 - x0, y1 - y0) / 0.02))
        found += [(x0 + (x1 - x0) * k / steps, y0 + (y1 - y0) * k / steps) for k in range(1, steps)]
    return found


def new_figure(rows: int = 1, columns: int = 1) -> tuple[Any, list[Any]]:
    """A figure and its panels, row by row.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingExtraError("bench") from missing
    figure = Figure(figsize=(7.2 * columns if columns == 1 else 6.2 * columns, 4.6 if rows == 1 else 4.0 * rows))
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False)
    flat = [axes for line in panels for axes in line]
    return figure, flat


def save(figure: Any, path: Path) -> None:
    """Write a PNG that is the same wherever it is drawn."""
    figure.tight_layout()
    figure.savefig(path, dpi=150, bbox_inches="tight", metadata={"Software": None})

"""The two pictures: quality against bytes and against time. Colours: Okabe and Ito's palette."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from heliograph.bench.metrics import ALL, envelope
from heliograph.bench.results import Row, SuiteResult
from heliograph.errors import MissingExtraError

# Strategy -> colour, marker; the order here is the order of drawing and of labels.
STYLES: dict[str, tuple[str, str]] = {
    "klt": ("#0072B2", "o"),
    "jpeg": ("#D55E00", "s"),
    "webp": ("#E69F00", "^"),
    "avif": ("#CC79A7", "D"),
    "downsample": ("#009E73", "v"),
    "random-drop": ("#56B4E9", "P"),
    "int8": ("#000000", "X"),
    "rgb": ("#7F7F7F", "*"),
    "local": ("#B8A800", "h"),
}
_OTHER = ("#444444", ".")
_LABEL_GAP = 0.045  # least distance of two end labels, as a share of the axis


def plot_rate_accuracy(result: SuiteResult, path: Path) -> bool:
    """Quality against mean payload bytes (log), one line per strategy. False where there is nothing to draw."""
    rows = [r for r in _headline(result) if r.link_mbit is None and r.payload_bytes]
    if not rows:
        return False
    figure, (axes,) = _new_figure()
    quality, name = _quality_of(rows)
    curves = _curves(rows, lambda r: r.payload_bytes, quality)
    _draw_curves(axes, curves)
    _finish_rate_axes(axes, name, result)
    _label_ends(axes, curves)
    _save(figure, path)
    return True


def plot_time_accuracy(result: SuiteResult, path: Path) -> bool:
    """Quality against mean time to the final answer (log), one panel per link. False where no times are known."""
    rows = [r for r in _headline(result) if r.link_mbit is not None and r.final_ms and r.source == "modelled"]
    links = sorted({(r.link_mbit or 0.0, r.rtt_ms or 0.0) for r in rows})
    if not links:
        return False
    quality, name = _quality_of(rows)
    columns = min(2, len(links))
    figure, panels = _new_figure(rows=-(-len(links) // columns), columns=columns)
    for axes, (mbit, rtt) in zip(panels, links, strict=False):
        here = [r for r in rows if (r.link_mbit, r.rtt_ms) == (mbit, rtt)]
        curves = _curves(here, lambda r: r.final_ms, quality)
        _draw_curves(axes, curves)
        axes.set_xscale("log")
        axes.set_title(f"{mbit:g} Mbit/s up, {rtt:g} ms round trip", fontsize=10, loc="left")
        axes.set_xlabel("mean time to the final answer (ms, modelled)")
        axes.set_ylabel(name)
        _plain_log_ticks(axes)
        _label_ends(axes, curves)
    for axes in panels[len(links) :]:
        axes.set_visible(False)
    _save(figure, path)
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
    from math import log10

    low, high = axes.get_xlim()
    return log10(high / low) if low > 0 else 9.0


def _label_ends(axes: Any, curves: dict[str, Curve]) -> None:
    """Each strategy's name in its colour, at the right edge at the height of its best point, moved apart."""
    low, high = axes.get_ylim()
    wanted = sorted(((max(y for _, y in p) - low) / (high - low), s) for s, p in curves.items())
    placed: list[float] = []
    for height, _ in wanted:
        placed.append(max(height, placed[-1] + _LABEL_GAP) if placed else height)
    overflow = max(0.0, placed[-1] - 1.0) if placed else 0.0
    left_edge, right_edge = axes.get_xlim()
    for (height, strategy), at in zip(wanted, placed, strict=True):
        colour = STYLES.get(strategy, _OTHER)[0]
        x = max(curves[strategy], key=lambda p: (p[1], -p[0]))[0]
        axes.annotate(
            strategy,
            xy=(x, low + height * (high - low)),
            xycoords="data",
            xytext=(1.03, at - overflow),
            textcoords="axes fraction",
            color=colour,
            fontsize=9,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "alpha": 0.5, "shrinkB": 4},
        )
    axes.set_xlim(left_edge, right_edge)


def _new_figure(rows: int = 1, columns: int = 1) -> tuple[Any, list[Any]]:
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


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=150, bbox_inches="tight", metadata={"Software": None})

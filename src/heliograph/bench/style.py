"""The style sheet of every published picture: colours, fonts, titles, axes, intervals, reference lines.

A picture says one thing: its title is that message, the line under it says what was measured, on how many items and
what its bands are. Colours are Okabe and Ito's palette, which colour-blind people can tell apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import log10
from pathlib import Path
from typing import Any

from heliograph.errors import MissingExtraError

MAX_SERIES = 6
"""More lines than these cannot be told apart; the tables beside the pictures hold all of them."""

INK, GREY, LIGHT = "#222222", "#7A7A7A", "#C9C9C9"
OURS, SECOND, OTHER = "#5B2C8F", "#0072B2", "#D55E00"

# Series -> colour, marker; the order here is the order of drawing.
SERIES: dict[str, tuple[str, str]] = {
    "meta": (OURS, "o"),
    "klt": (SECOND, "D"),
    "avif-bare": ("#CC79A7", "<"),
    "webp-bare": ("#E69F00", ">"),
    "jpeg-bare": (OTHER, "p"),
    "avif": ("#CC79A7", "v"),
    "webp": ("#E69F00", "^"),
    "jpeg": (OTHER, "s"),
    "klt-older": ("#56B4E9", "h"),
    "klt-nnc": ("#009E73", "*"),
    "klt-avif": ("#CC79A7", "d"),
    "downsample": ("#009E73", "P"),
    "pq": ("#8C510A", "d"),
    "random-drop": ("#56B4E9", "X"),
    "dynamicvit": ("#CC79A7", "o"),
    "visionzip": ("#E69F00", "o"),
    "jpeg-dct": ("#8C510A", "o"),
    "divprune": ("#009E73", "D"),
    "tome": ("#44AA99", "D"),
    "dfmr": ("#8C510A", "v"),
    "int4": ("#444444", "P"),
    "int8": ("#000000", "X"),
    "rgb": (GREY, "*"),
    "local": ("#B8A800", "h"),
    "feature-adapt": ("#44AA99", "v"),
    "caption": ("#44AA99", "o"),
    "read": ("#44AA99", "s"),
    "latent-neck": ("#D55E00", "v"),
    "tokens-1d": ("#E69F00", "h"),
    "question-coded": ("#009E73", "^"),
    "side-info": (OTHER, "d"),
    "entropic-student": ("#D55E00", "P"),
    "frankensplit": ("#D55E00", "X"),
    "nnc": ("#8C510A", "*"),
    "split-k": ("#E69F00", "s"),
    "feature-video": ("#CC79A7", "D"),
    # When to stop (suite loop).
    "oracle": ("#B8A800", "*"),
    "combined": (OURS, "o"),
    "stability": ("#56B4E9", "d"),
    "error-head": ("#009E73", "P"),
    "fixed": ("#000000", "s"),
    "min-entropy": (OTHER, "^"),
}
_ANY = ("#444444", ".")

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.7,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
_DPI = 150
_TITLE_INCHES, _FACTS_INCHES = 0.36, 0.22
_CHARACTERS_PER_INCH = 15  # of the line under the title


def look(series: str) -> tuple[str, str]:
    """Colour and marker of a series; a name without its own gets dark grey dots."""
    return SERIES.get(series, _ANY)


def in_order(names: Sequence[str]) -> list[str]:
    """Known series first, in the order of the style sheet."""
    return [name for name in SERIES if name in names] + [name for name in names if name not in SERIES]


@contextmanager
def picture(
    path: Path,
    message: str,
    facts: str,
    *,
    rows: int = 1,
    columns: int = 1,
    size: tuple[float, float] | None = None,
    widths: Sequence[float] | None = None,
) -> Iterator[list[Any]]:
    """Panels to draw on, row by row; written as PNG at the end, the same wherever it is drawn.

    Args:
        path: PNG to write.
        message: what the picture shows, as a sentence without a full stop.
        facts: what was measured: material, sample count, what bands and bars are.
        rows, columns: of panels.
        size: inches of the panels together; None chooses by their number.
        widths: of the columns beside one another; None makes them equal.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingExtraError("bench") from missing
    width, height = size or ((7.4 if columns == 1 else 5.4 * columns), 4.3 if rows == 1 else 3.3 * rows)
    below = _wrapped(facts, round(width * _CHARACTERS_PER_INCH))
    head = _TITLE_INCHES + _FACTS_INCHES * len(below) + 0.06
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height + head))
        FigureCanvasAgg(figure)
        figure.set_layout_engine("constrained", rect=(0.0, 0.0, 1.0, height / (height + head)))
        panels = figure.subplots(rows, columns, squeeze=False, width_ratios=widths)
        _write_head(figure, message, below, height + head)
        yield [axes for line in panels for axes in line]
        figure.savefig(path, dpi=_DPI, metadata={"Software": None})


def _write_head(figure: Any, message: str, facts: Sequence[str], height: float) -> None:
    left = 0.09 / figure.get_figwidth()
    figure.text(left, 1 - 0.1 / height, plain(message), va="top", fontsize=11.5, fontweight="bold")
    for line, text in enumerate(facts):
        top = 1 - (0.1 + _TITLE_INCHES - 0.06 + _FACTS_INCHES * line) / height
        figure.text(left, top, plain(text), va="top", fontsize=9, color=GREY)


def _wrapped(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def plain(text: str) -> str:
    """Matplotlib reads what stands between dollar signs as a formula."""
    return text.replace("$", r"\$")


def log_axis(axis: Any, least_per_decade: bool = False) -> None:
    """A logarithmic axis with whole numbers at 1, 2 and 5 (at 1 alone over many decades)."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = axis.get_view_interval()
    many = least_per_decade or low <= 0 or log10(high / low) > 2.5
    axis.set_major_locator(LogLocator(subs=(1,) if many else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick_text(value)))
    axis.set_minor_formatter(NullFormatter())


def _tick_text(value: float) -> str:
    if value < 1:
        return f"{value:g}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def reference_line(axes: Any, value: float, text: str, *, vertical: bool = False, place: float = 0.01) -> None:
    """A thin dashed line with its meaning beside it.

    Args:
        axes: panel.
        value: where, in data.
        text: what the line is.
        vertical: whether it stands at an x instead of a y.
        place: where along the line the text begins, in shares of the panel; from 1 on it stands outside, at its height.
    """
    draw = axes.axvline if vertical else axes.axhline
    draw(value, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    spot = dict(color=GREY, fontsize=8, zorder=4)
    if vertical:
        transform = axes.get_xaxis_transform()
        axes.annotate(text, (value, place), xycoords=transform, xytext=(3, 0), textcoords="offset points", **spot)
    else:
        transform = axes.get_yaxis_transform()
        outside = place >= 1
        shift = (3, -3) if outside else (0, 2)
        axes.annotate(text, (place, value), xycoords=transform, xytext=shift, textcoords="offset points", **spot)


Points = Sequence[tuple[float, float, tuple[float, float] | None]]
"""(x, y, interval of y or None), by x."""


def curve(axes: Any, points: Points, series: str, *, markers: bool = True, colour: str | None = None) -> None:
    """A line with its 95 % band; points without an interval have none. ``colour`` is in place of the style sheet's."""
    usual, marker = look(series)
    colour = colour or usual
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
    axes.plot(xs, ys, color=colour, marker=marker if markers or len(points) == 1 else None, zorder=3)
    banded = [(x, low_high) for x, _, low_high in points if low_high is not None]
    if len(banded) > 1:
        bounds = [low_high for _, low_high in banded]
        low, high = [low for low, _ in bounds], [high for _, high in bounds]
        axes.fill_between([x for x, _ in banded], low, high, color=colour, alpha=0.16, linewidth=0, zorder=2)
    elif banded:
        x, (bottom, top) = banded[0]
        axes.vlines(x, bottom, top, color=colour, linewidth=1.2, zorder=2)

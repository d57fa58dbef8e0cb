"""The demo's picture: the photo that was sent, and every strategy's bytes against its time to the final answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliograph.errors import OutputUnwritableError
from heliograph.strategies.selection import strategy_class

if TYPE_CHECKING:
    from heliograph.cli.demo.show import Row

_OURS, _OTHERS = "#c8401e", "#4a5a70"
_UNCOMPRESSED = "rgb"
_DPI = 120


def draw(rows: Sequence[Row], photo: Path, question: str, link: str, path: Path) -> None:
    """Write ``path`` as PNG.

    Raises:
        OutputUnwritableError: the disk refuses.
        HeliographError: of the photo.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from heliograph.edge.photos.file import load_photo

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 5), width_ratios=(1, 2.2), layout="constrained")
    left.imshow(load_photo(photo))
    left.set_axis_off()
    left.set_title(_plain(question))
    _scatter(right, [row for row in rows if row.error is None and row.wire_bytes])
    right.set_title(_plain(f"one question over {link}, measured"))
    try:
        figure.savefig(path, dpi=_DPI)
    except OSError as error:
        raise OutputUnwritableError from error
    finally:
        pyplot.close(figure)


def _scatter(axes: Any, rows: Sequence[Row]) -> None:
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    wanted = {row.answer for row in rows if row.strategy == _UNCOMPRESSED}
    for number, row in enumerate(sorted(rows, key=lambda one: one.wire_bytes)):
        ours, same = strategy_class(row.strategy).codec != "", not wanted or row.answer in wanted
        colour = _OURS if ours else _OTHERS
        axes.scatter(
            row.wire_bytes,
            row.final_ms,
            s=90 if ours else 45,
            facecolor=colour if same else "white",
            edgecolor=colour,
            zorder=3,
        )
        axes.annotate(
            row.label if same else f"{row.label} (another answer)",
            (row.wire_bytes, row.final_ms),
            xytext=(6, 5) if number % 2 else (6, -12),  # neighbours' labels on different sides
            textcoords="offset points",
            fontsize=8,
            fontweight="bold" if ours else "normal",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("wire bytes, both directions, connection included")
    axes.set_ylabel("time to the final answer, ms")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.margins(x=0.18, y=0.12)


def _plain(text: str) -> str:
    """Matplotlib reads text between dollar signs as formulas."""
    return text.replace("$", r"\$")

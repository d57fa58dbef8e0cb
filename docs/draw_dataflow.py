"""Draws docs/dataflow.svg. Run by ``make docs``; ``--png FILE`` writes a raster copy to look at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

INK, SOFT, DEVICE, CLOUD, WIRE = "#22303c", "#5b6b7a", "#fdf0dc", "#e2eef8", "#c8401e"
BOX_HEIGHT = 0.62


def main() -> None:
    """Draw the figure into the folder of this file."""
    matplotlib.rcParams.update({"font.family": "DejaVu Sans", "svg.hashsalt": "heliograph", "svg.fonttype": "path"})
    figure, axes = pyplot.subplots(figsize=(11.6, 4.9), layout="constrained")
    axes.set_xlim(0, 11.6)
    axes.set_ylim(0, 4.9)
    axes.set_axis_off()
    draw_sides(axes)
    draw_boxes(axes)
    draw_arrows(axes)
    figure.savefig(Path(__file__).with_name("dataflow.svg"), metadata={"Date": None})
    if "--png" in sys.argv:
        figure.savefig(sys.argv[sys.argv.index("--png") + 1], dpi=110)


def draw_sides(axes: Any) -> None:
    """The two machines and the link between them."""
    for x, width, colour, title, note in (
        (0.1, 5.0, DEVICE, "DEVICE", "no torch: numpy, Pillow, ONNX Runtime"),
        (6.5, 5.0, CLOUD, "CLOUD", "an unmodified vision-language model"),
    ):
        axes.add_patch(
            FancyBboxPatch((x, 0.15), width, 4.6, boxstyle="round,pad=0,rounding_size=0.12", fc=colour, ec="none")
        )
        axes.text(x + 0.18, 4.42, title, fontsize=12, fontweight="bold", color=INK, va="center")
        axes.text(x + 1.3, 4.42, note, fontsize=9, color=SOFT, va="center")
    axes.text(5.8, 4.42, "thin uplink", fontsize=10, color=WIRE, ha="center", va="center", fontweight="bold")


def draw_boxes(axes: Any) -> None:
    """One box per room or module that the data pass, by its name below ``heliograph``."""
    for x, y, width, name, note in (
        (0.3, 3.4, 1.05, "photo", ""),
        (0.3, 2.1, 1.05, "question", ""),
        (0.3, 0.6, 1.05, "answer", ""),
        (1.75, 3.4, 1.45, "edge.encoder", "vision tower, ONNX"),
        (3.55, 3.4, 1.4, "codec", "meta or klt: encode"),
        (3.3, 2.1, 1.65, "protocol.device", "sans-IO"),
        (6.65, 2.1, 1.65, "protocol.cloud", "sans-IO"),
        (6.65, 3.4, 1.4, "codec", "any prefix: all tokens"),
        (8.4, 3.4, 1.2, "vlm.tap", "image features"),
        (9.95, 3.4, 1.4, "vlm.model", "greedy, verified drafts"),
        (9.3, 0.6, 2.05, "controllers", "enough, or go on"),
    ):
        axes.add_patch(
            FancyBboxPatch(
                (x, y), width, BOX_HEIGHT, boxstyle="round,pad=0,rounding_size=0.07", fc="white", ec=INK, lw=1.1
            )
        )
        middle = x + width / 2
        axes.text(middle, y + (0.4 if note else 0.31), name, fontsize=9.5, ha="center", va="center", color=INK)
        axes.text(middle, y + 0.16, note, fontsize=6.8, ha="center", va="center", color=SOFT)


def draw_arrows(axes: Any) -> None:
    """What flows, in the words of the design."""
    plain, wire = {"color": INK, "lw": 1.3}, {"color": WIRE, "lw": 2.4}
    arrow(axes, (1.35, 3.71), (1.75, 3.71), **plain)
    arrow(axes, (3.2, 3.71), (3.55, 3.71), **plain)
    axes.text(3.37, 4.12, "N x D", fontsize=7, ha="center", color=SOFT)
    arrow(axes, (4.25, 3.4), (4.25, 2.72), **plain)
    axes.text(4.33, 3.05, "segments", fontsize=8, color=SOFT, va="center")
    arrow(axes, (1.35, 2.41), (3.3, 2.41), **plain)
    axes.text(2.3, 2.53, "goes first", fontsize=8, ha="center", color=SOFT)
    arrow(axes, (4.95, 2.53), (6.65, 2.53), **wire)
    axes.text(5.8, 2.68, "question, header,\nsegments …", fontsize=8, ha="center", va="bottom", color=WIRE)
    arrow(axes, (6.65, 2.27), (4.95, 2.27), color=WIRE, lw=1.3)
    axes.text(5.8, 2.15, "drafts, final answer,\nenough", fontsize=8, ha="center", va="top", color=WIRE)
    arrow(axes, (7.35, 2.72), (7.35, 3.4), **plain)
    axes.text(7.43, 3.05, "prefix so far", fontsize=8, color=SOFT, va="center")
    arrow(axes, (8.05, 3.71), (8.4, 3.71), **plain)
    axes.text(8.22, 4.12, "N x D", fontsize=7, ha="center", color=SOFT)
    arrow(axes, (9.6, 3.71), (9.95, 3.71), **plain)
    arrow(axes, (10.65, 3.4), (10.65, 1.22), **plain)
    axes.text(10.73, 2.3, "draft and\nconfidence", fontsize=8, color=SOFT, va="center")
    arrow(axes, (9.3, 0.91), (7.5, 2.1), connectionstyle="angle,angleA=180,angleB=90,rad=6", **plain)
    axes.text(8.4, 0.99, "enough?", fontsize=8, ha="center", color=SOFT)
    arrow(axes, (4.1, 2.1), (1.35, 0.91), connectionstyle="angle,angleA=90,angleB=0,rad=6", **plain)
    axes.text(2.7, 0.99, "draft by draft", fontsize=8, ha="center", color=SOFT)


def arrow(axes: Any, start: tuple[float, float], end: tuple[float, float], **style: Any) -> None:
    """An arrow from edge to edge."""
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, shrinkA=0, shrinkB=0, **style))


if __name__ == "__main__":
    main()

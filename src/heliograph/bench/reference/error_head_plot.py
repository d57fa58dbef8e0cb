"""How far the error head of ``meta`` can be trusted, as a picture.

``python -m heliograph.bench.reference.error_head_plot TRAINING_JSON OUT.png`` draws the reliability diagram
(predicted chance that the answer differs against the share found) and, for each stretch of the stream, its AUROC and
the correlation of predicted and real token error: the counterpart of the correlation of SC and predicted quality in
arXiv 2604.26508.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from heliograph.bench.plots import new_figure, save

_OURS, _OTHER, _GREY = "#5B2C8F", "#D55E00", "#7F7F7F"


def plot_error_head(trust: dict[str, Any], path: Path) -> None:
    """Draw both panels.

    Args:
        trust: ``error_head`` of a codec's ``meta.training.json``.
        path: PNG to write.
    """
    figure, (left, right) = new_figure(rows=1, columns=2)
    _reliability(left, trust)
    _stretches(right, trust)
    save(figure, path)


def _reliability(axes: Any, trust: dict[str, Any]) -> None:
    predicted, found, samples = zip(*trust["reliability"], strict=True)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--")
    axes.plot(predicted, found, color=_OURS, marker="o")
    for x, y, count in zip(predicted, found, samples, strict=True):
        axes.annotate(f"{count:,}", (x, y), textcoords="offset points", xytext=(6, -10), fontsize=8, color=_GREY)
    axes.set_xlabel("predicted chance that the answer differs")
    axes.set_ylabel("share that differed")
    title = f"{trust['samples']:,} answers, {trust['pictures']:,} pictures; AUROC {trust['auroc']:.3f}"
    axes.set_title(title, fontsize=10, loc="left")


def _stretches(axes: Any, trust: dict[str, Any]) -> None:
    parts = trust["stretches"]
    names = ["{} to {}".format(*part["latents"]) for part in parts]
    for key, name, colour, marker in (
        ("auroc", "AUROC of “will differ”", _OURS, "o"),
        ("error_correlation", "correlation of token error", _OTHER, "s"),
        ("differs", "share that differed", _GREY, "^"),
    ):
        axes.plot(names, [part[key] for part in parts], color=colour, marker=marker, label=name)
    axes.set_ylim(0, 1)
    axes.set_xlabel("latents received")
    axes.set_title("within stretches of the stream", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=9)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("facts", type=Path, help="meta.training.json of a codec folder")
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    plot_error_head(json.loads(arguments.facts.read_text(encoding="utf-8"))["error_head"], arguments.picture)


if __name__ == "__main__":
    main()

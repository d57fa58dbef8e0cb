"""How far the error head of ``meta`` can be trusted, as a picture.

``python -m heliograph.bench.reference.error_head_plot TRAINING_JSON OUT.png`` draws the reliability diagram
(predicted chance that the answer differs against the share found) and, for each stretch of the stream, its AUROC and
the correlation of predicted and real token error: the counterpart of the correlation of SC and predicted quality in
arXiv 2604.26508.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heliograph.bench.labels import label_series
from heliograph.bench.stats import wilson_interval
from heliograph.bench.style import GREY, OTHER, OURS, picture


def plot_error_head(trust: dict[str, Any], path: Path) -> None:
    """Draw both panels.

    Args:
        trust: ``error_head`` of a codec's ``meta.training.json``.
        path: PNG to write.
    """
    gap = max(abs(expected - found) for expected, found, _ in trust["reliability"])
    auroc = trust["auroc"]
    message = f"The expected chance of another answer is right within {100 * gap:.0f} points (AUROC {auroc:.2f})"
    facts = f"generated scenes, {trust['samples']:,} answers about {trust['pictures']:,} pictures kept out of training"
    with picture(path, message, facts, columns=2, size=(11.4, 3.8)) as (left, right):
        _reliability(left, trust)
        _stretches(right, trust)


def _reliability(axes: Any, trust: dict[str, Any]) -> None:
    expected, found, samples = zip(*trust["reliability"], strict=True)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    axes.errorbar(expected, found, yerr=_wilson_arms(found, samples), color=OURS, marker="o", elinewidth=1.2)
    axes.set_xlabel("expected chance that the answer differs")
    axes.set_ylabel("share that differed")
    axes.set_title("dashed: expected = found; bars: 95 % intervals")


def _wilson_arms(shares: Sequence[float], samples: Sequence[int]) -> tuple[list[float], list[float]]:
    """Lengths of the error bars below and above."""
    bounds = [wilson_interval(round(share * count), count) for share, count in zip(shares, samples, strict=True)]
    pairs = list(zip(shares, bounds, strict=True))
    return [max(share - low, 0.0) for share, (low, _) in pairs], [max(high - share, 0.0) for share, (_, high) in pairs]


def _stretches(axes: Any, trust: dict[str, Any]) -> None:
    parts = trust["stretches"]
    series = {
        "auroc": ("AUROC of “will differ”", OURS, "o"),
        "error_correlation": ("correlation of token error", OTHER, "s"),
        "differs": ("share that differed", GREY, "^"),
    }
    for key, (_, colour, marker) in series.items():
        axes.plot(range(len(parts)), [part[key] for part in parts], color=colour, marker=marker)
    axes.set_xticks(range(len(parts)), ["{} to {}".format(*part["latents"]) for part in parts])
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("latents received")
    axes.set_title("within stretches of the stream")
    names, colours = ({key: one[part] for key, one in series.items()} for part in (0, 1))
    label_series(axes, {key: [(x, part[key]) for x, part in enumerate(parts)] for key in series}, names, colours)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("facts", type=Path, help="meta.training.json of a codec folder")
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    plot_error_head(json.loads(arguments.facts.read_text(encoding="utf-8"))["error_head"], arguments.picture)


if __name__ == "__main__":
    main()

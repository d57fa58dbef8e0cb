"""Histograms of confidences for right and wrong answers, after arXiv 2512.16349's figure of min-entropy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from heliograph.bench.plots import new_figure, save
from heliograph.training.calibration.collect import PrefixAnswers
from heliograph.training.calibration.measures import Values, separation
from heliograph.training.calibration.report import AGREES, RIGHT, draft_scores, halves, targets_of

HISTOGRAMS = "confidence-{}.png"
_RIGHT, _WRONG = "#0072B2", "#D55E00"
_BINS = np.linspace(0, 1, 26)
_COLUMNS = 3
_WORDS = {AGREES: ("as uncompressed", "another answer"), RIGHT: ("right", "wrong")}


def plot_histograms(scores: Mapping[str, Values], truth: Values, target: str, path: Path) -> None:
    """One panel per confidence: shares of both kinds of answers by calibrated chance.

    Args:
        scores: per confidence, chances of some drafts.
        truth: 1 where a draft is what ``target`` speaks of.
        target: "agrees" or "right".
        path: PNG to write.
    """
    figure, panels = new_figure(rows=-(-len(scores) // _COLUMNS), columns=_COLUMNS)
    for axes, (name, one) in zip(panels, scores.items(), strict=False):
        flat, right = one.ravel(), truth.ravel() > 0.5
        for kind, colour, words in ((right, _RIGHT, _WORDS[target][0]), (~right, _WRONG, _WORDS[target][1])):
            shares = np.histogram(flat[kind], _BINS)[0] / max(int(kind.sum()), 1)
            axes.stairs(shares, _BINS, color=colour, fill=True, alpha=0.45, label=f"{words} ({int(kind.sum()):,})")
        apart = separation(flat, truth.ravel())
        figures = "" if apart.auroc is None else f": AUROC {apart.auroc:.3f}, overlap {apart.overlap:.2f}"
        axes.set_title(name + figures, fontsize=10, loc="left")
        axes.set_xlabel(f"calibrated chance ({target})")
        axes.set_ylabel("share of answers")
        axes.legend(frameon=False, fontsize=8)
    for axes in panels[len(scores) :]:
        axes.set_visible(False)
    save(figure, path)


def plot_confidences(answers: PrefixAnswers, folder: Path) -> tuple[Path, ...]:
    """A picture per target whose truth is known, on the half of the photos that nothing was fitted on."""
    tables = halves(answers)
    written = []
    for target in targets_of(answers):
        path = folder / HISTOGRAMS.format(target)
        truth = tables[1].column(getattr(tables[1].answers, target))
        plot_histograms(draft_scores(tables, target), truth, target, path)
        written.append(path)
    return tuple(written)

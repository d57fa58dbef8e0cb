"""Histograms of confidences for right and wrong answers, after arXiv 2512.16349's figure of min-entropy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from heliograph.bench.style import OTHER, SECOND, picture
from heliograph.training.calibration.collect import PrefixAnswers
from heliograph.training.calibration.measures import Values, separation
from heliograph.training.calibration.report import AGREES, RIGHT, draft_scores, halves, targets_of

HISTOGRAMS = "confidence-{}.png"
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
    yes, no = _WORDS[target]
    counts = int((truth > 0.5).sum()), int((truth <= 0.5).sum())
    facts = f"blue: {counts[0]:,} drafts, {yes}; orange: {counts[1]:,} drafts, {no}; each colour adds up to 1"
    rows = -(-len(scores) // _COLUMNS)
    size = (4.0 * _COLUMNS, 2.7 * rows)
    message = "How well each confidence keeps the two kinds of answers apart"
    with picture(path, message, facts, rows=rows, columns=_COLUMNS, size=size) as panels:
        for axes, (name, one) in zip(panels, scores.items(), strict=False):
            flat, right = one.ravel(), truth.ravel() > 0.5
            for kind, colour in ((right, SECOND), (~right, OTHER)):
                shares = np.histogram(flat[kind], _BINS)[0] / max(int(kind.sum()), 1)
                axes.stairs(shares, _BINS, color=colour, fill=True, alpha=0.45)
            apart = separation(flat, truth.ravel())
            figures = "" if apart.auroc is None else f": AUROC {apart.auroc:.3f}, overlap {apart.overlap:.2f}"
            axes.set_title(name + figures)
            axes.set_xlabel(f"calibrated chance: {yes}")
            axes.set_ylabel("share of drafts")
        for axes in panels[len(scores) :]:
            axes.set_visible(False)


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

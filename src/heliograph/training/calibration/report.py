"""What a calibration is worth on photos that it was not fitted on: per task and overall, for both chances.

Half of the photos fit, the other half reports; the calibration that is kept is fitted on both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from heliograph.codec.calibration import CONFIDENCES, Signals
from heliograph.training.calibration.collect import PrefixAnswers
from heliograph.training.calibration.fit import fit_curves
from heliograph.training.calibration.measures import (
    PAPER_DISTANCE,
    PAPER_OVERLAP,
    Values,
    calibration_errors,
    false_enough_threshold,
    reached,
    separation,
)
from heliograph.training.calibration.stopping import DraftTable

ALL = "all"
AGREES, RIGHT = "agrees", "right"
FALSE_ENOUGH = 0.1
"""Share of wrong answers that reach a threshold, on the task that it is chosen on."""

RAW: Mapping[str, Callable[[Signals], float]] = {
    "min-entropy": lambda s: 2.0**-s.min_entropy_bits,
    "entropy": lambda s: 2.0**-s.entropy_bits,
    "margin": lambda s: s.margin,
    "error-head": lambda s: np.nan if s.answer_differs is None else 1 - s.answer_differs,
}
"""Confidences that are chances as they are."""


def report(answers: PrefixAnswers) -> dict[str, Any]:
    """JSON values: separation and calibration errors by target, task and confidence; transfer of thresholds.

    Args:
        answers: of at least two photos; drafts at every prefix are judged, all together.

    Raises:
        CodecNotFittedError: one half has only right answers, or only wrong ones.
    """
    tables = halves(answers)
    measured = tables[1].answers
    return {
        "photos": len(np.unique(measured.photo)),
        "questions": len(measured),
        "prefixes": answers.prefixes,
        "paper": {"overlap": PAPER_OVERLAP, "distance": PAPER_DISTANCE},
        "false_enough": FALSE_ENOUGH,
        "targets": {target: _target(tables, target) for target in targets_of(answers)},
    }


def halves(answers: PrefixAnswers) -> tuple[DraftTable, DraftTable]:
    """Drafts at every prefix of every other photo, to fit on, and of the others, to measure on."""
    first, second = (DraftTable.every(answers.where(answers.photo % 2 == half)) for half in (0, 1))
    return first, second


def targets_of(answers: PrefixAnswers) -> tuple[str, ...]:
    """What there is a truth for: photos without labels have no right answers."""
    return (AGREES,) if np.isnan(answers.right).any() else (AGREES, RIGHT)


def draft_scores(tables: tuple[DraftTable, DraftTable], target: str) -> dict[str, Values]:
    """Per confidence, (Q, P') chances on the second table by curves fitted on the first."""
    truth = _truth(tables[0], target).ravel() > 0.5
    curves = fit_curves(tables[0].signals, truth)
    return {name: tables[1].scores(curves[name]) for name in CONFIDENCES if name in curves}


def _truth(table: DraftTable, target: str) -> Values:
    return table.column(getattr(table.answers, target))


def _target(tables: tuple[DraftTable, DraftTable], target: str) -> dict[str, Any]:
    scores = draft_scores(tables, target)
    truth = _truth(tables[0], target), _truth(tables[1], target)
    tasks = tables[1].answers.task
    names = list(dict.fromkeys(tasks.tolist()))
    found: dict[str, Any] = {"tasks": {ALL: _confidences(tables, truth, scores, None)}}
    for task in names:
        found["tasks"][task] = _confidences(tables, truth, scores, task)
    found["per_prefix"] = _per_prefix(tables[1], truth[1], scores)
    found["transfer"] = {
        name: _transfer(one, truth[1], tasks, names) for name, one in scores.items() if name in _TRANSFERRED
    }
    return found


_TRANSFERRED = ("combined", "min-entropy")


def _confidences(
    tables: tuple[DraftTable, DraftTable], truth: tuple[Values, Values], scores: dict[str, Values], task: str | None
) -> dict[str, Any]:
    """Separation and calibration errors of every confidence on one task, or on all."""
    chosen = [np.full(len(t.answers), True) if task is None else t.answers.task == task for t in tables]
    wanted = truth[0][chosen[0]].ravel(), truth[1][chosen[1]].ravel()
    found = {}
    for name, one in scores.items():
        here = one[chosen[1]].ravel()
        raw = _raw(tables, name, chosen)
        errors = calibration_errors(raw, wanted, here)
        found[name] = {**asdict(separation(here, wanted[1])), "calibration_error": asdict(errors)}
    return found


def _raw(tables: tuple[DraftTable, DraftTable], name: str, chosen: list[Any]) -> tuple[Values, Values] | None:
    if name not in RAW:
        return None
    parts = []
    for table, mask in zip(tables, chosen, strict=True):
        values = np.asarray([RAW[name](one) for one in table.signals]).reshape(len(table.answers), -1)
        parts.append(values[mask].ravel())
    return parts[0], parts[1]


def _per_prefix(table: DraftTable, truth: Values, scores: dict[str, Values]) -> list[dict[str, Any]]:
    """AUROC of every confidence among the answers of one prefix."""
    sizes = table.column(table.answers.payload_bytes).mean(axis=0)
    return [
        {
            "mean_bytes": float(size),
            "share": float(truth[:, place].mean()),
            "auroc": {name: separation(one[:, place], truth[:, place]).auroc for name, one in scores.items()},
        }
        for place, size in enumerate(sizes)
    ]


def _transfer(scores: Values, truth: Values, tasks: Any, names: list[str]) -> dict[str, Any]:
    """Thresholds chosen on the task of a row, tried on the task of a column: shares of wrong and right answers kept."""
    parts = {task: (scores[tasks == task].ravel(), truth[tasks == task].ravel()) for task in names}
    rows = {task: false_enough_threshold(*part, FALSE_ENOUGH) for task, part in parts.items() if (part[1] <= 0.5).any()}
    tried = {
        chosen: {task: reached(*part, threshold) for task, part in parts.items()} for chosen, threshold in rows.items()
    }
    return {
        "tasks": names,
        "false_enough": {chosen: {task: pair[0] for task, pair in row.items()} for chosen, row in tried.items()},
        "right_kept": {chosen: {task: pair[1] for task, pair in row.items()} for chosen, row in tried.items()},
    }

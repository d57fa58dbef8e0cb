"""The report of a calibration as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from heliograph.cli.text import table

if TYPE_CHECKING:
    from heliograph.codec.levels import LevelCurves

_TARGETS = {"agrees": "is it the answer from uncompressed tokens?", "right": "is it right?"}


def report_text(found: Mapping[str, Any]) -> str:
    """What ``heliograph.training.calibration.report`` gave: per target three tables."""
    about = (
        f"{found['questions']:,} questions about {found['photos']:,} photos kept back from fitting, "
        f"answered from {found['prefixes']} prefixes each"
    )
    parts = [about]
    for target, one in found["targets"].items():
        parts.append(f"{target}: {_TARGETS[target]}")
        parts.append(_overall(one["tasks"]["all"], found["paper"] if target == "right" else None))
        parts.append(_per_task(one["tasks"]))
        parts += [_transfer(name, rates, found["false_enough"]) for name, rates in one["transfer"].items()]
    return "\n\n".join(parts)


def levels_text(found: LevelCurves) -> str:
    """How often answers agree at each level, a table for every codec."""
    parts = []
    for kind, curve in found.curves.items():
        rows = [[f"{level}", f"{share:.1%}"] for level, share in zip(curve.levels, curve.agreement, strict=True)]
        about = f"{kind}: {curve.questions:,} questions about {curve.photos:,} photos kept back from fitting"
        parts.append(f"{about}\n{table(['level', 'answers as from uncompressed tokens'], rows, left=())}")
    return "\n\n".join(parts)


def _overall(confidences: Mapping[str, Any], paper: Mapping[str, float] | None) -> str:
    head = ["confidence", "AUROC", "overlap", "distance", "ECE raw", "temperature", "isotonic", "calibrated"]
    rows = []
    for name, one in confidences.items():
        errors = one["calibration_error"]
        scales = (errors["raw"], errors["temperature"], errors["isotonic"], errors["curve"])
        rows.append([name, *map(_number, (one["auroc"], one["overlap"], one["distance"], *scales))])
    if paper is not None:
        rows.append(
            ["min-entropy in arXiv 2512.16349", "", _number(paper["overlap"]), _number(paper["distance"]), *[""] * 4]
        )
    return table(head, rows)


def _per_task(tasks: Mapping[str, Mapping[str, Any]]) -> str:
    names = list(tasks["all"])
    head = ["AUROC per task", "right", "wrong", *names]
    rows = []
    for task, one in tasks.items():
        counts = one[names[0]]["right"], one[names[0]]["wrong"]
        rows.append([task, *(f"{count:,}" for count in counts), *(_number(one[name]["auroc"]) for name in names)])
    return table(head, rows)


def _transfer(name: str, rates: Mapping[str, Any], wanted: float) -> str:
    """Shares of wrong and of right answers that a threshold lets pass, by the task that it was chosen on."""
    tasks: Sequence[str] = rates["tasks"]
    head = [f"{name}: chosen on (row), tried on", *tasks]
    rows = []
    for chosen, row in rates["false_enough"].items():
        kept = rates["right_kept"][chosen]
        rows.append([chosen, *(f"{_percent(row[task])}/{_percent(kept[task])}" for task in tasks)])
    title = (
        f"wrong/right answers in % that pass the threshold at which {wanted:.0%} of the wrong ones pass on its own task"
    )
    return f"{title}\n{table(head, rows)}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}"

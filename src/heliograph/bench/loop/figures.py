"""The figures of the suite ``loop``: bytes of stop policies over ``fixed``, and what confidences tell apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from heliograph.bench.definitions import tasks
from heliograph.bench.loop.curves import (
    ACCURACY,
    AGREEMENT,
    BYTES,
    DRAFTS,
    Curve,
    Questions,
    bytes_ratio,
    difference_interval,
)
from heliograph.bench.loop.plots import AUROC_TABLE
from heliograph.bench.loop.policies import FIXED, LEVEL, ORACLE
from heliograph.bench.metrics import B99_SHARE
from heliograph.bench.results import Figure, Table
from heliograph.bench.stats import DoubleArray
from heliograph.codec.calibration import COMBINED, Calibration
from heliograph.training.calibration.measures import expected_calibration_error, separation
from heliograph.training.calibration.stopping import DraftTable
from heliograph.training.meta.error_head import auroc

SHARES = (0.95, 0.98, B99_SHARE)
"""Shares of the uncompressed accuracy."""

AGREEMENTS = (0.85, 0.9, 0.93)
_BYTES_BOUNDS, _AUROC_BOUNDS = (0.75, 0.6), (0.05, 0.1)
_SHOWN_BOUNDS, _OVERSTATED_BOUNDS = (0.03, 0.015), (0.02, 0.01)
_AUROC_RESAMPLES = 200
EARLY_SHARE, SURE = 0.25, 0.9


def bytes_figures(curves: Mapping[str, Curve], whole_right: DoubleArray, questions: Questions) -> list[Figure]:
    """Mean bytes of the calibrated stop over ``fixed`` at equal accuracy, and at equal agreement.

    Args:
        curves: by policy.
        whole_right: (Q,) whether the answers from uncompressed tokens are right.
        questions: of the curves.
    """
    accuracy, samples = questions.mean(whole_right, questions.mean_tasks)
    found = []
    for share in SHARES:
        bounds = _BYTES_BOUNDS if share == B99_SHARE else (None, None)
        ratio = bytes_ratio(curves[COMBINED], curves[FIXED], ACCURACY, share * accuracy, share * samples)
        name = f"bytes of the calibrated stop / fixed at {100 * share:g} % of the uncompressed accuracy"
        found.append(Figure(name, ratio.value, ratio.interval, *bounds))
    for level in AGREEMENTS:
        ratio = bytes_ratio(curves[COMBINED], curves[FIXED], AGREEMENT, level, np.full(len(samples), level))
        found.append(Figure(f"the same at agreement {level:.2f}", ratio.value, ratio.interval))
    target = B99_SHARE * accuracy
    alone = bytes_ratio(curves[LEVEL], curves[FIXED], ACCURACY, target, B99_SHARE * samples)
    found.append(Figure("bytes of one level for all photos / fixed at 99 % of it", alone.value, alone.interval))
    return [*found, *_best_setting(curves)]


def _best_setting(curves: Mapping[str, Curve]) -> list[Figure]:
    """The highest quality reached on dev, as it is: its bytes over those of ``fixed`` at the accuracy it has."""
    ours = curves[COMBINED]
    if len(ours.stopped) < 2:
        return []
    setting, accuracy, size = ours.stopped[-2].setting, ours.values(ACCURACY)[-2], ours.values(BYTES)[-2]
    other = curves[FIXED].bytes_at(ACCURACY, accuracy)
    return [Figure(f"bytes of {setting} / fixed at its accuracy, {accuracy:.4f}", size / other if other else None)]


def drafts_at(curve: Curve, accuracy: float) -> float | None:
    """Drafts for one question, at the cheapest setting run that keeps 99 % of the accuracy."""
    enough = [d for d, a in zip(curve.values(DRAFTS), curve.values(ACCURACY), strict=True) if a >= B99_SHARE * accuracy]
    return min(enough, default=None)


def stride_figures(curves: Mapping[int, Curve], fixed: Curve, accuracy: float) -> list[Figure]:
    """The same ratio, and drafts, where a slower cloud drafts at every so many segments; ``fixed`` stops at any."""
    found = []
    for stride, curve in curves.items():
        first, second = (one.bytes_at(ACCURACY, B99_SHARE * accuracy) for one in (curve, fixed))
        ratio = None if first is None or second is None else first / second
        drafted = "every segment" if stride == 1 else f"every {stride} segments"
        if stride > 1:
            found.append(Figure(f"bytes at 99 % of the accuracy / fixed, a draft at {drafted}", ratio))
        found.append(Figure(f"drafts per question, a draft at {drafted}", drafts_at(curve, accuracy)))
    return found


def policy_table(curves: Mapping[str, Curve], accuracy: float) -> Table:
    """Bytes of every policy at equal qualities, and over ``fixed``."""
    levels = [(ACCURACY, share * accuracy, f"{100 * share:g} % of the accuracy") for share in SHARES]
    levels += [(AGREEMENT, level, f"agreement {level:.2f}") for level in AGREEMENTS]
    body = []
    for name, curve in curves.items():
        if name == ORACLE:
            continue
        cells = []
        for kind, target, _ in levels:
            size, other = (one.bytes_at(kind, target) for one in (curve, curves[FIXED]))
            cells.append("not reached" if size is None else f"{size:.1f}" + (f" ({size / other:.2f})" if other else ""))
        body.append((name, *cells))
    return Table("Bytes at equal quality (and over `fixed`)", ("policy", *(name for *_, name in levels)), tuple(body))


def auroc_figures(table: DraftTable, calibration: Calibration) -> list[Figure]:
    """AUROC of right and wrong over drafts at every prefix, the combination less min-entropy alone."""
    in_mean = np.asarray([tasks()[task].in_mean for task in table.answers.task.tolist()])
    whole = np.zeros(len(table.drafted), dtype=bool)
    whole[-1] = True
    every = np.full(len(table.drafted), True)
    return [
        _auroc_gain(
            "AUROC of right, combined less min-entropy, all prefixes", table, calibration, in_mean, every, True
        ),
        _auroc_gain("the same with small print", table, calibration, np.full(len(in_mean), True), every, False),
        _auroc_gain("the same, whole streams alone", table, calibration, in_mean, whole, False),
    ]


def _auroc_gain(
    name: str, table: DraftTable, calibration: Calibration, chosen: DoubleArray, places: DoubleArray, bounded: bool
) -> Figure:
    """Gain in AUROC on the chosen questions at the chosen places; interval over resampled photos."""
    photos = np.unique(table.answers.photo[chosen], return_inverse=True)[1]
    truth = table.column(table.answers.right)[chosen][:, places]
    scores = [table.scores(calibration.rights[one])[chosen][:, places] for one in (COMBINED, "min-entropy")]

    def gain(weights: DoubleArray) -> float | None:
        rows = np.repeat(np.arange(len(photos)), weights[photos].astype(int))
        first, second = (auroc(one[rows].ravel(), truth[rows].ravel()) for one in scores)
        return None if first is None or second is None else first - second

    count = int(photos.max()) + 1
    interval = difference_interval(gain, count, _AUROC_RESAMPLES)
    must, aim = _AUROC_BOUNDS if bounded else (None, None)
    return Figure(name, gain(np.ones(count)), interval, must, aim, at_least=True)


def shown_figures(table: DraftTable, calibration: Calibration) -> list[Figure]:
    """How far the confidence that is shown of each draft can be trusted, all questions, a draft at every prefix."""
    shown, right = table.scores(calibration.rights[COMBINED]), table.column(table.answers.right)
    sizes = table.column(table.answers.payload_bytes)
    early_wrong = (right <= 0.5) & (sizes < EARLY_SHARE * sizes[:, -1:])
    overstated = float((shown[early_wrong] > SURE).mean()) if early_wrong.any() else None
    return [
        Figure(
            "calibration error of the confidence shown, drafts at every prefix",
            expected_calibration_error(shown.ravel(), right.ravel()),
            None,
            *_SHOWN_BOUNDS,
        ),
        Figure(
            f"wrong drafts before {EARLY_SHARE:.0%} of the stream that are shown above {SURE:.0%}, share",
            overstated,
            None,
            *_OVERSTATED_BOUNDS,
        ),
    ]


def separation_table(table: DraftTable, calibration: Calibration) -> Table:
    """AUROC per confidence and task for both chances, drafts at every prefix."""
    names = list(dict.fromkeys(table.answers.task.tolist()))
    body = []
    for target, curves in (("right", calibration.rights), ("agrees", calibration.agrees)):
        truth = table.column(getattr(table.answers, target))
        for name, curve in curves.items():
            scores = table.scores(curve)
            cells = [separation(scores.ravel(), truth.ravel()).auroc]
            for task in names:
                here = table.answers.task == task
                cells.append(separation(scores[here].ravel(), truth[here].ravel()).auroc)
            body.append((target, name, *("" if cell is None else f"{cell:.3f}" for cell in cells)))
    head = ("chance", "confidence", "all prefixes and tasks", *names)
    return Table(AUROC_TABLE, head, tuple(body))

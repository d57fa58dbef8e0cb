"""Stop policies as curves of bytes against accuracy and agreement, with resamples of whole photos.

Bytes, accuracy and agreement are all the mean over tasks of each task's mean, so that they speak of the same questions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.bench.definitions import tasks
from heliograph.bench.metrics import cost_at
from heliograph.bench.stats import DoubleArray, Interval, percentile_interval, resampling_weights
from heliograph.training.calibration.collect import PrefixAnswers

ACCURACY, AGREEMENT, BYTES, DRAFTS = "accuracy", "agreement", "payload_bytes", "drafts"
Kind = str


@dataclass(frozen=True)
class Stopped:
    """Where a policy at one setting stopped every question.

    Attributes:
        setting: printable.
        payload_bytes, right, agrees, drafts: (Q,) at that place; drafts counts those made until then.
    """

    setting: str
    payload_bytes: DoubleArray
    right: DoubleArray
    agrees: DoubleArray
    drafts: DoubleArray

    def value(self, kind: Kind) -> DoubleArray:
        """(Q,) of one kind."""
        return {ACCURACY: self.right, AGREEMENT: self.agrees, BYTES: self.payload_bytes, DRAFTS: self.drafts}[kind]


class Questions:
    """Which photo and task each question belongs to.

    Args:
        answers: of Q questions.
    """

    def __init__(self, answers: PrefixAnswers) -> None:
        self.tasks = tuple(name for name in tasks() if name in set(answers.task.tolist()))
        self._photos = np.unique(answers.photo, return_inverse=True)[1]
        self.photos = int(self._photos.max()) + 1
        self._task = np.asarray([self.tasks.index(name) for name in answers.task.tolist()])
        self._counts = self._sums(np.ones(len(answers)))

    @property
    def mean_tasks(self) -> tuple[str, ...]:
        """The tasks that make up "all"."""
        return tuple(name for name in self.tasks if tasks()[name].in_mean)

    def count(self, chosen: Sequence[str]) -> int:
        """Questions of these tasks."""
        return int(self._counts[:, self._columns(chosen)].sum())

    def mean(self, values: DoubleArray, chosen: Sequence[str]) -> tuple[float, DoubleArray]:
        """Mean over tasks of each task's mean of (Q,) values, and (resamples,) of it; NaN where one lacks a task."""
        columns = self._columns(chosen)
        sums, counts = self._sums(values)[:, columns], self._counts[:, columns]
        weights = resampling_weights(self.photos)
        with np.errstate(invalid="ignore"):
            samples = ((weights @ sums) / (weights @ counts)).mean(axis=1)
        return float((sums.sum(axis=0) / counts.sum(axis=0)).mean()), samples

    def _columns(self, chosen: Sequence[str]) -> list[int]:
        return [self.tasks.index(name) for name in chosen]

    def _sums(self, values: DoubleArray) -> DoubleArray:
        """(photos, tasks) sums."""
        found = np.zeros((self.photos, len(self.tasks)))
        np.add.at(found, (self._photos, self._task), values)
        return found


class Curve:
    """One policy at all of its settings, on the tasks of "all".

    Args:
        stopped: per setting.
        questions: which all of them are about.
    """

    def __init__(self, stopped: Sequence[Stopped], questions: Questions) -> None:
        self.stopped = list(stopped)
        self._means = {
            kind: [questions.mean(one.value(kind), questions.mean_tasks) for one in stopped]
            for kind in (ACCURACY, AGREEMENT, BYTES, DRAFTS)
        }

    def values(self, kind: Kind) -> list[float]:
        """The value of each setting."""
        return [value for value, _ in self._means[kind]]

    def intervals(self, kind: Kind) -> list[Interval | None]:
        """The 95 % interval of each setting."""
        return [percentile_interval(samples) for _, samples in self._means[kind]]

    def bytes_at(self, kind: Kind, target: float) -> float | None:
        """The fewest bytes at which an accuracy or agreement is reached, read between settings as B99 is."""
        return cost_at(list(zip(self.values(BYTES), self.values(kind), strict=True)), target)

    def sampled_bytes_at(self, kind: Kind, targets: DoubleArray) -> DoubleArray:
        """(resamples,) of the same, each for a target of its own; NaN where it is not reached."""
        sizes, qualities = (np.stack([samples for _, samples in self._means[one]]) for one in (BYTES, kind))
        found = [
            cost_at(list(zip(sizes[:, i].tolist(), qualities[:, i].tolist(), strict=True)), float(target))
            for i, target in enumerate(targets)
        ]
        return np.array(found, dtype=np.float64)  # None becomes NaN


@dataclass(frozen=True)
class Ratio:
    """Bytes of one policy over those of another at an equal quality."""

    value: float | None
    interval: Interval | None


def bytes_ratio(above: Curve, below: Curve, kind: Kind, target: float, targets: DoubleArray) -> Ratio:
    """Ratio of the bytes of ``above`` to those of ``below``; resamples are paired.

    Args:
        target: the quality that both are to reach.
        targets: (resamples,) of the same, as it may itself be a share of something measured.
    """
    first, second = above.bytes_at(kind, target), below.bytes_at(kind, target)
    samples = above.sampled_bytes_at(kind, targets) / below.sampled_bytes_at(kind, targets)
    return Ratio(None if first is None or second is None else first / second, percentile_interval(samples))


def difference_interval(
    statistic: Callable[[DoubleArray], float | None], photos: int, resamples: int
) -> Interval | None:
    """95 % interval of any figure of a weight per photo, on so many resamples."""
    found = [statistic(row) for row in resampling_weights(photos)[:resamples]]
    return percentile_interval(np.asarray([np.nan if one is None else one for one in found], dtype=np.float64))

"""Agreement that a model which does not look cannot have: over questions whose answers differ between photos, balanced.

::

    question --uncompressed answers of all photos--> answers that enough photos have --two or more--> it counts
    its agreement: mean over those answers of the share of photos with it that still get it

Whoever gives the same answer about every photo agrees on all photos of one answer and on none of the others: 1 / k of a
question with k answers, whichever answer is common. Intervals resample photos.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from heliograph.bench.scores import Mean
from heliograph.bench.stats import DoubleArray, resampling_weights
from heliograph.bench.street.asked import Answered, Asked
from heliograph.errors import ModelUnsupportedError

MIN_SHARE, MIN_PHOTOS = 0.05, 2
"""Of the photos that an answer must have to count."""

MARGIN = 0.7
"""Logits between the first and the second answer: the first is twice as likely as the second."""

Booleans = npt.NDArray[np.bool_]


class Agreement:
    """How far answers are those of the uncompressed path.

    Args:
        whole: of the uncompressed path, I photos.
        questions: that were asked.
        name: of the model, for an error; empty where it may well give every photo the same answers.

    Raises:
        ModelUnsupportedError: it does.
    """

    def __init__(self, whole: Answered, questions: Sequence[Asked], name: str = "") -> None:
        self._whole, self._questions = whole, questions
        self.photos = len(whole.places)
        least = max(MIN_PHOTOS, round(MIN_SHARE * self.photos))
        self._cells: dict[int, list[int]] = {}
        for number in range(len(questions)):
            counts = np.bincount(whole.places[:, number])
            kept = [place for place, count in enumerate(counts) if count >= least]
            if len(kept) > 1:
                self._cells[number] = kept
        if name and not self._cells:
            step = "Train it longer: heliograph train field."
            raise ModelUnsupportedError().about(name, f"It answers alike about all {self.photos} photos. {step}")

    def counting(self, task: str | None = None) -> list[Asked]:
        """The questions that count, of one task or of all."""
        return [self._questions[number] for number in self._of(task)]

    def chance(self, task: str | None = None) -> float:
        """Agreement of whoever gives every photo the same answers."""
        numbers = self._of(task)
        return float(np.mean([1 / len(self._cells[number]) for number in numbers])) if numbers else float("nan")

    def asked(self, task: str | None = None, *, margin: bool = False) -> int:
        """How many answers are compared."""
        return sum(int(self._members(number, place, margin).sum()) for number, place in self._all(task))

    def balanced(self, found: Answered, task: str | None = None, *, margin: bool = False) -> Mean:
        """Mean over questions of the mean over their answers; not a number where no question counts.

        Args:
            found: answers to compare.
            task: these questions alone.
            margin: only answers that lead by :data:`MARGIN` on the uncompressed path.
        """
        weights = np.vstack([np.ones(self.photos), resampling_weights(self.photos)])  # (1 + resamples, I)
        questions = []
        for number in self._of(task):
            same = found.places[:, number] == self._whole.places[:, number]
            members = np.stack([self._members(number, place, margin) for place in self._cells[number]], axis=1)
            with np.errstate(invalid="ignore"):
                shares = (weights @ (members & same[:, None])) / (weights @ members)  # (1 + resamples, answers)
            questions.append(_mean(shares))
        made = _mean(np.stack(questions, axis=1)) if questions else np.full(len(weights), np.nan)
        return Mean(float(made[0]), made[1:])

    def plain(self, found: Answered, task: str | None = None) -> Mean:
        """Share of equal answers to all questions, whether or not they differ between photos."""
        chosen = [number for number, one in enumerate(self._questions) if task in (None, one.task)]
        same = (found.places[:, chosen] == self._whole.places[:, chosen]).mean(axis=1)
        return mean_of(same)

    def _of(self, task: str | None) -> list[int]:
        return [number for number in self._cells if task in (None, self._questions[number].task)]

    def _all(self, task: str | None) -> list[tuple[int, int]]:
        return [(number, place) for number in self._of(task) for place in self._cells[number]]

    def _members(self, number: int, place: int, margin: bool) -> Booleans:
        """(I,) photos with one answer to one question."""
        chosen = self._whole.places[:, number] == place
        return np.asarray(chosen & (self._whole.leads[:, number] >= MARGIN) if margin else chosen)


def mean_of(values: npt.NDArray[np.floating]) -> Mean:
    """Mean of one number per photo."""
    numbers = np.asarray(values, np.float64)
    return Mean(float(numbers.mean()), (resampling_weights(len(numbers)) @ numbers) / len(numbers))


def _mean(values: DoubleArray) -> DoubleArray:
    """(R, K) to (R,): over what is defined; an answer may be missing from a resample."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        made: DoubleArray = np.where(defined, values, 0.0).sum(axis=1) / defined.sum(axis=1)
    return made

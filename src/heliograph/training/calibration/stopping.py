"""Stop policies simulated on collected answers: where each question's stream would have stopped, and at what quality.

A policy is a score per draft and a threshold: it stops at the first draft that reaches the threshold, else the stream
runs to its end. ``fixed`` scores by bytes, ``energy`` by retained energy, confidences by their calibrated chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.codec.calibration import Curve, Signals
from heliograph.training.calibration.collect import PrefixAnswers

Double = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
_MAX_THRESHOLDS = 240


@dataclass(frozen=True)
class DraftTable:
    """The drafts that a loop would make of collected answers, P' for each of Q questions.

    Attributes:
        answers: what was collected.
        drafted: the columns of it that drafts were made at, the last one always among them.
        signals: Q * P', question by question.
    """

    answers: PrefixAnswers
    drafted: tuple[int, ...]
    signals: tuple[Signals, ...]

    @classmethod
    def every(cls, answers: PrefixAnswers, stride: int = 1, first: int = 0) -> DraftTable:
        """A draft at every ``stride``-th prefix from the ``first`` one on; a slow cloud drafts more seldom."""
        drafted = tuple(sorted({*range(first, answers.prefixes, stride), answers.prefixes - 1}))
        signals = [one for question in range(len(answers)) for one in answers.signals(question, drafted)]
        return cls(answers, drafted, tuple(signals))

    def column(self, values: npt.NDArray[np.generic]) -> Double:
        """(Q, P') of (Q, P) collected values."""
        return np.asarray(values[:, list(self.drafted)], dtype=np.float64)

    def scores(self, curve: Curve) -> Double:
        """(Q, P') chances by a curve; 0 where an input is unknown."""
        return np.nan_to_num(curve.chances(self.signals)).reshape(len(self.answers), len(self.drafted))


def stops(scores: Double, threshold: float) -> Index:
    """(Q,) place of the first draft that reaches the threshold, else the last place, of (Q, P') scores."""
    enough = scores >= threshold
    enough[:, -1] = True
    return np.asarray(enough.argmax(axis=1), dtype=np.int64)


def at(values: Double, places: Index) -> Double:
    """(Q,) of (Q, P') values: each question's at its place."""
    return np.asarray(values[np.arange(len(values)), places], dtype=np.float64)


def thresholds_of(scores: Double) -> Double:
    """Thresholds worth trying, rising: quantiles of the scores, finer towards the top, and one that nothing reaches."""
    even = np.linspace(0, 1, _MAX_THRESHOLDS // 2)
    top = 1 - np.geomspace(1, 1 / max(scores.size, 2), _MAX_THRESHOLDS // 2)
    return np.append(np.unique(np.quantile(scores, np.concatenate([even, top]))), np.inf)


def quality_thresholds(scores: Double, agrees: Double, qualities: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """(share of answers that agree, threshold) pairs: for each wanted quality the lowest threshold that reaches it.

    Args:
        scores: (Q, P') chances.
        agrees: (Q, P') 1 where the draft is the uncompressed answer.
        qualities: wanted, rising; those that no threshold reaches are left out.
    """
    tried = [min(float(one), 1.0) for one in thresholds_of(scores)]
    reached = np.asarray([float(at(agrees, stops(scores, one)).mean()) for one in tried])
    kept: list[tuple[float, float]] = []
    for quality in qualities:
        enough = np.flatnonzero(reached >= quality)
        if len(enough):
            kept.append((quality, max(float(f"{tried[enough[0]]:.5g}"), kept[-1][1] if kept else 0.0)))
    return tuple(kept)

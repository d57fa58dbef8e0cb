"""Fits the curves of a calibration: logistic regression over the signals, on answers from many prefixes.

The drafts that a loop makes depend on the link and on the cloud's speed, so the curves are fitted on drafts at every
prefix, at every second and at every fourth, together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec.calibration import (
    COMBINED,
    INPUTS,
    WITHOUT_CODEC,
    Calibration,
    Curve,
    Signals,
    input_values,
    products_of,
    word_values,
)
from heliograph.errors import CodecNotFittedError
from heliograph.training.calibration.collect import PrefixAnswers
from heliograph.training.calibration.stopping import DraftTable, quality_thresholds

STRIDES = (1, 2, 4)
QUALITIES = (
    *(round(0.5 + 0.02 * step, 2) for step in range(20)),
    *(round(0.9 + 0.0025 * step, 4) for step in range(41)),
)
"""Targets that thresholds are kept for."""

_OWN = ("min-entropy", "first-token", "entropy", "margin", "tokens", "stable-drafts", "stable-bytes")
_CODEC = ("token-error", "answer-differs", "energy", "bytes")
_STRENGTH = 0.1  # of scikit-learn's C: a larger one trusts the data more
_STEPS = 2000

CURVE_INPUTS: Mapping[str, tuple[str, ...]] = {
    COMBINED: (*_OWN, *_CODEC),
    WITHOUT_CODEC: _OWN,
    "min-entropy": ("min-entropy",),
    "entropy": ("entropy",),
    "margin": ("margin",),
    "error-head": ("answer-differs",),
    "stability": ("stable-drafts", "stable-bytes"),
}
_RICH = (COMBINED, WITHOUT_CODEC)  # with products of inputs and the question's words

Truth = npt.NDArray[Any]


def fit_calibration(answers: PrefixAnswers, facts: Mapping[str, Any] | None = None) -> Calibration:
    """All curves and thresholds.

    Args:
        answers: collected on photos that nothing else is measured on. Where right answers are unknown, the curves for
            the right answer are those for the uncompressed one.
        facts: kept with it, for people.

    Raises:
        CodecNotFittedError: every answer agrees, or none does.
    """
    tables = [DraftTable.every(answers, stride) for stride in STRIDES]
    signals = [one for table in tables for one in table.signals]
    agrees = np.concatenate([table.column(answers.agrees).ravel() for table in tables])
    right = np.concatenate([table.column(answers.right).ravel() for table in tables])
    settled = np.concatenate([settled_of(table.column(answers.agrees)).ravel() for table in tables])
    curves = fit_curves(signals, agrees > 0)
    rights = curves if np.isnan(right).any() else fit_curves(signals, right > 0)
    stops = fit_curves(signals, settled)
    return Calibration(
        curves,
        rights,
        _thresholds(tables[0], curves),
        dict(facts or {}),
        stops,
        _thresholds(tables[0], stops),
    )


def settled_of(agrees: Truth) -> npt.NDArray[np.bool_]:
    """(Q, P') whether the whole stream's answer is no better than the draft's, from whether each draft agrees."""
    return np.asarray((agrees > 0) | ~(agrees[:, -1:] > 0))


def _thresholds(table: DraftTable, curves: Mapping[str, Curve]) -> dict[str, tuple[tuple[float, float], ...]]:
    """What to stop at for each wanted quality, by confidence."""
    agrees = table.column(table.answers.agrees)
    found = {
        name: quality_thresholds(table.scores(curve), agrees, QUALITIES)
        for name, curve in curves.items()
        if name != WITHOUT_CODEC
    }
    return {name: steps for name, steps in found.items() if steps}


def fit_curves(signals: Sequence[Signals], truth: Truth) -> dict[str, Curve]:
    """A curve for every confidence whose inputs are known.

    Args:
        signals: S drafts.
        truth: (S,) whether each is what the chance speaks of.

    Raises:
        CodecNotFittedError: all are, or none is.
    """
    if truth.all() or not truth.any():
        raise CodecNotFittedError().noted(
            f"All of {len(truth)} answers are right, or all are wrong: chances cannot be learned."
        )
    values = input_values(signals, tuple(INPUTS))
    column = {name: place for place, name in enumerate(INPUTS)}
    curves: dict[str, Curve] = {}
    for name, inputs in CURVE_INPUTS.items():
        chosen = values[:, [column[one] for one in inputs]]
        known = np.isfinite(chosen).all(axis=1)
        if known.any() and 0 < truth[known].sum() < known.sum():
            words = word_values(signals)[known] if name in _RICH else None
            curves[name] = _fit_curve(inputs, chosen[known], truth[known], words)
    return curves


def _fit_curve(inputs: tuple[str, ...], values: Truth, truth: Truth, words: Truth | None) -> Curve:
    """Logistic regression of (S, inputs) standardised values; with (S, 64) words of their products and words too."""
    from sklearn.linear_model import LogisticRegression

    centre, spread = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6)
    given = (values - centre) / spread
    if words is not None:
        given = np.hstack([given, words, products_of(given)])
    size = 0 if words is None else words.shape[1]
    found = LogisticRegression(C=_STRENGTH, max_iter=_STEPS).fit(given, truth)
    weights = found.coef_[0]
    return Curve(
        inputs,
        _short(centre),
        _short(spread),
        _short(weights[: len(inputs)]),
        _short(found.intercept_)[0],
        _short(weights[len(inputs) :][:size]),
        _short(weights[len(inputs) :][size:]),
    )


def _short(values: Truth) -> tuple[float, ...]:
    """The numbers with as many digits as matter, so that the file stays small."""
    return tuple(float(f"{value:.5g}") for value in values)

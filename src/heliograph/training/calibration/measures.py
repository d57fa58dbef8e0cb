"""How well a confidence tells right answers from wrong ones: overlap, Bhattacharyya distance, AUROC, calibration error.

Overlap and distance are those of arXiv 2512.16349's Table II. Both are taken between histograms whose bins hold equally
many answers, so that they depend on the order of the scores alone and measures of different units can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.training.meta.error_head import auroc, reliability

BINS = 20
PAPER_OVERLAP, PAPER_DISTANCE = 0.47, 0.33
"""Figures of min-entropy in arXiv 2512.16349, Table II."""

_MIN_COEFFICIENT = 1e-9
_MIN_CHANCE = 1e-6

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Separation:
    """How far right and wrong answers lie apart.

    Attributes:
        right, wrong: how many.
        overlap: 0 (apart) to 1 (alike): the sum over bins of the smaller share.
        distance: Bhattacharyya's, -ln of the sum over bins of the shares' geometric mean.
        auroc: chance that a right answer scores above a wrong one.
    """

    right: int
    wrong: int
    overlap: float | None
    distance: float | None
    auroc: float | None


@dataclass(frozen=True)
class CalibrationErrors:
    """Expected calibration error (tenths of the chance), on answers that nothing was fitted on.

    Attributes:
        raw: of the confidence as it is; None where it is no chance.
        temperature: its log-odds divided by one fitted number.
        isotonic: after isotonic regression.
        curve: after the calibration's own curve.
    """

    raw: float | None
    temperature: float | None
    isotonic: float | None
    curve: float


def separation(scores: Values, truth: Values) -> Separation:
    """Separation of (S,) scores, higher for more confident, by (S,) 1 for right; None where one kind is missing."""
    right = truth > 0.5
    counts = int(right.sum()), int((~right).sum())
    if not all(counts):
        return Separation(*counts, None, None, None)
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, BINS + 1)))
    bins = np.searchsorted(edges[1:-1], scores, side="right")
    shares = [np.bincount(bins[one], minlength=BINS) / one.sum() for one in (right, ~right)]
    coefficient = float(np.sqrt(shares[0] * shares[1]).sum())
    distance = -float(np.log(max(coefficient, _MIN_COEFFICIENT)))
    return Separation(*counts, float(np.minimum(*shares).sum()), distance, auroc(scores, truth))


def expected_calibration_error(chances: Values, truth: Values) -> float:
    """Mean distance of predicted chance and share found over tenths of the chance, weighted by answers."""
    gaps = (samples * abs(predicted - found) for predicted, found, samples in reliability(chances, truth))
    return sum(gaps) / len(truth)


def calibration_errors(
    raw: tuple[Values, Values] | None, truth: tuple[Values, Values], curve: Values
) -> CalibrationErrors:
    """Calibration errors before and after scaling.

    Args:
        raw: confidences as they are, 0 to 1, of answers to fit on and of answers to measure on.
        truth: of both.
        curve: chances of the answers to measure on.
    """
    last = expected_calibration_error(curve, truth[1])
    if raw is None:
        return CalibrationErrors(None, None, None, last)
    before = expected_calibration_error(raw[1], truth[1])
    if not 0 < (truth[0] > 0.5).mean() < 1:  # nothing to scale by
        return CalibrationErrors(before, None, None, last)
    return CalibrationErrors(
        before,
        expected_calibration_error(_by_temperature(raw, truth[0]), truth[1]),
        expected_calibration_error(_by_isotonic(raw, truth[0]), truth[1]),
        last,
    )


def _by_temperature(raw: tuple[Values, Values], truth: Values) -> Values:
    from sklearn.linear_model import LogisticRegression

    fitted, measured = (_log_odds(one)[:, None] for one in raw)
    scale = LogisticRegression(C=np.inf, fit_intercept=False).fit(fitted, truth > 0.5)
    return np.asarray(scale.predict_proba(measured)[:, 1])


def _by_isotonic(raw: tuple[Values, Values], truth: Values) -> Values:
    from sklearn.isotonic import IsotonicRegression

    return np.asarray(IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(raw[0], truth).predict(raw[1]))


def _log_odds(chance: Values) -> Values:
    clipped = np.clip(chance, _MIN_CHANCE, 1 - _MIN_CHANCE)
    return np.asarray(np.log(clipped / (1 - clipped)))


def false_enough_threshold(scores: Values, truth: Values, rate: float) -> float:
    """The lowest threshold that at most a share ``rate`` of the wrong answers reaches."""
    wrong = np.sort(scores[truth <= 0.5])[::-1]
    allowed = int(rate * len(wrong))
    return float(np.nextafter(wrong[allowed], np.inf)) if allowed < len(wrong) else -np.inf


def reached(scores: Values, truth: Values, threshold: float) -> tuple[float | None, float | None]:
    """Shares of wrong and of right answers that reach a threshold; None where there is no such answer."""
    enough, right = scores >= threshold, truth > 0.5
    wrong_share = float(enough[~right].mean()) if (~right).any() else None
    return wrong_share, float(enough[right].mean()) if right.any() else None

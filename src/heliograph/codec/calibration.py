"""How likely an answer is right, from everything its maker knows: a few numbers beside the codec, numpy alone.

::

    Answer (its tokens' bits, entropy, margin) --\\
    Codec.expect (the error head)               --+--> Signals --Calibration--> chances
    earlier drafts (stability)                  --/

Three chances are kept apart. ``probability``: that the answer is the one from uncompressed tokens. ``settled``: that
the rest of the stream would not help, as the answer is that one already or will not become it; this decides when a
stream may stop, and spends no bytes on questions that no byte saves. ``right``: that it is the right answer, which
decides whether to look again. Min-entropy as a confidence is arXiv 2512.16349's, the error head is after arXiv
2604.26508. All of them are 0 for an answer that says nothing. Fitted by ``heliograph calibrate``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from heliograph.codec.expectation import WORD_BUCKETS, question_features
from heliograph.errors import BundleDamagedError, UnknownNameError, UsageError
from heliograph.question import COMBINED as COMBINED
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import BundleFault, BundlePart, FileFault
from heliograph.types import FloatArray

Double = npt.NDArray[np.float64]
Steps = tuple[tuple[float, float], ...]

CALIBRATION = "calibration.json"
CONFIDENCES = (COMBINED, "min-entropy", "entropy", "margin", "error-head", "stability")
WITHOUT_CODEC = "without-codec"
"""The combination for answers whose codec predicts nothing, such as those from pictures."""

_FALLBACKS = (WITHOUT_CODEC, "min-entropy")
_FORMAT = 1
_MAX_BYTES, _MAX_VALUE, _MAX_STEPS = 1 << 18, 1e6, 64
_MAX_LOGIT, _MIN_CHANCE = 30.0, 1e-6

_damaged = partial(BundleDamagedError, BundlePart.CALIBRATION)


@dataclass(frozen=True)
class Signals:
    """What is known of one draft answer.

    Attributes:
        min_entropy_bits: mean over the answer's tokens of -log2 max p.
        first_bits: that of the first token.
        entropy_bits: mean Shannon entropy.
        margin: mean of the largest probability less the second largest.
        answer_tokens: how many tokens the answer has; 0 for an empty one, or one that was never made.
        stable_drafts: how many drafts in a row were the same, this one included.
        token_error, answer_differs: of :class:`heliograph.codec.expectation.Expectation`; None without an error head.
        retained_energy: share of the token energy that the prefix restores; None where unknown.
        received_bytes: payload bytes of the prefix.
        stable_bytes: payload bytes since the first of the drafts in a row that were the same.
        question: its words tell how hard it is.
    """

    min_entropy_bits: float
    first_bits: float
    entropy_bits: float
    margin: float
    answer_tokens: int
    stable_drafts: int
    token_error: float | None
    answer_differs: float | None
    retained_energy: float | None
    received_bytes: int
    stable_bytes: int = 0
    question: str = ""

    @property
    def says_nothing(self) -> bool:
        """Whether the answer was made and is empty: never confident, however sure the model was of its end."""
        return self.answer_tokens == 0 and not math.isnan(self.min_entropy_bits)


def _logit(chance: float) -> float:
    if not math.isfinite(chance):
        return math.nan
    clipped = min(max(chance, _MIN_CHANCE), 1 - _MIN_CHANCE)
    return math.log(clipped / (1 - clipped))


def _log(value: float) -> float:
    return math.log(max(value, _MIN_CHANCE)) if math.isfinite(value) else math.nan


def _logit_of_bits(bits: float) -> float:
    return _logit(2.0**-bits) if math.isfinite(bits) else math.nan


def _or_nan(value: float | None, change: Callable[[float], float]) -> float:
    return math.nan if value is None else change(value)


INPUTS: Mapping[str, Callable[[Signals], float]] = {
    "min-entropy": lambda s: _logit_of_bits(s.min_entropy_bits),
    "first-token": lambda s: _logit_of_bits(s.first_bits),
    "entropy": lambda s: _log(s.entropy_bits),
    "margin": lambda s: _logit((1 + s.margin) / 2),
    "tokens": lambda s: min(s.answer_tokens, 32) / 8,
    "stable-drafts": lambda s: math.log2(1 + max(s.stable_drafts, 0)),
    "stable-bytes": lambda s: math.log2(1 + max(s.stable_bytes, 0)),
    "token-error": lambda s: _or_nan(s.token_error, _log),
    "answer-differs": lambda s: _or_nan(s.answer_differs, lambda chance: -_logit(chance)),
    "energy": lambda s: _or_nan(s.retained_energy, lambda share: share),
    "bytes": lambda s: math.log2(1 + max(s.received_bytes, 0)),
}
"""What a curve may read, each on a scale on which odds are about linear; NaN where it is unknown or no number."""


@dataclass(frozen=True)
class Curve:
    """Signals to a chance: logistic regression on standardised inputs and, where it has them, their products in pairs
    and the question's words.

    Attributes:
        inputs: names from ``INPUTS``.
        centre, spread: of each input on the questions it was fitted on.
        weights: log-odds per spread.
        bias: log-odds.
        words: per hashed word of the question, (64,) or empty.
        products: log-odds per product of two standardised inputs, squares included, in the order of
            :func:`products_of`; or empty.
    """

    inputs: tuple[str, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    words: tuple[float, ...] = ()
    products: tuple[float, ...] = ()

    def chance(self, signals: Signals) -> float | None:
        """0 to 1; None where one of its inputs is unknown."""
        found = float(self.chances([signals])[0])
        return None if math.isnan(found) else found

    def chances(self, signals: Sequence[Signals]) -> Double:
        """(S,) 0 to 1; 0 for an answer that says nothing, else NaN where one of its inputs is unknown."""
        values = (input_values(signals, self.inputs) - np.asarray(self.centre)) / np.asarray(self.spread)  # (S, inputs)
        odds = values @ np.asarray(self.weights) + self.bias
        if self.products:
            odds = odds + products_of(values) @ np.asarray(self.products)
        if self.words:
            odds = odds + word_values(signals) @ np.asarray(self.words)
        found = 1 / (1 + np.exp(-np.clip(odds, -_MAX_LOGIT, _MAX_LOGIT)))
        return np.asarray(np.where([one.says_nothing for one in signals], 0.0, found))

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "inputs": list(self.inputs),
            "centre": list(self.centre),
            "spread": list(self.spread),
            "weights": list(self.weights),
            "bias": self.bias,
            "words": list(self.words),
            "products": list(self.products),
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """What ``to_json`` gave.

        Raises:
            BundleDamagedError: an input has no such name, or a number is missing, not finite or out of bounds.
        """
        names = tuple(data["inputs"])
        if not all(name in INPUTS for name in names) or not 1 <= len(names) <= len(INPUTS):
            raise _damaged(BundleFault.UNKNOWN)
        centre, spread, weights = (_numbers(data[key], (len(names),)) for key in ("centre", "spread", "weights"))
        if min(spread) <= 0:
            raise _damaged(BundleFault.RANGE)
        (bias,) = _numbers([data["bias"]], (1,))
        words = _numbers(data["words"], (0, WORD_BUCKETS))
        products = _numbers(data["products"], (0, len(names) * (len(names) + 1) // 2))
        return cls(names, centre, spread, weights, bias, words, products)


@dataclass(frozen=True)
class Calibration:
    """Curves by confidence, for both chances.

    Attributes:
        agrees, rights: curves by name: at least every one of ``CONFIDENCES`` that could be fitted, and "min-entropy".
        thresholds: per name, (share of answers that agree, least chance at which to stop) of a loop that stops at the
            first draft with at least this chance, rising; found on the questions that the curves were fitted on.
        facts: what it was fitted on; for people.
        settled: curves by name, as ``agrees``; empty lets ``enough`` go by ``agrees``.
        settled_thresholds: as ``thresholds``, of a loop that stops by ``settled``.
    """

    agrees: Mapping[str, Curve]
    rights: Mapping[str, Curve]
    thresholds: Mapping[str, Steps] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    settled: Mapping[str, Curve] = field(default_factory=dict)
    settled_thresholds: Mapping[str, Steps] = field(default_factory=dict)

    def probability(self, name: str, signals: Signals) -> float:
        """Chance that the answer is the one from uncompressed tokens.

        Where a signal is unknown (no error head, say) the combination that needs no codec stands in, then min-entropy.

        Args:
            name: one of ``CONFIDENCES``.
            signals: of the draft.

        Raises:
            UnknownNameError: no such confidence.
        """
        return _chance(self.agrees, name, signals)

    def right(self, name: str, signals: Signals) -> float:
        """Chance that the answer is the right one; otherwise as ``probability``."""
        return _chance(self.rights, name, signals)

    @property
    def knows_right(self) -> bool:
        """Whether right answers were known; else ``right`` is ``probability``."""
        return self.rights != self.agrees

    def enough(self, name: str, signals: Signals, quality: float) -> bool:
        """Whether to stop here, so that a share ``quality`` of all answers is the one from uncompressed tokens.

        Args:
            name: one of ``CONFIDENCES``.
            signals: of the draft.
            quality: 0 to 1; what the whole stream does not reach lets it run to its end nearly always.

        Raises:
            UnknownNameError: no such confidence.
            UsageError: ``quality`` is not within 0 to 1.
        """
        chance, wanted = self.weighed(name, signals, quality)
        return chance >= wanted

    def weighed(self, name: str, signals: Signals, quality: float) -> tuple[float, float]:
        """The chance that :meth:`enough` goes by, and the one from which on it is enough.

        Raises:
            UnknownNameError, UsageError: as there.
        """
        if not self.settled:
            return self.probability(name, signals), self.threshold(name, quality)
        return _chance(self.settled, name, signals), _threshold(self.settled_thresholds, name, quality)

    def threshold(self, name: str, quality: float) -> float:
        """The ``probability`` to stop at, so that a share ``quality`` of all answers agrees.

        Asking for the first draft that is likely enough picks drafts that look better than they are, so this is not
        ``quality`` itself. Linear between what was measured; above the best that was measured, the best.

        Raises:
            UnknownNameError: no such confidence.
            UsageError: ``quality`` is not within 0 to 1.
        """
        return _threshold(self.thresholds, name, quality)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "format": _FORMAT,
            "agrees": {name: curve.to_json() for name, curve in self.agrees.items()},
            "right": {name: curve.to_json() for name, curve in self.rights.items()},
            "settled": {name: curve.to_json() for name, curve in self.settled.items()},
            "thresholds": {name: [list(step) for step in steps] for name, steps in self.thresholds.items()},
            "settled_thresholds": {
                name: [list(step) for step in steps] for name, steps in self.settled_thresholds.items()
            },
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """What ``to_json`` gave.

        Raises:
            BundleDamagedError: another format, or numbers that no fit writes.
        """
        try:
            if data["format"] != _FORMAT:
                raise _damaged(BundleFault.FORMAT)
            if not isinstance(data["facts"], dict) or not data["agrees"]:
                raise _damaged(FileFault.CONTENT)
            agrees, rights, settled = (_curves(data[key]) for key in ("agrees", "right", "settled"))
            thresholds, stops = (
                {_known(name): _steps(steps) for name, steps in data[key].items()}
                for key in ("thresholds", "settled_thresholds")
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _damaged(FileFault.CONTENT) from error
        return cls(agrees, rights, thresholds, data["facts"], settled, stops)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read ``calibration.json``.

        Raises:
            BundleDamagedError: it is missing, too large, or not one of these.
        """
        return cls.from_json(read_json_object(path, max_bytes=_MAX_BYTES, error=_damaged, links=False))

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(self.to_json()) + "\n", encoding="utf-8")


def input_values(signals: Sequence[Signals], names: Sequence[str]) -> Double:
    """(S, inputs) float64 of the named inputs, NaN where unknown or infinite: what a curve is fitted on."""
    rows = [[INPUTS[name](one) for name in names] for one in signals]
    values = np.asarray(rows, dtype=np.float64).reshape(len(signals), len(names))
    return np.where(np.isfinite(values), values, np.nan)


def products_of(values: Double) -> Double:
    """(S, n (n + 1) / 2) products of (S, n) columns in pairs, each with itself and those behind it."""
    first, second = np.triu_indices(values.shape[1])
    return np.asarray(values[:, first] * values[:, second])


def word_values(signals: Sequence[Signals]) -> FloatArray:
    """(S, 64) float32 hashed words of the questions."""
    known = {question: question_features(question) for question in {one.question for one in signals}}
    return np.asarray([known[one.question] for one in signals]).reshape(len(signals), WORD_BUCKETS)


def _chance(curves: Mapping[str, Curve], name: str, signals: Signals) -> float:
    if name not in CONFIDENCES:
        raise UnknownNameError("confidence", CONFIDENCES)
    for known in (name, *_FALLBACKS):
        curve = curves.get(known)
        chance = None if curve is None else curve.chance(signals)
        if chance is not None:
            return chance
    return 0.0  # nothing is known of the answer: not even its tokens' probabilities


def _threshold(thresholds: Mapping[str, Steps], name: str, quality: float) -> float:
    if name not in CONFIDENCES:
        raise UnknownNameError("confidence", CONFIDENCES)
    if not 0 <= quality <= 1:
        raise UsageError.of_argument("quality", "0 to 1", quality)
    steps = thresholds.get(name, ())
    if not steps:
        return quality
    qualities, chances = zip(*steps, strict=True)
    return float(np.interp(quality, qualities, chances))


def _curves(data: Any) -> dict[str, Curve]:
    if data and "min-entropy" not in data:
        raise _damaged(FileFault.CONTENT)
    return {_known(name): Curve.from_json(curve) for name, curve in data.items()}


def _known(name: Any) -> str:
    if name not in (*CONFIDENCES, WITHOUT_CODEC):
        raise _damaged(BundleFault.UNKNOWN)
    return str(name)


def _steps(data: Any) -> Steps:
    if not 1 <= len(data) <= _MAX_STEPS:
        raise _damaged(BundleFault.TOO_MANY if data else FileFault.EMPTY)
    steps = []
    for step in data:
        quality, chance = _numbers(step, (2,))
        steps.append((quality, chance))
    flat = np.asarray(steps)
    if flat.min() < 0 or flat.max() > 1:
        raise _damaged(BundleFault.RANGE)
    if np.any(np.diff(flat, axis=0) < 0):
        raise _damaged(BundleFault.ORDER)
    return tuple(steps)


def _numbers(data: Any, lengths: tuple[int, ...]) -> tuple[float, ...]:
    """A list of finite numbers whose length is one of ``lengths``."""
    if not isinstance(data, list) or len(data) not in lengths:
        raise _damaged(BundleFault.SHAPE)
    if not all(type(value) in (int, float) for value in data):
        raise _damaged(FileFault.CONTENT)
    if not all(abs(value) <= _MAX_VALUE for value in data):  # NaN compares false
        raise _damaged(BundleFault.RANGE)
    return tuple(float(value) for value in data)

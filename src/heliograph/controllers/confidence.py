"""How sure the cloud is of a draft: its signals from the drafts so far, and the calibrated chances made of them.

The chances themselves are :class:`heliograph.codec.calibration.Calibration`, which lies beside the codec it was
fitted with; here the drafts of one question become the signals that it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from heliograph.codec.calibration import CALIBRATION, COMBINED, CONFIDENCES, Calibration, Signals
from heliograph.codec.expectation import Expectation
from heliograph.errors import UsageError
from heliograph.types import Answer, says_nothing


@dataclass(frozen=True)
class Draft:
    """An answer and the payload bytes of the prefix it was made from."""

    answer: Answer
    received_bytes: int


MAX_CALIBRATED_TOKENS = 12
"""Calibrations are fitted on answers of at most so many tokens; of longer ones their curves could only extrapolate."""

UNFAMILIAR_SHARE = 0.25
"""The share of the calibrated chance that is left for a photo that is certainly none of the fitted kind: nothing was
calibrated on such photos (docs/decisions/0029-unfamiliar-photos.md)."""


def shown_confidence(
    answer: Answer, signals: Signals | None, calibration: Calibration | None, likelihood: float | None = None
) -> float:
    """The chance, 0 to 1, that an answer is right, as users are shown it.

    The calibrated chance of an answer from as much as has arrived; the model's own confidence where nothing is
    calibrated, as of answers longer than :data:`MAX_CALIBRATED_TOKENS`. A calibration without right answers knows
    the chance that the answer is that from uncompressed tokens: the model's own confidence is taken times that.

    Args:
        answer: a draft, or the final one.
        signals: of it; None where unknown.
        calibration: None for none.
        likelihood: chance that the photo is of the kind that codec and calibration were fitted on; None where unknown.
    """
    chance = answer.confidence
    if calibration is not None and signals is not None and signals.answer_tokens <= MAX_CALIBRATED_TOKENS:
        right = calibration.right(COMBINED, signals)
        chance = right if calibration.knows_right else right * chance
    return chance if likelihood is None else chance * (likelihood + (1 - likelihood) * UNFAMILIAR_SHARE)


def signals_of(
    drafts: Sequence[Draft],
    *,
    question: str = "",
    expectation: Expectation | None = None,
    retained_energy: float | None = None,
) -> Signals:
    """What is known of the newest draft.

    Args:
        drafts: of one question, the newest last, at least one. Drafts are the same where their token ids are.
        question: as asked.
        expectation: of the newest prefix, from ``Codec.expect`` with the question; None without an error head.
        retained_energy: of the newest prefix, 0 to 1; None where unknown.

    Raises:
        UsageError: no draft.
    """
    if not drafts:
        raise UsageError().noted("drafts must hold at least one draft, not none.")
    newest = drafts[-1]
    answer = newest.answer
    same = list(takewhile(lambda draft: draft.answer.token_ids == answer.token_ids, reversed(drafts)))
    return Signals(
        min_entropy_bits=answer.min_entropy_bits,
        first_bits=answer.token_bits[0] if answer.token_bits else answer.min_entropy_bits,
        entropy_bits=answer.entropy_bits,
        margin=answer.margin,
        answer_tokens=0 if says_nothing(answer.text) else len(answer.token_ids),
        stable_drafts=len(same),
        token_error=None if expectation is None else expectation.token_error,
        answer_differs=None if expectation is None else expectation.answer_differs,
        retained_energy=retained_energy,
        received_bytes=newest.received_bytes,
        stable_bytes=newest.received_bytes - same[-1].received_bytes,
        question=question,
    )


__all__ = [
    "CALIBRATION",
    "COMBINED",
    "CONFIDENCES",
    "Calibration",
    "Draft",
    "Signals",
    "shown_confidence",
    "signals_of",
]

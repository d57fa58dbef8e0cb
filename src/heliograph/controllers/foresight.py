"""What a codec predicts of a prefix, in the shape that calibrated chances are read from."""

from __future__ import annotations

from math import nan

from heliograph.codec.calibration import Signals
from heliograph.codec.expectation import Expectation


def predicted_signals(expectation: Expectation, received_bytes: int, question: str) -> Signals:
    """The signals of an answer that was never made: all that belongs to an answer is unknown."""
    return Signals(
        min_entropy_bits=nan,
        first_bits=nan,
        entropy_bits=nan,
        margin=nan,
        answer_tokens=0,
        stable_drafts=0,
        token_error=expectation.token_error,
        answer_differs=expectation.answer_differs,
        retained_energy=None,
        received_bytes=received_bytes,
        question=question,
    )

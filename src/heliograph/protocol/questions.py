"""A question and its QUESTION frame: names to pinned numbers and bounds to codes, and back."""

from __future__ import annotations

import math
from dataclasses import replace

from heliograph.protocol.codes import bytes_of_code, code_of_bytes, code_of_milliseconds, milliseconds_of_code
from heliograph.protocol.frames import QuestionFrame, QuestionOptions
from heliograph.protocol.texts import question_text
from heliograph.protocol.wire_ids import CONFIDENCE_WIRE_IDS, CONTROLLER_WIRE_IDS, REGION_WIRE_IDS
from heliograph.question import Question

_MS_PER_S = 1000
_DECIMALS = 6
"""Decimals of milliseconds: what floating point adds to a number of them told in seconds is less."""


def question_frame(question_id: int, image_id: int, question: Question, *, image_follows: bool) -> QuestionFrame:
    """The frame that asks a question. What it leaves open is filled in; its bounds are rounded down to their codes.

    Args:
        question_id, image_id: of the session.
        question: what to ask.
        image_follows: the photo is announced next.

    Raises:
        UnknownNameError: no number is pinned for its controller, confidence or region policy.
    """
    return QuestionFrame(
        question_id,
        image_id,
        CONTROLLER_WIRE_IDS.of(question.effective_controller),
        question.effective_target,
        question.max_answer_tokens,
        image_follows,
        question.text.encode(),
        QuestionOptions(
            confidence_id=CONFIDENCE_WIRE_IDS.of(question.confidence),
            byte_budget_code=code_of_bytes(question.byte_budget),
            answer_within_code=code_of_milliseconds(_milliseconds(question.answer_within_s)),
            region_id=REGION_WIRE_IDS.of(question.region),
        ),
    )


def question_of_frame(frame: QuestionFrame) -> Question:
    """The question that a frame asks.

    Raises:
        QuestionEmptyError, QuestionTooLongError, FrameDamagedError: its text is none.
        UnknownNameError: no controller, confidence or region policy has such a number in this version.
    """
    options = frame.options
    milliseconds = milliseconds_of_code(options.answer_within_code)
    return replace(
        Question(question_text(frame.text)),  # its text is judged before anything else
        controller=CONTROLLER_WIRE_IDS.name_of(frame.controller_id),
        target=frame.target,
        confidence=CONFIDENCE_WIRE_IDS.name_of(options.confidence_id),
        byte_budget=bytes_of_code(options.byte_budget_code),
        answer_within_s=None if milliseconds is None else milliseconds / _MS_PER_S,
        region=REGION_WIRE_IDS.name_of(options.region_id),
        max_answer_tokens=frame.max_answer_tokens,
    )


def as_heard(question: Question) -> Question:
    """The question as the other end will read it: nothing left open, bounds rounded down to what a code says.

    Raises:
        UnknownNameError: no number is pinned for its controller, confidence or region policy.
    """
    return question_of_frame(question_frame(0, 0, question, image_follows=False))


def _milliseconds(seconds: float | None) -> int | None:
    """Whole milliseconds, rounded down, at least 1."""
    return None if seconds is None else max(1, math.floor(round(seconds * _MS_PER_S, _DECIMALS)))

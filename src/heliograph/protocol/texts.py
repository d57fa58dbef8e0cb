"""Questions and answers as the cloud hears and says them: bounds, differences, confidence in one byte."""

from __future__ import annotations

import math

from heliograph.errors import QuestionTooLongError
from heliograph.protocol.fields import decode_text
from heliograph.protocol.frames import NO_FLAGS, AnswerFlag, AnswerFrame
from heliograph.protocol.limits import (
    MAX_ANSWER_CHARACTERS,
    MAX_QUESTION_CHARACTERS,
    MAX_SEGMENTS_PER_IMAGE,
    MAX_UTF8_BYTES_PER_CHARACTER,
)


def question_text(data: bytes) -> str:
    """The question's text in a QUESTION frame; :class:`heliograph.question.Question` judges it further.

    Raises:
        QuestionTooLongError: too long in any case.
        FrameDamagedError: it is not UTF-8.
    """
    if len(data) > MAX_QUESTION_CHARACTERS * MAX_UTF8_BYTES_PER_CHARACTER:
        raise QuestionTooLongError  # judged before it is decoded
    return decode_text(data)


def answer_bytes(text: str) -> bytes:
    """An answer as it travels, cut at 4000 characters."""
    return text[:MAX_ANSWER_CHARACTERS].encode("utf-8", "replace")


def answer_frame(
    question_id: int,
    data: bytes,
    previous: bytes,
    confidence: float,
    segments_used: int,
    *,
    final: bool,
    flags: AnswerFlag = NO_FLAGS,
) -> AnswerFrame:
    """DRAFT or FINAL, as the difference to the previous draft."""
    most = min(len(previous), len(data))
    shared = next((i for i in range(most) if previous[i] != data[i]), most)
    used = min(max(segments_used, 0), MAX_SEGMENTS_PER_IMAGE)
    return AnswerFrame(question_id, used, _confidence_byte(confidence), shared, data[shared:], final, flags)


def _confidence_byte(confidence: float) -> int:
    if math.isnan(confidence):
        return 0  # a model that cannot tell is not sure
    return round(min(max(confidence, 0.0), 1.0) * 255)

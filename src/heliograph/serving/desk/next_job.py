"""What the model is to do for a question next. No I/O."""

from __future__ import annotations

from math import inf

from heliograph.controllers.region.policies import Price
from heliograph.serving.desk.photo import Photo
from heliograph.serving.desk.question import OpenQuestion
from heliograph.serving.desk.states import QuestionState
from heliograph.serving.jobs import UNKNOWN_PRICE, AnswerJob, Purpose

_SHORT_S = 0.005


def purpose_of(question: OpenQuestion, photo: Photo, now: float, patience_s: float) -> Purpose | None:
    """What there is to do; None for nothing yet.

    Args:
        question: an open one.
        photo: of the question, held.
        now: seconds.
        patience_s: a draft waits until its oldest news has been here for so long.
    """
    match question.state:
        case QuestionState.STREAMING:
            return Purpose.DRAFT if news_s(question, photo) + patience_s <= now else None
        case QuestionState.ANSWERING if not question.has_first_answer(photo):
            return Purpose.FINAL
        case QuestionState.ANSWERING if question.wants_look:
            return Purpose.LOOK
        case QuestionState.SECOND_ANSWER:
            return Purpose.SECOND
        case _:
            return None


def job_of(question: OpenQuestion, photo: Photo, purpose: Purpose, price: Price, crop: Photo | None) -> AnswerJob:
    """The piece of work, with the newest prefix; after a first answer with the prefix that it was made from.

    Args:
        question: an open one.
        photo: of the question.
        purpose: what for.
        price: of a look.
        crop: photo of the region, for a second answer.
    """
    if purpose in (Purpose.LOOK, Purpose.SECOND) and question.draft_segments < len(photo):
        encoded = photo.encoded(question.draft_segments)
        tokens = photo.tokens if photo.tokens_segments == question.draft_segments else None
    else:
        encoded, tokens = photo.encoded(), photo.newest_tokens()
    return AnswerJob(
        question.asked.question_id,
        question.asked.image_id,
        question.asked.question,
        encoded,
        tokens,
        question.draft,
        purpose,
        price if purpose is Purpose.LOOK else UNKNOWN_PRICE,
        question.signals,
        crop.encoded() if crop is not None and purpose is Purpose.SECOND else None,
    )


def news_s(question: OpenQuestion, photo: Photo) -> float:
    """When the first segment came that no draft of this question has seen; infinity where there is none."""
    tried = max(question.tried_segments, 0)
    return photo.arrived_s(tried) if tried < len(photo) else inf


def uplink_bit_s(photo: Photo) -> float:
    """Rate of the device's uplink, from when the segments came; 0 where they came at once."""
    took_s = photo.arrived_s(-1) - photo.arrived_s(0) if len(photo) else 0.0
    if len(photo) < 2 or took_s < _SHORT_S:
        return 0.0
    return 8 * (photo.payload_bytes - photo.prefix_bytes(1)) / took_s

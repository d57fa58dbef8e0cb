"""What the model is to do for a question next. No I/O."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from math import inf
from typing import NamedTuple

from heliograph.controllers.region.policies import Price
from heliograph.serving.desk.photo import Photo
from heliograph.serving.desk.question import OpenQuestion
from heliograph.serving.desk.states import QuestionState
from heliograph.serving.fair.urgency import Rank, Urgency, rank_of
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


class Waiting(NamedTuple):
    """Something that could be begun now.

    Attributes:
        question: an open one.
        photo: of the question, held.
        purpose: what there is to do.
        urgency: beside what else waits.
    """

    question: OpenQuestion
    photo: Photo
    purpose: Purpose
    urgency: Urgency


def waiting_of(
    questions: Mapping[int, OpenQuestion],
    photos: Mapping[int, Photo],
    working: Container[int],
    now: float,
    patience_s: float,
) -> list[Waiting]:
    """What could be begun now of open questions, in their order; a device's wait is noted where it begins.

    Args:
        questions: open ones, by id.
        photos: those that are held, by id.
        working: questions of which something is being done: they wait for that.
        now: seconds.
        patience_s: a draft waits until its oldest news has been here for so long.
    """
    found = []
    for question_id, question in questions.items():
        photo = photos.get(question.asked.image_id)
        purpose = None if photo is None else purpose_of(question, photo, now, patience_s)
        if photo is None or purpose is None:
            continue
        urgency = _urgency(question, photo, rank_of(purpose), now)
        if question_id not in working:
            found.append(Waiting(question, photo, purpose, urgency))
    return found


def most_urgent(waiting: Iterable[Waiting], now: float) -> Waiting | None:
    """The one that goes first; of equal ones the first."""
    return min(waiting, key=lambda one: one.urgency.order(now), default=None)


def _urgency(question: OpenQuestion, photo: Photo, rank: Rank, now: float) -> Urgency:
    if rank is Rank.DRAFT:
        return Urgency(rank, news_s(question, photo), question.wanted_s)
    if question.awaited_s is None:
        question.awaited_s = now
    return Urgency(rank, question.awaited_s, question.wanted_s)


def draft_due_s(
    questions: Mapping[int, OpenQuestion], photos: Mapping[int, Photo], working: Container[int], patience_s: float
) -> float:
    """When the next draft will have waited long enough; infinity where nothing is to be drafted. Arguments as of
    :func:`waiting_of`."""
    idle = (question for question_id, question in questions.items() if question_id not in working)
    pairs = ((question, photos.get(question.asked.image_id)) for question in idle)
    return min((news_s(q, p) for q, p in pairs if p is not None and not q.decided), default=inf) + patience_s


def job_of(
    question: OpenQuestion,
    photo: Photo,
    purpose: Purpose,
    price: Price,
    crop: Photo | None,
    waited_s: float | None = None,
) -> AnswerJob:
    """The piece of work, with the newest prefix; after a first answer with the prefix that it was made from.

    Args:
        question: an open one.
        photo: of the question.
        purpose: what for.
        price: of a look.
        crop: photo of the region, for a second answer.
        waited_s: how long the device has waited for this to begin; None for a draft.
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
        waited_s,
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

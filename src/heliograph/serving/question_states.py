"""The life of one question in the cloud: one table of states and events, printed in ``docs/questions.md``.

::

    waiting for photo -> streaming -> answering ----------------------------------------------> done
                                          '--> first answer -> region asked -> crop coming -> second answer --'

:class:`heliograph.serving.desk.Desk` says what has happened, looks up what follows, and does it or has it done. What is
not in the table changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class QuestionState(Enum):
    """Where a question stands; the value says so in words."""

    WAITING = "waiting for photo"
    STREAMING = "streaming"
    ANSWERING = "answering"
    FIRST_ANSWER = "first answer"
    REGION_ASKED = "region asked"
    CROP_COMING = "crop coming"
    SECOND_ANSWER = "second answer"
    DONE = "done"


class Happening(Enum):
    """What can happen to a question; the value says it in words."""

    PHOTO_ANNOUNCED = "its photo is announced, or was held when the question came"
    WAIT = "its controller lets the stream run on"
    MORE = "its controller wants further segments from a device that waits to be asked"
    ENOUGH = "its controller has enough"
    DECIDING_FAILED = "its controller, or what is measured for it, has failed in a way that nobody foresaw"
    MEASURING_FAILED = "what has arrived cannot be measured: it is damaged"
    ANSWER_DUE = "an answer that begins later would be late"
    OVERDUE = "nothing has come of its photo for too long, but something had before"
    NOTHING_CAME = "nothing has come of its photo for too long, and nothing had before"
    DRAFT_MADE = "the model has made an answer that the device is to see"
    ANSWER_FAILED = "the model cannot answer from what has arrived"
    ANSWERED = "there is an answer from everything that counts, and no look is wanted"
    LOOK_BEGUN = "there is an answer from everything that counts, and the model looks where a region would help"
    NOTHING_TO_SEE = "no region would help"
    LOOK_FAILED = "the look has failed"
    NO_REGION_LEFT = "a region would help, but the session has had all it may"
    REGION_FOUND = "a region would help"
    REGION_LOST = "the region cannot be asked for, the device has none, or its photo is gone"
    REGION_LATE = "the region, with the answer from it, takes too long"
    CROP_ANNOUNCED = "the device has said which photo the region is"
    CROP_COMPLETE = "the region is here as a whole"
    SECOND_MADE = "the model has answered from photo and region together"
    SECOND_FAILED = "the model cannot answer from photo and region together"
    CANCELLED = "the device wants no answer any more"
    PHOTO_GONE = "its photo is not held any more"
    INTERRUPTED = "the connection broke"


class Effect(Enum):
    """What is done about it; the value says it in words."""

    LOOK_AT_PHOTO = "have the photo measured, where that is wanted, and the controllers asked"
    ASK_MORE = "ask the device for as many segments as the most demanding question about the photo wants"
    STOP_STREAM = "stop the device, unless another question about the photo needs more"
    SEND_DRAFT = "send the newest answer as a draft"
    SEND_FINAL = "send the answer that is there as the final one"
    SEND_ERROR = "tell the device that the question failed, and of what"
    ASK_REGION = "ask the device for the region"
    SAY_CONTROLLER_FAILED = "have the final answer say that what decides failed"
    SAY_REGION_MISSED = "have the final answer say that it is the first one, for want of the region"


S, H, E = QuestionState, Happening, Effect


@dataclass(frozen=True)
class Transition:
    """What follows.

    Attributes:
        state: that the question is in then.
        effects: in order.
    """

    state: QuestionState
    effects: tuple[Effect, ...] = ()


_BEFORE_ENOUGH = (S.WAITING, S.STREAMING)
_SECOND_LOOK = (S.REGION_ASKED, S.CROP_COMING, S.SECOND_ANSWER)
OPEN_STATES = tuple(state for state in S if state is not S.DONE)
DECIDED_STATES = tuple(state for state in OPEN_STATES if state not in _BEFORE_ENOUGH)
"""The photo is not waited for any more."""

TABLE: dict[tuple[QuestionState, Happening], Transition] = {
    (S.WAITING, H.PHOTO_ANNOUNCED): Transition(S.STREAMING, (E.LOOK_AT_PHOTO,)),
    (S.WAITING, H.NOTHING_CAME): Transition(S.DONE, (E.SEND_ERROR,)),
    (S.STREAMING, H.NOTHING_CAME): Transition(S.DONE, (E.SEND_ERROR,)),
    (S.STREAMING, H.WAIT): Transition(S.STREAMING),
    (S.STREAMING, H.MORE): Transition(S.STREAMING, (E.ASK_MORE,)),
    (S.STREAMING, H.ENOUGH): Transition(S.ANSWERING, (E.STOP_STREAM,)),
    (S.STREAMING, H.DECIDING_FAILED): Transition(S.ANSWERING, (E.SAY_CONTROLLER_FAILED, E.STOP_STREAM)),
    (S.STREAMING, H.MEASURING_FAILED): Transition(S.DONE, (E.SEND_ERROR,)),
    (S.STREAMING, H.ANSWER_DUE): Transition(S.STREAMING, (E.LOOK_AT_PHOTO,)),
    (S.STREAMING, H.OVERDUE): Transition(S.ANSWERING, (E.LOOK_AT_PHOTO,)),
    (S.STREAMING, H.DRAFT_MADE): Transition(S.STREAMING, (E.SEND_DRAFT, E.LOOK_AT_PHOTO)),
    (S.STREAMING, H.ANSWER_FAILED): Transition(S.DONE, (E.SEND_ERROR,)),
    (S.ANSWERING, H.DRAFT_MADE): Transition(S.ANSWERING, (E.SEND_DRAFT,)),
    (S.ANSWERING, H.ANSWER_FAILED): Transition(S.DONE, (E.SEND_ERROR,)),
    (S.ANSWERING, H.ANSWERED): Transition(S.DONE, (E.SEND_FINAL,)),
    (S.ANSWERING, H.LOOK_BEGUN): Transition(S.FIRST_ANSWER),
    (S.FIRST_ANSWER, H.NOTHING_TO_SEE): Transition(S.DONE, (E.SEND_FINAL,)),
    (S.FIRST_ANSWER, H.LOOK_FAILED): Transition(S.DONE, (E.SAY_CONTROLLER_FAILED, E.SEND_FINAL)),
    (S.FIRST_ANSWER, H.NO_REGION_LEFT): Transition(S.DONE, (E.SAY_REGION_MISSED, E.SEND_FINAL)),
    (S.FIRST_ANSWER, H.REGION_FOUND): Transition(S.REGION_ASKED, (E.ASK_REGION,)),
    (S.REGION_ASKED, H.CROP_ANNOUNCED): Transition(S.CROP_COMING),
    (S.CROP_COMING, H.CROP_COMPLETE): Transition(S.SECOND_ANSWER),
    (S.SECOND_ANSWER, H.SECOND_MADE): Transition(S.DONE, (E.SEND_FINAL,)),
    (S.SECOND_ANSWER, H.SECOND_FAILED): Transition(S.DONE, (E.SAY_REGION_MISSED, E.SEND_FINAL)),
    **{
        (state, happening): Transition(S.DONE, (E.SAY_REGION_MISSED, E.SEND_FINAL))
        for state in _SECOND_LOOK
        for happening in (H.REGION_LOST, H.REGION_LATE)
    },
    **{
        (state, happening): Transition(S.DONE)
        for state in OPEN_STATES
        for happening in (H.CANCELLED, H.PHOTO_GONE, H.INTERRUPTED)
    },
}

TIME_LIMITS = {S.STREAMING: H.ANSWER_DUE, **dict.fromkeys(_SECOND_LOOK, H.REGION_LATE)}
"""State -> what happens there in the end by itself; whoever has a clock asks when, see
:attr:`heliograph.serving.question_book.QuestionBook.due_s`."""

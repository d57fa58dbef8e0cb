"""The life of one question in the cloud: one table of states and events, printed in ``docs/questions.md``.

::

    waiting for photo -> streaming -> answering ----------------------------------------------> done
                                          '--> first answer -> region asked -> crop coming -> second answer --'

:class:`heliograph.serving.desk.desk.Desk` says what has happened, looks up what follows, and does it or has it done.
What is not in the table changes nothing.
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


class QuestionEvent(Enum):
    """What can happen to a question; the value says it in words."""

    PHOTO_ANNOUNCED = "its photo is announced, or was held when the question came"
    WAIT = "its controller lets the stream run on"
    MORE = "its controller wants further segments from a device that waits to be asked"
    ENOUGH = "its controller has enough"
    DECIDING_FAILED = "its controller, or what is measured for it, has failed in an unforeseen way"
    MEASURING_FAILED = "what has arrived cannot be measured: it is damaged"
    ANSWER_DUE = "an answer that begins later would be late"
    OVERDUE = "nothing has come of its photo for too long, but something had before"
    NOTHING_CAME = "nothing has come of its photo for too long, and nothing had before"
    DRAFT_MADE = "the model has made an answer that the device is to see"
    ANSWER_FAILED = "the model cannot answer from what has arrived"
    ANSWERED = "there is an answer from everything that counts, and no look is wanted"
    LOOK_BEGUN = "there is an answer from everything that counts, and the model looks where a region would help"
    LOOK_SHED = "there is an answer from everything that counts, and the model has no time for the look that is wanted"
    NOTHING_TO_SEE = "no region would help"
    LOOK_FAILED = "the look has failed"
    NO_REGION_LEFT = "a region would help, but the session has had all it may"
    REGION_FOUND = "a region would help"
    REGION_LOST = "the region cannot be asked for, the device has none, or its photo is gone"
    REGION_LATE = "the region, with the answer from it, takes too long"
    CROP_ANNOUNCED = "the device has announced which photo the region is"
    CROP_COMPLETE = "the region is here as a whole"
    SECOND_MADE = "the model has answered from photo and region together"
    SECOND_FAILED = "the model cannot answer from photo and region together"
    CANCELLED = "the device no longer wants an answer"
    PHOTO_GONE = "its photo is not held any more"
    INTERRUPTED = "the connection broke"


class Effect(Enum):
    """What is done about it; the value says it in words."""

    LOOK_AT_PHOTO = "have the photo measured, where a controller needs that, and ask the controllers"
    ASK_MORE = "ask the device for as many segments as the most demanding question about the photo wants"
    STOP_STREAM = "stop the device, unless another question about the photo needs more"
    SEND_DRAFT = "send the newest answer as a draft"
    SEND_FINAL = "send the answer that is there as the final one"
    SEND_ERROR = "tell the device that the question failed, and why"
    ASK_REGION = "ask the device for the region"
    SAY_CONTROLLER_FAILED = "have the final answer say that what decides failed"
    SAY_REGION_MISSED = "have the final answer say that it is the first one, for want of the region"


State, Event = QuestionState, QuestionEvent


@dataclass(frozen=True)
class Transition:
    """What follows.

    Attributes:
        state: that the question is in then.
        effects: in order.
    """

    state: QuestionState
    effects: tuple[Effect, ...] = ()


_BEFORE_ENOUGH = (State.WAITING, State.STREAMING)
_SECOND_LOOK = (State.REGION_ASKED, State.CROP_COMING, State.SECOND_ANSWER)
OPEN_STATES = tuple(state for state in State if state is not State.DONE)
DECIDED_STATES = tuple(state for state in OPEN_STATES if state not in _BEFORE_ENOUGH)
"""The photo is not waited for any more."""

TABLE: dict[tuple[QuestionState, QuestionEvent], Transition] = {
    (State.WAITING, Event.PHOTO_ANNOUNCED): Transition(State.STREAMING, (Effect.LOOK_AT_PHOTO,)),
    (State.WAITING, Event.NOTHING_CAME): Transition(State.DONE, (Effect.SEND_ERROR,)),
    (State.STREAMING, Event.NOTHING_CAME): Transition(State.DONE, (Effect.SEND_ERROR,)),
    (State.STREAMING, Event.WAIT): Transition(State.STREAMING),
    (State.STREAMING, Event.MORE): Transition(State.STREAMING, (Effect.ASK_MORE,)),
    (State.STREAMING, Event.ENOUGH): Transition(State.ANSWERING, (Effect.STOP_STREAM,)),
    (State.STREAMING, Event.DECIDING_FAILED): Transition(
        State.ANSWERING, (Effect.SAY_CONTROLLER_FAILED, Effect.STOP_STREAM)
    ),
    (State.STREAMING, Event.MEASURING_FAILED): Transition(State.DONE, (Effect.SEND_ERROR,)),
    (State.STREAMING, Event.ANSWER_DUE): Transition(State.STREAMING, (Effect.LOOK_AT_PHOTO,)),
    (State.STREAMING, Event.OVERDUE): Transition(State.ANSWERING, (Effect.LOOK_AT_PHOTO,)),
    (State.STREAMING, Event.DRAFT_MADE): Transition(State.STREAMING, (Effect.SEND_DRAFT, Effect.LOOK_AT_PHOTO)),
    (State.STREAMING, Event.ANSWER_FAILED): Transition(State.DONE, (Effect.SEND_ERROR,)),
    (State.ANSWERING, Event.DRAFT_MADE): Transition(State.ANSWERING, (Effect.SEND_DRAFT,)),
    (State.ANSWERING, Event.ANSWER_FAILED): Transition(State.DONE, (Effect.SEND_ERROR,)),
    (State.ANSWERING, Event.ANSWERED): Transition(State.DONE, (Effect.SEND_FINAL,)),
    (State.ANSWERING, Event.LOOK_BEGUN): Transition(State.FIRST_ANSWER),
    (State.ANSWERING, Event.LOOK_SHED): Transition(State.DONE, (Effect.SAY_REGION_MISSED, Effect.SEND_FINAL)),
    (State.FIRST_ANSWER, Event.NOTHING_TO_SEE): Transition(State.DONE, (Effect.SEND_FINAL,)),
    (State.FIRST_ANSWER, Event.LOOK_FAILED): Transition(State.DONE, (Effect.SAY_CONTROLLER_FAILED, Effect.SEND_FINAL)),
    (State.FIRST_ANSWER, Event.NO_REGION_LEFT): Transition(State.DONE, (Effect.SAY_REGION_MISSED, Effect.SEND_FINAL)),
    (State.FIRST_ANSWER, Event.REGION_FOUND): Transition(State.REGION_ASKED, (Effect.ASK_REGION,)),
    (State.REGION_ASKED, Event.CROP_ANNOUNCED): Transition(State.CROP_COMING),
    (State.CROP_COMING, Event.CROP_COMPLETE): Transition(State.SECOND_ANSWER),
    (State.SECOND_ANSWER, Event.SECOND_MADE): Transition(State.DONE, (Effect.SEND_FINAL,)),
    (State.SECOND_ANSWER, Event.SECOND_FAILED): Transition(State.DONE, (Effect.SAY_REGION_MISSED, Effect.SEND_FINAL)),
    **{
        (state, event): Transition(State.DONE, (Effect.SAY_REGION_MISSED, Effect.SEND_FINAL))
        for state in _SECOND_LOOK
        for event in (Event.REGION_LOST, Event.REGION_LATE)
    },
    **{
        (state, event): Transition(State.DONE)
        for state in OPEN_STATES
        for event in (Event.CANCELLED, Event.PHOTO_GONE, Event.INTERRUPTED)
    },
}

TIME_LIMITS = {State.STREAMING: Event.ANSWER_DUE, **dict.fromkeys(_SECOND_LOOK, Event.REGION_LATE)}
"""State -> what happens there in the end by itself; whoever has a clock asks when, see
:attr:`heliograph.serving.desk.book.QuestionBook.due_s`."""

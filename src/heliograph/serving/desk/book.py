"""The open questions of one session, and everything that happens to them. No I/O.

Every event of a question passes through :meth:`QuestionBook.apply`, which looks it up in
:data:`heliograph.serving.desk.states.TABLE`. What the device has to learn about it waits for
:meth:`QuestionBook.take_steps`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from heliograph.protocol.events import QuestionAsked
from heliograph.protocol.frames import NO_FLAGS, AnswerFlag
from heliograph.serving.desk.question import OpenQuestion
from heliograph.serving.desk.states import TABLE, TIME_LIMITS, Effect, QuestionEvent, QuestionState
from heliograph.serving.desk.watchlist import Watchlist

_SAYS = {
    Effect.SAY_CONTROLLER_FAILED: AnswerFlag.CONTROLLER_FAILED,
    Effect.SAY_REGION_MISSED: AnswerFlag.REGION_MISSED,
}


@dataclass(frozen=True)
class Step:
    """One row of the table, taken.

    Attributes:
        question: with the state that it has now.
        event: what has happened.
        before: the state until then.
        effects: that follow, in order.
        facts: what is behind it, by name: ``observation`` and ``decision`` where a controller was asked, ``job`` and
            ``outcome`` of what the model has done, ``box`` of a region that was found, ``error`` of what failed.
    """

    question: OpenQuestion
    event: QuestionEvent
    before: QuestionState
    effects: tuple[Effect, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def question_id(self) -> int:
        """Number of the question within its session."""
        return self.question.asked.question_id


Watcher = Callable[[Step], None]
"""Looks on: is told of every step before anything is sent for it."""


def ignore_step(step: Step) -> None:
    """A watcher that ignores every step."""


class QuestionBook:
    """Questions by id, from when they are asked until nothing can happen to them any more.

    Attributes:
        open: those that are not done; one that is done leaves at once.
        watchlist: photos to look at again.
        watcher: called with every step.
        interrupted: questions that were open when the connection broke and had a draft, by photo and text.
    """

    def __init__(self) -> None:
        self.open: dict[int, OpenQuestion] = {}
        self.watchlist = Watchlist()
        self.watcher: Watcher = ignore_step
        self._steps: list[Step] = []
        self.interrupted: dict[tuple[int, str], OpenQuestion] = {}
        self._interrupted_s = 0.0

    def apply(self, question: OpenQuestion, event: QuestionEvent, **facts: Any) -> bool:
        """Take the row of the table for what has happened; False where there is none.

        Args:
            question: an open one.
            event: what has happened to it.
            facts: of :class:`Step`.
        """
        before = question.state
        transition = TABLE.get((before, event))
        if transition is None:
            return False
        question.state = transition.state
        for effect in transition.effects:
            question.flags |= _SAYS.get(effect, NO_FLAGS)
            if effect is Effect.LOOK_AT_PHOTO:
                self.watchlist.add(question.asked.image_id)
        if question.state is QuestionState.DONE:
            del self.open[question.asked.question_id]
        step = Step(question, event, before, transition.effects, facts)
        self.watcher(step)
        self._steps.append(step)
        return True

    def apply_to(self, question_id: int, event: QuestionEvent) -> None:
        """The same for an open question with this id; nothing where there is none."""
        question = self.open.get(question_id)
        if question is not None:
            self.apply(question, event)

    def take_steps(self) -> list[Step]:
        """What has happened since the last call, in order."""
        steps, self._steps = self._steps, []
        return steps

    # ---- which ones --------------------------------------------------------------------------------
    @property
    def held_bytes(self) -> int:
        """Memory of all questions, those of a broken connection included."""
        return sum(question.held_bytes for question in (*self.open.values(), *self.interrupted.values()))

    def about(self, image_id: int) -> list[OpenQuestion]:
        """Questions about a photo."""
        return [question for question in self.open.values() if question.asked.image_id == image_id]

    def undecided(self, image_id: int) -> list[OpenQuestion]:
        """Questions about a photo that do not have enough of it."""
        return [question for question in self.about(image_id) if not question.decided]

    def looking_at(self, crop_id: int) -> list[OpenQuestion]:
        """Questions whose region a photo shows."""
        return [question for question in self.open.values() if question.crop_id == crop_id]

    # ---- time --------------------------------------------------------------------------------------
    @property
    def due_s(self) -> float:
        """When :meth:`on_time` has something to do; infinity for never."""
        return min((question.due_s for question in self.open.values()), default=inf)

    def on_time(self, now: float) -> None:
        """Apply the time limits that are over by now."""
        for question in [q for q in self.open.values() if q.due_s <= now]:
            limit = TIME_LIMITS[question.state]
            del question.limits_s[limit]
            self.apply(question, limit)

    # ---- a broken connection -------------------------------------------------------------------------
    def interrupt(self, now: float) -> None:
        """The connection broke: questions will be asked anew, and what is known of their answers is kept for that.

        Nobody is left to hear of it, or to look on.
        """
        questions = list(self.open.values())
        for question in questions:
            self.apply(question, QuestionEvent.INTERRUPTED)
        self.interrupted = {(q.asked.image_id, q.asked.question.text): q for q in questions if q.draft}
        self._interrupted_s = now
        self.watchlist.clear()
        self._steps, self.watcher = [], ignore_step

    def knows(self, asked: QuestionAsked) -> bool:
        """Whether an equal question was open when the connection broke."""
        return (asked.image_id, asked.question.text) in self.interrupted

    def resume(self, question: OpenQuestion) -> None:
        """Give a question what is known of an equal one that was open when the connection broke."""
        asked = question.asked
        earlier = self.interrupted.pop((asked.image_id, asked.question.text), None)
        if earlier is not None:
            question.resume_from(earlier)

    def forget_interrupted(self, before_s: float) -> None:
        """Give up what no device has asked again since its connection broke before then."""
        if self._interrupted_s <= before_s:
            self.interrupted = {}

    def forget_interrupted_about(self, image_id: int) -> None:
        """Give up what is about a photo."""
        self.interrupted = {key: question for key, question in self.interrupted.items() if key[0] != image_id}

"""Attends to one session: events in, controllers and model asked, frames queued. It touches no socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from heliograph.errors import HeliographError, TimedOutError
from heliograph.protocol.events import (
    CropAnnounced,
    ErrorReceived,
    Event,
    ImageAnnounced,
    ImageFinished,
    ImageForgotten,
    QuestionAsked,
    QuestionCancelled,
    SegmentReceived,
    SessionClosed,
)
from heliograph.protocol.frames import AnswerFlag
from heliograph.protocol.limits import MAX_SEGMENTS_PER_IMAGE
from heliograph.protocol.session import CloudSession
from heliograph.serving.desk import Desk
from heliograph.serving.jobs import AnswerJob, Outcome, Purpose
from heliograph.serving.observing import Observer
from heliograph.serving.question import OpenQuestion, Region
from heliograph.serving.shared import Shared
from heliograph.serving.timers import QuestionTimers

_TIMER_SLACK_S = 0.01


class Outlet(Protocol):
    """Where queued frames go."""

    @property
    def full(self) -> bool:
        """Nothing more is to be made for a device that does not take what there is."""

    def wake(self) -> None:
        """Something was queued."""


class Attendant:
    """One session's desk, controllers and jobs.

    Args:
        session: queues frames.
        shared: of the server.
        outlet: carries them.
        on_change: called when something was made for the session that takes memory.

    Attributes:
        desk: photos and questions.
        observer: measures photos; somebody runs it.
    """

    def __init__(
        self, session: CloudSession, shared: Shared, outlet: Outlet, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._session, self._shared, self._outlet, self._on_change = session, shared, outlet, on_change
        self._metrics, self._clock = shared.metrics, shared.clock
        self.desk = self._empty_desk()
        self.observer = Observer(self, shared, self._decide)
        self._draft_timer: asyncio.TimerHandle | None = None
        self._timers = QuestionTimers()

    def _empty_desk(self) -> Desk:
        return Desk(self._shared.cloud.calibration, self._shared.limits.max_regions)

    def stop(self) -> Desk:
        """The session is over, or goes on elsewhere: its desk, which this one has no longer."""
        self._stop_draft_timer()
        self._timers.drop_all()
        self._shared.scheduler.remove(self)
        desk, self.desk = self.desk, self._empty_desk()
        return desk

    def owes_an_answer(self) -> bool:
        """Whether it is the device that waits."""
        return any(question.enough for question in self.desk.questions.values())

    # ---- what the device did -----------------------------------------------------------------------
    def on_event(self, event: Event) -> None:
        """Take one event of the session."""
        match event:
            case QuestionAsked():
                self._on_question(event)
            case ImageAnnounced():
                self.desk.announce(event, self._clock())
                self.observer.look_again(event.image_id)
            case SegmentReceived():
                self.desk.add_segment(event, self._clock())
                self.observer.look_again(event.image_id)
            case ImageFinished(image_id):
                self.desk.photos[image_id].finished = True
                self.observer.look_again(image_id)
            case ImageForgotten(image_id):
                self._forget(image_id)
            case CropAnnounced():
                self.desk.take_crop(event)
                self.go_on()
            case QuestionCancelled(question_id) | ErrorReceived(_, int() as question_id):
                self._close_question(question_id)
            case SessionClosed(error_class) if error_class is not None:
                self._metrics.errors_total += 1
            case _:
                pass

    def _on_question(self, asked: QuestionAsked) -> None:
        self._metrics.questions_total += 1
        try:
            self.desk.ask(asked, self._clock())
        except HeliographError as error:
            self.fail_question(asked.question_id, error)
            return
        self._aim_at_time(asked)
        if asked.image_id in self.desk.photos:
            self.observer.look_again(asked.image_id)

    def _aim_at_time(self, asked: QuestionAsked) -> None:
        """Ask the controller again when an answer that begins later would be late."""
        within_s = asked.question.answer_within_s
        if within_s is not None:
            wait_s = max(within_s - self._shared.patience.usual_s, 0.0)
            self._timers.set(asked.question_id, wait_s, lambda: self.observer.look_again(asked.image_id))

    def _close_question(self, question_id: int) -> None:
        self._timers.drop(question_id)
        self.desk.questions.pop(question_id, None)

    def _forget(self, image_id: int) -> None:
        self.desk.forget(image_id)
        self.observer.forget(image_id)
        self._timers.keep_only(self.desk.questions)
        self.go_on()

    # ---- what has waited for too long --------------------------------------------------------------
    def tidy(self) -> None:
        """End what waits for ever and drop what was held for long enough; to be called now and then."""
        now, limits = self._clock(), self._shared.limits
        if self._session.closed:
            return
        if not self._is_hearing_a_frame(now):
            self._end_overdue(now - limits.question_timeout_s)
        self.desk.forget_interrupted(now - limits.question_timeout_s)
        if limits.retain_s is not None:
            self.desk.forget_interrupted(now - limits.retain_s)
            for image_id in self.desk.unused(now - limits.retain_s):
                self._session.drop_image(image_id)
                self._forget(image_id)
        self._outlet.wake()

    def _is_hearing_a_frame(self, now: float) -> bool:
        """A long segment over a thin link is news, though it is not here yet."""
        heard_s = self._session.last_heard_s
        wait_s = self._shared.limits.question_timeout_s
        return self._session.held_bytes > 0 and heard_s is not None and now - heard_s < wait_s

    def _end_overdue(self, before_s: float) -> None:
        for question_id in self.desk.overdue(before_s):
            image_id = self.desk.questions[question_id].asked.image_id
            if self.desk.stop_waiting(question_id):
                self.observer.look_again(image_id)
            else:
                self.fail_question(question_id, TimedOutError())

    # ---- controllers -------------------------------------------------------------------------------
    def _decide(self, image_id: int) -> None:
        if self._session.closed or image_id not in self.desk.photos:
            return
        count = self._session.image_count(image_id)
        verdict = self.desk.decide(image_id, self._clock(), self._shared.patience.usual_s)
        if verdict.enough:
            if any(question.asked.image_id == image_id for question in self.desk.questions.values()):
                self._session.send_enough(image_id)
        elif verdict.more:
            self._session.send_more(image_id, min(verdict.more, MAX_SEGMENTS_PER_IMAGE))
        elif count is not None and count.enough:
            self._session.send_more(image_id, MAX_SEGMENTS_PER_IMAGE)  # a later question needs a better picture
        self.go_on()

    def go_on(self) -> None:
        """Send what is ready and let the model take what is next."""
        self._send_ready_finals()
        self._outlet.wake()
        self._shared.scheduler.ready(self)

    # ---- the model (scheduler.Client) --------------------------------------------------------------
    def next_job(self) -> AnswerJob | None:
        """The session's most urgent answer, from the newest prefix; a draft that is held back calls again.

        None also while the device does not take what was made for it: it gets no more of the model's time.
        """
        self._stop_draft_timer()
        if self._session.closed or self._outlet.full:
            return None
        now, patience_s = self._clock(), self._shared.patience.wait_s
        job = self.desk.next_job(now, patience_s)
        due_s = self.desk.draft_due_s(patience_s) if job is None else None
        if due_s is not None:
            loop, ready = asyncio.get_running_loop(), self._shared.scheduler.ready
            self._draft_timer = loop.call_later(max(due_s - now, 0.0), ready, self)
        return job

    def _stop_draft_timer(self) -> None:
        if self._draft_timer is not None:
            self._draft_timer.cancel()
            self._draft_timer = None

    def deliver(self, job: AnswerJob, outcome: Outcome) -> None:
        """Send what the model made."""
        self._metrics.model_jobs_total += 1
        self._metrics.model_seconds_total += outcome.seconds
        self._metrics.draft_tokens_kept_total += outcome.kept_tokens
        first = job.draft is None
        if first and outcome.answer is not None:
            self._shared.patience.note_answer(outcome.seconds)
        question = self.desk.deliver(job, outcome, self._clock())
        if question is None or self._session.closed:
            return
        if job.purpose in (Purpose.LOOK, Purpose.SECOND):
            self._on_second_look(question, outcome)
        elif outcome.error is not None:
            self.fail_question(job.question_id, outcome.error)
        elif outcome.answer is not None:
            self._note_first(question, first)
            if job.purpose is Purpose.DRAFT:
                self._metrics.drafts_total += 1
            if job.purpose is Purpose.DRAFT or question.region is not Region.DONE:
                self._send_draft(question, len(job.encoded.segments))
            self.observer.look_again(job.image_id)  # a controller may care for the draft
        self.go_on()
        self._on_change()

    def _send_draft(self, question: OpenQuestion, used: int) -> None:
        answer = question.draft
        assert answer is not None
        self._session.send_draft(question.asked.question_id, answer.text, answer.confidence, used)

    def _on_second_look(self, question: OpenQuestion, outcome: Outcome) -> None:
        if question.region is not Region.ASKED:
            return
        question_id, limits = question.asked.question_id, self._shared.limits
        assert outcome.box is not None, "a region is asked for where there is a box"
        if not self._session.send_region(question_id, outcome.box):
            question.keep_first(AnswerFlag.REGION_MISSED)
            return
        question.region_s = self._clock()

        def give_up() -> None:
            self.desk.give_up_regions(self._clock() - limits.region_timeout_s)
            self.go_on()

        self._timers.set(question_id, limits.region_timeout_s + _TIMER_SLACK_S, give_up)

    def _send_ready_finals(self) -> None:
        if self._session.closed:
            return
        for question_id in self.desk.ready_finals():
            question = self.desk.questions[question_id]
            answer = question.draft
            assert answer is not None, "it is ready"
            self._close_question(question_id)
            self._metrics.finals_total += 1
            self._metrics.final_seconds_sum += self._clock() - question.asked_s
            self._metrics.final_seconds_count += 1
            used, flags = question.draft_segments, question.flags
            self._session.send_final(question_id, answer.text, answer.confidence, used, flags)

    def _note_first(self, question: OpenQuestion, first: bool) -> None:
        if first:
            self._metrics.first_draft_seconds_sum += self._clock() - question.asked_s
            self._metrics.first_draft_seconds_count += 1

    def fail_question(self, question_id: int, error: HeliographError) -> None:
        """A question ends with an error; the session lives."""
        self._metrics.errors_total += 1
        self._close_question(question_id)
        if not self._session.closed:
            self._session.send_error(error, question_id)
        self._outlet.wake()

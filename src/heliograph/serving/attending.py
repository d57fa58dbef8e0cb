"""Attends to one session: events go to its desk, and what follows from them to the device and to the model.

It touches no socket. What is decided is the desk's; here are the frames, the counters, and the timers that the desk has
asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Protocol

from heliograph.errors import HeliographError, ServerBusyError
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
from heliograph.protocol.limits import MAX_SEGMENTS_PER_IMAGE
from heliograph.protocol.session import CloudSession
from heliograph.serving.access_log import ABANDONED, ANSWERED, Visitor
from heliograph.serving.alarm import Alarm
from heliograph.serving.desk.book import Step
from heliograph.serving.desk.desk import Desk
from heliograph.serving.desk.question import OpenQuestion
from heliograph.serving.desk.states import Effect, QuestionState
from heliograph.serving.fair.load import Shed
from heliograph.serving.fair.parties import Party
from heliograph.serving.fair.urgency import Urgency
from heliograph.serving.jobs import AnswerJob, Outcome, Purpose
from heliograph.serving.observing import Observer
from heliograph.serving.shared import Shared
from heliograph.serving.tracing import SessionTrace


class Outlet(Protocol):
    """Where queued frames go."""

    @property
    def full(self) -> bool:
        """Whether to make nothing more for a device that does not take what there is."""

    def wake(self) -> None:
        """Something was queued."""


class Attendant:
    """One session's desk, and who does what the desk has decided.

    Args:
        session: queues frames.
        shared: of the server.
        outlet: carries them.
        on_change: called when something was made for the session that takes memory.

    Attributes:
        desk: photos and questions.
        observer: measures photos; somebody runs it.
        trace: records the model's work and photos that go; None for nobody.
        visitor: the device, as the access log names it.
        party: whose session it is.
    """

    def __init__(
        self, session: CloudSession, shared: Shared, outlet: Outlet, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._session, self._shared, self._outlet, self._on_change = session, shared, outlet, on_change
        self._metrics, self._clock = shared.metrics, shared.clock
        self.trace: SessionTrace | None = None
        self.visitor = Visitor()
        self.party = Party()
        self._turn_s = -inf  # when the model last began something for this session
        self.desk = self._empty_desk()
        self.observer = Observer(self, shared)
        self._due = Alarm(self._clock, self._on_time)
        self._draft_due = Alarm(self._clock, lambda: shared.scheduler.ready(self))

    def _empty_desk(self) -> Desk:
        limits = self._shared.limits
        return Desk(self._shared.cloud.calibration, limits.max_regions, limits.region_timeout_s)

    def join(self, party: Party) -> None:
        """The session belongs to a party; before its first question."""
        self._shared.scheduler.remove(self)
        self.party = party

    def stop(self) -> Desk:
        """The session is over, or goes on elsewhere: its desk, which this one has no longer."""
        self._due.stop()
        self._draft_due.stop()
        self._shared.scheduler.remove(self)
        for question in self.desk.questions.values():
            self._log_end(question, ABANDONED)
        desk, self.desk = self.desk, self._empty_desk()
        return desk

    def has_pending_answer(self) -> bool:
        """Whether it is the device that waits."""
        return self.desk.has_pending_answer

    # ---- what the device did -----------------------------------------------------------------------
    def on_event(self, event: Event) -> None:
        """Take one event of the session."""
        desk, now = self.desk, self._clock()
        match event:
            case QuestionAsked():
                self._on_question(event, now)
            case ImageAnnounced():
                desk.announce(event, now)
            case SegmentReceived():
                desk.add_segment(event, now)
            case ImageFinished(image_id):
                desk.finish(image_id)
            case ImageForgotten(image_id):
                desk.forget(image_id)
            case CropAnnounced():
                desk.take_crop(event)
                self.advance()
            case QuestionCancelled(question_id) | ErrorReceived(_, int() as question_id):
                desk.cancel(question_id)
            case SessionClosed(error_class) if error_class is not None:
                self._metrics.errors_total += 1
            case _:
                pass
        self.carry_out()

    def _on_question(self, asked: QuestionAsked, now: float) -> None:
        self._metrics.questions_total += 1
        try:
            self._admit(asked, now)
            self.desk.ask(asked, now, self._answer_s(now))
        except HeliographError as error:
            self._send_error(asked.question_id, error)
            self._shared.access_log.question_ended(self.visitor, asked, error.name, 0.0)

    def _admit(self, asked: QuestionAsked, now: float) -> None:
        """Let a question in, unless this party's answers wait for too long already; one that was asked before the
        connection broke is no new one."""
        if self.desk.book.knows(asked) or not self._shared.refuses(self.party, now):
            return
        self._metrics.questions_refused_total += 1
        raise ServerBusyError

    def _answer_s(self, now: float) -> float:
        """What an answer takes here now: the wait for its turn, and the usual time of one."""
        return self._shared.patience.usual_s + self.party.load.queueing_s(now)

    # ---- time --------------------------------------------------------------------------------------
    def _on_time(self) -> None:
        self.desk.book.on_time(self._clock())
        self.advance()
        self._due.set(self.desk.book.due_s)  # a timer may ring a moment before its time

    def tidy(self) -> None:
        """End what waits for ever and drop what was held for long enough; to be called now and then."""
        now, limits = self._clock(), self._shared.limits
        if self._session.closed:
            return
        if not self._is_hearing_a_frame(now):
            self.desk.end_overdue(now - limits.question_timeout_s)
        self.desk.book.forget_interrupted(now - limits.question_timeout_s)
        if limits.retain_s is not None:
            self.desk.book.forget_interrupted(now - limits.retain_s)
            for image_id in self.desk.unused(now - limits.retain_s):
                self._session.drop_image(image_id)
                if self.trace is not None:
                    self.trace.photo_dropped(image_id)
                self.desk.forget(image_id)
        self.carry_out()

    def _is_hearing_a_frame(self, now: float) -> bool:
        """A long segment over a thin link is news, though it is not here yet."""
        heard_s = self._session.last_heard_s
        wait_s = self._shared.limits.question_timeout_s
        return self._session.held_bytes > 0 and heard_s is not None and now - heard_s < wait_s

    # ---- what follows ------------------------------------------------------------------------------
    def decide(self, image_id: int) -> None:
        """Have the controllers of a photo asked, and tell the device what they say together."""
        if self._session.closed or image_id not in self.desk.photos:
            return
        count, now = self._session.image_count(image_id), self._clock()
        self.desk.drafting = self.party.load.shed(now) < Shed.DRAFTS
        verdict = self.desk.decide(image_id, now, self._answer_s(now))
        if verdict.enough:
            self._session.send_enough(image_id)
        elif verdict.more:
            self._session.send_more(image_id, min(verdict.more, MAX_SEGMENTS_PER_IMAGE))
        elif verdict.waits and count is not None and count.enough:
            self._session.send_more(image_id, MAX_SEGMENTS_PER_IMAGE)  # a later question needs a better picture
        self.advance()

    def advance(self) -> None:
        """Send what is ready and let the model take what is next."""
        self.desk.settle()
        self.carry_out()
        self._outlet.wake()
        self._shared.scheduler.ready(self)

    def carry_out(self) -> None:
        """Do for the device what the desk's newest steps ask for, and set the timer."""
        book = self.desk.book
        while steps := book.take_steps():  # more of them where a region cannot be asked for
            for step in steps:
                for effect in step.effects:
                    if not self._session.closed:
                        self._do(effect, step)
                if step.question.state is QuestionState.DONE:
                    self._stop_working(step.question_id)
                    self._log_end(step.question, self._outcome(step))
            self._due.set(book.due_s)
            self._outlet.wake()
        if book.watchlist:
            self.observer.wake()

    def _do(self, effect: Effect, step: Step) -> None:
        match effect:
            case Effect.SEND_DRAFT:
                self._send_draft(step.question, len(step.facts["job"].encoded.segments))
            case Effect.SEND_FINAL:
                self._send_final(step.question)
            case Effect.SEND_ERROR:
                self._send_error(step.question_id, step.facts["error"])
            case Effect.ASK_REGION:
                if not self._session.send_region(step.question_id, step.facts["box"]):
                    self.desk.lose_region(step.question_id)
            case _:
                pass  # the desk's own, or of all questions about a photo together

    def _stop_working(self, question_id: int) -> None:
        job = self.desk.stop_working(question_id)
        if job is not None and self._shared.scheduler.cancel(job):
            self._metrics.jobs_cancelled_total += 1

    def _outcome(self, step: Step) -> str:
        """How a question has ended, as the access log says it."""
        if self._session.closed:
            return ABANDONED
        if Effect.SEND_ERROR in step.effects:
            return str(step.facts["error"].name)
        return ANSWERED if Effect.SEND_FINAL in step.effects else step.event.name.lower()

    def _log_end(self, question: OpenQuestion, outcome: str) -> None:
        self._shared.access_log.question_ended(
            self.visitor,
            question.asked,
            outcome,
            self._clock() - question.asked_s,
            self.desk.photos.get(question.asked.image_id),
            question.draft.text if outcome == ANSWERED and question.draft is not None else None,
        )

    def _send_draft(self, question: OpenQuestion, used: int) -> None:
        answer = question.draft
        assert answer is not None, "it was made"
        self._session.send_draft(question.asked.question_id, answer.text, question.confidence, used)

    def _send_final(self, question: OpenQuestion) -> None:
        answer = question.draft
        assert answer is not None, "it is ready"
        self._metrics.finals_total += 1
        self._metrics.final_seconds_sum += self._clock() - question.asked_s
        self._metrics.final_seconds_count += 1
        used, flags = question.draft_segments, question.flags
        self._session.send_final(question.asked.question_id, answer.text, question.confidence, used, flags)

    def _send_error(self, question_id: int, error: HeliographError) -> None:
        self._metrics.errors_total += 1
        self._session.send_error(error, question_id)
        self._outlet.wake()

    # ---- the model (scheduler.Client) --------------------------------------------------------------
    def urgency(self) -> Urgency | None:
        """How urgent the session's most urgent piece of work is, once what there is no time for is left undone; a draft
        that is held back calls again.

        None also while the device does not take what was made for it: it gets no more of the model's time.
        """
        self._draft_due.stop()
        if self._session.closed or self._outlet.full:
            return None
        now = self._clock()
        patience_s = self._patience_s(now)
        self._shed(now, patience_s)
        found = self.desk.urgency(now, patience_s)
        if found is None:
            self._draft_due.set(self.desk.draft_due_s(patience_s))
            return None
        return replace(found, since_s=max(found.since_s, self._turn_s))

    def _patience_s(self, now: float) -> float:
        """How long a draft is held back: the longer answers take and wait, the longer."""
        return self._shared.patience.wait_beside(self.party.load.queueing_s(now))

    def _shed(self, now: float, patience_s: float) -> None:
        shed = self.party.load.shed(now)
        self.desk.drafting = shed < Shed.DRAFTS
        drafts, looks = self.desk.shed(now, patience_s, shed)
        self._metrics.drafts_shed_total += drafts
        self._metrics.looks_shed_total += looks
        if looks:
            self.carry_out()

    def next_job(self) -> AnswerJob | None:
        """The session's most urgent answer, from the newest prefix."""
        self._draft_due.stop()
        if self._session.closed or self._outlet.full:
            return None
        now = self._clock()
        patience_s = self._patience_s(now)
        job = self.desk.next_job(now, patience_s)
        if job is None:
            self._draft_due.set(self.desk.draft_due_s(patience_s))
            return None
        self._turn_s = now
        if job.waited_s is not None:
            self.party.load.note(job.waited_s, now)
            self._metrics.note_queueing(job.waited_s)
        if self.trace is not None:
            self.trace.job_started(job)
        return job

    def deliver(self, job: AnswerJob, outcome: Outcome) -> None:
        """Send what the model made."""
        self._metrics.model_jobs_total += 1
        self._metrics.model_seconds_total += outcome.seconds
        self._metrics.draft_tokens_kept_total += outcome.kept_tokens
        if self.trace is not None:
            self.trace.job_ended(job, outcome)
        if job.draft is None and outcome.answer is not None:
            self._shared.patience.note_answer(max(outcome.seconds, outcome.elapsed_s))
        question = self.desk.deliver(job, outcome, self._clock())
        if question is None or self._session.closed:
            return
        if outcome.answer is not None:
            self._count(job, question)
        self.advance()
        self._on_change()

    def withdraw(self, job: AnswerJob, outcome: Outcome) -> None:
        """A job was stopped before its end."""
        self._metrics.model_jobs_total += 1
        self._metrics.model_seconds_total += outcome.seconds
        if self.trace is not None:
            self.trace.job_ended(job, outcome)
        self.desk.withdraw(job)

    def _count(self, job: AnswerJob, question: OpenQuestion) -> None:
        if job.draft is None:
            self._metrics.first_draft_seconds_sum += self._clock() - question.asked_s
            self._metrics.first_draft_seconds_count += 1
        if job.purpose is Purpose.DRAFT:
            self._metrics.drafts_total += 1

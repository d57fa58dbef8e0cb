"""One device's connection: websocket messages to session events, controllers, model jobs, and answers back.

Three tasks: the reader takes messages, the writer carries what the session has queued (a slow device holds up nobody
else), the observer measures new prefixes off the event loop and lets the controllers decide, so that "enough" goes out
even while the model is busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets

from starlette.websockets import WebSocket, WebSocketDisconnect

from heliograph.clock import now_s
from heliograph.controllers.fixed import budget_bytes
from heliograph.errors import (
    FrameDamagedError,
    HeliographError,
    ServerBusyError,
    TimedOutError,
    TooManyError,
    UnauthorizedError,
)
from heliograph.protocol.events import (
    CropAnnounced,
    ErrorReceived,
    Event,
    HelloReceived,
    ImageAnnounced,
    ImageFinished,
    ImageForgotten,
    QuestionAsked,
    QuestionCancelled,
    SegmentReceived,
    SessionClosed,
)
from heliograph.protocol.frames import AnswerFlag
from heliograph.protocol.images import SessionMemory
from heliograph.protocol.limits import MAX_SEGMENTS_PER_IMAGE, SESSION_TOKEN_BYTES
from heliograph.protocol.session import CloudSession
from heliograph.protocol.states import State
from heliograph.serving.desk import Desk
from heliograph.serving.guest import Guest
from heliograph.serving.jobs import AnswerJob, Outcome, Purpose
from heliograph.serving.kept import KeptSession
from heliograph.serving.measuring import measure
from heliograph.serving.question import OpenQuestion, Region
from heliograph.serving.shared import Shared
from heliograph.serving.timers import QuestionTimers

log = logging.getLogger("heliograph.serving")

GONE = (WebSocketDisconnect, RuntimeError, OSError)
"""What starlette and uvicorn raise once the peer has left."""

_NORMAL_CLOSURE = 1000
_TRY_AGAIN_LATER = 1013
_TIMER_SLACK_S = 0.01


class DeviceConnection:
    """Serves one accepted websocket until either side ends it."""

    def __init__(self, websocket: WebSocket, shared: Shared, guest: Guest) -> None:
        self._websocket = websocket
        self._shared = shared
        self._guest = guest
        self._error: type[HeliographError] | None = None  # what ended the session
        self._metrics = shared.metrics
        cloud = shared.cloud
        self._token = secrets.token_bytes(SESSION_TOKEN_BYTES)
        self._session = CloudSession(
            cloud.bundle_hash,
            shared.access_tokens,
            cloud.model.name,
            session_token=self._token if shared.limits.keep_s > 0 else b"",
            recall=self._recall,
            admit=lambda token: guest.admit(shared.kept.is_served(token)),
        )
        self._desk = Desk(cloud.calibration, shared.limits.max_regions)
        self._memory: SessionMemory | None = None  # of a session that can be taken up again
        self._broke = False
        self._changed: dict[int, None] = {}  # photos to look at again, oldest change first
        self._to_observe = asyncio.Event()
        self._to_write = asyncio.Event()
        self._draft_timer: asyncio.TimerHandle | None = None
        self._timers = QuestionTimers()
        self._serving: asyncio.Task[None] | None = None
        self._handed_over = False

    async def run(self) -> None:
        """Serve; never raises on what the device does."""
        helpers = [asyncio.create_task(self._write()), asyncio.create_task(self._observe())]
        self._serving = asyncio.current_task()
        try:
            await self._read()
        except asyncio.CancelledError:
            if self._serving is None or not self._handed_over:
                raise
            self._serving.uncancel()
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._stop_timers()
            self._shared.scheduler.remove(self)
            self._leave()
            self._guest.over()
            with contextlib.suppress(*GONE, TimeoutError):
                await self._send_queued()
                await self._websocket.close(_TRY_AGAIN_LATER if self._error is ServerBusyError else _NORMAL_CLOSURE)

    # ---- a session that outlives its connection ------------------------------------------------------
    def _recall(self, token: bytes) -> SessionMemory | None:
        kept = self._shared.kept.recall(token)
        if kept is None:
            return None
        self._token, self._desk = token, kept.desk
        return kept.memory

    def hand_over(self) -> KeptSession:
        """Give the session to a newer connection of the same device and end this one."""
        assert self._memory is not None, "only a session that can be taken up again is registered"
        kept = KeptSession(self._memory, self._desk)
        self._memory, self._desk = None, Desk()
        self._session.close()
        self._stop_timers()
        self._shared.scheduler.remove(self)
        self._handed_over = True
        if self._serving is not None:
            self._serving.cancel()
        kept.desk.interrupt()
        return kept

    def _leave(self) -> None:
        """Keep the session where its connection broke; otherwise it is over."""
        desk, self._desk = self._desk, Desk()
        if self._memory is not None and self._broke:
            desk.interrupt()
            self._shared.kept.keep(self._token, KeptSession(self._memory, desk))
            return
        if self._memory is not None:
            self._shared.kept.end(self._token)
        self._metrics.held_payload_bytes_open -= desk.held_bytes

    # ---- from the device ---------------------------------------------------------------------------
    async def _read(self) -> None:
        while not self._session.closed:
            try:
                data = await asyncio.wait_for(self._message(), self._patience_s())
            except TimeoutError:
                if not self._owes_an_answer():
                    self._fail_session(TimedOutError())
                continue
            except HeliographError as error:
                self._fail_session(error)
                continue
            for event in self._session.events_of(data, now_s()):
                self._on_event(event)
            if self._error is UnauthorizedError:
                await self._guest.refuse()
            self._to_write.set()

    async def _message(self) -> bytes:
        """The next binary message; ``b""`` at the end. Empty messages say nothing and are passed over."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                self._broke = message.get("code") != _NORMAL_CLOSURE
                return b""
            data = message.get("bytes")
            if data is None:
                raise FrameDamagedError
            self._metrics.received_bytes_total += len(data)
            if data:
                return bytes(data)

    def _patience_s(self) -> float:
        limits = self._shared.limits
        return limits.hello_timeout_s if self._session.state is State.NEW else limits.idle_timeout_s

    def _owes_an_answer(self) -> bool:
        return any(question.enough for question in self._desk.questions.values())

    def _on_event(self, event: Event) -> None:
        match event:
            case HelloReceived(resumable=True):
                self._memory = self._session.memory
                self._shared.kept.serve(self._token, self)
            case QuestionAsked():
                self._on_question(event)
            case ImageAnnounced():
                self._desk.announce(event)
                self._hold(len(event.header))
                self._look_again(event.image_id)
            case SegmentReceived():
                self._desk.add_segment(event, now_s())
                self._hold(len(event.payload))
                self._look_again(event.image_id)
            case ImageFinished(image_id):
                self._desk.photos[image_id].finished = True
                self._look_again(image_id)
            case ImageForgotten(image_id):
                self._hold(-self._desk.forget(image_id))
                self._go_on()
            case CropAnnounced():
                self._desk.take_crop(event)
                self._go_on()
            case QuestionCancelled(question_id) | ErrorReceived(_, int() as question_id):
                self._close_question(question_id)
            case SessionClosed(error_class) if error_class is not None:
                self._metrics.errors_total += 1
                self._error = error_class
            case _:
                pass

    def _on_question(self, asked: QuestionAsked) -> None:
        self._metrics.questions_total += 1
        try:
            self._desk.ask(asked, now_s())
        except HeliographError as error:
            self._fail_question(asked.question_id, error)
            return
        self._set_deadline(asked.question_id)
        if asked.image_id in self._desk.photos:
            self._look_again(asked.image_id)

    def _set_deadline(self, question_id: int) -> None:
        """Ask the controller again when an answer that begins later would be late."""
        code = self._desk.questions[question_id].asked.deadline
        if code:
            image_id = self._desk.questions[question_id].asked.image_id
            wait_s = max(budget_bytes(code) / 1e3 - self._shared.patience.usual_s, 0.0)
            self._timers.set(question_id, wait_s, lambda: self._look_again(image_id))

    def _stop_timers(self) -> None:
        self._stop_draft_timer()
        self._timers.drop_all()

    def _close_question(self, question_id: int) -> None:
        self._timers.drop(question_id)
        self._desk.questions.pop(question_id, None)

    def _hold(self, size: int) -> None:
        self._metrics.held_payload_bytes_open += size
        if size > 0 and self._metrics.held_payload_bytes_open > self._shared.limits.max_held_bytes:
            self._fail_session(TooManyError())

    def _look_again(self, image_id: int) -> None:
        self._changed[image_id] = None
        self._to_observe.set()

    # ---- controllers -------------------------------------------------------------------------------
    async def _observe(self) -> None:
        while True:
            await self._to_observe.wait()
            self._to_observe.clear()
            while self._changed:
                image_id = next(iter(self._changed))
                del self._changed[image_id]
                await self._measure(image_id)
                self._decide(image_id)

    async def _measure(self, image_id: int) -> None:
        """What the controllers read of the newest prefix, off the event loop; only where somebody waits for it."""
        photo, reads = self._desk.photos.get(image_id), self._desk.reads(image_id)
        if photo is None or photo.finished or not reads:
            return
        asking = {n: self._desk.questions[n] for n in self._desk.undecided(image_id)}
        segments = len(photo.segments)
        if all(question.measured_segments == segments for question in asking.values()):
            return
        texts = {question_id: question.asked.question for question_id, question in asking.items()}
        cloud, loop = self._shared.cloud, asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(self._shared.observer, measure, cloud, photo.encoded(), reads, texts)
        except HeliographError as error:
            for question_id in self._desk.undecided(image_id):
                self._fail_question(question_id, error)
            return
        except Exception:
            log.exception("measuring a prefix failed")
            for question in asking.values():
                question.stop_deciding()
            return
        if made.energy is not None:
            photo.energy = made.energy
        for question_id, question in asking.items():
            question.expectation, question.measured_segments = made.expectations.get(question_id), segments

    def _decide(self, image_id: int) -> None:
        if self._session.closed or image_id not in self._desk.photos:
            return
        count = self._session.image_count(image_id)
        verdict = self._desk.decide(image_id, now_s(), self._shared.patience.usual_s)
        if verdict.enough:
            if any(question.asked.image_id == image_id for question in self._desk.questions.values()):
                self._session.send_enough(image_id)
        elif verdict.more:
            self._session.send_more(image_id, min(verdict.more, MAX_SEGMENTS_PER_IMAGE))
        elif count is not None and count.enough:
            self._session.send_more(image_id, MAX_SEGMENTS_PER_IMAGE)  # a later question needs a better picture
        self._go_on()

    def _go_on(self) -> None:
        """Send what is ready and let the model take what is next."""
        self._send_ready_finals()
        self._to_write.set()
        self._shared.scheduler.ready(self)

    # ---- the model (scheduler.Client) --------------------------------------------------------------
    def next_job(self) -> AnswerJob | None:
        """The session's most urgent answer, from the newest prefix; a draft that is held back calls again."""
        self._stop_draft_timer()
        if self._session.closed:
            return None
        patience_s = self._shared.patience.wait_s
        job = self._desk.next_job(now_s(), patience_s)
        due_s = self._desk.draft_due_s(patience_s) if job is None else None
        if due_s is not None:
            loop, ready = asyncio.get_running_loop(), self._shared.scheduler.ready
            self._draft_timer = loop.call_later(max(due_s - now_s(), 0.0), ready, self)
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
        question = self._desk.deliver(job, outcome)
        if question is None or self._session.closed:
            return
        if job.purpose in (Purpose.LOOK, Purpose.SECOND):
            self._on_second_look(question, outcome)
        elif outcome.error is not None:
            self._fail_question(job.question_id, outcome.error)
        elif outcome.answer is not None:
            self._note_first(question, first)
            if job.purpose is Purpose.DRAFT:
                self._metrics.drafts_total += 1
            if job.purpose is Purpose.DRAFT or question.region is not Region.DONE:
                self._send_draft(question, len(job.encoded.segments))
            self._look_again(job.image_id)  # a controller may care for the draft
        self._go_on()

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
        question.region_s = now_s()

        def give_up() -> None:
            self._desk.give_up_regions(now_s() - limits.region_timeout_s)
            self._go_on()

        self._timers.set(question_id, limits.region_timeout_s + _TIMER_SLACK_S, give_up)

    def _send_ready_finals(self) -> None:
        if self._session.closed:
            return
        for question_id in self._desk.ready_finals():
            question = self._desk.questions[question_id]
            answer = question.draft
            assert answer is not None, "it is ready"
            self._close_question(question_id)
            self._metrics.finals_total += 1
            self._metrics.final_seconds_sum += now_s() - question.asked_s
            self._metrics.final_seconds_count += 1
            used, flags = question.draft_segments, question.flags
            self._session.send_final(question_id, answer.text, answer.confidence, used, flags)

    def _note_first(self, question: OpenQuestion, first: bool) -> None:
        if first:
            self._metrics.first_draft_seconds_sum += now_s() - question.asked_s
            self._metrics.first_draft_seconds_count += 1

    # ---- failures and the way back -----------------------------------------------------------------
    def _fail_question(self, question_id: int, error: HeliographError) -> None:
        self._metrics.errors_total += 1
        self._close_question(question_id)
        if not self._session.closed:
            self._session.send_error(error, question_id)
        self._to_write.set()

    def _fail_session(self, error: HeliographError) -> None:
        self._metrics.errors_total += 1
        self._session.send_error(error, None)
        self._to_write.set()

    async def _write(self) -> None:
        with contextlib.suppress(*GONE, TimeoutError):
            while True:
                await self._to_write.wait()
                self._to_write.clear()
                await self._send_queued()

    async def _send_queued(self) -> None:
        data = self._session.bytes_to_send()
        if data:
            # Not wait_for, which in Python 3.11 swallows a cancellation that comes when it is done: a task for ever.
            async with asyncio.timeout(self._shared.limits.send_timeout_s):
                await self._websocket.send_bytes(data)
            self._metrics.sent_bytes_total += len(data)

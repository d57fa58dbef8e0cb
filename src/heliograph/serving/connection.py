"""One device's connection: websocket messages to session events, controllers, model jobs, and answers back.

Three tasks: the reader takes messages, the writer carries what the session has queued (a slow device holds up nobody
else), the observer measures new prefixes off the event loop and lets the controllers decide, so that "enough" goes out
even while the model is busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect

from heliograph.clock import now_s
from heliograph.errors import FrameDamagedError, HeliographError, TimedOutError, TooManyError
from heliograph.protocol.events import (
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
from heliograph.protocol.states import State
from heliograph.serving.cloud import AnswerJob, Cloud, Outcome
from heliograph.serving.desk import Desk, OpenQuestion
from heliograph.serving.metrics import Metrics
from heliograph.serving.patience import DRAFT_PATIENCE, DraftPatience
from heliograph.serving.scheduler import Scheduler

log = logging.getLogger("heliograph.serving")

_GONE = (WebSocketDisconnect, RuntimeError, OSError)  # what starlette and uvicorn raise once the peer has left


@dataclass(frozen=True)
class Limits:
    """Bounds of one server.

    Attributes:
        max_sessions: connections at a time.
        max_held_bytes: payload of all photos of all sessions together.
        hello_timeout_s: longest wait for HELLO.
        idle_timeout_s: longest silence of a device to which no answer is owed.
        send_timeout_s: longest time that one message to a device may take.
        draft_patience: share of an answer's usual time that a draft is held back for the rest of the photo.
    """

    max_sessions: int = 64
    max_held_bytes: int = 512 << 20
    hello_timeout_s: float = 15.0
    idle_timeout_s: float = 300.0
    send_timeout_s: float = 120.0
    draft_patience: float = DRAFT_PATIENCE


@dataclass(frozen=True)
class Shared:
    """What all connections of one server share."""

    cloud: Cloud
    scheduler: Scheduler
    observer: Executor
    metrics: Metrics
    patience: DraftPatience
    limits: Limits
    access_tokens: frozenset[str]


class DeviceConnection:
    """Serves one accepted websocket until either side ends it."""

    def __init__(self, websocket: WebSocket, shared: Shared) -> None:
        self._websocket = websocket
        self._shared = shared
        self._metrics = shared.metrics
        self._session = CloudSession(shared.cloud.bundle_hash, shared.access_tokens, shared.cloud.model.name)
        self._desk = Desk()
        self._changed: dict[int, None] = {}  # photos to look at again, oldest change first
        self._to_observe = asyncio.Event()
        self._to_write = asyncio.Event()
        self._draft_timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve; never raises on what the device does."""
        helpers = [asyncio.create_task(self._write()), asyncio.create_task(self._observe())]
        try:
            await self._read()
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._stop_draft_timer()
            self._shared.scheduler.remove(self)
            self._metrics.held_payload_bytes_open -= self._desk.held_bytes
            self._desk = Desk()
            with contextlib.suppress(*_GONE, TimeoutError):
                await self._send_queued()
                await self._websocket.close()

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
            self._to_write.set()

    async def _message(self) -> bytes:
        """The next binary message; ``b""`` at the end. Empty messages say nothing and are passed over."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
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
            case QuestionCancelled(question_id) | ErrorReceived(_, int() as question_id):
                self._desk.questions.pop(question_id, None)
            case SessionClosed(error_class) if error_class is not None:
                self._metrics.errors_total += 1
            case _:
                pass

    def _on_question(self, asked: QuestionAsked) -> None:
        self._metrics.questions_total += 1
        try:
            self._desk.ask(asked, now_s())
        except HeliographError as error:
            self._fail_question(asked.question_id, error)
            return
        if asked.image_id in self._desk.photos:
            self._look_again(asked.image_id)

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
        """Retained energy of the newest prefix, off the event loop; only where somebody waits for it."""
        photo = self._desk.photos.get(image_id)
        if photo is None or photo.finished or not self._desk.undecided(image_id):
            return
        encoded = photo.encoded()
        if len(encoded.segments) == photo.energy_segments:
            return
        loop = asyncio.get_running_loop()
        try:
            energy = await loop.run_in_executor(self._shared.observer, self._shared.cloud.retained_energy, encoded)
        except HeliographError as error:
            for question_id in self._desk.undecided(image_id):
                self._fail_question(question_id, error)
            return
        if energy is not None:
            photo.energy, photo.energy_segments = energy, len(encoded.segments)

    def _decide(self, image_id: int) -> None:
        if self._session.closed or image_id not in self._desk.photos:
            return
        count = self._session.image_count(image_id)
        if self._desk.decide(image_id):
            if any(question.asked.image_id == image_id for question in self._desk.questions.values()):
                self._session.send_enough(image_id)
        elif count is not None and count.enough:
            self._session.send_more(image_id, MAX_SEGMENTS_PER_IMAGE)  # a later question needs a better picture
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
        if outcome.error is not None:
            self._fail_question(job.question_id, outcome.error)
        elif outcome.answer is not None:
            used = len(job.encoded.segments)
            self._note_first(question, first)
            if job.final:
                self._send_final(job.question_id, used)
            else:
                answer = outcome.answer
                self._metrics.drafts_total += 1
                self._session.send_draft(job.question_id, answer.text, answer.confidence, used)
                self._send_ready_finals()
                self._look_again(job.image_id)  # a controller may care for the draft's confidence
        self._to_write.set()

    def _send_ready_finals(self) -> None:
        for question_id, _, used in self._desk.ready_finals():
            self._send_final(question_id, used)

    def _send_final(self, question_id: int, used: int) -> None:
        question = self._desk.questions.pop(question_id)
        answer = question.draft
        assert answer is not None
        self._metrics.finals_total += 1
        self._metrics.final_seconds_sum += now_s() - question.asked_s
        self._metrics.final_seconds_count += 1
        self._session.send_final(question_id, answer.text, answer.confidence, used)

    def _note_first(self, question: OpenQuestion, first: bool) -> None:
        if first:
            self._metrics.first_draft_seconds_sum += now_s() - question.asked_s
            self._metrics.first_draft_seconds_count += 1

    # ---- failures and the way back -----------------------------------------------------------------
    def _fail_question(self, question_id: int, error: HeliographError) -> None:
        self._metrics.errors_total += 1
        self._desk.questions.pop(question_id, None)
        if not self._session.closed:
            self._session.send_error(error, question_id)
        self._to_write.set()

    def _fail_session(self, error: HeliographError) -> None:
        self._metrics.errors_total += 1
        self._session.send_error(error, None)
        self._to_write.set()

    async def _write(self) -> None:
        with contextlib.suppress(*_GONE, TimeoutError):
            while True:
                await self._to_write.wait()
                self._to_write.clear()
                await self._send_queued()

    async def _send_queued(self) -> None:
        data = self._session.bytes_to_send()
        if data:
            await asyncio.wait_for(self._websocket.send_bytes(data), self._shared.limits.send_timeout_s)
            self._metrics.sent_bytes_total += len(data)


async def turn_away(websocket: WebSocket, limits: Limits, error: Callable[[], HeliographError]) -> None:
    """Tell a device in one ERROR frame why it is not served, and close."""
    session = CloudSession(b"", frozenset())
    session.send_error(error(), None)
    with contextlib.suppress(*_GONE, TimeoutError):
        await asyncio.wait_for(websocket.send_bytes(session.bytes_to_send()), limits.send_timeout_s)
        await websocket.close(code=1013)

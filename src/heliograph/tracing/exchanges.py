"""The questions in a trace, each with its photo as far as it was seen and the answers it got."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from heliograph.tracing.reading import Trace, TraceEvent
from heliograph.tracing.table import FRAME_RECEIVED, FRAME_SENT

FRAME_EVENTS = (FRAME_SENT, FRAME_RECEIVED)


@dataclass
class TracedPhoto:
    """One photo or crop of a session.

    Attributes:
        strategy: registry name.
        header: of its stream; None in a trace without content.
        header_bytes: how long it is.
        sizes: payload bytes of every segment so far.
        segments: the segments themselves, None for those that are not in the trace.
    """

    strategy: str
    header: bytes | None
    header_bytes: int = 0
    sizes: list[int] = field(default_factory=list)
    segments: list[bytes | None] = field(default_factory=list)

    def payload_bytes(self, segments: int) -> int:
        """Bytes of the header and the first segments."""
        return self.header_bytes + sum(self.sizes[:segments])


@dataclass(frozen=True)
class TracedAnswer:
    """A draft or a final answer, as it travelled; ``text`` is None in a trace without content."""

    time_ms: float
    text: str | None
    confidence: float
    segments_used: int
    flags: tuple[str, ...] = ()


@dataclass
class TracedQuestion:
    """One question, from its frame to the final answer.

    Attributes:
        session, question_id: of the trace and within the session.
        asked_ms: when its frame was sent or came.
        fields: the fields of its frame.
        photo: None where its beginning is not in the trace.
        crop: the region that was looked at; None for none.
        welcome: fields of the cloud's greeting, such as ``model`` and ``bundle_hash``.
        drafts, final: answers.
        error: its name, where the question failed.
        decisions: how often a controller decided.
        answers: what the model said: fields of ``model:job_ended``, in a cloud's trace.
    """

    session: int
    question_id: int
    asked_ms: float
    fields: Mapping[str, Any]
    photo: TracedPhoto | None = None
    crop: TracedPhoto | None = None
    welcome: Mapping[str, Any] = field(default_factory=dict)
    drafts: list[TracedAnswer] = field(default_factory=list)
    final: TracedAnswer | None = None
    error: str | None = None
    decisions: int = 0
    answers: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str | None:
        """The question as it was asked."""
        return self.fields.get("text")

    @property
    def token_ids(self) -> tuple[int, ...] | None:
        """Token ids of the final answer, from a cloud's trace; None where they are not known."""
        matching = [one for one in self.answers if self.final is not None and one.get("text") == self.final.text]
        ids = matching[-1].get("token_ids") if matching and matching[-1].get("text") is not None else None
        return None if ids is None else tuple(ids)


def questions_of(trace: Trace) -> list[TracedQuestion]:
    """Every question whose frame is in the trace, in the order they were asked."""
    book = _Book()
    for event in trace.events:
        book.take(event)
    return list(book.questions.values())


class _Book:
    """What is known of all sessions so far."""

    def __init__(self) -> None:
        self.questions: dict[tuple[int, int], TracedQuestion] = {}
        self._photos: dict[tuple[int, int], TracedPhoto] = {}
        self._welcomes: dict[tuple[int, int], dict[str, Any]] = {}  # by connection: on the device it comes late

    def take(self, event: TraceEvent) -> None:
        """One event, in order."""
        data = event.data
        session, question = data.get("session") or 0, None
        if data.get("question_id") is not None:
            question = self.questions.get((session, data["question_id"]))
        if event.name in FRAME_EVENTS:
            self._take_frame(event, session, question)
        elif question is not None:
            _take_work(event, question)

    def _take_frame(self, event: TraceEvent, session: int, question: TracedQuestion | None) -> None:
        data = event.data
        match data.get("frame"):
            case "WELCOME":
                self._welcome(data, session).update(data)
                self._cut_photos(session, data.get("held"))
            case "QUESTION" if data.get("question_id") is not None:
                self._ask(event, session)
            case "IMAGE" if data.get("image_id") is not None:
                self._announce(data, session)
            case "SEGMENT" if data.get("image_id") is not None:
                self._add(data, session)
            case "CROP" if question is not None and data.get("image_id") is not None:
                question.crop = self._photo(session, data["image_id"])
            case "DRAFT" if question is not None:
                question.drafts.append(_answer(event))
            case "FINAL" if question is not None:
                question.final = _answer(event)
            case "ERROR" if question is not None:
                question.error = str(data.get("error"))

    def _welcome(self, data: Mapping[str, Any], session: int) -> dict[str, Any]:
        return self._welcomes.setdefault((session, data.get("connection") or 0), {})

    def _photo(self, session: int, image_id: int) -> TracedPhoto:
        """The photo; one that is announced next is begun here, since its question comes first."""
        return self._photos.setdefault((session, image_id), TracedPhoto("", None))

    def _ask(self, event: TraceEvent, session: int) -> None:
        question_id, image_id = event.data["question_id"], event.data.get("image_id")
        photo = None if image_id is None else self._photo(session, image_id)
        question = TracedQuestion(session, question_id, event.time_ms, event.data, photo)
        question.welcome = self._welcome(event.data, session)
        self.questions[session, question_id] = question

    def _announce(self, data: Mapping[str, Any], session: int) -> None:
        photo = self._photo(session, data["image_id"])
        photo.strategy = data.get("strategy") or ""
        photo.header = _bytes(data.get("header"))
        photo.header_bytes = data.get("payload_bytes") or 0
        photo.sizes.clear()
        photo.segments.clear()

    def _add(self, data: Mapping[str, Any], session: int) -> None:
        photo, index = self._photo(session, data["image_id"]), data.get("index")
        if index == len(photo.segments):  # otherwise some are not in the trace: nothing can be made of the rest
            photo.sizes.append(data.get("payload_bytes") or 0)
            photo.segments.append(_bytes(data.get("payload")))

    def _cut_photos(self, session: int, held: list[Any] | None) -> None:
        """A session goes on: what did not arrive of its photos is sent again."""
        for one in held or ():
            if isinstance(one, list) and len(one) == 3 and all(isinstance(number, int) for number in one):
                photo = self._photos.get((session, one[0]))
                if photo is not None:
                    del photo.sizes[one[1] :], photo.segments[one[1] :]


def _take_work(event: TraceEvent, question: TracedQuestion) -> None:
    if event.name == "controller:decided":
        question.decisions += 1
    elif event.name == "model:job_ended":
        question.answers.append(event.data)


def _answer(event: TraceEvent) -> TracedAnswer:
    data = event.data
    flags = tuple(str(flag) for flag in data.get("flags") or ())
    used, confidence = data.get("segments_used") or 0, data.get("confidence") or 0.0
    return TracedAnswer(event.time_ms, data.get("text"), confidence, used, flags)


def _bytes(text: str | None) -> bytes | None:
    """Bytes from base64; None where there are none, or it is none."""
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None

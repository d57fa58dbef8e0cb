"""The format of a trace: its header, every event and every field. ``docs/trace.md`` shows these tables.

The ideas are those of qlog (draft-ietf-quic-qlog-main-schema): a header says which end wrote the file and what its
times refer to; then one record per event with ``time``, ``name`` (category and type, with a colon between them) and
``data``. A trace is JSON lines rather than a JSON text sequence, so that line tools can be used on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

FORMAT, VERSION = "heliograph-trace", 1
DEVICE, CLOUD = "device", "cloud"
VANTAGE_POINTS = (DEVICE, CLOUD)

MAX_TRACE_BYTES = 64 << 20
"""Bound of one file. A longer trace goes on in a new one, and the file before it is kept under the name with ``.1``."""

MAX_LINE_BYTES = 4 << 20
"""Longer than the line of any event: a segment of 1 MiB takes 1.4 MiB in base64."""

FRAME_SENT, FRAME_RECEIVED = "session:frame_sent", "session:frame_received"

TraceSink = Callable[[str, Mapping[str, Any]], None]
"""Takes an event's name and data, and never raises. Bytes are given as they are. Whoever is traced holds one or None,
and builds the data only where there is one."""


class Kind(Enum):
    """What a field holds in the file: its name for people, and the Python types of its JSON value."""

    WHOLE = "whole number", (int,)
    NUMBER = "number", (int, float)
    FLAG = "true or false", (bool,)
    TEXT = "text", (str,)
    BYTES = "bytes in base64", (str,)
    LIST = "list", (list,)

    def fits(self, value: Any) -> bool:
        """Whether a JSON value is of this kind; null always is: nobody knows it."""
        if value is None:
            return True
        return isinstance(value, self.value[1]) and (self is Kind.FLAG or not isinstance(value, bool))


@dataclass(frozen=True)
class Field:
    """One field of an event.

    Attributes:
        kind: of its value.
        text: what it says, for ``docs/trace.md``.
        content: it shows the photo, the question or an answer, and is left out of a trace without content.
    """

    kind: Kind
    text: str
    content: bool = False


def _whole(text: str) -> Field:
    return Field(Kind.WHOLE, text)


def _number(text: str) -> Field:
    return Field(Kind.NUMBER, text)


def _flag(text: str) -> Field:
    return Field(Kind.FLAG, text)


def _text(text: str) -> Field:
    return Field(Kind.TEXT, text)


def _list(text: str) -> Field:
    return Field(Kind.LIST, text)


HEADER: dict[str, Field] = {
    "format": _text(f"`{FORMAT}`"),
    "version": _whole(f"of the format: {VERSION}"),
    "vantage_point": _text("which end wrote the trace: `device` or `cloud`"),
    "program": _text("what wrote it, with its version"),
    "reference_time": _text("the wall clock in UTC when `time` was 0; times themselves are of a steady clock"),
    "trace_id": _text("a random name, the same in every part of one trace"),
    "part": _whole("0 for the file in which the trace began, one more for each that goes on"),
    "content": _flag("photos, questions and answers are in it"),
}

FIELDS: dict[str, Field] = {
    "agreement": _number("share of answers, 0 to 1, that are expected to be those of the whole photo, by level"),
    "answer_within_ms": _number("from the question to the answer that is aimed at"),
    "answer_s": _number("seconds that an answer usually takes"),
    "answer_differs": _number("chance, 0 to 1, that the answer is not that of the whole photo"),
    "arrived_differs": _number("the same, of all that has arrived and without an answer"),
    "asked_segments": _whole("up to which segment the cloud has asked the device to go on"),
    "authenticated": _flag("the session is authenticated by a key"),
    "before": _text("the state until then"),
    "box": _list("left, top, right, bottom in 1/1024 of the photo's width and height"),
    "budget_bytes": _whole("payload bytes of the photo at most"),
    "bundle_hash": _text("of the bundle, in hex; empty without one"),
    "busy": _flag("the cloud answered that it is full"),
    "bytes": _whole("of the frame, without what authenticates it and without websocket framing"),
    "candidates": _list("what the plan chose from: name, quality, total seconds and payload bytes of each"),
    "cause": _text("name of the error"),
    "chance": _number("calibrated chance, 0 to 1, by which `push` or `pull` decides"),
    "chance_wanted": _number("the chance at which it would be enough"),
    "confidence": _number("0 to 1, as on the wire"),
    "connection": _whole("number of the connection within this trace, from 1"),
    "controller": _text("what stops the stream"),
    "decision": _text("`wait`, `more` or `enough`"),
    "draft_segments": _whole("of the prefix that the newest draft was made from"),
    "elapsed_s": _number("seconds since the question came"),
    "encode_ms": _number("to load and encode the photo"),
    "entropy_bits": _number("mean Shannon entropy over the answer's tokens"),
    "error": _text("name of the error; absent where there was none"),
    "events": _whole("how many"),
    "final_ms": _number("from asking to the final answer"),
    "flags": _list("what the cloud says about the answer: `looked`, `controller-failed`, `region-missed`"),
    "frame": _text("type of the frame"),
    "event": _text("what has happened to the question"),
    "header": Field(Kind.BYTES, "of the stream", content=True),
    "held": _list("photos that the cloud holds: number, segments, whether it is whole"),
    "image_finished": _flag("nothing more of the photo follows"),
    "image_id": _whole("number of the photo or crop in its session"),
    "index": _whole("of the segment in its stream, from 0"),
    "judged_by": _text("what an answer is judged by"),
    "kept_tokens": _whole("tokens of the draft that the verified answer keeps"),
    "looks": _whole("regions that the session has asked for so far"),
    "margin": _number("mean margin between the two likeliest tokens"),
    "max_answer_tokens": _whole("of the answer at most"),
    "min_entropy_bits": _number("mean over the answer's tokens of -log2 max p"),
    "model": _text("name of the cloud's model"),
    "more": _whole("further segments that the device is asked for"),
    "most_looks": _whole("regions that a session may ask for"),
    "ms": _number("how long it took"),
    "name": _text("of the candidate that the plan has chosen"),
    "notes": _list("what the plan rests on, as sentences"),
    "pause_ms": _number("before the next attempt"),
    "payload": Field(Kind.BYTES, "of the segment", content=True),
    "payload_bytes": _whole("header and segments, or of one segment in its frame"),
    "purpose": _text("`draft`, `final`, `look` or `second`"),
    "quality": _number("share of answers as from the whole photo that was aimed at, 0 to 1"),
    "question_id": _whole("number of the question in its session"),
    "rate_bit_s": _number("of the device's uplink, as the cloud sees it"),
    "reason": _text("what the decision rests on"),
    "received_bytes": _whole("payload bytes that have arrived"),
    "reconnections": _whole("further connections that the answer took"),
    "region": _text("policy by which the cloud may ask for a crop"),
    "region_bytes": _whole("that a crop usually takes"),
    "regions_sent": _whole("crops that were sent"),
    "resumable": _flag("the session can go on over another connection"),
    "resumes": _flag("it goes on with an earlier session"),
    "retained_energy": _number("share of the token energy that the prefix restores, 0 to 1"),
    "segments": _whole("how many"),
    "segments_used": _whole("segments of the photo that the answer was made from"),
    "session": _whole("number of the session within this trace, from 1; it outlives its connections"),
    "stable_drafts": _whole("drafts in a row that say the same"),
    "state": _text("that the question is in now"),
    "strategy": _text("what travels"),
    "take_draft": _flag("the newest draft is the answer as it is"),
    "target": _whole("of the controller, 0 to 255"),
    "text": Field(Kind.TEXT, "of the question or the answer", content=True),
    "token_ids": Field(Kind.LIST, "of the answer", content=True),
    "total_s": _number("seconds that the plan expects"),
    "total_segments": _whole("of the whole stream; 0 where the device has not stated it"),
    "wire_bytes_down": _whole("everything that came over the connection meanwhile"),
    "wire_bytes_up": _whole("everything that went over the connection meanwhile"),
    "protocol_version": _whole("of the protocol"),
}
"""Every field of every event. A name means the same wherever it stands."""


@dataclass(frozen=True)
class EventKind:
    """One event.

    Attributes:
        written_by: the ends that write it.
        text: when it happens.
        fields: names in :data:`FIELDS`; those that do not apply are left out.
    """

    written_by: tuple[str, ...]
    text: str
    fields: tuple[str, ...]


_ABOUT = ("session", "question_id")
_FRAME = ("connection", "session", "frame", "bytes")
_BOTH, _DEVICE, _CLOUD = VANTAGE_POINTS, (DEVICE,), (CLOUD,)

EVENTS: dict[str, EventKind] = {
    "trace:lost": EventKind(_BOTH, "events came faster than the disk took them", ("events",)),
    FRAME_SENT: EventKind(_BOTH, "a frame was queued for the other end; its own fields follow below", _FRAME),
    FRAME_RECEIVED: EventKind(_BOTH, "a whole frame of the other end was read; its own fields follow below", _FRAME),
    "connection:opened": EventKind(_BOTH, "a connection is open", ("connection", "session", "ms")),
    "connection:closed": EventKind(_BOTH, "a connection has ended", ("connection", "session", "error")),
    "connection:retry": EventKind(
        _DEVICE, "the device tries again to get a connection, or room in a full cloud", ("cause", "busy", "pause_ms")
    ),
    "question:asked": EventKind(
        _DEVICE,
        "somebody asks",
        (
            "text",
            "strategy",
            "controller",
            "target",
            "judged_by",
            "budget_bytes",
            "answer_within_ms",
            "region",
            "max_answer_tokens",
        ),
    ),
    "question:answered": EventKind(
        _DEVICE,
        "the final answer is there",
        (
            "text",
            "confidence",
            "strategy",
            "payload_bytes",
            "wire_bytes_up",
            "wire_bytes_down",
            "encode_ms",
            "final_ms",
            "regions_sent",
            "reconnections",
            "flags",
        ),
    ),
    "question:failed": EventKind(_DEVICE, "a question ends without an answer", ("session", "error")),
    "photo:encoded": EventKind(
        _DEVICE, "the photo's stream is ready", ("strategy", "segments", "payload_bytes", "ms", "bundle_hash")
    ),
    "device:stop_expected": EventKind(
        _DEVICE,
        "after how many segments the device expects that the cloud will have enough",
        ("image_id", "controller", "segments", "payload_bytes", "total_segments"),
    ),
    "device:budget": EventKind(
        _DEVICE,
        "how far the question's byte budget lets the stream go",
        ("image_id", "budget_bytes", "segments", "payload_bytes", "total_segments"),
    ),
    "plan:made": EventKind(
        _DEVICE,
        "the device has planned what to send",
        (
            "name",
            "reason",
            "quality",
            "answer_within_ms",
            "total_s",
            "payload_bytes",
            "notes",
            "candidates",
        ),
    ),
    "plan:failed": EventKind(_DEVICE, "a plan did not do what it should, and another one follows", ("reason",)),
    "controller:decided": EventKind(
        _CLOUD,
        "a controller has decided on what it sees",
        (
            *_ABOUT,
            "image_id",
            "controller",
            "target",
            "judged_by",
            "decision",
            "more",
            "take_draft",
            "chance",
            "chance_wanted",
            "received_bytes",
            "segments",
            "retained_energy",
            "agreement",
            "image_finished",
            "confidence",
            "answer_differs",
            "arrived_differs",
            "stable_drafts",
            "draft_segments",
            "total_segments",
            "asked_segments",
            "elapsed_s",
            "answer_s",
        ),
    ),
    "question:changed": EventKind(
        _CLOUD,
        "a question has another state; see [questions.md](questions.md)",
        (*_ABOUT, "before", "state", "event"),
    ),
    "model:job_started": EventKind(
        _CLOUD,
        "the model begins a piece of work",
        (
            *_ABOUT,
            "image_id",
            "purpose",
            "segments",
            "payload_bytes",
            "region",
            "rate_bit_s",
            "region_bytes",
            "budget_bytes",
            "looks",
            "most_looks",
        ),
    ),
    "model:job_ended": EventKind(
        _CLOUD,
        "the model has done it",
        (
            *_ABOUT,
            "image_id",
            "purpose",
            "segments",
            "ms",
            "text",
            "confidence",
            "min_entropy_bits",
            "entropy_bits",
            "margin",
            "answer_differs",
            "retained_energy",
            "token_ids",
            "kept_tokens",
            "box",
            "error",
        ),
    ),
    "memory:photo_dropped": EventKind(_CLOUD, "a photo was held for long enough", ("session", "image_id")),
    "memory:tokens_dropped": EventKind(_CLOUD, "restored tokens gave their memory back", ("session",)),
    "memory:session_evicted": EventKind(_CLOUD, "there is no room for the session", ("session", "error")),
}

FRAMES: dict[str, tuple[str, ...]] = {
    "HELLO": ("protocol_version", "bundle_hash", "resumable", "resumes", "authenticated"),
    "WELCOME": ("model", "bundle_hash", "resumes", "resumable", "held"),
    "QUESTION": (
        "question_id",
        "image_id",
        "text",
        "controller",
        "target",
        "judged_by",
        "budget_bytes",
        "answer_within_ms",
        "region",
        "max_answer_tokens",
    ),
    "IMAGE": ("image_id", "strategy", "header", "payload_bytes", "total_segments"),
    "SEGMENT": ("image_id", "index", "payload", "payload_bytes"),
    "IMAGE_END": ("image_id",),
    "CANCEL": ("question_id",),
    "FORGET": ("image_id",),
    "DRAFT": ("question_id", "text", "confidence", "segments_used"),
    "FINAL": ("question_id", "text", "confidence", "segments_used", "flags"),
    "ENOUGH": ("image_id",),
    "MORE": ("image_id", "segments"),
    "REGION": ("question_id", "box"),
    "ERROR": ("question_id", "error"),
    "CROP": ("question_id", "image_id"),
}
"""What is said of each frame beside :data:`EVENTS`' own fields. Access tokens, keys, nonces, tags and session tokens
are nowhere: HELLO and WELCOME say only whether there are any."""

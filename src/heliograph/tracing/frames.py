"""Frames as events: what a trace says of each, and what it never says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from heliograph.errors import HeliographError, all_errors
from heliograph.protocol.codes import bytes_of_code, milliseconds_of_code
from heliograph.protocol.frames import (
    AnswerFlag,
    AnswerFrame,
    CropFrame,
    ErrorFrame,
    Frame,
    FrameType,
    HelloFrame,
    IdFrame,
    ImageFrame,
    LastImageEndFrame,
    MoreFrame,
    QuestionFrame,
    RegionFrame,
    SegmentFrame,
    WelcomeFrame,
    encode_frame,
    frame_type,
)
from heliograph.protocol.wire_ids import (
    CONFIDENCE_WIRE_IDS,
    CONTROLLER_WIRE_IDS,
    REGION_WIRE_IDS,
    STRATEGY_WIRE_IDS,
    WireIds,
)
from heliograph.tracing.table import FRAME_RECEIVED, FRAME_SENT, TraceSink

_MAX_KEPT = 256
"""Photos, or drafts, that are remembered: more than a session may hold, however many a stranger names."""

_Value = TypeVar("_Value")


class FrameRecorder:
    """Turns the frames of one session into events.

    It keeps what a frame leaves out because the other end knows it: which photo a short segment belongs to, how many
    segments there were before, and the draft that an answer changes.

    Args:
        sink: takes the events.
        session: its number in the trace.
        authenticated: this end has a key, which its HELLO does not show before it is sealed.
    """

    def __init__(self, sink: TraceSink, session: int, *, authenticated: bool = False) -> None:
        self._sink = sink
        self.session = session
        self._authenticated = authenticated
        self._connection = 0
        self._last_image_id = -1
        self._segments: dict[int, int] = {}
        self._drafts: dict[int, bytes] = {}

    def on_connection(self, connection: int) -> None:
        """The frames that follow go over another connection."""
        self._connection = connection
        self._drafts.clear()

    def on_frame(self, sent: bool, frame: Frame) -> None:
        """Record one frame; for :attr:`heliograph.protocol.endpoint.Endpoint.on_frame`."""
        kind = frame_type(frame)
        data: dict[str, Any] = {"connection": self._connection, "session": self.session, "frame": kind.name}
        data["bytes"] = _frame_bytes(frame)
        self._sink(FRAME_SENT if sent else FRAME_RECEIVED, data | self._fields(frame))

    def _fields(self, frame: Frame) -> dict[str, Any]:
        match frame:
            case HelloFrame():
                return self._hello_fields(frame)
            case WelcomeFrame():
                return self._welcome_fields(frame)
            case QuestionFrame():
                return _question_fields(frame)
            case ImageFrame():
                return self._image_fields(frame)
            case SegmentFrame():
                return self._segment_fields(frame)
            case AnswerFrame():
                return self._answer_fields(frame)
            case LastImageEndFrame():
                return {"image_id": self._last_image_id}
            case IdFrame():
                return {"question_id" if frame.type is FrameType.CANCEL else "image_id": frame.id}
            case MoreFrame():
                return {"image_id": frame.image_id, "segments": frame.segments}
            case RegionFrame():
                return {"question_id": frame.question_id, "box": frame.box}
            case CropFrame():
                return {"question_id": frame.question_id, "image_id": frame.image_id}
            case ErrorFrame():
                error = all_errors().get(frame.code, HeliographError).name
                return {"error": error} | ({} if frame.question_id is None else {"question_id": frame.question_id})

    def _hello_fields(self, frame: HelloFrame) -> dict[str, Any]:
        """Fields of HELLO without access token, session token, nonce and tag."""
        return {
            "protocol_version": frame.version,
            "bundle_hash": frame.bundle_hash.hex(),
            "resumable": frame.resumable,
            "resumes": bool(frame.session_token),
            "authenticated": self._authenticated or bool(frame.nonce),
        }

    def _welcome_fields(self, frame: WelcomeFrame) -> dict[str, Any]:
        fields = {
            "model": frame.model_name,
            "bundle_hash": frame.bundle_hash.hex(),
            "resumes": frame.held is not None,
            "resumable": frame.held is not None or bool(frame.session_token),
        }
        if frame.held is None:
            return fields
        self._segments = {image.image_id: image.segments for image in frame.held}
        self._last_image_id = max(self._segments, default=-1)
        return fields | {"held": [[image.image_id, image.segments, image.finished] for image in frame.held]}

    def _image_fields(self, frame: ImageFrame) -> dict[str, Any]:
        self._last_image_id = frame.image_id
        _keep(self._segments, frame.image_id, 0)
        return {
            "image_id": frame.image_id,
            "strategy": _named(STRATEGY_WIRE_IDS, frame.strategy_id),
            "header": frame.header,
            "payload_bytes": len(frame.header),
            "total_segments": frame.total_segments,
        }

    def _segment_fields(self, frame: SegmentFrame) -> dict[str, Any]:
        image_id = self._last_image_id if frame.image_id is None else frame.image_id
        index = self._segments.get(image_id, 0)
        _keep(self._segments, image_id, index + 1)
        return {
            "image_id": image_id,
            "index": index,
            "payload": frame.payload,
            "payload_bytes": len(frame.payload),
        }

    def _answer_fields(self, frame: AnswerFrame) -> dict[str, Any]:
        data = self._drafts.pop(frame.question_id, b"")[: frame.shared] + frame.rest
        if not frame.final:
            _keep(self._drafts, frame.question_id, data)
        fields = {
            "question_id": frame.question_id,
            "text": data.decode("utf-8", "replace"),
            "confidence": frame.confidence / 255,
            "segments_used": frame.segments_used,
        }
        return fields | ({"flags": flag_names(frame.flags)} if frame.final else {})


def _frame_bytes(frame: Frame) -> int:
    """Bytes of the frame without its authentication, so that both ends record the same."""
    match frame:
        case LastImageEndFrame():
            return 0
        case HelloFrame():
            return len(encode_frame(replace(frame, nonce=b"", tag=b"")))
        case _:
            return len(encode_frame(frame))


def flag_names(flags: AnswerFlag) -> list[str]:
    """Flags as a trace names them.

    >>> flag_names(AnswerFlag.LOOKED)
    ['looked']
    """
    return [str(flag.name).lower().replace("_", "-") for flag in AnswerFlag if flag in flags]


def _question_fields(frame: QuestionFrame) -> dict[str, Any]:
    options = frame.options
    fields: dict[str, Any] = {
        "question_id": frame.question_id,
        "image_id": frame.image_id,
        "text": frame.text.decode("utf-8", "replace"),
        "controller": _named(CONTROLLER_WIRE_IDS, frame.controller_id),
        "target": frame.target,
        "judged_by": _named(CONFIDENCE_WIRE_IDS, options.confidence_id),
        "region": _named(REGION_WIRE_IDS, options.region_id),
        "max_answer_tokens": frame.max_answer_tokens,
    }
    if options.byte_budget_code:
        fields["budget_bytes"] = bytes_of_code(options.byte_budget_code)
    if options.answer_within_code:
        fields["answer_within_ms"] = milliseconds_of_code(options.answer_within_code)
    return fields


def _keep(book: dict[int, _Value], key: int, value: _Value) -> None:
    """Remember something; the oldest goes where there is too much."""
    book[key] = value
    while len(book) > _MAX_KEPT:
        del book[next(iter(book))]


def _named(ids: WireIds, wire_id: int) -> str:
    """The name behind a number; a stranger may send one that stands for nothing."""
    try:
        return ids.name_of(wire_id)
    except HeliographError:
        return f"#{wire_id}"

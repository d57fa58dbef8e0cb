"""One question on an open link: asks it, streams the photo behind it, hears drafts until the final answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from heliograph.edge.link import DeviceLink
from heliograph.edge.report import Draft
from heliograph.edge.stop import expected_segments
from heliograph.errors import ConnectionLostError
from heliograph.protocol.events import DraftReceived, ErrorReceived, FinalReceived, MoreRequested, SessionClosed
from heliograph.types import EncodedImage

MESSAGE_BYTES = 128
"""Segments are joined to messages of at least this size, so that websocket framing stays below 5 %."""

STOP_GRACE_S = 1.0
"""Where the device knows that the controller will have enough, it waits this long for ENOUGH before it goes on."""

_NO_LIMIT = 2**31


@dataclass(frozen=True)
class Question:
    """What is asked, and how good the answer must be."""

    text: str
    controller: str
    target: int
    max_answer_tokens: int
    on_draft: Callable[[Draft], None] | None = None


@dataclass
class PhotoStream:
    """One photo on one connection, and how far it has been sent.

    Attributes:
        image_id: its number on the wire.
        source: what the caller named; held so that its identity stays its own.
        encoded: None until the encoder is done.
        sent: segments handed to the link.
        allowed: segments that the cloud wants at most (MORE sets a new bound).
        resumed: set by MORE.
    """

    image_id: int
    source: object
    encoded: EncodedImage | None = None
    sent: int = 0
    allowed: int = _NO_LIMIT
    resumed: asyncio.Event = field(default_factory=asyncio.Event)

    def payload_bytes(self, segments: int) -> int:
        """Header and the first ``segments`` segments in bytes."""
        return self.encoded.prefix(segments).payload_bytes if self.encoded else 0


class Exchange:
    """One question on a link that is open.

    Args:
        link: usable.
        question_id: larger than every earlier one on this link.
        question: what to ask.
        stream: the photo; new where ``stream.encoded`` is None.
        elapsed_ms: time since the question was asked.
    """

    def __init__(
        self,
        link: DeviceLink,
        question_id: int,
        question: Question,
        stream: PhotoStream,
        elapsed_ms: Callable[[], float],
    ) -> None:
        self._link = link
        self._question_id = question_id
        self._question = question
        self._stream = stream
        self._elapsed_ms = elapsed_ms
        self.drafts: list[Draft] = []
        self.payload_bytes = 0

    async def run(self, encoding: asyncio.Future[EncodedImage] | None) -> Draft:
        """The final answer.

        Args:
            encoding: gives the stream where the photo is new to this connection.

        Raises:
            HeliographError: of the photo, the cloud or the connection; the question is then cancelled.
        """
        session, asked = self._link.session, self._question
        session.ask(
            self._question_id,
            self._stream.image_id,
            asked.text,
            controller=asked.controller,
            target=asked.target,
            max_answer_tokens=asked.max_answer_tokens,
        )
        if encoding is None or not encoding.done():
            self._link.flush()  # otherwise the photo goes out in the same message
        sending = asyncio.create_task(self._send(encoding))
        hearing = asyncio.create_task(self._hear(sending))
        try:
            await asyncio.wait((sending, hearing), return_when=asyncio.FIRST_EXCEPTION)
            if sending.done() and not sending.cancelled() and not session.closed:
                sending.result()  # raises what went wrong with the photo
            return await hearing  # where the session is closed, this one knows why
        finally:
            sending.cancel()
            hearing.cancel()
            await asyncio.gather(sending, hearing, return_exceptions=True)
            if not session.closed:
                session.cancel(self._question_id)  # says nothing where the answer is there
                self._link.flush()

    # ---- to the cloud ----------------------------------------------------------------------------------
    async def _send(self, encoding: asyncio.Future[EncodedImage] | None) -> None:
        stream, session = self._stream, self._link.session
        if encoding is not None:
            stream.encoded = await encoding
            session.announce_image(stream.image_id, stream.encoded.strategy, stream.encoded.header)
            self.payload_bytes += len(stream.encoded.header)
        encoded = stream.encoded
        assert encoded is not None
        pause_at: int | None = expected_segments(encoded, self._question.controller, self._question.target)
        total = len(encoded.segments)
        if total == 0 and encoding is not None:
            session.finish_image(stream.image_id)
            self._link.flush()
        while stream.sent < total:
            if not session.wants_segments(stream.image_id) or stream.sent >= stream.allowed:
                stream.resumed.clear()
                await stream.resumed.wait()
            elif pause_at is not None and stream.sent >= pause_at:
                pause_at = None
                await self._grace()
            else:
                self._queue_message(encoded, min(total, stream.allowed, pause_at or total))
                self._link.flush()
                await self._link.room()

    async def _grace(self) -> None:
        self._stream.resumed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stream.resumed.wait(), STOP_GRACE_S)

    def _queue_message(self, encoded: EncodedImage, end: int) -> None:
        """Queue segments up to ``end``, or until the message is large enough."""
        stream, session = self._stream, self._link.session
        size = 0
        while stream.sent < end and size < MESSAGE_BYTES:
            segment = encoded.segments[stream.sent]
            session.send_segment(stream.image_id, segment)
            stream.sent += 1
            size += len(segment)
        self.payload_bytes += size
        if stream.sent == len(encoded.segments):
            session.finish_image(stream.image_id)

    # ---- from the cloud --------------------------------------------------------------------------------
    async def _hear(self, sending: asyncio.Task[None]) -> Draft:
        while True:
            match await self._link.event():
                case DraftReceived(self._question_id, text, confidence, used):
                    self._keep_draft(self._draft(text, confidence, used))
                case FinalReceived(self._question_id, text, confidence, used):
                    sending.cancel()
                    return self._draft(text, confidence, used)
                case MoreRequested(self._stream.image_id, segments):
                    self._stream.allowed = self._stream.sent + segments
                    self._stream.resumed.set()
                case ErrorReceived(error_class, question_id) if question_id in (None, self._question_id):
                    raise error_class()
                case SessionClosed(error_class):
                    raise (error_class or ConnectionLostError)()
                case _:
                    pass  # of earlier questions, or what the session itself keeps account of

    def _draft(self, text: str, confidence: float, segments_used: int) -> Draft:
        payload_bytes = self._stream.payload_bytes(segments_used)
        return Draft(self._elapsed_ms(), payload_bytes, confidence, text, photo_seen=segments_used > 0)

    def _keep_draft(self, draft: Draft) -> None:
        self.drafts.append(draft)
        if self._question.on_draft is not None:
            self._question.on_draft(draft)

"""One question on an open link: asks it, streams the photo behind it, hears drafts until the final answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from heliograph.boxes import WireBox
from heliograph.codec.calibration import Calibration
from heliograph.controllers.push import ERROR_HEAD
from heliograph.edge.budget import PayloadAccount
from heliograph.edge.link import DeviceLink
from heliograph.edge.progress import OnProgress
from heliograph.edge.report import Draft
from heliograph.edge.stop import Foresight, chunk_end, expected_segments
from heliograph.edge.streams import NO_LIMIT, PhotoStream, half_way
from heliograph.edge.tracing import DeviceTrace
from heliograph.errors import ConnectionLostError, HeliographError, PayloadTooLargeError
from heliograph.protocol.events import (
    DraftReceived,
    ErrorReceived,
    FinalReceived,
    MoreRequested,
    RegionRequested,
    SessionClosed,
)
from heliograph.protocol.frames import NO_FLAGS, AnswerFlag
from heliograph.question import Question
from heliograph.registry import CONTROLLERS
from heliograph.transport.base import DEFAULT_QUEUE_BYTES
from heliograph.types import EncodedImage

MESSAGE_BYTES = 128
"""Segments are joined to messages of at least this size, so that websocket framing stays below 5 %."""

JUDGED_MESSAGE_BYTES = 40
"""Where the cloud judges drafts, messages are small and few bytes wait unsent, so that enough can come in time: twelve
bytes more of framing on a stream of 160, against what a slow link would carry in vain."""

STOP_GRACE_S = 1.0
"""Where the device knows that the controller will have enough, it waits this long for ENOUGH before it goes on; on a
slow link as long as opening the connection took, which is two round trips and some hundred bytes."""

CropSource = Callable[[WireBox], Awaitable[PhotoStream]]
"""A region of the photo to the stream that shows it, encoded."""


@dataclass(frozen=True)
class DeviceSide:
    """What the device keeps to itself about a question.

    Attributes:
        on_draft: called with every draft.
        calibration, foresee: what the device knows of the cloud's decision beforehand.
        crop: makes the crop that the cloud asks for; None refuses.
        trace: records where the device means to stop; None for nobody.
        on_progress: called while nothing is heard yet; None for nobody.
    """

    on_draft: Callable[[Draft], None] | None = None
    calibration: Calibration | None = None
    foresee: Foresight = lambda prefix: None
    crop: CropSource | None = None
    trace: DeviceTrace | None = None
    on_progress: OnProgress | None = None


class Exchange:
    """One question on a link that is open; run again on another one where the first broke.

    Args:
        question: what to ask, as the cloud hears it.
        side: what of it does not travel.
        stream: the photo.
        account: of payload bytes; nothing is sent that it does not take.
        elapsed_ms: time since the question was asked.

    Attributes:
        drafts: in order of arrival, over all connections.
    """

    def __init__(
        self,
        question: Question,
        side: DeviceSide,
        stream: PhotoStream,
        account: PayloadAccount,
        elapsed_ms: Callable[[], float],
    ) -> None:
        self._question = question
        self._side = side
        self._stream = stream
        self._account = account
        self._elapsed_ms = elapsed_ms
        controller = CONTROLLERS.load(question.effective_controller)
        self._asks = controller.asks
        judged = controller.judges_answers and question.confidence != ERROR_HEAD
        self._message_bytes = JUDGED_MESSAGE_BYTES if judged else MESSAGE_BYTES
        self._unsent_bytes = JUDGED_MESSAGE_BYTES if judged else DEFAULT_QUEUE_BYTES
        self.drafts: list[Draft] = []
        self._regions_sent = set[WireBox]()
        self._unsent: Callable[[], int] = lambda: 0

    @property
    def regions_sent(self) -> int:
        """Crops that the cloud got, each counted once however many connections it took."""
        return len(self._regions_sent)

    @property
    def left_bytes(self) -> int:
        """Payload of the photo that has left this machine, over all connections."""
        return self._stream.sent_bytes - self._unsent()

    @property
    def total_bytes(self) -> int | None:
        """Payload of the photo that may leave at most; None before it is encoded."""
        encoded = self._stream.encoded
        if encoded is None:
            return None
        return self._stream.payload_bytes(self._account.segments_within(self._stream, encoded))

    def can_use_more(self) -> bool:
        """Whether this question may have more of a photo that was cut short for an earlier one, and could want it."""
        stream, encoded = self._stream, self._stream.encoded
        if encoded is None or not stream.cut:
            return False
        anew = self._account.segments_within(PhotoStream(stream.image_id, stream.source), encoded)
        wanted = len(encoded.segments) if self._asks else self._expected_segments(encoded)
        return min(anew, wanted) > stream.sent

    async def run(self, link: DeviceLink, question_id: int, encoding: asyncio.Future[EncodedImage] | None) -> Draft:
        """The final answer.

        Args:
            link: usable.
            question_id: larger than every earlier one in this session.
            encoding: gives the stream where the photo is new to this session.

        Raises:
            PayloadTooLargeError: the account does not take the first segment of a photo of which the cloud holds none.
            HeliographError: of the photo, the cloud or the connection. After any error the question is cancelled.
        """
        self._link, self._question_id = link, question_id
        self._unsent = lambda: link.payload_unsent
        self._account.enter_connection()
        session = link.session
        session.ask(question_id, self._stream.image_id, self._question)
        if encoding is None or not encoding.done():
            link.flush()  # otherwise the photo goes out in the same message
        sending = asyncio.create_task(self._send(encoding))
        listening = asyncio.create_task(self._listen(sending))
        try:
            await asyncio.wait((sending, listening), return_when=asyncio.FIRST_EXCEPTION)
            if sending.done() and not sending.cancelled() and not session.closed:
                sending.result()  # raises what went wrong with the photo
            return await listening  # where the session is closed, this one knows why
        finally:
            sending.cancel()
            listening.cancel()
            await asyncio.gather(sending, listening, return_exceptions=True)
            if not session.closed:
                session.cancel(question_id)  # says nothing where the answer is there
                link.flush()

    # ---- to the cloud ----------------------------------------------------------------------------------
    async def _send(self, encoding: asyncio.Future[EncodedImage] | None) -> None:
        stream = self._stream
        if stream.encoded is None:
            assert encoding is not None, "a new photo is being encoded"
            stream.encoded = await asyncio.shield(encoding)  # another connection may still need it
        encoded = stream.encoded
        if stream.sent == 0 and not self._account.takes(stream, encoded):
            raise PayloadTooLargeError
        stream.allowed = chunk_end(encoded, stream.sent) if self._asks else NO_LIMIT
        self._announce(stream, encoded)
        pause_at = None if self._asks else self._expected_segments(encoded)
        if self._side.trace is not None:
            within = self._account.segments_within(stream, encoded)
            self._side.trace.stop_expected(stream.image_id, self._question, encoded, pause_at, within)
        await self._send_segments(stream, encoded, pause_at)
        self._link.flush()  # the question, where nothing of the photo was left to send with it

    def _expected_segments(self, encoded: EncodedImage) -> int:
        return expected_segments(encoded, self._question, self._side.calibration, self._side.foresee)

    def _announce(self, stream: PhotoStream, encoded: EncodedImage) -> None:
        """Say that a photo begins, unless it was said; a stream without segments is at its end at once."""
        if not stream.announced:
            total = len(encoded.segments) if self._asks else 0
            self._link.session.announce_image(stream.image_id, encoded.strategy, encoded.header, total)
            stream.announced = True
            self._count_payload(stream, len(encoded.header))
        self._finish(stream, encoded)

    def _finish(self, stream: PhotoStream, encoded: EncodedImage) -> bool:
        """Say that nothing follows, where that is so, was not said, and the cloud cannot see it."""
        at_end = stream.sent == len(encoded.segments)
        if stream.finished or not (at_end or self._is_cut_short(stream, encoded)):
            return False
        self._link.session.finish_image(stream.image_id)
        stream.finished = True
        return True

    def _is_cut_short(self, stream: PhotoStream, encoded: EncodedImage) -> bool:
        """Whether the next segment is wanted and would be one too many, and fewer bytes are there than the question
        names: the cloud would wait for it. At the very bound it knows by itself, and the stream can be continued by a
        later question that may have more."""
        wanted = self._link.session.wants_segments(stream.image_id) and stream.sent < stream.allowed
        return wanted and not self._account.takes(stream, encoded) and not self._account.cloud_sees_limit(stream)

    async def _send_segments(self, stream: PhotoStream, encoded: EncodedImage, pause_at: int | None) -> None:
        session, total = self._link.session, self._account.segments_within(stream, encoded)
        seal_at = end = min(total, stream.allowed)
        if not self._asks and pause_at in (None, len(encoded.segments)):  # elsewhere a pause will come before the end
            seal_at = stream.sent + half_way(encoded.segments[stream.sent : end])
        while not stream.finished:
            goes_on = session.wants_segments(stream.image_id) and stream.sent < stream.allowed
            if self._finish(stream, encoded):
                break  # and flushed by whoever wanted this sent
            if not (goes_on and self._account.takes(stream, encoded)):
                self._link.flush()  # where the question has not gone out with a segment
                stream.resumed.clear()
                await stream.resumed.wait()
            elif pause_at is not None and stream.sent >= pause_at:
                pause_at = None
                await self._wait_grace()
            else:
                end = min(total, stream.allowed, pause_at or total)
                self._queue_message(stream, encoded, end)
                if stream.sent >= min(end, seal_at):  # it pauses here, or is half through
                    session.seal()
                    seal_at = NO_LIMIT
                self._link.flush()
                await self._link.room(self._unsent_bytes)

    async def _wait_grace(self) -> None:
        self._stream.resumed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stream.resumed.wait(), max(STOP_GRACE_S, self._link.opening_s))

    def _queue_message(self, stream: PhotoStream, encoded: EncodedImage, end: int) -> None:
        """Queue segments up to ``end``, or until the message is large enough or the account takes no more."""
        size = 0
        while stream.sent < end and size < self._message_bytes and self._account.takes(stream, encoded):
            segment = encoded.segments[stream.sent]
            self._link.session.send_segment(stream.image_id, segment)
            self._count_payload(stream, len(segment))
            stream.sent += 1
            size += len(segment)
        self._finish(stream, encoded)

    def _count_payload(self, stream: PhotoStream, size: int) -> None:
        stream.sent_bytes += size
        self._account.spend(size)
        self._link.queue_payload(size)

    async def _serve_region(self, box: WireBox) -> None:
        """Send the crop that the cloud asks for, or say that it will not come: then the first answer stands."""
        session, crop = self._link.session, None
        if self._side.crop is not None:
            with contextlib.suppress(HeliographError):
                crop = await self._side.crop(box)
        encoded = None if crop is None else crop.encoded
        if crop is None or encoded is None or not self._account.takes_crop(crop, encoded, self._stream):
            session.send_crop(self._question_id, None)
        else:
            session.send_crop(self._question_id, crop.image_id)
            self._regions_sent.add(box)
            self._announce(crop, encoded)
            await self._send_segments(crop, encoded, None)
        self._link.flush()

    # ---- from the cloud --------------------------------------------------------------------------------
    async def _listen(self, sending: asyncio.Task[None]) -> Draft:
        region: asyncio.Task[None] | None = None
        try:
            while True:
                match await self._link.event():
                    case DraftReceived(self._question_id, text, confidence, used):
                        self._keep_draft(self._draft(text, confidence, used))
                    case FinalReceived(self._question_id, text, confidence, used, flags):
                        sending.cancel()
                        return self._draft(text, confidence, used, flags)
                    case MoreRequested(self._stream.image_id, segments):
                        self._stream.allowed = self._stream.sent + segments
                        self._stream.resumed.set()
                    case RegionRequested(self._question_id, box) if region is None:  # one a question
                        sending.cancel()  # the first answer is there, and no more of the photo can change it
                        region = asyncio.create_task(self._serve_region(box))
                    case ErrorReceived(error_class, self._question_id):
                        raise error_class.received()
                    case SessionClosed(error_class):
                        raise self._link.failure or (error_class or ConnectionLostError).received()
                    case _:
                        pass  # of earlier questions, or what the session itself keeps account of
        finally:
            if region is not None:
                region.cancel()
                await asyncio.gather(region, return_exceptions=True)

    def _draft(self, text: str, confidence: float, segments_used: int, flags: AnswerFlag = NO_FLAGS) -> Draft:
        payload_bytes = self._stream.payload_bytes(segments_used)
        return Draft(self._elapsed_ms(), payload_bytes, confidence, text, segments_used > 0, flags)

    def _keep_draft(self, draft: Draft) -> None:
        self.drafts.append(draft)
        if self._side.on_draft is not None:
            self._side.on_draft(draft)

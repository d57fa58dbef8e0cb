"""Ask a cloud about a photo: question first, then the photo as a stream until the cloud has enough.

Order of events of a first question::

    open connection -+-> HELLO, QUESTION ----------+-> IMAGE, segments ... at link speed -> stop at ENOUGH
    encode photo ----+-(in a thread, meanwhile)----+        <-- drafts, final answer --

A further question about the same photo on the same connection sends the question alone.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from heliograph.boxes import WireBox
from heliograph.clock import now_s
from heliograph.edge.backoff import Backoff
from heliograph.edge.budget import PayloadAccount
from heliograph.edge.device import Device
from heliograph.edge.exchange import CropSource, DeviceSide, Exchange
from heliograph.edge.photos.file import Photo, read_photo
from heliograph.edge.photos.identity import photo_identity, still_shows
from heliograph.edge.progress import OnProgress, SendingProgress, watched
from heliograph.edge.region import RegionSending, region_encoder
from heliograph.edge.report import AskReport, Draft
from heliograph.edge.resuming import DeviceSessionKeeper
from heliograph.edge.streams import HeldPhotos, PhotoStream, completed_setting, photo_key
from heliograph.edge.tracing import DeviceTrace
from heliograph.edge.turn import Turn
from heliograph.errors import (
    ConnectionLostError,
    HeliographError,
    PhotoMissingError,
    ServerBusyError,
    TimedOutError,
    UnknownImageError,
)
from heliograph.protocol.frames import AnswerFlag
from heliograph.protocol.questions import as_heard
from heliograph.question import DEFAULT_TIMEOUT_S, NO_REGION, Question
from heliograph.strategies.base import Kind, Setting, label
from heliograph.strategies.selection import LOCAL, kind_of
from heliograph.tracing.table import TraceSink
from heliograph.transport.base import Connection
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from PIL.Image import Image

    PhotoSource = Path | str | Image


_MAX_FAILED_ATTEMPTS = 8
"""Connections in a row that may break without a segment more in the cloud: it may be the question that breaks them."""


class DeviceClient:
    """Asks questions over one connection, opened with the first and kept for the next.

    Where the connection breaks, the session goes on over another one: the cloud keeps what has arrived for a while, and
    the device keeps the streams. Where the cloud has not greeted it yet, or keeps nothing, it begins again. A cloud
    that is full is asked again later. All that within a question's timeout.

    Args:
        open_connection: makes an open connection, such as
            ``lambda: open_websocket("ws://127.0.0.1:8765")``.
        device: encodes photos.
        access_token: shown to the cloud.
        clock: seconds, ascending.
        reconnect_s: how long to try after the connection broke; 0 for not at all, None for as long as a question's
            timeout allows.
        jitter: numbers from 0 to below 1, so that devices that lost a cloud together do not come back together.
        key: shared with the cloud, to authenticate question, photo and answer; empty for none.
        on_retry: called with what is wrong before every further attempt to get a connection, or room in a cloud that
            is full, but the first one.
        trace: takes the events of this client, such as :meth:`heliograph.tracing.writing.TraceWriter.record`, one trace
            for each client; None for no trace.
    """

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[Connection]],
        device: Device,
        access_token: str = "",
        clock: Callable[[], float] = now_s,
        reconnect_s: float | None = None,
        jitter: Callable[[], float] = random.random,
        *,
        key: bytes = b"",
        on_retry: Callable[[HeliographError], None] | None = None,
        trace: TraceSink | None = None,
    ) -> None:
        self._device = device
        self._trace = None if trace is None else DeviceTrace(trace, authenticated=bool(key))
        self._clock = clock
        self._turn = asyncio.Lock()
        self._photos = HeldPhotos()
        self._session = DeviceSessionKeeper(
            open_connection,
            device.bundle_hash,
            access_token,
            self._photos,
            clock,
            Backoff(jitter),
            reconnect_s,
            key,
            on_retry,
            self._trace,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection, if there is one; never waits longer than two seconds."""
        await self._session.close()

    @property
    def connected(self) -> bool:
        """Whether the next question finds an open connection."""
        return self._session.usable

    def held(self, photo: PhotoSource, settings: Iterable[tuple[str, Setting]]) -> list[tuple[str, Setting]]:
        """Strategies and settings in which the cloud holds the whole photo: a question about it sends none of it.

        None of them while no connection is open, since only the next one tells what was kept.

        Raises:
            UnknownNameError, UsageError: a strategy or a knob that there is not.
            HeliographError: of the photo, where the cloud holds any.
        """
        if not self.connected or not self._photos:
            return []
        identity = photo_identity(photo)
        return [
            (name, setting)
            for name, setting in settings
            if self._photos.holds_whole(photo_key(identity, name, setting))
        ]

    async def ask(
        self,
        photo: PhotoSource,
        question: str | Question,
        *,
        strategy: str | None = None,
        setting: Setting | None = None,
        region_sending: RegionSending | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        on_draft: Callable[[Draft], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> AskReport:
        """Ask, and wait for the final answer. Questions asked at once take turns.

        Args:
            photo: a file, or an RGB picture that stays unchanged while this client holds it.
            question: a text alone is asked with the defaults of :class:`heliograph.question.Question`.
            strategy: registry name; ``local`` answers on the device and opens no connection. None takes the best codec
                of the device's bundle.
            setting: knobs that differ from the strategy's defaults.
            region_sending: how a crop that the cloud asks for travels; None for WebP.
            timeout_s: for everything together, in seconds; then the question ends without an answer.
            on_draft: called with every draft as it arrives.
            on_progress: called while the photo is encoded and sent, see :mod:`heliograph.edge.progress`.

        Raises:
            ServerUnreachableError: no connection; at once where nobody was ever there.
            ServerBusyError: the cloud was full to the last.
            ConnectionLostError: it broke before the final answer, and again and again.
            TimedOutError: ``timeout_s`` passed.
            PayloadTooLargeError: the byte budget does not hold the first segment of the photo's stream, or after a
                broken connection not another time; nothing is answered from no photo.
            HeliographError: any other named error of the photo, the question, the strategy or the cloud.
        """
        strategy = strategy or self._device.preferred_strategy
        completed = completed_setting(strategy, setting or {})
        calibration = self._device.calibration
        asked = as_heard(Question.of(question).completed(calibrated=calibration is not None))
        side = DeviceSide(
            on_draft,
            calibration,
            lambda prefix: self._device.foresee(prefix, asked.text),
            trace=self._trace,
            on_progress=on_progress,
        )
        asking = self._ask(photo, asked, strategy, completed, side, region_sending or RegionSending(), timeout_s)
        return await (asking if self._trace is None else self._trace.follow(asked, strategy, asking))

    async def _ask(
        self,
        photo: PhotoSource,
        asked: Question,
        strategy: str,
        completed: Setting,
        side: DeviceSide,
        sending: RegionSending,
        timeout_s: float,
    ) -> AskReport:
        until_s = self._clock() + timeout_s
        try:
            async with asyncio.timeout(timeout_s), self._turn:
                session = self._session
                account = PayloadAccount(asked.byte_budget)
                turn = Turn(self._clock, self._clock(), until_s, session.counters, session.reconnections, account)
                if kind_of(strategy) is Kind.LOCAL:
                    return await self._ask_device(photo, asked, turn)
                try:
                    return await self._ask_cloud(photo, strategy, completed, asked, side, turn, sending)
                except UnknownImageError:
                    if not turn.was_held:
                        raise
                    # The cloud had let go of the photo that it held; this client has by now, and sends it again.
                    return await self._ask_cloud(photo, strategy, completed, asked, side, turn, sending)
        except TimeoutError as error:
            raise self._session.take_failure() or TimedOutError() from error

    # ---- on the device ---------------------------------------------------------------------------------
    async def _ask_device(self, photo: PhotoSource, asked: Question, turn: Turn) -> AskReport:
        def work() -> Draft:
            opened = _opened(photo)
            turn.photo_notes = opened.notes
            tokens = self._device.encode_tokens(opened.image)
            turn.encode_ms = turn.elapsed_ms()
            answer = self._device.local_model.answer(asked.text, tokens, max_new_tokens=asked.max_answer_tokens)
            return Draft(turn.elapsed_ms(), 0, answer.confidence, answer.text)

        final = await asyncio.to_thread(work)
        return AskReport(
            answer=final.text,
            confidence=final.confidence,
            strategy=LOCAL,
            setting={},
            payload_bytes=0,
            wire_bytes_up=0,
            wire_bytes_down=0,
            encode_ms=turn.encode_ms,
            first_draft_ms=final.t_ms,
            final_ms=final.t_ms,
            photo_notes=turn.photo_notes,
        )

    # ---- over the link ---------------------------------------------------------------------------------
    async def _ask_cloud(
        self,
        photo: PhotoSource,
        strategy: str,
        setting: Setting,
        asked: Question,
        side: DeviceSide,
        turn: Turn,
        region_sending: RegionSending,
    ) -> AskReport:
        identity = await asyncio.to_thread(photo_identity, photo)
        key = photo_key(identity, strategy, setting, asked.text)
        if asked.region != NO_REGION:
            side = replace(side, crop=self._crop_source(photo, identity, region_sending))
        encoding: asyncio.Future[EncodedImage] | None = None
        turn.was_held = key in self._photos
        if not turn.was_held:
            work = asyncio.to_thread(self._encode, photo, identity, strategy, setting, turn, asked)
            encoding = asyncio.ensure_future(work)
        exchange: Exchange | None = None

        def progress() -> SendingProgress:
            connecting, at_work = not self.connected, encoding is not None and not encoding.done()
            if exchange is None:
                return SendingProgress(connecting, at_work)
            return SendingProgress(connecting, at_work, exchange.left_bytes, exchange.total_bytes)

        try:
            async with watched(progress, turn.elapsed_ms, side.on_progress):
                link = await self._session.linked(turn.until_s)
                stream = self._photos.get(key) or self._photos.begin(key, photo, link.session)
                exchange = Exchange(asked, side, stream, turn.account, turn.elapsed_ms)
                if exchange.can_use_more():
                    self._photos.restart_stream(stream, link.session)
                final = await self._answered(exchange, stream, encoding, turn)
        except BaseException:
            self._forget(key)  # whatever state it is in; the next question sends the photo anew
            raise
        finally:
            if encoding is not None:
                encoding.cancel()
                await asyncio.gather(encoding, return_exceptions=True)
        if turn.photo_changed:
            self._forget(key)  # what was sent is what the file shows by now, and not what its key says
        before, after = turn.counters_before, self._session.counters
        return AskReport(
            answer=final.text,
            confidence=final.confidence,
            strategy=strategy,
            setting=setting,
            payload_bytes=turn.account.spent_bytes,
            wire_bytes_up=after.up_bytes - before.up_bytes,
            wire_bytes_down=after.down_bytes - before.down_bytes,
            encode_ms=turn.encode_ms,
            first_draft_ms=(exchange.drafts or [final])[0].t_ms,
            final_ms=final.t_ms,
            drafts=tuple(exchange.drafts),
            stopped_early=stream.encoded is not None and stream.sent < len(stream.encoded.segments),
            photo_seen=final.photo_seen,
            regions_sent=exchange.regions_sent,
            looked=AnswerFlag.LOOKED in final.flags,
            region_missed=AnswerFlag.REGION_MISSED in final.flags,
            controller_failed=AnswerFlag.CONTROLLER_FAILED in final.flags,
            reconnections=self._session.reconnections - turn.reconnections_before,
            photo_notes=turn.photo_notes,
            likelihood=None if stream.encoded is None else self._device.likelihood(stream.encoded),
            cloud_bundle=self._session.cloud_bundle_hash.hex(),
        )

    async def _answered(
        self,
        exchange: Exchange,
        stream: PhotoStream,
        encoding: asyncio.Future[EncodedImage] | None,
        turn: Turn,
    ) -> Draft:
        """The final answer, over as many connections as it takes."""
        failed_attempts, max_held = 0, 0
        while True:
            link = await self._session.linked(turn.until_s)
            unsent_before = self._session.counters.payload_unsent_bytes
            try:
                final = await exchange.run(link, self._photos.next_id(), encoding)
            except (ConnectionLostError, ServerBusyError) as error:
                await self._session.resume(error, turn.until_s)
                turn.account.refund(self._session.counters.payload_unsent_bytes - unsent_before)
                if stream.sent > max_held:
                    failed_attempts, max_held = 0, stream.sent
                    self._session.restart_backoff()
                elif isinstance(error, ConnectionLostError):
                    failed_attempts += 1
                if failed_attempts >= _MAX_FAILED_ATTEMPTS:
                    raise
            else:
                self._session.restart_backoff()
                return final

    def _encode(
        self,
        photo: PhotoSource,
        identity: object,
        strategy: str,
        setting: Setting,
        turn: Turn,
        asked: Question,
    ) -> EncodedImage:
        started_s = self._clock()
        opened = _opened(photo)
        encoded = self._device.encode(opened.image, strategy, setting, asked.level_agreement, asked.text)
        turn.encode_ms = (self._clock() - started_s) * 1e3
        if self._trace is not None:
            self._trace.encoded(encoded, turn.encode_ms)
        turn.photo_notes, turn.photo_changed = opened.notes, not still_shows(photo, identity)
        return encoded

    def _forget(self, key: object) -> None:
        self._photos.forget(key, self._session.session)
        self._session.flush()

    # ---- regions ---------------------------------------------------------------------------------------
    def _crop_source(self, photo: PhotoSource, identity: object, sending: RegionSending) -> CropSource:
        cut = region_encoder(self._device, photo, sending)
        how = sending.strategy, label(sending.setting or {})

        def encode(box: WireBox) -> EncodedImage:
            encoded = cut(box)
            if not still_shows(photo, identity):
                raise PhotoMissingError  # another photo lies there by now, of which nobody asked for a region
            return encoded

        async def crop(box: WireBox) -> PhotoStream:
            key = identity, "region", box, how
            stream, session = self._photos.get(key), self._session.session
            if stream is None and session is not None:
                encoded = await asyncio.to_thread(encode, box)
                stream = self._photos.begin(key, photo, session)
                stream.encoded = encoded
            if stream is None:
                raise ConnectionLostError
            return stream

        return crop


def _opened(photo: PhotoSource) -> Photo:
    return read_photo(photo) if isinstance(photo, str | Path) else Photo(photo)

"""Ask a cloud about a photo: question first, then the photo as a stream until the cloud has enough.

Order of events of a first question::

    open connection -+-> HELLO, QUESTION ----------+-> IMAGE, segments ... at link speed -> stop at ENOUGH
    encode photo ----+-(in a thread, meanwhile)----+        <-- drafts, final answer --

A further question about the same photo on the same connection sends the question alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from heliograph.clock import now_s
from heliograph.edge.device import Device
from heliograph.edge.exchange import Exchange, PhotoStream, Question
from heliograph.edge.link import DeviceLink
from heliograph.edge.photo import load_photo
from heliograph.edge.report import AskReport, Draft
from heliograph.errors import ServerUnreachableError, TimedOutError
from heliograph.protocol.session import DeviceSession
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Setting, label
from heliograph.transport.base import Connection
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from PIL.Image import Image

    PhotoSource = Path | str | Image

DEFAULT_DEADLINE_S = 120.0
DEFAULT_TARGET = 230
LOCAL = "local"

_HELD_PHOTOS = 16


@dataclass
class _Timing:
    """Clock of one question."""

    clock: Callable[[], float]
    started_s: float
    encode_ms: float = 0.0

    def elapsed_ms(self) -> float:
        return (self.clock() - self.started_s) * 1e3


class DeviceClient:
    """Asks questions over one connection, opened with the first and kept for the next.

    Args:
        open_connection: makes an open connection, such as
            ``lambda: open_websocket("ws://127.0.0.1:8765")``.
        device: encodes photos.
        access_token: shown to the cloud.
        clock: seconds, ascending.
    """

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[Connection]],
        device: Device,
        access_token: str = "",
        clock: Callable[[], float] = now_s,
    ) -> None:
        self._open_connection = open_connection
        self._device = device
        self._access_token = access_token
        self._clock = clock
        self._turn = asyncio.Lock()
        self._link: DeviceLink | None = None
        self._streams: dict[object, PhotoStream] = {}
        self._next_id = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection, if there is one; never waits longer than two seconds."""
        link, self._link = self._link, None
        self._streams.clear()
        if link is not None:
            await link.close()

    async def ask(
        self,
        photo: PhotoSource,
        question: str,
        *,
        strategy: str | None = None,
        setting: Setting | None = None,
        controller: str = "energy",
        target: int = DEFAULT_TARGET,
        max_answer_tokens: int = 64,
        deadline_s: float = DEFAULT_DEADLINE_S,
        on_draft: Callable[[Draft], None] | None = None,
    ) -> AskReport:
        """Ask, and wait for the final answer. Questions asked at once take turns.

        Args:
            photo: a file, or an RGB picture that stays unchanged while this client holds it.
            question: 1 to 2000 characters.
            strategy: registry name; ``local`` answers on the device and opens no connection. None takes the best codec
                of the device's bundle.
            setting: knobs that differ from the strategy's defaults.
            controller: ``energy`` or ``fixed``.
            target: the controller's target byte, 0 to 255.
            max_answer_tokens: 1 to 1024.
            deadline_s: for everything together, in seconds.
            on_draft: called with every draft as it arrives.

        Raises:
            ServerUnreachableError: no connection.
            ConnectionLostError: it broke before the final answer.
            TimedOutError: the deadline passed.
            HeliographError: any other named error of the photo, the question, the strategy or the cloud.
        """
        strategy = strategy or self._device.preferred_strategy
        completed = STRATEGIES.load(strategy)().complete_setting(setting or {})
        asked = Question(question, controller, target, max_answer_tokens, on_draft)
        try:
            async with asyncio.timeout(deadline_s), self._turn:
                timing = _Timing(self._clock, self._clock())
                if strategy == LOCAL:
                    return await self._ask_device(photo, asked, timing)
                return await self._ask_cloud(photo, strategy, completed, asked, timing)
        except TimeoutError as error:
            raise TimedOutError from error

    # ---- on the device ---------------------------------------------------------------------------------
    async def _ask_device(self, photo: PhotoSource, asked: Question, timing: _Timing) -> AskReport:
        def work() -> Draft:
            tokens = self._device.encode_tokens(_opened(photo))
            timing.encode_ms = timing.elapsed_ms()
            answer = self._device.local_model.answer(asked.text, tokens, max_new_tokens=asked.max_answer_tokens)
            return Draft(timing.elapsed_ms(), 0, answer.confidence, answer.text)

        final = await asyncio.to_thread(work)
        return AskReport(
            answer=final.text,
            confidence=final.confidence,
            strategy=LOCAL,
            setting={},
            payload_bytes=0,
            wire_bytes_up=0,
            wire_bytes_down=0,
            encode_ms=timing.encode_ms,
            first_draft_ms=final.t_ms,
            final_ms=final.t_ms,
        )

    # ---- over the link ---------------------------------------------------------------------------------
    async def _ask_cloud(
        self, photo: PhotoSource, strategy: str, setting: Setting, asked: Question, timing: _Timing
    ) -> AskReport:
        if self._link is not None and not self._link.usable:
            await self.close()
        key = _identity(photo), strategy, label(setting)
        encoding: asyncio.Future[EncodedImage] | None = None
        if key not in self._streams:
            work = asyncio.to_thread(self._encode, photo, strategy, setting, timing)
            encoding = asyncio.ensure_future(work)
        try:
            before = self._counters()
            link = await self._linked()
            stream = self._streams.get(key) or self._new_stream(key, photo)
            self._next_id += 1
            exchange = Exchange(link, self._next_id, asked, stream, timing.elapsed_ms)
            final = await exchange.run(encoding)
        except BaseException:
            self._forget(key)  # whatever state it is in; the next question sends the photo anew
            raise
        finally:
            if encoding is not None:
                encoding.cancel()
                await asyncio.gather(encoding, return_exceptions=True)
        after = self._counters()
        return AskReport(
            answer=final.text,
            confidence=final.confidence,
            strategy=strategy,
            setting=setting,
            payload_bytes=exchange.payload_bytes,
            wire_bytes_up=after[0] - before[0],
            wire_bytes_down=after[1] - before[1],
            encode_ms=timing.encode_ms,
            first_draft_ms=(exchange.drafts or [final])[0].t_ms,
            final_ms=final.t_ms,
            drafts=tuple(exchange.drafts),
            stopped_early=stream.encoded is not None and stream.sent < len(stream.encoded.segments),
            photo_seen=final.photo_seen,
        )

    def _encode(self, photo: PhotoSource, strategy: str, setting: Setting, timing: _Timing) -> EncodedImage:
        started_s = self._clock()
        encoded = self._device.encode(_opened(photo), strategy, setting)
        timing.encode_ms = (self._clock() - started_s) * 1e3
        return encoded

    async def _linked(self) -> DeviceLink:
        if self._link is None:
            try:
                connection = await self._open_connection()
            except TimedOutError as error:
                raise ServerUnreachableError from error
            session = DeviceSession(self._device.bundle_hash, self._access_token)
            self._link = DeviceLink(connection, session, self._clock)
        self._link.drop_events()
        return self._link

    def _counters(self) -> tuple[int, int]:
        if self._link is None:
            return 0, 0
        return self._link.connection.sent_bytes, self._link.connection.received_bytes

    # ---- photos that the cloud holds -------------------------------------------------------------------
    def _new_stream(self, key: object, photo: PhotoSource) -> PhotoStream:
        while len(self._streams) >= _HELD_PHOTOS:
            self._forget(next(iter(self._streams)))
        self._next_id += 1
        stream = self._streams[key] = PhotoStream(self._next_id, photo)
        return stream

    def _forget(self, key: object) -> None:
        stream = self._streams.pop(key, None)
        if stream is not None and self._link is not None and not self._link.session.closed:
            self._link.session.forget_image(stream.image_id)
            self._link.flush()


def _opened(photo: PhotoSource) -> Image:
    return load_photo(photo) if isinstance(photo, str | Path) else photo


def _identity(photo: PhotoSource) -> object:
    """Equal for the same unchanged file, or the same picture object."""
    if not isinstance(photo, str | Path):
        return id(photo)
    try:
        status = Path(photo).stat()
    except (OSError, ValueError):
        return str(photo)  # loading it will say what is wrong
    return str(Path(photo).resolve()), status.st_mtime_ns, status.st_size

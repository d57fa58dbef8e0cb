"""The device's session over as many connections as it takes: taken up again where one broke, begun again where there is
none to take up."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from heliograph.edge.backoff import Backoff
from heliograph.edge.link import DeviceLink
from heliograph.edge.streams import HeldPhotos
from heliograph.edge.tracing import DeviceTrace
from heliograph.errors import (
    ConnectionLostError,
    HeliographError,
    ServerBusyError,
    ServerUnreachableError,
    TimedOutError,
)
from heliograph.protocol.authentication import NONCE_BYTES
from heliograph.protocol.session import DeviceSession
from heliograph.transport.base import Connection
from heliograph.transport.liveness import OPENINGS

_MIN_OPENING_S = 10.0
_OPENING_SHARE = 0.5
"""Opening the first connection may take so much of the question's time: what is slower leaves none for an answer. A
later one may take :data:`OPENINGS` times what the slowest has taken, and twice as long after every attempt that took
longer."""

log = logging.getLogger(__name__)

_TRANSIENT = (ConnectionLostError, ServerBusyError, ServerUnreachableError, TimedOutError)


class Counters(NamedTuple):
    """Bytes of all connections so far.

    Attributes:
        up_bytes: that left.
        down_bytes: that came.
        payload_unsent_bytes: payload handed to connections that broke before it left.
    """

    up_bytes: int = 0
    down_bytes: int = 0
    payload_unsent_bytes: int = 0


class DeviceSessionKeeper:
    """Gives the open link of one device session.

    Args:
        open_connection: makes an open connection.
        bundle_hash: of the device.
        access_token: shown to the cloud.
        photos: sent again as far as the cloud does not hold them.
        clock: seconds, ascending.
        backoff: how long to wait between attempts.
        reconnect_s: how long to try after a connection broke, within a question's time; 0 for not at all, None for as
            long as the question has.
        key: shared with the cloud, to authenticate every session; empty for none.
        on_retry: called with what is wrong before every attempt but the first, since something was last achieved.
        trace: records connections and attempts; None for nobody.
    """

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[Connection]],
        bundle_hash: bytes,
        access_token: str,
        photos: HeldPhotos,
        clock: Callable[[], float],
        backoff: Backoff,
        reconnect_s: float | None = None,
        key: bytes = b"",
        on_retry: Callable[[HeliographError], None] | None = None,
        trace: DeviceTrace | None = None,
    ) -> None:
        self._trace = trace
        self._open_connection = open_connection
        self._bundle_hash, self._access_token = bundle_hash, access_token
        self._photos = photos
        self._clock = clock
        self._backoff = backoff
        self._reconnect_s = reconnect_s
        self._key = key
        self._on_retry = on_retry
        self._link: DeviceLink | None = None
        self._token = b""  # of the session that was let go last
        self._earlier = Counters()
        self._slowest_opening_s: float | None = None
        self._late_openings = 0
        self.reconnections = 0
        self._last_failure: HeliographError | None = None

    @property
    def usable(self) -> bool:
        """True where the next question finds an open connection."""
        return self._link is not None and self._link.usable

    @property
    def session(self) -> DeviceSession | None:
        """The session of the open link."""
        return self._link.session if self._link is not None else None

    @property
    def cloud_bundle_hash(self) -> bytes:
        """The hash of the bundle of the cloud at the other end of the open link; empty where there is none."""
        return self._link.cloud_bundle_hash if self._link is not None else b""

    @property
    def counters(self) -> Counters:
        """Counters over all connections that were open."""
        return self._earlier if self._link is None else self._with(self._link)

    def flush(self) -> None:
        """Let what is queued go out."""
        if self._link is not None:
            self._link.flush()

    async def close(self) -> None:
        """Close the connection, if there is one; never waits longer than two seconds."""
        link = self._detach()
        self._token = b""
        self._photos.clear()
        if link is not None:
            await link.close()

    def restart_backoff(self) -> None:
        """Something was achieved: the next failure is a first one again."""
        self._backoff.restart()

    def take_failure(self) -> HeliographError | None:
        """What kept a question that was cancelled from having a link; None where it had one. Said once."""
        failure, self._last_failure = self._last_failure, None
        return failure

    async def linked(self, until_s: float) -> DeviceLink:
        """The open link; a connection is opened where there is none, and a session that broke meanwhile goes on.

        Args:
            until_s: when the question's time is over.

        Raises:
            ServerUnreachableError: no connection; at once where none was ever opened and none can be.
            ConnectionLostError, ServerBusyError: as :meth:`resume`.
        """
        self._last_failure = None
        if self._link is not None and not self._link.usable:
            await self._abandon()
        if self._link is None:
            await self._reconnect(until_s)
        link = self._current()
        link.drop_events()
        return link

    async def _reconnect(self, until_s: float) -> None:
        if self._token and self._reconnect_s != 0:
            await self.resume(ConnectionLostError(), until_s)
            return
        try:
            self._link = self._greeting(*await self._opened(until_s))
        except _TRANSIENT as error:
            if self._never_connected(error):
                raise
            await self.resume(error, until_s)
        else:
            self._photos.resume(self._link.session, None)  # a new session holds nothing

    async def resume(self, cause: HeliographError, until_s: float) -> None:
        """Take the session up again after its connection broke, or begin it again where the cloud has not greeted it or
        gave no token. Photos that the cloud does not hold are marked to be sent again.

        A cloud that is busy is asked again later, over the same connection where it is still open.

        Args:
            cause: what went wrong.
            until_s: when the question's time is over.

        Raises:
            ServerBusyError: it was full to the last.
            HeliographError: ``cause``, where nothing could be reached for too long; or why the cloud refused the
                session.
        """
        if self._reconnect_s is not None:
            until_s = min(until_s, self._clock() + self._reconnect_s)
        last = cause
        while True:
            busy = isinstance(last, ServerBusyError)
            failure = last if busy else cause
            pause_s = self._backoff.pause_s(busy=busy)
            if self._reconnect_s == 0 or self._clock() + pause_s >= until_s:
                raise failure
            self._last_failure = failure
            if self._backoff.failures > 1 and self._on_retry is not None:
                self._on_retry(last)
            if not (busy and self.usable):
                await self._abandon()
            if self._trace is not None:
                self._trace.retry(last, pause_s, busy=busy)
            log.info("trying again in %.1f s: %s", pause_s, last)
            await asyncio.sleep(pause_s)
            try:
                if not self.usable:
                    await self._resume_session(until_s)
                    self.reconnections += 1
            except _TRANSIENT as error:
                last = error
            except HeliographError:
                self._last_failure = None
                raise
            else:
                self._last_failure = None
                return

    async def _resume_session(self, until_s: float) -> None:
        self._link = link = self._greeting(*await self._opened(until_s), self._token)
        link.flush()
        try:
            welcome = await link.welcome()
        except BaseException:
            await self._abandon()
            raise
        link.drop_events()
        self._photos.resume(link.session, welcome.held)

    async def _opened(self, until_s: float) -> tuple[Connection, float]:
        """A connection, and how long opening it took."""
        started_s = self._clock()
        limit_s = self._opening_limit_s(until_s - started_s)
        try:
            async with asyncio.timeout(limit_s):
                connection = await self._open_connection()
        except TimeoutError as error:
            self._late_openings += 1
            raise ServerUnreachableError().noted(f"It did not answer within {limit_s:.0f} s.") from error
        except TimedOutError as error:  # of an opener with a limit of its own
            raise ServerUnreachableError from error
        took_s = self._clock() - started_s
        self._slowest_opening_s = max(took_s, self._slowest_opening_s or 0.0)
        self._late_openings = 0
        return connection, took_s

    def _opening_limit_s(self, left_s: float) -> float:
        if self._slowest_opening_s is None:
            return max(_MIN_OPENING_S, _OPENING_SHARE * left_s)
        usual_s = max(_MIN_OPENING_S, OPENINGS * self._slowest_opening_s)
        return usual_s * 2.0 ** min(self._late_openings, 16)

    def _never_connected(self, error: HeliographError) -> bool:
        """Whether nobody is there: no connection was ever opened, and none was refused for want of room."""
        return self._slowest_opening_s is None and isinstance(error, ServerUnreachableError)

    def _greeting(self, connection: Connection, opening_s: float, token: bytes = b"") -> DeviceLink:
        session = DeviceSession(
            self._bundle_hash,
            self._access_token,
            resumable=True,
            session_token=token,
            key=self._key,
            nonce=secrets.token_bytes(NONCE_BYTES) if self._key else b"",
        )
        if self._trace is not None:
            self._trace.opened(session, opening_s)
        return DeviceLink(connection, session, self._clock, opening_s)

    def _current(self) -> DeviceLink:
        assert self._link is not None, "linked and resume leave a link or raise"
        return self._link

    def _with(self, link: DeviceLink) -> Counters:
        earlier, connection = self._earlier, link.connection
        return Counters(
            earlier.up_bytes + connection.sent_bytes,
            earlier.down_bytes + connection.received_bytes,
            earlier.payload_unsent_bytes,
        )

    def _detach(self) -> DeviceLink | None:
        link, self._link = self._link, None
        if link is not None:
            if self._trace is not None:
                self._trace.closed(link.failure)
            counted = self._with(link)
            lost = counted.payload_unsent_bytes + link.payload_unsent
            self._earlier = counted._replace(payload_unsent_bytes=lost)
            if link.greeted:
                self._token = link.session_token
        return link

    async def _abandon(self) -> None:
        link = self._detach()
        if link is not None:
            await link.abandon()

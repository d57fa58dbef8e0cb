"""One open connection with its session: the thin asyncio shell around the sans-IO protocol.

Three tasks live as long as the connection: a writer that carries what the session has queued, a reader that turns bytes
into events, and one that watches for signs of life while something is sent or an answer is owed. Whoever asks a
question only touches the session and waits; a question that is given up half way therefore never cuts a message in two.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from heliograph.edge.departures import Departures
from heliograph.errors import (
    ConnectionLostError,
    HeliographError,
    ServerBusyError,
    StreamForgedError,
    TooManyError,
)
from heliograph.protocol.events import Event, SessionClosed, WelcomeReceived
from heliograph.protocol.session import DeviceSession
from heliograph.reasons import ForgedFault
from heliograph.transport.base import DEFAULT_QUEUE_BYTES, Connection
from heliograph.transport.liveness import LOOK_AFTER_S, LivenessWatch, Sight, Verdict

_CLOSE_TIMEOUT_S = 2.0
"""Time limit of the closing handshake: nothing is lost with it, so nobody waits longer, however slow the link is."""


class DeviceLink:
    """Carries one device session over one connection. Made inside a running event loop.

    Args:
        connection: open.
        session: new; HELLO is queued here and goes out with the first :meth:`flush`.
        clock: seconds, ascending.
        opening_s: what opening the connection took: the first that is known of the link.
    """

    def __init__(
        self, connection: Connection, session: DeviceSession, clock: Callable[[], float], opening_s: float = 0.0
    ) -> None:
        self.connection = connection
        self.session = session
        self.opening_s = opening_s
        self._clock = clock
        self._departures = Departures()
        self._pinging: asyncio.Task[None] | None = None
        self._ping_was_seen = False
        self._activity = asyncio.Event()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._to_write = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self._failure: HeliographError | None = None
        self._welcome: WelcomeReceived | None = None
        self._greeted = asyncio.Event()
        session.start()
        work = (self._write(), self._read(), self._watch())
        self._tasks = [asyncio.create_task(one) for one in work]

    @property
    def usable(self) -> bool:
        """True as long as another question can be asked."""
        return self._failure is None and not self.session.closed

    @property
    def greeted(self) -> bool:
        """True once the cloud has taken the session."""
        return self._welcome is not None

    @property
    def failure(self) -> HeliographError | None:
        """What ended the session or its connection, with its reason; None while both go on."""
        return self._failure

    @property
    def session_token(self) -> bytes:
        """Token with which the session can go on over another connection; empty where it cannot, or not yet."""
        return self._welcome.session_token if self._welcome is not None else b""

    @property
    def cloud_bundle_hash(self) -> bytes:
        """The hash of the bundle that the cloud holds; empty where it holds none, or has not greeted yet."""
        return self._welcome.bundle_hash if self._welcome is not None else b""

    async def welcome(self) -> WelcomeReceived:
        """The cloud's greeting.

        Raises:
            HeliographError: the connection failed, or the cloud refused.
        """
        await self._greeted.wait()
        if self._welcome is None:
            raise self._failure or ConnectionLostError()
        return self._welcome

    def flush(self) -> None:
        """Let the writer carry what the session has queued, as one message."""
        self._written.clear()
        self._to_write.set()
        self._activity.set()

    def queue_payload(self, payload_bytes: int) -> None:
        """Count payload bytes among those queued in the session."""
        self._departures.queue(payload_bytes)

    @property
    def payload_unsent(self) -> int:
        """Payload bytes that were queued and are still on this machine."""
        return self._departures.unsent(self.connection.delivery())

    async def room(self, unsent_bytes: int = DEFAULT_QUEUE_BYTES) -> None:
        """Wait until what was flushed is on its way, so that little is unsent when the cloud has enough.

        Args:
            unsent_bytes: that may still wait.

        Raises:
            HeliographError: the connection failed.
        """
        await self._written.wait()
        if self._failure is not None:
            raise self._failure
        await self.connection.drain(unsent_bytes)

    async def event(self) -> Event:
        """The next event; ``SessionClosed`` is the last one."""
        return await self._events.get()

    def drop_events(self) -> None:
        """Forget events that nobody waited for: late answers to questions that were given up."""
        while not self._events.empty():
            self._events.get_nowait()

    async def close(self) -> None:
        """Close session and connection; never waits longer than two seconds."""
        await self._stop()
        with contextlib.suppress(TimeoutError, HeliographError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self.connection.close()

    async def abandon(self) -> None:
        """Let go of a connection that is broken or dead; the cloud keeps the session for a while."""
        await self._stop()
        self.connection.abort()

    async def _stop(self) -> None:
        self.session.close()
        tasks = [*self._tasks, *([self._pinging] if self._pinging is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while True:
                await self._to_write.wait()
                self._to_write.clear()
                self._departures.begin(self.connection.delivery())
                await self.connection.send(self.session.bytes_to_send())
                if not self._to_write.is_set():
                    self._written.set()
        except HeliographError as error:
            self._fail(error)

    async def _read(self) -> None:
        try:
            while not self.session.closed:
                for event in self.session.receive(await self.connection.receive(), self._clock()):
                    if isinstance(event, SessionClosed):
                        self._failure = self._failure or self._end_of(event)
                        event = SessionClosed(type(self._failure))
                        self._greeted.set()
                    elif isinstance(event, WelcomeReceived):
                        self._welcome = event
                        self._greeted.set()
                    self._events.put_nowait(event)
                self.flush()
            self._written.set()
        except HeliographError as error:
            self._fail(error)

    def _end_of(self, closed: SessionClosed) -> HeliographError:
        """Why the session is over. Before WELCOME it holds nothing: what is too many then are the others."""
        error_class = closed.error_class or ConnectionLostError
        if self._welcome is None and error_class is StreamForgedError:
            return StreamForgedError(ForgedFault.KEY_REFUSED if self.session.has_key else ForgedFault.KEY_WANTED)
        return ServerBusyError() if self._welcome is None and error_class is TooManyError else error_class.received()

    # ---- is anybody there? ---------------------------------------------------------------------------
    async def _watch(self) -> None:
        """Take the link for dead where nothing shows that it is alive."""
        watch = LivenessWatch(self.opening_s, self._clock())
        while self._failure is None:
            sight = self._sight()
            match watch.look(sight, self._clock()):
                case Verdict.DEAD:
                    self._fail(ConnectionLostError())
                case Verdict.PING if sight.answered:
                    self._pinging, self._ping_was_seen = asyncio.create_task(self._ping()), False
                case _:
                    pass
            if watch.is_waiting(sight) or not self._written.is_set():
                await asyncio.sleep(LOOK_AFTER_S)
            else:
                self._activity.clear()
                await self._activity.wait()

    def _sight(self) -> Sight:
        """A ping counts as on its way in one look at least: its answer may be here before the next, and be no byte."""
        connection = self.connection
        answered = self._pinging is None or (self._pinging.done() and self._ping_was_seen)
        self._ping_was_seen = True
        owed = not self._greeted.is_set() or bool(self.session.open_questions)
        return Sight(connection.delivery(), connection.received_bytes, owed, answered)

    async def _ping(self) -> None:
        try:
            await self.connection.ping()
        except HeliographError as error:
            self._fail(error)

    def _fail(self, error: HeliographError) -> None:
        if self._failure is None:
            self._failure = error
            self._events.put_nowait(SessionClosed(type(error)))
        self._written.set()
        self._greeted.set()

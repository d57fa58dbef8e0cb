"""One open connection with its session: the thin asyncio shell around the sans-IO protocol.

Two tasks live as long as the connection: a writer that carries what the session has queued, and a reader that
turns bytes into events. Whoever asks a question only touches the session and waits; a question that is given up half
way therefore never cuts a message in two. A third one watches a session that can go on over another connection: where
what is queued does not move for a while, the link is taken for dead.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from heliograph.errors import ConnectionLostError, HeliographError
from heliograph.protocol.events import Event, SessionClosed, WelcomeReceived
from heliograph.protocol.session import DeviceSession
from heliograph.transport.base import DEFAULT_QUEUE_BYTES, Connection

STALL_S = 10.0
"""Unsent bytes that have not moved for so long mean a dead link; at 20 kbit/s a message leaves in a tenth of this."""

_CLOSE_TIMEOUT_S = 2.0
_LOOKS_PER_STALL = 4


class DeviceLink:
    """Carries one device session over one connection. Made inside a running event loop.

    Args:
        connection: open.
        session: new; HELLO is queued here and goes out with the first :meth:`flush`.
        clock: seconds, ascending.
    """

    def __init__(self, connection: Connection, session: DeviceSession, clock: Callable[[], float]) -> None:
        self.connection = connection
        self.session = session
        self._clock = clock
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._to_write = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self._failure: HeliographError | None = None
        self._welcome: WelcomeReceived | None = None
        self._greeted = asyncio.Event()
        session.start()
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    @property
    def usable(self) -> bool:
        """True as long as another question can be asked."""
        return self._failure is None and not self.session.closed

    @property
    def session_token(self) -> bytes:
        """With which the session can go on over another connection; empty where it cannot, or not yet."""
        return self._welcome.session_token if self._welcome is not None else b""

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
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while True:
                await self._to_write.wait()
                self._to_write.clear()
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
                        self._failure = self._failure or (event.error_class or ConnectionLostError)()
                        self._greeted.set()
                    elif isinstance(event, WelcomeReceived):
                        self._note_welcome(event)
                    self._events.put_nowait(event)
                self.flush()
            self._written.set()
        except HeliographError as error:
            self._fail(error)

    def _note_welcome(self, welcome: WelcomeReceived) -> None:
        self._welcome = welcome
        self._greeted.set()
        if welcome.session_token:
            self._tasks.append(asyncio.create_task(self._watch()))

    async def _watch(self) -> None:
        """Take the link for dead where unsent bytes do not move."""
        moved, still = self._progress(), 0
        while self._failure is None:
            await asyncio.sleep(STALL_S / _LOOKS_PER_STALL)
            waiting = not self._written.is_set() or self.connection.backlog_bytes() > 0
            before, moved = moved, self._progress()
            still = still + 1 if waiting and moved == before else 0
            if still >= _LOOKS_PER_STALL:
                self._fail(ConnectionLostError())

    def _progress(self) -> tuple[int, int, int]:
        connection = self.connection
        return connection.sent_bytes, connection.received_bytes, connection.backlog_bytes()

    def _fail(self, error: HeliographError) -> None:
        if self._failure is None:
            self._failure = error
            self._events.put_nowait(SessionClosed(type(error)))
        self._written.set()
        self._greeted.set()

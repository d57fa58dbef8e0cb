"""One open connection with its session: the thin asyncio shell around the sans-IO protocol.

Two tasks live as long as the connection: a writer that carries what the session has queued, and a reader that
turns bytes into events. Whoever asks a question only touches the session and waits; a question that is given up half
way therefore never cuts a message in two.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from heliograph.errors import ConnectionLostError, HeliographError
from heliograph.protocol.events import Event, SessionClosed
from heliograph.protocol.session import DeviceSession
from heliograph.transport.base import Connection

_CLOSE_TIMEOUT_S = 2.0


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
        session.start()
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    @property
    def usable(self) -> bool:
        """True as long as another question can be asked."""
        return self._failure is None and not self.session.closed

    def flush(self) -> None:
        """Let the writer carry what the session has queued, as one message."""
        self._written.clear()
        self._to_write.set()

    async def room(self) -> None:
        """Wait until what was flushed is on its way, so that little is unsent when the cloud has enough.

        Raises:
            HeliographError: the connection failed.
        """
        await self._written.wait()
        if self._failure is not None:
            raise self._failure
        await self.connection.drain()

    async def event(self) -> Event:
        """The next event; ``SessionClosed`` is the last one."""
        return await self._events.get()

    def drop_events(self) -> None:
        """Forget events that nobody waited for: late answers to questions that were given up."""
        while not self._events.empty():
            self._events.get_nowait()

    async def close(self) -> None:
        """Close session and connection; never waits longer than two seconds."""
        self.session.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError, HeliographError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self.connection.close()

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
                    self._events.put_nowait(event)
                self.flush()
            self._written.set()
        except HeliographError as error:
            self._fail(error)

    def _fail(self, error: HeliographError) -> None:
        if self._failure is None:
            self._failure = error
            self._events.put_nowait(SessionClosed(type(error)))
        self._written.set()

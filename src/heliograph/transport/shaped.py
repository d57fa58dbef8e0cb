"""A link of a given rate, delay and loss around any connection, in real time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from heliograph.clock import now_s
from heliograph.errors import ConnectionLostError, HeliographError
from heliograph.transport.base import DEFAULT_QUEUE_BYTES, Connection, client_message_bytes, server_message_bytes
from heliograph.transport.links import LinkDirection, LinkProfile, handshake_seconds

SOCKET_BUFFER_BYTES = 4096
"""What :meth:`ShapedConnection.send` accepts ahead of the link, as a small socket buffer would."""
_MAX_QUEUED_MESSAGES = 64

_Sizes = Callable[[int], int]


class ShapedConnection:
    """Wraps the device's connection; both directions pass the link. Made inside a running event loop.

    A message reaches the inner connection when its last byte would have arrived; until then it waits in the
    link's queue or travels. What has not arrived when the connection is closed is dropped.

    Args:
        inner: the connection that really carries the bytes.
        profile: the link; its time 0 is now.
        clock: seconds, ascending.
        up_bytes, down_bytes: size on the link of a message by its payload; websocket framing by default.
    """

    def __init__(
        self,
        inner: Connection,
        profile: LinkProfile,
        *,
        clock: Callable[[], float] = now_s,
        up_bytes: _Sizes = client_message_bytes,
        down_bytes: _Sizes = server_message_bytes,
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._start_s = clock()
        self._up = LinkDirection(profile, up=True)
        self._down = LinkDirection(profile, up=False)
        self._up_bytes, self._down_bytes = up_bytes, down_bytes
        self._going_up: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._coming_down: asyncio.Queue[tuple[float, bytes | HeliographError]] = asyncio.Queue(_MAX_QUEUED_MESSAGES)
        self._arrived: asyncio.Queue[bytes | HeliographError] = asyncio.Queue(_MAX_QUEUED_MESSAGES)
        self._failure: HeliographError | None = None
        self._ended = False
        pumps = (self._carry_up(), self._take_down(), self._carry_down())
        self._tasks = [asyncio.create_task(pump) for pump in pumps]

    @property
    def sent_bytes(self) -> int:
        """The inner connection's count: bytes still in the link's queue are not in it."""
        return self._inner.sent_bytes

    @property
    def received_bytes(self) -> int:
        """The inner connection's count."""
        return self._inner.received_bytes

    async def send(self, data: bytes) -> None:
        """Queue a message at the link; waits while 4096 bytes are queued.

        Raises:
            ConnectionLostError: the inner connection is gone.
        """
        await self.drain(SOCKET_BUFFER_BYTES)
        if data:
            carried = self._up.carry(self._now_s(), self._up_bytes(len(data)))
            self._going_up.put_nowait((carried.arrives_s, bytes(data)))

    async def receive(self) -> bytes:
        """The next message that has crossed the link; ``b""`` at the end. Safe to cancel."""
        if self._ended:
            return b""
        data = await self._arrived.get()
        if isinstance(data, HeliographError):
            self._ended = True
            raise data
        self._ended = not data
        return data

    def backlog_bytes(self) -> int:
        """Bytes in the link's queue that have not begun to travel."""
        return self._up.backlog_bytes(self._now_s())

    async def drain(self, limit_bytes: int = DEFAULT_QUEUE_BYTES) -> None:
        """Wait until at most ``limit_bytes`` are in the link's queue.

        Raises:
            ConnectionLostError: the inner connection is gone.
        """
        while self._failure is None and self.backlog_bytes() > limit_bytes:
            await self._sleep_until(self._up.time_of_backlog(limit_bytes))
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """Drop what is on its way and close the inner connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._failure = self._failure or ConnectionLostError()
        if not self._ended:
            with contextlib.suppress(asyncio.QueueFull):
                self._arrived.put_nowait(b"")
        await self._inner.close()

    def abort(self) -> None:
        """Drop what is on its way and abort the inner connection."""
        for task in self._tasks:
            task.cancel()
        self._failure = self._failure or ConnectionLostError()
        if not self._ended:
            with contextlib.suppress(asyncio.QueueFull):
                self._arrived.put_nowait(b"")
        self._inner.abort()

    def _now_s(self) -> float:
        return self._clock() - self._start_s

    async def _sleep_until(self, time_s: float) -> None:
        await asyncio.sleep(max(0.0, time_s - self._now_s()))

    async def _carry_up(self) -> None:
        while True:
            arrives_s, data = await self._going_up.get()
            await self._sleep_until(arrives_s)
            try:
                await self._inner.send(data)
            except HeliographError as error:
                self._failure = error
                return

    async def _take_down(self) -> None:
        data: bytes | HeliographError = b"-"
        while data and not isinstance(data, HeliographError):
            try:
                data = await self._inner.receive()
            except HeliographError as error:
                data = error
            size = 0 if isinstance(data, HeliographError) else self._down_bytes(len(data))
            carried = self._down.carry(self._now_s(), size)
            await self._coming_down.put((carried.arrives_s, data))

    async def _carry_down(self) -> None:
        while True:
            arrives_s, data = await self._coming_down.get()
            await self._sleep_until(arrives_s)
            await self._arrived.put(data)


async def open_shaped(inner: Connection, profile: LinkProfile) -> ShapedConnection:
    """Shape a connection that was opened on a fast link: waits as long as its handshake would have taken."""
    await asyncio.sleep(handshake_seconds(profile, inner.sent_bytes, inner.received_bytes))
    return ShapedConnection(inner, profile)

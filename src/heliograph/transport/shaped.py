"""A link of a given rate, delay and loss around any connection, in real time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from heliograph.clock import now_s
from heliograph.errors import ConnectionLostError, HeliographError
from heliograph.transport.base import (
    DEFAULT_QUEUE_BYTES,
    PING_BYTES,
    PONG_BYTES,
    Connection,
    Delivery,
    client_message_bytes,
    server_message_bytes,
)
from heliograph.transport.links import LinkDirection, LinkProfile, handshake_seconds

SOCKET_BUFFER_BYTES = 4096
"""What :meth:`ShapedConnection.send` accepts ahead of the link, as a small socket buffer would."""
_MAX_QUEUED_MESSAGES = 64

_REQUEST_BYTES = 150
"""A low guess of the HTTP request: how long is waited before the connection is opened, not how long in all."""

_Sizes = Callable[[int], int]
_Upward = bytes | asyncio.Future[None]
"""A message, or a ping with whom its answer wakes."""


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
        self._round_trip_s = profile.round_trip_s
        self._accepted_bytes = self._handed_over_bytes = self._crossing_bytes = 0
        self._up = LinkDirection(profile, up=True)
        self._down = LinkDirection(profile, up=False)
        self._up_bytes, self._down_bytes = up_bytes, down_bytes
        self._going_up: asyncio.Queue[tuple[float, _Upward]] = asyncio.Queue()
        self._coming_down: asyncio.Queue[tuple[float, int, bytes | HeliographError]]
        self._coming_down = asyncio.Queue(_MAX_QUEUED_MESSAGES)
        self._arrived: asyncio.Queue[bytes | HeliographError] = asyncio.Queue(_MAX_QUEUED_MESSAGES)
        self._failure: HeliographError | None = None
        self._ended = False
        pumps = (self._carry_up(), self._take_down(), self._carry_down())
        self._tasks = [asyncio.create_task(pump) for pump in pumps]

    @property
    def sent_bytes(self) -> int:
        """The inner connection's count and what has left the link's queue but not arrived there; pings included."""
        on_the_way = self._accepted_bytes - self._handed_over_bytes - self.backlog_bytes()
        return self._inner.sent_bytes + max(0, on_the_way)

    @property
    def received_bytes(self) -> int:
        """The inner connection's count without what has not crossed the link."""
        return max(0, self._inner.received_bytes - self._crossing_bytes)

    async def send(self, data: bytes) -> None:
        """Queue a message at the link; waits while 4096 bytes are queued.

        Raises:
            ConnectionLostError: the inner connection is gone.
        """
        await self.drain(SOCKET_BUFFER_BYTES)
        if data:
            self._go_up(bytes(data), self._up_bytes(len(data)))

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

    def delivery(self) -> Delivery:
        """A byte is acknowledged a round trip after it has left the link's queue."""
        accepted, now_s = self._accepted_bytes, self._now_s()
        departed = accepted - self._up.backlog_bytes(now_s)
        return Delivery(accepted, departed, accepted - self._up.backlog_bytes(now_s - self._round_trip_s))

    async def ping(self) -> None:
        """A ping that crosses the link behind what was sent before, and its answer likewise.

        Raises:
            ConnectionLostError: the inner connection is gone.
        """
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._go_up(answered, PING_BYTES)
        await answered

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
        self._stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._inner.close()

    def abort(self) -> None:
        """Drop what is on its way and abort the inner connection."""
        self._stop()
        self._inner.abort()

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._failure = self._failure or ConnectionLostError()
        if not self._ended:
            with contextlib.suppress(asyncio.QueueFull):
                self._arrived.put_nowait(b"")

    def _go_up(self, what: _Upward, size: int) -> None:
        carried = self._up.carry(self._now_s(), size)
        self._accepted_bytes += size
        self._going_up.put_nowait((carried.arrives_s, what))

    def _now_s(self) -> float:
        return self._clock() - self._start_s

    async def _sleep_until(self, time_s: float) -> None:
        await asyncio.sleep(max(0.0, time_s - self._now_s()))

    async def _carry_up(self) -> None:
        while True:
            arrives_s, what = await self._going_up.get()
            await self._sleep_until(arrives_s)
            try:
                if isinstance(what, bytes):
                    self._handed_over_bytes += self._up_bytes(len(what))
                    await self._inner.send(what)
                else:
                    self._handed_over_bytes += PING_BYTES
                    pinging = asyncio.create_task(self._ping_inner(what))
                    self._tasks.append(pinging)
                    pinging.add_done_callback(self._tasks.remove)
            except HeliographError as error:
                self._failure = error
                return

    async def _ping_inner(self, answered: asyncio.Future[None]) -> None:
        try:
            await self._inner.ping()
        except HeliographError as error:
            if not answered.done():
                answered.set_exception(error)
            return
        self._crossing_bytes += PONG_BYTES
        await self._sleep_until(self._down.carry(self._now_s(), PONG_BYTES).arrives_s)
        self._crossing_bytes -= PONG_BYTES
        if not answered.done():
            answered.set_result(None)

    async def _take_down(self) -> None:
        data: bytes | HeliographError = b"-"
        while data and not isinstance(data, HeliographError):
            try:
                data = await self._inner.receive()
            except HeliographError as error:
                data = error
            size = 0 if isinstance(data, HeliographError) else self._down_bytes(len(data))
            carried = self._down.carry(self._now_s(), size)
            self._crossing_bytes += size
            await self._coming_down.put((carried.arrives_s, size, data))

    async def _carry_down(self) -> None:
        while True:
            arrives_s, size, data = await self._coming_down.get()
            await self._sleep_until(arrives_s)
            self._crossing_bytes -= size
            await self._arrived.put(data)


async def open_shaped(
    open_inner: Callable[[], Awaitable[Connection]], profile: LinkProfile, clock: Callable[[], float] = now_s
) -> ShapedConnection:
    """Open a connection on a fast link and shape it: takes as long as its handshake would on the shaped one.

    The other end sees the connection when the request would have come, so that its own time limits run as they would.

    Args:
        open_inner: opens the connection that really carries the bytes.
        profile: the link.
        clock: seconds, ascending.
    """
    start_s = clock()
    await asyncio.sleep(handshake_seconds(profile, _REQUEST_BYTES, 0) - profile.one_way_delay_s)
    inner = await open_inner()
    left_s = start_s + handshake_seconds(profile, inner.sent_bytes, inner.received_bytes) - clock()
    await asyncio.sleep(max(0.0, left_s))
    return ShapedConnection(inner, profile, clock=clock)

"""A pair of connections inside one process: tests, demos, and the device and cloud in one program."""

from __future__ import annotations

import asyncio
from collections import deque

from heliograph.errors import ConnectionLostError, HeliographError, ServerBusyError
from heliograph.transport.base import DEFAULT_QUEUE_BYTES, NORMAL_CLOSURE, TRY_AGAIN_LATER, Delivery

_MAX_QUEUED_MESSAGES = 64


class _Pipe:
    """One direction: a bounded queue of messages with an end."""

    def __init__(self) -> None:
        self.messages: deque[bytes] = deque()
        self.closed = False
        self.failure: type[HeliographError] | None = None  # what the reader is told at the end
        self.carried_bytes = 0
        self._changed = asyncio.Condition()

    async def put(self, data: bytes) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.closed or len(self.messages) < _MAX_QUEUED_MESSAGES)
            if self.closed:
                raise ConnectionLostError
            self.messages.append(data)
            self.carried_bytes += len(data)
            self._changed.notify_all()

    async def get(self) -> bytes:
        async with self._changed:
            await self._changed.wait_for(lambda: self.closed or bool(self.messages))
            self._changed.notify_all()
            if not self.messages and self.failure is not None:
                raise self.failure
            return self.messages.popleft() if self.messages else b""

    async def close(self, failure: type[HeliographError] | None = None) -> None:
        async with self._changed:
            if not self.closed:
                self.closed, self.failure = True, failure
            self._changed.notify_all()

    def cut(self) -> None:
        if not self.closed:
            self.closed, self.failure = True, ConnectionLostError
        self.messages.clear()
        self._closing = asyncio.ensure_future(self.close())


class MemoryConnection:
    """One end of :func:`memory_pair`: for a device, or for a cloud that serves it.

    Bytes are counted without websocket framing: there is none.
    """

    address = ""

    def __init__(self, outgoing: _Pipe, incoming: _Pipe) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self._received_bytes = 0

    @property
    def sent_bytes(self) -> int:
        """Bytes of every message sent."""
        return self._outgoing.carried_bytes

    @property
    def received_bytes(self) -> int:
        """Bytes of every message received."""
        return self._received_bytes

    async def send(self, data: bytes) -> None:
        """Hand a message to the other end; waits while 64 messages are queued.

        Raises:
            ConnectionLostError: one of the ends is closed.
        """
        if data:
            await self._outgoing.put(bytes(data))

    async def receive(self) -> bytes:
        """The next message; ``b""`` once the pair is closed and every message is taken.

        Raises:
            ConnectionLostError: the other end let go.
            ServerBusyError: the other end closed, since it is full.
        """
        data = await self._incoming.get()
        self._received_bytes += len(data)
        return data

    def backlog_bytes(self) -> int:
        """Bytes that the other end has not taken."""
        return sum(map(len, self._outgoing.messages))

    def delivery(self) -> Delivery:
        """What the other end has not taken is not acknowledged."""
        carried = self._outgoing.carried_bytes
        return Delivery(carried, carried, carried - self.backlog_bytes())

    async def ping(self) -> None:
        """Return at once: the other end is in this process.

        Raises:
            ConnectionLostError: one of the ends is closed.
        """
        if self._outgoing.closed:
            raise ConnectionLostError

    async def drain(self, limit_bytes: int = DEFAULT_QUEUE_BYTES) -> None:
        """Return at once: memory has no link whose queue could fill."""

    def abort(self) -> None:
        """Close both directions; what was sent and not received is lost. For the other end the connection broke."""
        self._outgoing.cut()
        self._incoming.cut()

    async def close(self, code: int = NORMAL_CLOSURE) -> None:
        """Close both directions; messages already sent can still be received."""
        await self._outgoing.close(ServerBusyError if code == TRY_AGAIN_LATER else None)
        await self._incoming.close()


def memory_pair() -> tuple[MemoryConnection, MemoryConnection]:
    """Two connected ends; what one sends the other receives."""
    there, back = _Pipe(), _Pipe()
    return MemoryConnection(there, back), MemoryConnection(back, there)

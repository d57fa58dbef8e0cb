"""What a session has queued goes to its device, bounded in bytes and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from heliograph.protocol.session import CloudSession
from heliograph.serving.metrics import Metrics
from heliograph.transport.base import ServedConnection


class Writer:
    """Sends what a session has queued, all of it as one message.

    Args:
        connection: to the device.
        session: queues frames.
        metrics: counts bytes sent.
        timeout_s: longest time that one message may take.
        max_bytes: above so many bytes that wait the writer is ``full``; whoever queues more heeds it.
        on_room: called when it is full no longer.
    """

    def __init__(
        self,
        connection: ServedConnection,
        session: CloudSession,
        metrics: Metrics,
        timeout_s: float,
        max_bytes: int,
        on_room: Callable[[], None],
    ) -> None:
        self._connection, self._session, self._metrics = connection, session, metrics
        self._timeout_s, self._max_bytes, self._on_room = timeout_s, max_bytes, on_room
        self._sending_bytes = 0
        self._wake, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()

    @property
    def held_bytes(self) -> int:
        """Queued, or on its way out."""
        return self._session.queued_bytes + self._sending_bytes

    @property
    def full(self) -> bool:
        """Whether to queue nothing more for a device that does not take what there is."""
        return self.held_bytes > self._max_bytes

    def wake(self) -> None:
        """Something was queued."""
        if self.full:
            self._room.clear()
        self._wake.set()

    async def room(self) -> None:
        """Returns once the writer is not full."""
        await self._room.wait()

    async def run(self) -> None:
        """Send until cancelled.

        Raises:
            TimeoutError: the device takes nothing more.
            ConnectionLostError: it has left.
        """
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self.flush()
        finally:
            self._room.set()  # nobody waits for what does not come

    async def flush(self) -> None:
        """Send what is queued now; errors as :meth:`run`."""
        data = self._session.bytes_to_send()
        if not data:
            return
        self._sending_bytes = len(data)
        try:
            async with asyncio.timeout(self._timeout_s):  # wait_for may lose a cancellation (Python 3.11)
                await self._connection.send(data)
        finally:
            self._sending_bytes = 0
        self._metrics.sent_bytes_total += len(data)
        if not self._room.is_set() and not self.full:
            self._room.set()
            self._on_room()

"""Messages of one device, given to its session in slices, so that no message keeps the event loop busy for long.

::

    connection --one message--> slices of about a millisecond --session--> events --> whoever attends to them
                                    └ between them a turn of the loop, and a wait for what is over the allowance
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from heliograph.clock import worked_s
from heliograph.errors import ConnectionLostError
from heliograph.protocol.events import Event
from heliograph.protocol.session import CloudSession
from heliograph.protocol.states import State
from heliograph.serving.metrics import Metrics
from heliograph.serving.turns import SLICE_S, Allowance
from heliograph.serving.writing import Writer
from heliograph.transport.base import ServedConnection

PORTION_BYTES = 128
"""Given to the session at once: 128 empty segments, or the rest of a long frame."""


class Reader:
    """Reads one device's messages.

    Args:
        connection: of the device.
        session: takes the bytes.
        writer: nothing is read while it is full.
        allowance: processor time of this device.
        metrics: counts bytes received.
        clock: seconds.

    Attributes:
        broke: the connection ended without an orderly close.
    """

    def __init__(
        self,
        connection: ServedConnection,
        session: CloudSession,
        writer: Writer,
        allowance: Allowance,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self._connection, self._session, self._writer = connection, session, writer
        self._allowance, self._metrics, self._clock = allowance, metrics, clock
        self.broke = False

    async def message(self, hello_by_s: float, idle_s: float) -> bytes:
        """The next message; empty at the end.

        Args:
            hello_by_s: when a device that has not greeted is given up, whatever it has sent of its HELLO.
            idle_s: longest silence after that.

        Raises:
            TimeoutError: the device was silent for too long.
            FrameDamagedError: what came is no message of bytes.
        """
        greeted = self._session.state is not State.NEW
        wait_s = idle_s if greeted else max(hello_by_s - self._clock(), 0.0)
        async with asyncio.timeout(wait_s):  # wait_for may lose a cancellation (Python 3.11)
            await self._writer.room()
            try:
                data = await self._connection.receive()
            except ConnectionLostError:
                self.broke = True
                return b""
        self._metrics.received_bytes_total += len(data)
        return data

    async def take(self, data: bytes, on_event: Callable[[Event], None], on_slice: Callable[[], None]) -> None:
        """Give a message to the session.

        Args:
            data: of the message; empty at the end of the connection.
            on_event: takes the events.
            on_slice: called at the end of every slice, before others have their turn.
        """
        began_s, start = worked_s(), 0
        while start < max(len(data), 1) and not self._session.closed and not (data and self._allowance.closed):
            size = max(PORTION_BYTES, self._session.missing_bytes)
            for event in self._session.events_of(data[start : start + size], self._clock()):
                on_event(event)
            start += size
            if worked_s() - began_s >= SLICE_S or start >= len(data):
                on_slice()
                await self._pause(worked_s() - began_s)
                await self._writer.room()
                began_s = worked_s()

    async def _pause(self, spent_s: float) -> None:
        """Let the others have their turn, and wait where this device has used its allowance up."""
        await asyncio.sleep(self._allowance.spend(spent_s, self._clock()))

"""A connection that remembers when its messages went and came, for the link estimate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from heliograph.edge.planning.link_estimate import LinkObservation
from heliograph.transport.base import DEFAULT_QUEUE_BYTES, Connection, Delivery, client_message_bytes

_LOOK_S = 0.02

_UPGRADE_ROUND_TRIPS = 2
"""TCP's handshake and the HTTP upgrade; TLS adds one, which makes the round trip look longer than it is."""


class WatchedConnection:
    """A :class:`heliograph.transport.base.Connection` around another one.

    Args:
        inner: open.
        clock: seconds, ascending.
        asked_s: when opening it began.
    """

    def __init__(self, inner: Connection, clock: Callable[[], float], asked_s: float) -> None:
        self._inner = inner
        self._clock = clock
        self._sent: list[tuple[float, int]] = []
        self._first_reply_s: float | None = None
        self._last_reply_s = 0.0
        self._fresh = True
        self._delivered_s: float | None = None  # when all that was sent was acknowledged
        self._look: asyncio.TimerHandle | None = None
        self._asked_s, self._opened_s = asked_s, clock()

    @property
    def sent_bytes(self) -> int:
        """The count of the inner connection."""
        return self._inner.sent_bytes

    @property
    def received_bytes(self) -> int:
        """The count of the inner connection."""
        return self._inner.received_bytes

    async def send(self, data: bytes) -> None:
        """Send over the inner connection."""
        if data:
            self._sent.append((self._clock(), client_message_bytes(len(data))))
        await self._inner.send(data)
        if data:
            self._delivered_s = None
            if self._look is None:
                self._look_at_delivery()

    def _look_at_delivery(self) -> None:
        """Note when the last byte has arrived, where the system says; until then look again now and then."""
        self._look = None
        reached = self._inner.delivery()
        if reached.certain and reached.pending_bytes:
            self._look = asyncio.get_running_loop().call_later(_LOOK_S, self._look_at_delivery)
        elif reached.certain:
            self._delivered_s = self._clock()

    def _stop_looking(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    async def receive(self) -> bytes:
        """Receive from the inner connection."""
        data = await self._inner.receive()
        self._last_reply_s = self._clock()
        if self._first_reply_s is None:
            self._first_reply_s = self._last_reply_s
        return data

    def backlog_bytes(self) -> int:
        """The backlog of the inner connection."""
        return self._inner.backlog_bytes()

    def delivery(self) -> Delivery:
        """The delivery of the inner connection."""
        return self._inner.delivery()

    async def ping(self) -> None:
        """Ping over the inner connection."""
        await self._inner.ping()

    async def drain(self, limit_bytes: int = DEFAULT_QUEUE_BYTES) -> None:
        """Drain the inner connection."""
        await self._inner.drain(limit_bytes)

    async def close(self) -> None:
        """Close the inner connection."""
        self._stop_looking()
        await self._inner.close()

    def abort(self) -> None:
        """Abort the inner connection."""
        self._stop_looking()
        self._inner.abort()

    def begin(self) -> None:
        """A question is about to be asked: forget earlier messages."""
        self._sent.clear()

    def observations(self, work_s: float) -> list[LinkObservation]:
        """What the question that :meth:`begin` announced has shown, once its final answer is the last message.

        Args:
            work_s: what the cloud is believed to have worked on it.
        """
        found: list[LinkObservation] = []
        if self._fresh:
            self._fresh = False
            opening_s = (self._opened_s - self._asked_s) / _UPGRADE_ROUND_TRIPS
            found.append(
                LinkObservation(self.received_bytes or 1, self._asked_s, self._asked_s + opening_s, answered=False)
            )
            if self._sent and self._first_reply_s is not None:  # WELCOME answers HELLO at once
                sent_s, size = self._sent[0]
                found.append(LinkObservation(size, sent_s, self._first_reply_s, answered=False))
        photo = self._sent[1:] or self._sent
        if photo:
            size = sum(size for _, size in photo)
            delivered_s = self._delivered_s
            if delivered_s is not None and not photo[0][0] < delivered_s <= self._last_reply_s:
                delivered_s = None
            found.append(LinkObservation(size, photo[0][0], self._last_reply_s, work_s, delivered_s=delivered_s))
        return found

"""Payload on its way out of one connection, so that what never left can be told when the connection breaks."""

from __future__ import annotations

from collections import deque

from heliograph.transport.base import Delivery


class Departures:
    """Keeps which of the bytes that a connection accepted last were payload.

    Heads of frames lie between the payload of a message. One that left half way counts what left as payload as far as
    there is any, so that nothing that left is ever taken for kept: a byte budget is charged for it.
    """

    def __init__(self) -> None:
        self._queued = 0  # payload that no message has taken yet
        self._being_sent: tuple[int, int] | None = None  # bytes accepted before it, payload in it
        self._messages: deque[tuple[int, int, int]] = deque()  # bytes accepted before it and with it, payload in it

    def queue(self, payload_bytes: int) -> None:
        """Count payload bytes that go into the next message."""
        self._queued += payload_bytes

    def begin(self, before: Delivery) -> None:
        """A message is made of all that was queued, and is handed to the connection now."""
        self._being_sent, self._queued = (before.accepted_bytes, self._queued), 0

    def end(self, after: Delivery) -> None:
        """The connection has taken the message."""
        if self._being_sent is not None and self._being_sent[1]:
            before, size = self._being_sent
            self._messages.append((before, after.accepted_bytes, size))
        self._being_sent = None
        while self._messages and self._messages[0][1] <= after.departed_bytes:
            self._messages.popleft()

    def unsent(self, now: Delivery) -> int:
        """Payload bytes that are still here."""
        messages = [*self._messages]
        waiting = self._queued
        if self._being_sent is not None:
            before, size = self._being_sent
            if now.accepted_bytes > before:
                messages.append((before, now.accepted_bytes, size))
            else:
                waiting += size
        left = now.departed_bytes
        return waiting + sum(max(0, size - max(0, left - begin)) for begin, end, size in messages if end > left)

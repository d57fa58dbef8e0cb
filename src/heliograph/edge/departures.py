"""Payload on its way out of one connection, so that what never left can be told when the connection breaks."""

from __future__ import annotations

from heliograph.transport.base import Delivery


class Departures:
    """Keeps which of the bytes that a connection accepted last were payload.

    Heads of frames lie between the payload of a message. One that left half way counts what left as payload as far as
    there is any, so that nothing that left is ever taken for kept: a byte budget is charged for it.
    """

    def __init__(self) -> None:
        self._queued = 0  # payload that no message has taken yet
        self._messages: list[tuple[int, int]] = []  # bytes accepted before it, payload in it

    def queue(self, payload_bytes: int) -> None:
        """Count payload bytes that go into the next message."""
        self._queued += payload_bytes

    def begin(self, before: Delivery) -> None:
        """A message is made of all that was queued, and is handed to the connection now."""
        kept = [(begin, size) for begin, size in self._messages if begin + size > before.departed_bytes]
        self._messages, self._queued = [*kept, (before.accepted_bytes, self._queued)], 0

    def unsent(self, now: Delivery) -> int:
        """Payload bytes that are still here."""
        left = now.departed_bytes
        return self._queued + sum(max(0, size - max(0, left - begin)) for begin, size in self._messages)

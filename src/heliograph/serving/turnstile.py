"""What arrives is read a slice at a time, in turns, so that no peer holds the event loop up by sending much at once.

A transport hands over up to 256 KB in one call, which may be 40,000 empty frames: half a second during which nobody
else is served. Here the data of every connection waits in a queue; a turn of the loop takes slices for a millisecond.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

SLICE_BYTES = 512
TURN_S = 0.001


class Reader(Protocol):
    """A connection with data that has not been read."""

    def read_slice(self, most_bytes: int) -> bool:
        """Read so much at most; True where there is more that can be read now."""


class Turnstile:
    """The queue of one server.

    Args:
        call_soon: runs a function in the next turn of the event loop.
        clock: seconds, ascending.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], object], clock: Callable[[], float]) -> None:
        self._call_soon, self._clock = call_soon, clock
        self._queue: deque[Reader] = deque()
        self._queued: set[Reader] = set()

    def queue(self, reader: Reader) -> None:
        """It has something to read; may be said again."""
        if reader in self._queued:
            return
        if not self._queue:
            self._call_soon(self._turn)
        self._queue.append(reader)
        self._queued.add(reader)

    def _turn(self) -> None:
        until_s = self._clock() + TURN_S
        while self._queue:
            reader = self._queue.popleft()
            if reader.read_slice(SLICE_BYTES):
                self._queue.append(reader)
            else:
                self._queued.discard(reader)
            if self._clock() >= until_s:
                break
        if self._queue:
            self._call_soon(self._turn)

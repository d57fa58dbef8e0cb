"""Sessions whose connection broke, kept for a while so that the device can go on over another one.

A session is taken up with a token that nobody can guess. The connection it had may still look alive, since a dead link
is silent: then the session is taken from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from heliograph.protocol.images import SessionMemory
from heliograph.serving.desk import Desk
from heliograph.serving.metrics import Metrics


@dataclass(frozen=True)
class KeptSession:
    """What goes from one connection to the next."""

    memory: SessionMemory
    desk: Desk


class Holder(Protocol):
    """A connection that serves a session."""

    def hand_over(self) -> KeptSession:
        """Give the session up and close."""


@dataclass(frozen=True)
class _Waiting:
    session: KeptSession
    until_s: float


class KeptSessions:
    """Sessions by token: those that are served, and for a bounded time and number of bytes those that are not.

    Args:
        keep_s: how long; 0 keeps none.
        max_sessions, max_bytes: of those that are not served; the oldest go first.
        metrics: counts the payload bytes held.
        clock: seconds, ascending.
    """

    def __init__(
        self, keep_s: float, max_sessions: int, max_bytes: int, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        self._keep_s, self._max_sessions, self._max_bytes = keep_s, max_sessions, max_bytes
        self._metrics, self._clock = metrics, clock
        self._served: dict[bytes, Holder] = {}
        self._waiting: dict[bytes, _Waiting] = {}

    def serve(self, token: bytes, holder: Holder) -> None:
        """A connection serves the session with this token from now on."""
        self._served[_key(token)] = holder

    def is_served(self, token: bytes) -> bool:
        """Whether a connection serves the session with this token."""
        return _key(token) in self._served

    def recall(self, token: bytes) -> KeptSession | None:
        """The session with this token, taken from whoever has it; None where there is none (any more)."""
        self.drop_expired()
        key = _key(token)
        holder = self._served.pop(key, None)
        if holder is not None:
            return holder.hand_over()
        waiting = self._waiting.pop(key, None)
        return None if waiting is None else waiting.session

    def end(self, token: bytes) -> None:
        """The session is over for good."""
        self._served.pop(_key(token), None)

    def keep(self, token: bytes, session: KeptSession) -> None:
        """Its connection broke."""
        key = _key(token)
        self._served.pop(key, None)
        self.drop_expired()
        if self._keep_s <= 0 or session.desk.held_bytes > self._max_bytes:
            self._metrics.held_payload_bytes_open -= session.desk.held_bytes
            return
        self._waiting[key] = _Waiting(session, self._clock() + self._keep_s)
        while len(self._waiting) > self._max_sessions or self.held_bytes > self._max_bytes:
            self._drop(next(iter(self._waiting)))

    @property
    def held_bytes(self) -> int:
        """Payload bytes of the sessions that nobody serves."""
        return sum(waiting.session.desk.held_bytes for waiting in self._waiting.values())

    def drop_expired(self) -> None:
        """Forget what has been kept long enough; to be called now and then."""
        now = self._clock()
        for key in [key for key, waiting in self._waiting.items() if waiting.until_s <= now]:
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        self._metrics.held_payload_bytes_open -= self._waiting.pop(key).session.desk.held_bytes


def _key(token: bytes) -> bytes:
    """A digest: how long it takes to find tells nothing about the token."""
    return hashlib.sha256(token).digest()

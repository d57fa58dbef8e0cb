"""Sessions whose connection broke, kept for a while so that the device can go on over another one.

A session is taken up with a token that nobody can guess, by a device with the access token that began it. The
connection it had may still look alive, since a dead link is silent: then the session is taken from it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from heliograph.protocol.images import SessionMemory
from heliograph.serving.desk.desk import Desk
from heliograph.serving.holding import KEPT_SESSION_BYTES, Account


@dataclass(frozen=True)
class Owner:
    """The owner of a session.

    Attributes:
        digest: of the access token that it was begun with; another one does not take it up.
        group: of devices that share one bound: those with the same access token or, where a cloud lets everybody in,
            with the same address.
    """

    digest: bytes = b""
    group: bytes = b""


@dataclass(frozen=True)
class KeptSession:
    """What goes from one connection to the next.

    Attributes:
        traced: the session's number in the server's trace; 0 without one.
    """

    memory: SessionMemory
    desk: Desk
    account: Account
    traced: int = 0


class Holder(Protocol):
    """A connection that serves a session."""

    def hand_over(self) -> KeptSession:
        """Give the session up and close."""


@dataclass(frozen=True)
class _Served:
    holder: Holder
    owner: Owner


@dataclass(frozen=True)
class _Waiting:
    session: KeptSession
    owner: Owner
    until_s: float


class KeptSessions:
    """Sessions by token: those that are served, and for a bounded time and number of bytes those that are not.

    Where there is no room, the oldest session goes of the group that has most, so that the devices with one access
    token push out none of those with another.

    Args:
        keep_s: how long; 0 keeps none.
        max_sessions, max_bytes: of those that are not served.
        clock: seconds, ascending.
    """

    def __init__(self, keep_s: float, max_sessions: int, max_bytes: int, clock: Callable[[], float]) -> None:
        self._keep_s, self._max_sessions, self._max_bytes = keep_s, max_sessions, max_bytes
        self._clock = clock
        self._served: dict[bytes, _Served] = {}
        self._waiting: dict[bytes, _Waiting] = {}

    def __len__(self) -> int:
        """Sessions that nobody serves."""
        return len(self._waiting)

    def serve(self, token: bytes, holder: Holder, owner: Owner) -> None:
        """A connection serves the session with this token from now on."""
        self._served[_key(token)] = _Served(holder, owner)

    def is_served(self, token: bytes, owner: Owner) -> bool:
        """Whether a connection serves this owner's session with this token."""
        served = self._served.get(_key(token))
        return served is not None and _same(served.owner, owner)

    def recall(self, token: bytes, owner: Owner) -> KeptSession | None:
        """The session with this token, taken from whoever has it.

        None where there is none (any more), and where it is another owner's, which goes on undisturbed.
        """
        self.drop_expired()
        key = _key(token)
        served, waiting = self._served.get(key), self._waiting.get(key)
        if served is not None and _same(served.owner, owner):
            del self._served[key]
            return served.holder.hand_over()
        if waiting is not None and _same(waiting.owner, owner):
            del self._waiting[key]
            return waiting.session
        return None

    def end(self, token: bytes) -> None:
        """The session is over for good."""
        self._served.pop(_key(token), None)

    def keep(self, token: bytes, session: KeptSession, owner: Owner) -> None:
        """Keep a session whose connection broke. One that holds nothing of a photo is not: it would save no byte."""
        key = _key(token)
        self._served.pop(key, None)
        self.drop_expired()
        session.desk.drop_tokens()
        session.account.set(session.desk.held_bytes + KEPT_SESSION_BYTES)
        if self._keep_s <= 0 or not session.desk.worth_keeping or session.account.held_bytes > self._max_bytes:
            session.account.close()
            return
        self._waiting[key] = _Waiting(session, owner, self._clock() + self._keep_s)
        while len(self._waiting) > self._max_sessions or self.held_bytes > self._max_bytes:
            self.drop_one()

    @property
    def held_bytes(self) -> int:
        """Memory of the sessions that nobody serves."""
        return sum(waiting.session.account.held_bytes for waiting in self._waiting.values())

    def drop_expired(self) -> None:
        """Forget what has been kept long enough; to be called now and then."""
        now = self._clock()
        for key in [key for key, waiting in self._waiting.items() if waiting.until_s <= now]:
            self._drop(key)

    def drop_one(self) -> bool:
        """Give up the oldest session of the group with the largest share; False where none is kept."""
        if not self._waiting:
            return False
        groups: dict[bytes, list[bytes]] = {}  # tokens' digests, oldest first
        for key, waiting in self._waiting.items():
            groups.setdefault(waiting.owner.group, []).append(key)
        self._drop(max(groups.values(), key=self._share)[0])
        return True

    def _share(self, keys: list[bytes]) -> float:
        """Share of the allowed sessions or of their memory, whichever is larger."""
        held = sum(self._waiting[key].session.account.held_bytes for key in keys)
        return max(len(keys) / max(self._max_sessions, 1), held / max(self._max_bytes, 1))

    def _drop(self, key: bytes) -> None:
        self._waiting.pop(key).session.account.close()


def _same(one: Owner, other: Owner) -> bool:
    return hmac.compare_digest(one.digest, other.digest)


def _key(token: bytes) -> bytes:
    """A digest: how long it takes to find tells nothing about the token."""
    return hashlib.sha256(token).digest()

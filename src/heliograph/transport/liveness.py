"""Whether a link is alive, judged by what the other end shows of itself; pure: observations and times in, verdicts out.

Two clocks run, each only while there is something to wait for::

    bytes are not acknowledged --- none of them moves, nothing is heard ------------------------> dead after limit_s
    an answer is owed ------------ silence --> ping after 3/8 of limit_s --- no sign of life ---> dead after limit_s

The sender's own queue says nothing: a question of a hundred bytes leaves it at once, into a flow that a NAT forgot an
hour ago. Bytes that move are a sign of life however slowly they do, so a thin link is not taken for a dead one; a link
on which opening the connection took long gets more time for everything else too. While nothing is sent and nothing is
owed, nothing is looked at and no byte is spent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from heliograph.transport.base import Delivery

STALL_S = 8.0
"""Time without any sign that the link is alive; TCP has sent again five times by then (0.2, 0.6, 1.4, 3.0, 6.2
s)."""

LOOK_AFTER_S = STALL_S / 16
"""Between two looks at a link on which something is waited for."""

OPENINGS = 4.0
"""The limit on a slow link in openings: TCP's handshake and the HTTP upgrade cross it with about 700 bytes, packet
heads included, one behind the other; a full packet of 1,500 that is sent twice takes as long as four of them."""

_GAPS, _GAP_MEMORY = 2.5, 0.8
"""A link on which signs of life have been so far apart gets that many times as long; what it has shown fades with
each."""

_PING_SHARE = 3 / 8
_OPENING_BYTES = 400
"""Bytes of the stream, both directions, that say, where nothing better is known, how fast bytes cross."""


class Verdict(Enum):
    """What to do about a link."""

    ALIVE = auto()
    """Alive as far as is known."""
    PING = auto()
    """An answer is late: ask for a sign of life."""
    DEAD = auto()
    """Let go of it."""


@dataclass(frozen=True)
class Sight:
    """A link at a moment.

    Attributes:
        delivery: of what was sent.
        received_bytes: so far.
        owed: the other end has been asked for something that has not come.
        answered: no ping is on its way.
    """

    delivery: Delivery
    received_bytes: int
    owed: bool
    answered: bool = True


class LivenessWatch:
    """Judges one connection.

    Args:
        opening_s: what opening it took.
        now_s: seconds, ascending.
    """

    def __init__(self, opening_s: float, now_s: float) -> None:
        self._least_limit_s = max(STALL_S, OPENINGS * opening_s)
        self._gap_s = 0.0
        self._s_per_byte = opening_s / _OPENING_BYTES
        self._seen = Sight(Delivery(0, 0, 0), 0, owed=False)
        self._looked_s = now_s
        self._moved_s = now_s  # when bytes last moved, or began to wait
        self._heard_s = now_s  # when something last came, or began to be owed
        self._pinged_s: float | None = None
        self._patience_s = 0.0  # for the answer to that ping
        self._before_ping_bytes = self._sure_bytes = 0  # accepted before the last ping, and the last answered

    def look(self, sight: Sight, now_s: float) -> Verdict:
        """The verdict on what is seen; look about every :data:`LOOK_AFTER_S` while :meth:`is_waiting`, and at once when
        something begins to be sent."""
        seen, self._seen = self._seen, sight
        since_s = self._looked_s
        self._looked_s = now_s
        self._leave_out(now_s - since_s - 2 * LOOK_AFTER_S)
        waited = seen.delivery.pending_bytes > 0
        if not waited:
            self._moved_s = max(since_s, now_s - LOOK_AFTER_S) if sight.delivery.pending_bytes else now_s
        pong = sight.answered and not seen.answered
        if pong:
            self._sure_bytes = self._before_ping_bytes
        if pong or sight.received_bytes > seen.received_bytes:
            self._heard_s = now_s
            self._pinged_s = None
        if waited and (alive_s := self._sign_of_life_s(sight, seen, now_s)) > self._moved_s:
            self._gap_s = max(alive_s - self._moved_s, _GAP_MEMORY * self._gap_s)
            self._moved_s = alive_s
        if not (sight.owed and seen.owed):
            self._heard_s = now_s
            self._pinged_s = None
        return self._verdict(sight, now_s)

    @property
    def limit_s(self) -> float:
        """How long nothing may show that the link is alive, by what it has shown so far."""
        return max(self._least_limit_s, _GAPS * self._gap_s)

    def _sign_of_life_s(self, sight: Sight, seen: Sight, now_s: float) -> float:
        """When the other end's system last showed that bytes get there: something came, or was acknowledged."""
        moved = sight.delivery.acknowledged_bytes > seen.delivery.acknowledged_bytes
        if moved or sight.received_bytes > seen.received_bytes:
            return now_s
        quiet_s = sight.delivery.quiet_s
        return self._moved_s if quiet_s is None else now_s - quiet_s

    def _leave_out(self, unseen_s: float) -> None:
        """Time in which this process stood still says nothing about the link: what came meanwhile was not read."""
        if unseen_s > 0:
            self._moved_s += unseen_s
            self._heard_s += unseen_s
            self._pinged_s = None if self._pinged_s is None else self._pinged_s + unseen_s

    @staticmethod
    def is_waiting(sight: Sight) -> bool:
        """Whether there is anything that could be late."""
        return sight.owed or sight.delivery.pending_bytes > 0

    def _verdict(self, sight: Sight, now_s: float) -> Verdict:
        pending = sight.delivery.pending_bytes > 0
        if pending and now_s - self._moved_s >= self.limit_s:
            return Verdict.DEAD
        if self._pinged_s is not None:
            return Verdict.DEAD if now_s - self._pinged_s >= self._patience_s else Verdict.ALIVE
        if sight.owed and not pending and now_s - self._heard_s >= _PING_SHARE * self.limit_s:
            self._pinged_s, self._before_ping_bytes = now_s, sight.delivery.accepted_bytes
            ahead = 0 if sight.delivery.certain else self._before_ping_bytes - self._sure_bytes
            self._patience_s = (1 - _PING_SHARE) * self.limit_s + ahead * self._s_per_byte
            return Verdict.PING
        return Verdict.ALIVE

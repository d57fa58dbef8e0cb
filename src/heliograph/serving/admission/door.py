"""Who is inside: every connection from the moment it is accepted until it is gone. No socket, no clock of its own.

Sessions have places of their own. Everything that has not been greeted (a TLS handshake, an HTTP request, a websocket
without HELLO, a wrong token that waits for its answer, a connection that is closing) shares a bounded waiting room. A
full waiting room turns nobody away at the door: it drops the connection that has waited longest at the address that
holds most. A stranger who opens many connections therefore pushes out his own, and a device that says HELLO at once is
never the one that has waited longest.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

from heliograph.errors import ServerBusyError
from heliograph.serving.limits import Limits
from heliograph.serving.metrics import Metrics

VISIT = "heliograph_visit"
"""Where the ASGI state of a connection holds its :class:`Visit`."""

_SITE_PREFIX_BITS = 64
"""IPv6 hands a whole /64 to one household or machine: it counts as one address."""


class Stage(Enum):
    """What a connection is about."""

    ASKING = "asking"  # TLS handshake, or a request that is not complete or not answered
    GREETING = "greeting"  # a websocket that has not sent HELLO
    REFUSED = "refused"  # showed a wrong token
    GREETED = "greeted"  # a session
    CLOSING = "closing"
    GONE = "gone"


@dataclass(eq=False, slots=True)
class Visit:
    """One connection.

    Attributes:
        address: where it comes from, as :func:`address_of` says it.
        end: closes it at once, whatever it is doing; may be replaced as the connection grows up.
        stage: what it is about.
        since_s: when it came.
        deadline_s: when it is ended unless it has got further by then; None for never.
        sent_bytes: what it has sent without having been greeted.
        note_sent: to be called with the size of what it sends, until it is greeted.
        leave: to be called when the connection is gone.
        on_gone: is called then.
    """

    address: str
    end: Callable[[], None]
    since_s: float
    deadline_s: float | None
    stage: Stage = Stage.ASKING
    sent_bytes: int = 0
    note_sent: Callable[[int], None] = lambda size: None
    leave: Callable[[], None] = lambda: None
    on_gone: Callable[[], None] = lambda: None


class Door:
    """Counts connections and keeps them within the bounds of a server.

    Args:
        limits: bounds of the server.
        metrics: counters to keep.
        clock: seconds, ascending.
        open_to_all: whether devices are greeted without an access token; then one address may hold
            ``max_sessions_per_address`` sessions only.
    """

    def __init__(self, limits: Limits, metrics: Metrics, clock: Callable[[], float], open_to_all: bool = False) -> None:
        self._limits, self._metrics, self._clock, self._open_to_all = limits, metrics, clock, open_to_all
        self._waiting: dict[str, dict[Visit, None]] = {}
        self._sessions: dict[str, dict[Visit, None]] = {}
        self._sent_bytes = 0

    @property
    def waiting(self) -> int:
        """Connections that have not been greeted."""
        return sum(map(len, self._waiting.values()))

    @property
    def sessions(self) -> int:
        """Sessions that are served."""
        return sum(map(len, self._sessions.values()))

    def arrive(self, address: str, end: Callable[[], None]) -> Visit:
        """A connection was accepted; where there is no room, another one is ended for it.

        Args:
            address: as :func:`address_of` says it.
            end: closes the connection at once.
        """
        while len(self._waiting.get(address, ())) >= self._limits.max_per_address:
            self._drop_one_of(address)
        while self.waiting >= self._limits.max_ungreeted:
            self.drop_one()
        now = self._clock()
        visit = Visit(address, end, now, now + self._limits.request_timeout_s)
        visit.leave, visit.note_sent = partial(self.leave, visit), partial(self._note_sent, visit)
        self._enter(self._waiting, visit)
        self._metrics.connections_total += 1
        return visit

    def await_hello(self, visit: Visit) -> None:
        """Note that it became a websocket: it has the time limit of a greeting, and then that of a last word.

        Whoever serves it says "timed out" after the first; a connection that does not even take that is ended here.
        """
        self._go_to(visit, Stage.GREETING, self._limits.hello_timeout_s + self._limits.send_timeout_s)

    def admit(self, visit: Visit, *, inherits: bool = False) -> None:
        """Note its HELLO, with a valid token where one is needed: it gets one of the places of sessions.

        Args:
            visit: the connection.
            inherits: it takes up a session that another connection still serves, whose place becomes free.

        Raises:
            ServerBusyError: they are all taken; the visit stays in the waiting room.
        """
        if visit.stage is Stage.GONE:
            return  # what it sent before it went is still being read
        full = self.sessions >= self._limits.max_sessions or self._has_enough(visit.address)
        if full and not inherits:
            self._metrics.sessions_refused_total += 1
            raise ServerBusyError
        self._remove(visit)
        visit.stage, visit.deadline_s = Stage.GREETED, None
        self._enter(self._sessions, visit)
        self._metrics.sessions_total += 1

    def refuse(self, visit: Visit, delay_s: float) -> None:
        """Note a wrong token: it is answered after a delay, and dropped first of all who wait."""
        self._go_to(visit, Stage.REFUSED, delay_s + self._limits.send_timeout_s)

    def over(self, visit: Visit) -> None:
        """Note that its session has ended, or that it never had one: it has the time of one last message."""
        self._go_to(visit, Stage.CLOSING, self._limits.send_timeout_s)

    def leave(self, visit: Visit) -> None:
        """The connection is gone; may be said again, and nothing that is said of it later counts."""
        self._remove(visit)
        if visit.stage is not Stage.GONE:
            visit.stage = Stage.GONE
            visit.on_gone()

    def _remove(self, visit: Visit) -> None:
        self._sent_bytes -= visit.sent_bytes
        visit.sent_bytes = 0
        for room in (self._waiting, self._sessions):
            visits = room.get(visit.address, {})
            visits.pop(visit, None)
            if not visits:
                room.pop(visit.address, None)
        self._count()

    def _note_sent(self, visit: Visit, size: int) -> None:
        """Where strangers together send more than may be held of them, the one who has sent most is ended."""
        if visit.stage in (Stage.GREETED, Stage.GONE):
            return
        visit.sent_bytes += size
        self._sent_bytes += size
        if self._sent_bytes > self._limits.max_ungreeted_bytes:
            waiting = (visit for visits in self._waiting.values() for visit in visits)
            self._drop(max(waiting, key=lambda visit: visit.sent_bytes))

    def drop_overdue(self) -> None:
        """End what has not got further within its time; to be called every second or so."""
        now = self._clock()
        waiting = [visit for visits in self._waiting.values() for visit in visits]
        for visit in waiting:
            if visit.deadline_s is not None and visit.deadline_s <= now:
                self._drop(visit)

    def drop_one(self) -> bool:
        """End the one who has waited longest at the address that holds most; False where nobody waits."""
        if not self._waiting:
            return False
        self._drop_one_of(max(self._waiting, key=lambda address: len(self._waiting[address])))
        return True

    def _drop_one_of(self, address: str) -> None:
        self._drop(min(self._waiting[address], key=lambda visit: (visit.stage is not Stage.REFUSED, visit.since_s)))

    def _drop(self, visit: Visit) -> None:
        self.leave(visit)
        self._metrics.connections_dropped_total += 1
        visit.end()

    def _has_enough(self, address: str) -> bool:
        if not self._open_to_all or is_loopback(address):  # a proxy on this machine speaks for many devices
            return False
        return len(self._sessions.get(address, ())) >= self._limits.max_sessions_per_address

    def _go_to(self, visit: Visit, stage: Stage, time_s: float) -> None:
        if visit.stage is Stage.GONE:
            return
        if visit.stage is Stage.GREETED:
            self._remove(visit)
            self._enter(self._waiting, visit)
        visit.stage, visit.deadline_s = stage, self._clock() + time_s

    def _enter(self, room: dict[str, dict[Visit, None]], visit: Visit) -> None:
        room.setdefault(visit.address, {})[visit] = None
        self._count()

    def _count(self) -> None:
        self._metrics.sessions_open, self._metrics.connections_open = self.sessions, self.sessions + self.waiting


def address_of(host: str) -> str:
    """What counts as one address: an IPv4 address, or the first 64 bits of an IPv6 one; other texts as they are."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        if not address.is_loopback:
            return str(ipaddress.ip_network((address, _SITE_PREFIX_BITS), strict=False))
    return str(address)


def is_loopback(address: str) -> bool:
    """Whether an address as :func:`address_of` says it is this machine."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False

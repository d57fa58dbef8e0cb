"""What all sessions of one server hold in memory, counted, and who has to give way where it is too much.

Counted is memory, not payload: photos with their segments' places, restored tokens, questions, answers, unfinished
frames and what waits to be sent. The counts are compared with measured memory by
:mod:`heliograph.bench.hardening.session_memory`.
"""

from __future__ import annotations

from typing import Protocol

from heliograph.serving.metrics import Metrics

SESSION_BYTES = 32 << 10
"""Memory of a served session without photos and questions, its connection included; measured."""
KEPT_SESSION_BYTES = 4 << 10
"""Memory of a session that is not served; measured."""


class Account:
    """The memory of one session."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.held_bytes = 0

    def set(self, held_bytes: int) -> None:
        """The session holds so much now."""
        self._metrics.held_bytes_open += held_bytes - self.held_bytes
        self.held_bytes = held_bytes

    def close(self) -> None:
        """The session holds nothing any more."""
        self.set(0)


class Tenant(Protocol):
    """A session that somebody serves."""

    account: Account

    def shed(self) -> None:
        """Give back what can be made again."""

    def evict(self) -> None:
        """End, as there is no room."""


class Shelf(Protocol):
    """Sessions that nobody serves."""

    def drop_one(self) -> bool:
        """Give one up; False where there are none."""


class Holdings:
    """Memory of all sessions together.

    Args:
        metrics: holds the sum.
        max_bytes: of it. Above it the sessions that are served give back what can be made again, then kept sessions
            go, then the session that holds most is ended.
    """

    def __init__(self, metrics: Metrics, max_bytes: int) -> None:
        self._metrics, self._max_bytes = metrics, max_bytes
        self._tenants: dict[Tenant, None] = {}

    def move_in(self, tenant: Tenant) -> None:
        """A session begins to be served."""
        self._tenants[tenant] = None

    def move_out(self, tenant: Tenant) -> None:
        """Stop serving the session."""
        self._tenants.pop(tenant, None)

    @property
    def full(self) -> bool:
        """Whether more is held than may be."""
        return self._metrics.held_bytes_open > self._max_bytes

    def make_room(self, shelf: Shelf) -> None:
        """Bring the sum under its bound."""
        for tenant in self._by_size():
            if not self.full:
                return
            tenant.shed()
        while self.full and shelf.drop_one():
            pass
        for tenant in self._by_size():
            if not self.full:
                return
            tenant.evict()

    def _by_size(self) -> list[Tenant]:
        return sorted(self._tenants, key=lambda tenant: tenant.account.held_bytes, reverse=True)

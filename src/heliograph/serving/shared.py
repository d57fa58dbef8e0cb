"""What the connections of one server share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from heliograph.clock import now_s
from heliograph.protocol.authentication import Nonces
from heliograph.serving.access_log import AccessLog
from heliograph.serving.cloud import Cloud
from heliograph.serving.fair.load import Shed
from heliograph.serving.fair.parties import Parties, Party
from heliograph.serving.holding import Holdings
from heliograph.serving.kept import KeptSessions
from heliograph.serving.limits import Limits
from heliograph.serving.metrics import Metrics
from heliograph.serving.patience import DraftPatience
from heliograph.serving.scheduler import Scheduler
from heliograph.serving.tracing import CloudTrace
from heliograph.serving.turns import Turns


@dataclass(frozen=True)
class Shared:
    """What all connections of one server share.

    Attributes:
        turns: the queue of those who make the event loop work more than they may.
        measuring: held by the one session whose prefix is measured.
        measuring_turns: as ``turns``, for measuring.
        clock: seconds, ascending.
        trace: of the server; None where nobody wants one.
        access_log: takes the end of every question.
        parties: who shares the model.
    """

    cloud: Cloud
    scheduler: Scheduler
    observer: Executor
    metrics: Metrics
    patience: DraftPatience
    limits: Limits
    access_tokens: frozenset[str]
    kept: KeptSessions
    holdings: Holdings
    turns: Turns = field(default_factory=Turns)
    measuring: asyncio.Lock = field(default_factory=asyncio.Lock)
    clock: Callable[[], float] = now_s
    keys: tuple[bytes, ...] = ()
    nonces: Nonces = field(default_factory=Nonces)
    measuring_turns: Turns = field(default_factory=Turns.for_measuring)
    trace: CloudTrace | None = None
    access_log: AccessLog = field(default_factory=AccessLog)
    parties: Parties = field(default_factory=Parties)

    def refuses(self, party: Party, now: float) -> bool:
        """Whether new sessions and questions of a party are refused now: its answers wait for too long. Of one that is
        not known yet, where it would have to wait so long for its first turn."""
        if party.load.known:
            return party.load.shed(now) >= Shed.QUESTIONS
        return self.scheduler.newcomer_wait_s >= self.limits.thresholds.rising[-1]

"""Bounds of one server, and what its connections share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from heliograph.clock import now_s
from heliograph.controllers.region.policies import MAX_LOOKS
from heliograph.protocol.authentication import Nonces
from heliograph.serving.access_log import AccessLog
from heliograph.serving.cloud import Cloud
from heliograph.serving.holding import Holdings
from heliograph.serving.kept import KeptSessions
from heliograph.serving.metrics import Metrics
from heliograph.serving.patience import DRAFT_PATIENCE, DraftPatience
from heliograph.serving.scheduler import Scheduler
from heliograph.serving.tracing import CloudTrace
from heliograph.serving.turns import Turns


@dataclass(frozen=True)
class Limits:
    """Bounds of one server.

    Attributes:
        max_sessions: sessions at a time: connections that were greeted.
        max_ungreeted: connections at a time that were not, HTTP requests and wrong tokens among them.
        max_ungreeted_bytes: sent by all of those together; a greeting has some hundred.
        max_per_address: of those, from one address.
        max_sessions_per_address: sessions of one address beyond this machine, where no access token is needed.
        request_timeout_s: longest time from the connection to the end of a request's head, TLS included, and to its
            answer having been read.
        refusal_delay_s: longest wait of the answer to a wrong access token.
        max_held_bytes: memory of all sessions together, those that are kept included.
        hello_timeout_s: longest wait for HELLO, from the open websocket to its last byte.
        idle_timeout_s: longest silence of a device to which no answer is owed.
        send_timeout_s: longest time that one message to a device may take.
        draft_patience: share of an answer's usual time that a draft is held back for the rest of the photo.
        max_regions: crops of the original that one session may cause.
        region_timeout_s: longest wait for a crop; then the first answer is the final one.
        keep_s: how long a session whose connection broke is kept; 0 keeps none.
        max_kept_sessions: of them at a time; the oldest goes first.
        max_kept_bytes: their memory.
        question_timeout_s: longest wait of a question for news of its photo; then it is answered from what has arrived.
        max_unsent_bytes: what may wait for a device that reads slowly; above it nothing more is done for that device.
        retain_s: longest time that a photo, a question or an answer is held after it was last used; None keeps them
            while their session lasts.
    """

    max_sessions: int = 64
    max_ungreeted: int = 256
    max_ungreeted_bytes: int = 32 << 20
    max_per_address: int = 64
    max_sessions_per_address: int = 48
    request_timeout_s: float = 30.0
    refusal_delay_s: float = 10.0
    max_held_bytes: int = 512 << 20
    hello_timeout_s: float = 15.0
    idle_timeout_s: float = 300.0
    send_timeout_s: float = 120.0
    draft_patience: float = DRAFT_PATIENCE
    max_regions: int = MAX_LOOKS
    region_timeout_s: float = 20.0
    keep_s: float = 120.0
    max_kept_sessions: int = 64
    max_kept_bytes: int = 64 << 20
    question_timeout_s: float = 120.0
    max_unsent_bytes: int = 256 << 10
    retain_s: float | None = None

    @property
    def longest_kept_s(self) -> float:
        """How long a session is kept; no longer than anything may be held."""
        return self.keep_s if self.retain_s is None else min(self.keep_s, self.retain_s)


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

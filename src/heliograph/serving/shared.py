"""Bounds of one server, and what its connections share."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field

from heliograph.protocol.authentication import Nonces
from heliograph.serving.cloud import Cloud
from heliograph.serving.desk import MAX_REGIONS
from heliograph.serving.kept import KeptSessions
from heliograph.serving.metrics import Metrics
from heliograph.serving.patience import DRAFT_PATIENCE, DraftPatience
from heliograph.serving.scheduler import Scheduler


@dataclass(frozen=True)
class Limits:
    """Bounds of one server.

    Attributes:
        max_sessions: connections at a time.
        max_held_bytes: payload of all photos of all sessions together, those that are kept included.
        hello_timeout_s: longest wait for HELLO.
        idle_timeout_s: longest silence of a device to which no answer is owed.
        send_timeout_s: longest time that one message to a device may take.
        draft_patience: share of an answer's usual time that a draft is held back for the rest of the photo.
        max_regions: crops of the original that one session may cause.
        region_timeout_s: longest wait for a crop; then the first answer is the final one.
        keep_s: how long a session whose connection broke is kept; 0 keeps none.
        max_kept_sessions: of them at a time; the oldest goes first.
        max_kept_bytes: payload of their photos.
    """

    max_sessions: int = 64
    max_held_bytes: int = 512 << 20
    hello_timeout_s: float = 15.0
    idle_timeout_s: float = 300.0
    send_timeout_s: float = 120.0
    draft_patience: float = DRAFT_PATIENCE
    max_regions: int = MAX_REGIONS
    region_timeout_s: float = 20.0
    keep_s: float = 120.0
    max_kept_sessions: int = 64
    max_kept_bytes: int = 64 << 20


@dataclass(frozen=True)
class Shared:
    """What all connections of one server share."""

    cloud: Cloud
    scheduler: Scheduler
    observer: Executor
    metrics: Metrics
    patience: DraftPatience
    limits: Limits
    access_tokens: frozenset[str]
    kept: KeptSessions
    keys: tuple[bytes, ...] = ()
    nonces: Nonces = field(default_factory=Nonces)

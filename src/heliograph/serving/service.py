"""Serves devices, whatever carries their messages.

::

    websocket behind uvicorn --AsgiConnection--┐
    two ends in one process --MemoryConnection-┼--> CloudService.serve --> a DeviceConnection each --> one model thread
    any other transport ----- four members ----┘
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType, TracebackType
from typing import Self

from heliograph.clock import now_s
from heliograph.protocol.access import owner_of
from heliograph.registry import CONTROLLERS, REGION_POLICIES, STRATEGIES
from heliograph.serving.access_log import AccessLog
from heliograph.serving.admission.guest import Guest
from heliograph.serving.cloud import Cloud
from heliograph.serving.connection import DeviceConnection
from heliograph.serving.fair.parties import Parties
from heliograph.serving.holding import Holdings
from heliograph.serving.kept import KeptSessions
from heliograph.serving.limits import Limits
from heliograph.serving.metrics import Metrics
from heliograph.serving.patience import DraftPatience
from heliograph.serving.retention import Retention
from heliograph.serving.scheduler import Scheduler
from heliograph.serving.shared import Shared
from heliograph.serving.side_by_side import worker_of
from heliograph.serving.tracing import CloudTrace
from heliograph.serving.turns import Allowance, Turns
from heliograph.tracing.table import TraceSink
from heliograph.transport.base import Connection, ServedConnection
from heliograph.transport.memory import memory_pair

log = logging.getLogger("heliograph.serving")


class CloudService:
    """What the devices of one cloud share, at work while its ``async with`` block lasts.

    Args:
        cloud: model, codecs and bundle hash.
        access_tokens: of which a device must show one; empty lets every device in.
        limits: bounds; None for the usual ones. How many devices may come at a time is up to whoever accepts them.
        keys: of which a device must hold one; its sessions are authenticated then. Empty for sessions without.
        metrics: counters to keep; None for new ones.
        clock: seconds, ascending.
        trace: takes the events of all sessions, such as :meth:`heliograph.tracing.writing.TraceWriter.record`; None for
            no trace.
        access_log: takes the end of every question.
        weights: share of the model that an access token's devices get together in relation to others', by token;
            1 for all others.
    """

    def __init__(
        self,
        cloud: Cloud,
        access_tokens: frozenset[str] = frozenset(),
        limits: Limits | None = None,
        *,
        keys: tuple[bytes, ...] = (),
        metrics: Metrics | None = None,
        clock: Callable[[], float] = now_s,
        trace: TraceSink | None = None,
        access_log: AccessLog | None = None,
        weights: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        limits, metrics = limits or Limits(), metrics or Metrics()
        shares = {owner_of(token): weight for token, weight in weights.items()}
        self._observer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="heliograph-observer")
        self._shared = Shared(
            cloud,
            Scheduler(worker_of(cloud, limits.max_batch_tokens), clock),
            self._observer,
            metrics,
            DraftPatience(limits.draft_patience),
            limits,
            access_tokens,
            KeptSessions(limits.longest_kept_s, limits.max_kept_sessions, limits.max_kept_bytes, clock),
            Holdings(metrics, limits.max_held_bytes),
            clock=clock,
            keys=keys,
            trace=None if trace is None else CloudTrace(trace, cloud.calibration),
            access_log=access_log or AccessLog(),
            parties=Parties(shares, limits.thresholds),
        )
        self._working: list[asyncio.Task[None]] = []
        _look_at_plug_ins()

    @property
    def turns(self) -> Turns:
        """The queue of connections that are over their allowance of processor time."""
        return self._shared.turns

    async def __aenter__(self) -> Self:
        works = (self._shared.scheduler.work, Retention(self._shared).work)
        self._working = [asyncio.create_task(work()) for work in works]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        self._shared.scheduler.close()
        self._observer.shutdown(wait=False, cancel_futures=True)

    async def serve(
        self, connection: ServedConnection, guest: Guest | None = None, allowance: Allowance | None = None
    ) -> None:
        """Serve one open connection until either side ends it; never raises on what the device does.

        Args:
            connection: to the device.
            guest: how it stands with the door of the server; None where everybody may come in.
            allowance: of processor time, where the connection itself draws on one; None for a new one.
        """
        await DeviceConnection(connection, self._shared, guest, allowance).run()

    async def connect(self) -> Connection:
        """A connection to this cloud from within its process, for :class:`heliograph.edge.client.DeviceClient`."""
        device_end, cloud_end = memory_pair()
        self._working.append(asyncio.create_task(self.serve(cloud_end)))
        return device_end


def _look_at_plug_ins() -> None:
    """Import them before the first device comes, and not while it waits; say which cannot be used."""
    for registry in (STRATEGIES, CONTROLLERS, REGION_POLICIES):
        for _, fault in registry.faults():
            if fault:
                log.warning("%s", fault)

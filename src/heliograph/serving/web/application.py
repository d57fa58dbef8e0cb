"""The ASGI application: a websocket at ``/``, ``GET /health`` and ``GET /metrics``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from types import MappingProxyType

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from heliograph.clock import now_s
from heliograph.serving.access_log import AccessLog
from heliograph.serving.admission.door import VISIT, Door, Visit, address_of
from heliograph.serving.admission.guest import GuestAtDoor
from heliograph.serving.admission.refusals import Refusals
from heliograph.serving.cloud import Cloud
from heliograph.serving.limits import Limits
from heliograph.serving.metrics import Metrics
from heliograph.serving.service import CloudService
from heliograph.serving.web.asgi_connection import AsgiConnection
from heliograph.serving.web.gate import Gate, checked_host, checked_origin
from heliograph.tracing.table import TraceSink

log = logging.getLogger("heliograph.serving")

_WATCH_S = 1.0


class CloudApplication:
    """One server's state and its routes; ``asgi`` is what a server runs.

    Args:
        cloud: model, codec and bundle hash.
        access_tokens: of which a device must show one; empty lets every device in.
        limits: bounds of this server.
        origins: of web pages that may use it; devices send no origin.
        hosts: names by which it is known, besides localhost and addresses; None for all.
        keys: of which a device must hold one; its sessions are authenticated then. Empty for sessions without.
        trace: takes the events of all sessions; None for no trace.
        access_log: takes the end of every question.
        weights: of access tokens, as of :class:`heliograph.serving.service.CloudService`.

    Raises:
        UsageError: an origin or host that is none.
    """

    def __init__(
        self,
        cloud: Cloud,
        access_tokens: frozenset[str] = frozenset(),
        limits: Limits | None = None,
        *,
        origins: Iterable[str] = (),
        hosts: Iterable[str] | None = (),
        keys: tuple[bytes, ...] = (),
        trace: TraceSink | None = None,
        access_log: AccessLog | None = None,
        weights: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.cloud, self._trace, self._access_log = cloud, trace, access_log
        self.metrics = Metrics()
        self._access_tokens, self._keys, self._weights = access_tokens, keys, weights
        self.limits = limits or Limits()
        self.door = Door(self.limits, self.metrics, now_s, open_to_all=not access_tokens)
        self._wrong_tokens = Refusals(self.limits.refusal_delay_s, now_s, _say_wrong_tokens)
        self._foreign = Refusals(0.0, now_s, _say_foreign)
        self._service: CloudService | None = None
        self._started_s = now_s()
        origins = tuple(map(checked_origin, origins))
        hosts = None if hosts is None else tuple(map(checked_host, hosts))
        self.asgi = Starlette(
            routes=[
                Route("/health", self._health),
                Route("/metrics", self._metrics_page),
                WebSocketRoute("/", self._websocket),
            ],
            middleware=[
                Middleware(Gate, origins=origins, hosts=hosts, on_refusal=self._on_foreign),
                *([Middleware(CORSMiddleware, allow_origins=origins)] if origins else ()),
            ],
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        service = CloudService(
            self.cloud,
            self._access_tokens,
            self.limits,
            keys=self._keys,
            metrics=self.metrics,
            trace=self._trace,
            access_log=self._access_log,
            weights=self._weights,
        )
        async with service:
            self._service, self._started_s = service, now_s()
            watching = asyncio.create_task(self._watch())
            try:
                yield
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    async def _websocket(self, websocket: WebSocket) -> None:
        service = self._service
        assert service is not None, "the lifespan has begun before the first connection"
        visit: Visit | None = getattr(websocket.state, VISIT, None)
        uncounted = visit is None  # another server than ours accepted it
        if visit is None:
            visit = self.door.arrive(address_of(websocket.client.host if websocket.client else ""), lambda: None)
        guest = GuestAtDoor(visit, self.door, self._wrong_tokens, self.metrics)
        self.door.await_hello(visit)
        try:
            await websocket.accept()
            connection = AsgiConnection(websocket, service.turns)
            await service.serve(connection, guest, connection.allowance)
        finally:
            guest.over()
            if uncounted:
                visit.leave()

    def _on_foreign(self, header: str) -> None:
        self.metrics.requests_refused_total += 1
        self._foreign.note(header)

    async def _watch(self) -> None:
        """End what is overdue, and say what came together."""
        while True:
            await asyncio.sleep(_WATCH_S)
            self.door.drop_overdue()
            self._wrong_tokens.tell()
            self._foreign.tell()

    async def _health(self, _: Request) -> JSONResponse:
        return JSONResponse(
            {
                "status": "ok",
                "model": self.cloud.model.name,
                "bundle_hash": self.cloud.bundle_hash.hex(),
                "uptime_s": round(now_s() - self._started_s, 3),
                "sessions": self.metrics.sessions_open,
            }
        )

    async def _metrics_page(self, _: Request) -> PlainTextResponse:
        return PlainTextResponse(self.metrics.render(), media_type="text/plain; version=0.0.4")


def _say_wrong_tokens(address: str, count: int) -> None:
    log.warning("%d access token(s) refused, missing or wrong, from %s", count, address)


def _say_foreign(header: str, count: int) -> None:
    log.warning("%d request(s) refused for their %s header; see --allow-host and --allow-origin", count, header)

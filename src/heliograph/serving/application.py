"""The ASGI application: a websocket at ``/``, ``GET /health`` and ``GET /metrics``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from heliograph.clock import now_s
from heliograph.errors import TooManyError
from heliograph.protocol.session import CloudSession
from heliograph.serving.cloud import Cloud
from heliograph.serving.connection import GONE, DeviceConnection
from heliograph.serving.holding import Holdings
from heliograph.serving.kept import KeptSessions
from heliograph.serving.metrics import Metrics
from heliograph.serving.patience import DraftPatience
from heliograph.serving.retention import Retention
from heliograph.serving.scheduler import Scheduler
from heliograph.serving.shared import Limits, Shared


class CloudApplication:
    """One server's state and its routes; ``asgi`` is what a server runs.

    Args:
        cloud: model, codec and bundle hash.
        access_tokens: of which a device must show one; empty lets every device in.
        limits: bounds of this server.
    """

    def __init__(self, cloud: Cloud, access_tokens: frozenset[str] = frozenset(), limits: Limits | None = None) -> None:
        self.cloud = cloud
        self.metrics = Metrics()
        self._access_tokens = access_tokens
        self._limits = limits or Limits()
        self._shared: Shared | None = None
        self._started_s = now_s()
        self.asgi = Starlette(
            routes=[
                Route("/health", self._health),
                Route("/metrics", self._metrics_page),
                WebSocketRoute("/", self._websocket),
            ],
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        scheduler = Scheduler(self.cloud.run)
        observer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="heliograph-observer")
        patience = DraftPatience(self._limits.draft_patience)
        limits = self._limits
        kept = KeptSessions(limits.longest_kept_s, limits.max_kept_sessions, limits.max_kept_bytes, now_s)
        holdings = Holdings(self.metrics, limits.max_held_bytes)
        self._shared = Shared(
            self.cloud, scheduler, observer, self.metrics, patience, limits, self._access_tokens, kept, holdings
        )
        self._started_s = now_s()
        working = [asyncio.create_task(scheduler.work()), asyncio.create_task(Retention(self._shared).work())]
        try:
            yield
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            scheduler.close()
            observer.shutdown(wait=False, cancel_futures=True)

    async def _websocket(self, websocket: WebSocket) -> None:
        shared = self._shared
        assert shared is not None, "the lifespan has begun before the first connection"
        full = self.metrics.sessions_open >= self._limits.max_sessions
        self.metrics.sessions_open += 1  # counted before the first await, or a crowd would slip in together
        try:
            await websocket.accept()
            if full:
                self.metrics.sessions_refused_total += 1
                await _turn_away(websocket, self._limits)
                return
            self.metrics.sessions_total += 1
            await DeviceConnection(websocket, shared).run()
        finally:
            self.metrics.sessions_open -= 1

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


async def _turn_away(websocket: WebSocket, limits: Limits) -> None:
    """Tell a device in one ERROR frame why it is not served, and close."""
    session = CloudSession(b"", frozenset())
    session.send_error(TooManyError(), None)
    with contextlib.suppress(*GONE, TimeoutError):
        await asyncio.wait_for(websocket.send_bytes(session.bytes_to_send()), limits.send_timeout_s)
        await websocket.close(code=1013)

"""Accepts connections for uvicorn's protocols, each of them known to the door from its first byte to its last.

uvicorn itself gives a connection that says nothing as long as it likes; here it has a deadline and a place among
others. TCP and TLS are asyncio's, HTTP is h11's, websockets are the library's: this module only says who may come.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from heliograph.clock import now_s
from heliograph.serving.admission.door import VISIT, Door, Visit, address_of
from heliograph.serving.admission.refusals import LOG_EVERY_S
from heliograph.serving.web.websocket import SteadyWebSocket

log = logging.getLogger("heliograph.serving")

MAX_HEAD_BYTES = 16 << 10
"""Bound of an HTTP request's line and header."""

_TLS_CLOSE_S = 5.0
_ACCEPTED_A_TURN = 16
_PAUSE_S = 0.05  # after the system had no file or memory for another connection


class HttpProtocol(H11Protocol):
    """uvicorn's, told to the door."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the transport, which can end the connection from now on."""
        _visit(self.app_state).end = transport.abort
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is gone."""
        _visit(self.app_state).leave()
        super().connection_lost(exc)


class WebsocketProtocol(SteadyWebSocket):
    """The project's websocket, told to the door."""

    def data_received(self, data: bytes) -> None:
        """What strangers send is counted."""
        _visit(self.app_state).note_sent(len(data))
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is gone."""
        _visit(self.app_state).leave()
        super().connection_lost(exc)


def _visit(state: dict[str, Any]) -> Visit:
    visit = state[VISIT]
    assert isinstance(visit, Visit)
    return visit


class Acceptor:
    """Accepts on some sockets until it is closed.

    Args:
        listening: sockets that listen, not blocking.
        door: notified of every connection.
        protocol: makes the protocol of a connection, given what its ASGI state holds besides.
        tls: context for ``wss``.
        handshake_s: longest TLS handshake.
    """

    def __init__(
        self,
        listening: tuple[socket.socket, ...],
        door: Door,
        protocol: Callable[[dict[str, Any]], asyncio.Protocol],
        tls: ssl.SSLContext | None,
        handshake_s: float,
    ) -> None:
        self._listening, self._door, self._protocol, self._tls = listening, door, protocol, tls
        self._handshake_s = handshake_s
        self._handshakes: dict[asyncio.Task[None], socket.socket] = {}
        self._quiet_until_s = 0.0
        self._accepting = [asyncio.create_task(self._accept(one)) for one in listening]

    async def close(self) -> None:
        """Take no more connections, and let go of those that are not even through their handshake."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for one in self._listening:
            one.close()
        for came in self._handshakes.values():
            _hang_up(came)
        await asyncio.gather(*self._handshakes, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        loop, accepted = asyncio.get_running_loop(), 0
        while True:
            try:
                came, peer = await loop.sock_accept(listening)
            except ConnectionError:
                continue  # gone while it waited in the queue
            except OSError as error:
                self._say_no_room(error)
                self._door.drop_one()
                await asyncio.sleep(_PAUSE_S)
                continue
            task = loop.create_task(self._let_in(came, str(peer[0])))
            self._handshakes[task] = came
            task.add_done_callback(self._handshakes.pop)
            accepted += 1
            if accepted % _ACCEPTED_A_TURN == 0:
                await asyncio.sleep(0)  # while others queue, accepting never waits: let the rest have its turn

    async def _let_in(self, came: socket.socket, host: str) -> None:
        visit = self._door.arrive(address_of(host), lambda: _hang_up(came))
        patience = (self._handshake_s, _TLS_CLOSE_S) if self._tls else (None, None)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol({VISIT: visit}),
                came,
                ssl=self._tls,
                ssl_handshake_timeout=patience[0],
                ssl_shutdown_timeout=patience[1],
            )
        except OSError:  # a handshake that fails is the stranger's affair
            came.close()
            visit.leave()

    def _say_no_room(self, error: OSError) -> None:
        if now_s() >= self._quiet_until_s:
            self._quiet_until_s = now_s() + LOG_EVERY_S
            log.warning("no room for another connection: %s", os.strerror(error.errno or 0))


def _hang_up(came: socket.socket) -> None:
    """End a connection whose socket already belongs to the event loop, which then finds it ended."""
    with contextlib.suppress(OSError):
        came.shutdown(socket.SHUT_RDWR)

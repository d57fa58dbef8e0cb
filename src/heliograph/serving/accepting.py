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

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from heliograph.clock import now_s
from heliograph.serving.door import VISIT, Door, Visit, address_of
from heliograph.serving.refusals import LOG_EVERY_S
from heliograph.serving.turnstile import Turnstile

log = logging.getLogger("heliograph.serving")

TURNSTILE = "heliograph_turnstile"
"""Where the ASGI state of a connection holds the :class:`Turnstile` of its server."""

MAX_HEAD_BYTES = 16 << 10
"""Of an HTTP request: line and header."""

_MAX_UNREAD_PONG_BYTES = 16 << 10
_TLS_CLOSE_S = 5.0
_ACCEPTED_A_TURN = 16
_PAUSE_S = 0.05  # after the system had no file or memory for another connection


class HttpProtocol(H11Protocol):
    """uvicorn's, told to the door."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """From now on the connection can be ended by its transport."""
        _visit(self.app_state).end = transport.abort
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        _visit(self.app_state).leave()
        super().connection_lost(exc)


class WebsocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, told to the door, and read in turns; without its ways of being held up or filled by a stranger."""

    def __init__(self, config: uvicorn.Config, server_state: Any, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state)
        self._turnstile: Turnstile = app_state[TURNSTILE]
        self._unread = bytearray()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._unread.clear()
        _visit(self.app_state).leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Let it wait for its turn; nothing more is taken from the network until it is read."""
        self._unread += data
        self.transport.pause_reading()
        self._turnstile.queue(self)

    def read_slice(self, most_bytes: int) -> bool:
        """Read some of what waits, unless the application has not taken what was read before."""
        if self.read_paused or not self._unread:
            return False
        data = bytes(memoryview(self._unread)[:most_bytes])
        del self._unread[:most_bytes]
        _visit(self.app_state).note_sent(len(data))
        try:
            super().data_received(data)
        except Exception:
            log.exception("reading a websocket failed")
            self.transport.abort()
            return False
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.abort()  # a request of 200 fields, say, which the library would leave as it is
            return False
        if not self._unread and not self.read_paused:
            self.transport.resume_reading()
        return bool(self._unread) and not self.read_paused

    async def receive(self) -> Any:
        """The next event for the application, which makes room for what waits."""
        event = await super().receive()
        self._go_on_reading()
        return event

    async def send(self, message: Any) -> None:
        """Send; after a close, what waits is read (and thrown away) up to the peer's own."""
        await super().send(message)
        self._go_on_reading()

    def _go_on_reading(self) -> None:
        if self._unread and not self.read_paused:
            self.transport.pause_reading()  # which the base class has just taken up again
            self._turnstile.queue(self)

    def handle_ping(self) -> None:
        """Answer, unless the peer reads no answers: they would pile up without end (RFC 6455, 5.5.3, allows it)."""
        if self.transport.get_write_buffer_size() > _MAX_UNREAD_PONG_BYTES:
            self.conn.data_to_send()
        else:
            super().handle_ping()


def _visit(state: dict[str, Any]) -> Visit:
    visit = state[VISIT]
    assert isinstance(visit, Visit)
    return visit


class Acceptor:
    """Accepts on some sockets until it is closed.

    Args:
        listening: sockets that listen, not blocking.
        door: told of every connection.
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
        self._turnstile = Turnstile(asyncio.get_running_loop().call_soon, now_s)
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
                lambda: self._protocol({VISIT: visit, TURNSTILE: self._turnstile}),
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

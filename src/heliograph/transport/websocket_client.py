"""The device's websocket, with every byte of the TCP stream counted."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from ssl import SSLContext
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus, InvalidURI, WebSocketException

from heliograph.errors import (
    ConnectionLostError,
    FrameDamagedError,
    HeliographError,
    ServerUnreachableError,
    TimedOutError,
    UnauthorizedError,
    UsageError,
)
from heliograph.protocol.limits import MAX_MESSAGE_BYTES
from heliograph.transport.base import DEFAULT_QUEUE_BYTES

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
MAX_QUEUED_MESSAGES = 4
SEND_BUFFER_BYTES = 4096
"""Unsent bytes that asyncio and the kernel may hold each before ``send`` waits."""

_DRAIN_POLL_S = 0.005
_SIOCOUTQNSD = 0x894B  # Linux: bytes in the send queue that were never sent


class _CountingTransport:
    """Stands before asyncio's transport and counts what is written."""

    def __init__(self, inner: asyncio.Transport) -> None:
        self._inner = inner
        self.written_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written_bytes += len(data)
        self._inner.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _CountingConnection(ClientConnection):
    """The library's connection with a counter on either side of the stream."""

    written: _CountingTransport | None = None
    read_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.written = _CountingTransport(cast(asyncio.Transport, transport))
        super().connection_made(cast(asyncio.Transport, self.written))

    def data_received(self, data: bytes) -> None:
        self.read_bytes += len(data)
        super().data_received(data)


class WebsocketConnection:
    """A :class:`heliograph.transport.base.Connection` over a websocket; made by :func:`open_websocket`."""

    def __init__(self, websocket: _CountingConnection, receive_timeout_s: float | None) -> None:
        self._websocket = websocket
        self._receive_timeout_s = receive_timeout_s

    @property
    def sent_bytes(self) -> int:
        """Bytes written to the stream: HTTP request, frames, close. Under TLS, before encryption."""
        return self._websocket.written.written_bytes if self._websocket.written else 0

    @property
    def received_bytes(self) -> int:
        """Bytes read from the stream: HTTP response, frames, close. Under TLS, after decryption."""
        return self._websocket.read_bytes

    async def send(self, data: bytes) -> None:
        """Send one binary message; waits while the send buffer is full.

        Raises:
            ConnectionLostError: the connection is gone.
        """
        if not data:
            return
        try:
            await self._websocket.send(bytes(data))
        except (ConnectionClosed, OSError) as error:
            raise ConnectionLostError from error

    async def receive(self) -> bytes:
        """The next message; ``b""`` after an orderly close.

        Raises:
            ConnectionLostError: the connection broke or the server closed it with an error.
            TimedOutError: nothing came within the time limit given to :func:`open_websocket`.
            FrameDamagedError: the server sent text in place of bytes.
        """
        try:
            async with asyncio.timeout(self._receive_timeout_s):
                while not (message := await self._websocket.recv()):
                    pass  # an empty message says nothing, and b"" means the end
        except TimeoutError as error:
            raise TimedOutError from error
        except ConnectionClosedOK:
            return b""
        except (ConnectionClosed, OSError) as error:
            raise ConnectionLostError from error
        if isinstance(message, str):
            raise FrameDamagedError
        return message

    def backlog_bytes(self) -> int:
        """Unsent bytes in asyncio's buffer and, on Linux, in the kernel's."""
        transport = self._websocket.transport
        return transport.get_write_buffer_size() + _kernel_unsent_bytes(transport.get_extra_info("socket"))

    async def drain(self, limit_bytes: int = DEFAULT_QUEUE_BYTES) -> None:
        """Wait until at most ``limit_bytes`` are unsent.

        Raises:
            ConnectionLostError: the connection is gone.
        """
        while self.backlog_bytes() > limit_bytes:
            await asyncio.sleep(_DRAIN_POLL_S)
            if self._websocket.transport.is_closing():
                raise ConnectionLostError

    async def close(self) -> None:
        """Send a close frame and wait for the server's, at most two seconds."""
        await self._websocket.close()

    def abort(self) -> None:
        """Reset the TCP connection."""
        self._websocket.transport.abort()


async def open_websocket(
    url: str,
    access_token: str = "",
    ssl: SSLContext | None = None,
    *,
    open_timeout_s: float = OPEN_TIMEOUT_S,
    receive_timeout_s: float | None = None,
) -> WebsocketConnection:
    """Connect to a cloud.

    Args:
        url: ``ws://host:port/path`` or ``wss://...``.
        access_token: shown as ``Authorization: Bearer`` for the sake of a proxy in front of the cloud, which does
            not read HELLO; empty sends no such header.
        ssl: context for ``wss``; the system's certificates if None.
        open_timeout_s: for TCP, TLS and the HTTP upgrade together.
        receive_timeout_s: longest silence that ``receive`` bears; None for no limit, since a device may be silent
            between questions and sets a deadline for each.

    Raises:
        ServerUnreachableError: refused, no such host, certificate refused, or not a websocket server.
        TimedOutError: not open in time.
        UnauthorizedError: a proxy in front answered 401 or 403.
        UsageError: not a websocket address, or a token with characters that no header may hold.
    """
    try:
        websocket = await _connect(url, access_token, ssl, open_timeout_s)
    except (WebSocketException, OSError, ValueError) as error:
        raise _opening_error(error) from error
    _keep_kernel_queue_short(websocket.transport.get_extra_info("socket"))
    return WebsocketConnection(websocket, receive_timeout_s)


async def _connect(url: str, access_token: str, ssl: SSLContext | None, open_timeout_s: float) -> _CountingConnection:
    options: dict[str, Any] = {"ssl": ssl} if ssl is not None else {}
    if access_token:
        if not (access_token.isascii() and access_token.isprintable()):
            raise UsageError  # what could end the header line and begin another
        options["additional_headers"] = {"Authorization": f"Bearer {access_token}"}
    websocket = await connect(
        url,
        create_connection=_CountingConnection,
        compression=None,
        user_agent_header=None,
        proxy=None,
        open_timeout=open_timeout_s,
        ping_interval=None,  # a ping behind a long queue on a thin link would be taken for a dead peer
        close_timeout=CLOSE_TIMEOUT_S,
        max_size=MAX_MESSAGE_BYTES,
        max_queue=MAX_QUEUED_MESSAGES,
        write_limit=SEND_BUFFER_BYTES,
        **options,
    )
    return cast(_CountingConnection, websocket)


def _opening_error(error: Exception) -> HeliographError:
    if isinstance(error, TimeoutError):
        return TimedOutError()
    if isinstance(error, InvalidURI | ValueError):  # ValueError: no host name, or TLS given for ws://
        return UsageError()
    if isinstance(error, InvalidStatus) and error.response.status_code in (401, 403):
        return UnauthorizedError()
    return ServerUnreachableError()


def _keep_kernel_queue_short(connected: socket.socket | None) -> None:
    if connected is None or not sys.platform.startswith("linux"):
        return
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, SEND_BUFFER_BYTES)


def _kernel_unsent_bytes(connected: socket.socket | None) -> int:
    if connected is None or not sys.platform.startswith("linux") or connected.fileno() < 0:
        return 0
    import fcntl  # only where there is one

    return int(struct.unpack("i", fcntl.ioctl(connected.fileno(), _SIOCOUTQNSD, b"\0\0\0\0"))[0])

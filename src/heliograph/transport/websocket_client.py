"""The device's websocket, with every byte of the TCP stream counted."""

from __future__ import annotations

import asyncio
import math
from ssl import SSLContext
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedOK,
    WebSocketException,
)

from heliograph.clock import now_s
from heliograph.errors import (
    ConnectionLostError,
    FrameDamagedError,
    ServerBusyError,
    TimedOutError,
    UsageError,
)
from heliograph.protocol.limits import MAX_MESSAGE_BYTES
from heliograph.transport.base import DEFAULT_QUEUE_BYTES, TRY_AGAIN_LATER, Delivery
from heliograph.transport.liveness import LOOK_AFTER_S, OPENINGS, LivenessWatch, Sight, Verdict
from heliograph.transport.opening_errors import check_address, opening_error
from heliograph.transport.proxy import proxy_for
from heliograph.transport.socket_queues import (
    departed_bytes,
    keep_send_queue_short,
    quiet_s,
    reset_on_close,
    unacknowledged_bytes,
    unsent_bytes,
)

CLOSE_TIMEOUT_S = 2.0
"""Time limit of the closing handshake: nothing is lost with it, so nobody waits longer, however slow the link is."""

MAX_QUEUED_MESSAGES = 4
SEND_BUFFER_BYTES = 4096
"""Unsent bytes that asyncio and the kernel may hold each before ``send`` waits."""

PATIENCE_S = 10.0
"""Time limit of proxy, TCP and TLS together, and then for a sign of life of the upgrade, at the first attempt; the
upgrade of a slow link gets more by what TCP took, and each further attempt twice as long."""

_DRAIN_POLL_S = 0.005
_READ_BYTES = 4096
_CREDIT_BYTES, _EARNED_BYTES_A_S = 256 << 10, 64 << 10
"""What a server may send: so much at once, and so much a second. A megabyte can be half a million pings, which take
seconds to parse; in small portions timeouts hold meanwhile."""


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
    _credit_bytes, _read_s = 0.0, -math.inf
    _departed_before = 0
    _departed_in_all: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.written = _CountingTransport(cast(asyncio.Transport, transport))
        if hasattr(transport, "max_size"):  # asyncio's of plain TCP: what one turn of the loop reads and parses
            transport.max_size = _READ_BYTES
        self._departed_before = departed_bytes(transport.get_extra_info("socket")) or 0  # what was said to a proxy
        super().connection_made(cast(asyncio.Transport, self.written))

    def connection_lost(self, exc: Exception | None) -> None:
        self._departed_in_all = self.departed_bytes  # the last moment at which the socket can be asked
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.read_bytes += len(data)
        now = now_s()
        self._credit_bytes = min(_CREDIT_BYTES, self._credit_bytes + (now - self._read_s) * _EARNED_BYTES_A_S)
        self._credit_bytes, self._read_s = self._credit_bytes - len(data), now
        if self._credit_bytes < 0:  # answers are a few kilobytes: this is no cloud of ours
            self.transport.abort()
            return
        super().data_received(data)

    @property
    def departed_bytes(self) -> int:
        """What was written and has left; under TLS before encryption, and known less exactly."""
        if self._departed_in_all is not None or self.written is None:
            return self._departed_in_all or 0
        connected = self.written.get_extra_info("socket")
        departed = departed_bytes(connected)
        if departed is None:
            return self.written.written_bytes - int(self.written.get_write_buffer_size()) - unsent_bytes(connected)
        return min(self.written.written_bytes, departed - self._departed_before)

    def delivery(self) -> Delivery:
        """How far what was written has come; certain on Linux."""
        if self.written is None:
            return Delivery(0, 0, 0)
        connected = self.written.get_extra_info("socket")
        queued = unacknowledged_bytes(connected)
        accepted = self.written.written_bytes
        pending = int(self.written.get_write_buffer_size()) + (queued or 0)
        return Delivery(
            accepted, self.departed_bytes, accepted - pending, certain=queued is not None, quiet_s=quiet_s(connected)
        )


class WebsocketConnection:
    """A :class:`heliograph.transport.base.Connection` over a websocket; made by :func:`open_websocket`."""

    def __init__(self, websocket: _CountingConnection, receive_timeout_s: float | None) -> None:
        self._websocket = websocket
        self._receive_timeout_s = receive_timeout_s

    @property
    def sent_bytes(self) -> int:
        """Bytes of HTTP request, frames and close that have left. Under TLS, before encryption."""
        return self._websocket.departed_bytes

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
            ServerBusyError: the server closed it because it is full (code 1013).
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
        except ConnectionClosed as error:
            busy = error.rcvd is not None and error.rcvd.code == TRY_AGAIN_LATER
            raise (ServerBusyError if busy else ConnectionLostError) from error
        except OSError as error:
            raise ConnectionLostError from error
        if isinstance(message, str):
            raise FrameDamagedError
        return message

    def backlog_bytes(self) -> int:
        """Unsent bytes in asyncio's buffer and, on Linux, in the kernel's."""
        transport = self._websocket.transport
        return transport.get_write_buffer_size() + unsent_bytes(transport.get_extra_info("socket"))

    def delivery(self) -> Delivery:
        """How far the bytes written to the stream have come; certain on Linux."""
        return self._websocket.delivery()

    async def ping(self) -> None:
        """Send a ping and wait for its pong.

        Raises:
            ConnectionLostError: the connection is gone.
        """
        try:
            await (await self._websocket.ping(b""))
        except (WebSocketException, OSError) as error:
            raise ConnectionLostError from error

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
        reset_on_close(self._websocket.transport.get_extra_info("socket"))
        self._websocket.transport.abort()


async def open_websocket(
    url: str,
    access_token: str = "",
    ssl: SSLContext | None = None,
    *,
    open_timeout_s: float | None = None,
    receive_timeout_s: float | None = None,
) -> WebsocketConnection:
    """Connect to a cloud, through the proxy that the environment names for it (see :mod:`heliograph.transport.proxy`).

    Args:
        url: ``ws://host:port/path`` or ``wss://...``.
        access_token: shown as ``Authorization: Bearer`` for the sake of a proxy in front of the cloud, which does
            not read HELLO; empty sends no such header.
        ssl: context for ``wss``; the system's certificates if None.
        open_timeout_s: for proxy, TCP, TLS and the HTTP upgrade together; None for no limit, since how long that takes
            is up to the link, and how long it may take is up to the question's timeout.
        receive_timeout_s: longest silence that ``receive`` bears; None for no limit, since a device may be silent
            between questions and sets a timeout for each.

    Raises:
        ServerUnreachableError: refused, no such host, certificate refused, not a websocket server, or the proxy
            refused.
        ConnectionLostError: what was being opened broke half way.
        ServerBusyError: the server or a proxy in front asked to try again later (429, 502, 503, 504).
        TimedOutError: not open in time.
        UnauthorizedError: a proxy in front answered 401 or 403.
        HostRefusedError: the server is not known by the name in the address.
        MissingExtraError: the environment names a SOCKS proxy, and ``heliograph[socks]`` is not installed.
        UsageError: not a websocket address, or a token with characters that no header may hold.
    """
    check_address(url)
    proxy: str | None = None
    try:
        proxy = proxy_for(url)
        options = _options(access_token, ssl, proxy)
        async with asyncio.timeout(open_timeout_s):
            websocket = await _connected(url, options)
    except (WebSocketException, OSError, ValueError) as error:
        encrypted = url.lower().startswith("wss:")
        raise opening_error(error, encrypted=encrypted, proxied=proxy is not None) from error
    keep_send_queue_short(websocket.transport.get_extra_info("socket"), SEND_BUFFER_BYTES)
    return WebsocketConnection(websocket, receive_timeout_s)


def _options(access_token: str, ssl: SSLContext | None, proxy: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {"ssl": ssl} if ssl is not None else {}
    if access_token:
        if not (access_token.isascii() and access_token.isprintable()):
            # What could end the header line and begin another.
            raise UsageError().noted("The access token has characters that are not printable ASCII.")
        options["additional_headers"] = {"Authorization": f"Bearer {access_token}"}
    return {
        "compression": None,
        "user_agent_header": None,
        "proxy": proxy,
        "open_timeout": None,  # of the caller
        "ping_interval": None,  # the library's cost bytes while nothing is asked, and notice after 40 s
        "close_timeout": CLOSE_TIMEOUT_S,
        "max_size": MAX_MESSAGE_BYTES,
        "max_queue": MAX_QUEUED_MESSAGES,
        "write_limit": SEND_BUFFER_BYTES,
        **options,
    }


async def _connected(url: str, options: dict[str, Any]) -> _CountingConnection:
    """Connect. Where nobody takes the connection, or nothing shows that the link is alive, again from another port and
    with twice the patience: something on the way may drop the packets of the first one."""
    patience_s = PATIENCE_S
    while True:
        opening = _Opening(url, options)
        try:
            if await opening.is_taken(patience_s) and await opening.is_answered(patience_s):
                return await opening.connection()
        finally:
            await opening.give_up()
        patience_s *= 2


class _Opening:
    """One attempt to open a websocket: TCP and TLS (through a proxy, if there is one), then the HTTP upgrade."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self._now_s = asyncio.get_running_loop().time
        self._started_s = self._now_s()
        self._made: _CountingConnection | None = None
        connecting = connect(url, create_connection=cast(Any, self._make), **options)
        self._task = asyncio.ensure_future(connecting.__aenter__())

    def _make(self, *arguments: Any, **named: Any) -> _CountingConnection:
        self._made = _CountingConnection(*arguments, **named)
        return self._made

    async def is_taken(self, patience_s: float) -> bool:
        """Whether the other end takes the connection in time; True as well where it is refused for good."""
        while not self._task.done() and (self._made is None or self._made.written is None):
            if self._now_s() - self._started_s > patience_s:
                return False
            await asyncio.wait((self._task,), timeout=LOOK_AFTER_S)
        return True

    async def is_answered(self, patience_s: float) -> bool:
        """Whether the upgrade comes to an end, good or bad, before the link must be taken for dead."""
        least_s = max(self._now_s() - self._started_s, patience_s / OPENINGS)
        watch = LivenessWatch(least_s, self._now_s())
        while not self._task.done():
            if self._made is not None:
                sight = Sight(self._made.delivery(), self._made.read_bytes, owed=True)
                if watch.look(sight, self._now_s()) is Verdict.DEAD:
                    return False
            await asyncio.wait((self._task,), timeout=LOOK_AFTER_S)
        return True

    async def connection(self) -> _CountingConnection:
        """The open connection, or what went wrong."""
        return cast(_CountingConnection, await self._task)

    async def give_up(self) -> None:
        """Let go of what is not open yet."""
        if not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

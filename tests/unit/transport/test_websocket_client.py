"""The websocket against a real server on 127.0.0.1, its byte counts against a raw socket's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ssl import create_default_context

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.utils import accept_key

from heliograph import errors
from heliograph.transport.base import client_message_bytes, server_message_bytes
from heliograph.transport.websocket_client import WebsocketConnection, open_websocket

Handler = Callable[[ServerConnection], Awaitable[None]]


async def echo(websocket: ServerConnection) -> None:
    async for message in websocket:
        await websocket.send(message)


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[int]:
    async with serve(handler, "127.0.0.1", 0, compression=None) as running:
        yield next(iter(running.sockets)).getsockname()[1]


class CountingProxy:
    """A TCP relay that counts every byte: the raw truth."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.up = self.down = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def relay(source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: str) -> None:
            while data := await source.read(4096):
                setattr(self, way, getattr(self, way) + len(data))
                sink.write(data)
                await sink.drain()
            sink.close()

        await asyncio.gather(relay(reader, far_writer, "up"), relay(far_reader, writer, "down"))


def test_counts_equal_a_raw_socket_counter() -> None:
    async def scenario() -> None:
        async with server(echo) as port:
            proxy = CountingProxy(port)
            relay = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
            connection = await open_websocket(f"ws://127.0.0.1:{relay.sockets[0].getsockname()[1]}/")
            handshake = connection.sent_bytes, connection.received_bytes
            assert min(handshake) > 100
            for size in (1, 125, 126, 65_535, 65_536):
                before = connection.sent_bytes, connection.received_bytes
                await connection.send(b"x" * size)
                assert await connection.receive() == b"x" * size
                assert connection.sent_bytes - before[0] == client_message_bytes(size)
                assert connection.received_bytes - before[1] == server_message_bytes(size)
            await connection.close()
            assert (connection.sent_bytes, connection.received_bytes) == (proxy.up, proxy.down)
            relay.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(("token", "header"), [("", None), ("key", "Bearer key")])
def test_a_token_is_shown_to_a_proxy_only_if_given(token: str, header: str | None) -> None:
    seen: list[str | None] = []

    async def handler(websocket: ServerConnection) -> None:
        assert websocket.request is not None
        seen.append(websocket.request.headers.get("Authorization"))

    async def scenario() -> None:
        async with server(handler) as port:
            connection = await open_websocket(f"ws://127.0.0.1:{port}/", token)
            assert await connection.receive() == b""
            await connection.close()

    asyncio.run(scenario())
    assert seen == [header]


def test_orderly_close_is_the_end_and_empty_messages_are_not() -> None:
    async def handler(websocket: ServerConnection) -> None:
        await websocket.send(b"")
        await websocket.send(b"last")

    async def scenario() -> None:
        async with server(handler) as port:
            connection = await open_websocket(f"ws://127.0.0.1:{port}/")
            assert [await connection.receive(), await connection.receive()] == [b"last", b""]
            with pytest.raises(errors.ConnectionLostError):
                await connection.send(b"x")
            await connection.close()
            await connection.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("abort", errors.ConnectionLostError),
        ("internal error", errors.ConnectionLostError),
        ("full", errors.ServerBusyError),
        ("text", errors.FrameDamagedError),
        ("too large", errors.ConnectionLostError),
        ("silence", errors.TimedOutError),
    ],
)
def test_failures_of_an_open_connection_are_named(what: str, expected: type[errors.HeliographError]) -> None:
    async def handler(websocket: ServerConnection) -> None:
        if what == "abort":
            websocket.transport.abort()
        elif what == "internal error":
            await websocket.close(1011)
        elif what == "full":
            await websocket.close(1013)
        elif what == "text":
            await websocket.send("text")
        elif what == "too large":
            await websocket.send(b"x" * (2 << 20))
        await websocket.wait_closed()

    async def scenario() -> None:
        async with server(handler) as port:
            limit = 0.05 if what == "silence" else 30.0
            connection = await open_websocket(f"ws://127.0.0.1:{port}/", receive_timeout_s=limit)
            with pytest.raises(expected):
                await connection.receive()
            await connection.close()

    asyncio.run(scenario())


def test_a_server_that_sends_without_end_is_let_go() -> None:
    """Answers are a few kilobytes; half a megabyte at once is no answer."""

    async def handler(websocket: ServerConnection) -> None:
        for _ in range(100):
            await websocket.send(b"x" * 5000)
        await websocket.wait_closed()

    received = list[int]()

    async def take_everything(connection: WebsocketConnection) -> None:
        while data := await connection.receive():
            received.append(len(data))

    async def scenario() -> None:
        async with server(handler) as port:
            connection = await open_websocket(f"ws://127.0.0.1:{port}/")
            with pytest.raises(errors.ConnectionLostError):
                await take_everything(connection)
            await connection.close()

    asyncio.run(scenario())
    assert 100_000 < sum(received) <= 300_000


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", errors.ServerUnreachableError),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", errors.UnauthorizedError),
        (b"SSH-2.0-OpenSSH_9.6\r\n", errors.ServerUnreachableError),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", errors.ServerBusyError),
        (b"", errors.ConnectionLostError),
        (b"HTTP/1.1 101 Swit", errors.ConnectionLostError),
        (None, errors.TimedOutError),
    ],
)
def test_what_is_no_websocket_server_is_named(answer: bytes | None, expected: type[errors.HeliographError]) -> None:
    given_up = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await given_up.wait()
        else:
            writer.write(answer)
        writer.close()

    async def scenario() -> None:
        plain = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = plain.sockets[0].getsockname()[1]
        with pytest.raises(expected):
            await open_websocket(f"ws://127.0.0.1:{port}/", open_timeout_s=0.2 if answer is None else 30.0)
        given_up.set()
        plain.close()
        await asyncio.sleep(0.01)  # the handler ends

    asyncio.run(scenario())


def test_refused_connections_and_bad_addresses_are_named() -> None:
    async def scenario() -> None:
        async with server(echo) as port:
            pass
        with pytest.raises(errors.ServerUnreachableError):
            await open_websocket(f"ws://127.0.0.1:{port}/")
        for address in ("http://127.0.0.1/", "photo.jpg", ""):
            with pytest.raises(errors.UsageError):
                await open_websocket(address)
        with pytest.raises(errors.UsageError):
            await open_websocket("ws://127.0.0.1/", ssl=create_default_context())
        with pytest.raises(errors.UsageError):
            await open_websocket("ws://127.0.0.1/", access_token="a\r\nX-Evil: 1")

    asyncio.run(scenario())


def test_backlog_grows_when_the_peer_does_not_read_and_drain_waits_for_it() -> None:
    async def scenario() -> None:
        may_read = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readuntil(b"\r\n\r\n")
            key = next(x.split()[1] for x in request.decode().splitlines() if x.lower().startswith("sec-websocket-key"))
            writer.write(
                f"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode()
            )
            await may_read.wait()
            while await reader.read(1 << 16):
                pass
            writer.close()

        slow = await asyncio.start_server(handle, "127.0.0.1", 0, limit=1024)
        connection = await open_websocket(f"ws://127.0.0.1:{slow.sockets[0].getsockname()[1]}/")
        sending = asyncio.ensure_future(_send_much(connection))
        await asyncio.sleep(0.2)
        assert connection.backlog_bytes() > 4096
        assert not sending.done()
        may_read.set()
        await sending
        await connection.drain(0)
        assert connection.backlog_bytes() == 0
        await connection.close()
        slow.close()

    asyncio.run(scenario())


async def _send_much(connection: WebsocketConnection) -> None:
    for _ in range(40):
        await connection.send(b"x" * (1 << 20))

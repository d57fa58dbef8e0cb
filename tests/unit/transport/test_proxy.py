"""Proxies that the environment names: which is chosen, and a real CONNECT and SOCKS exchange on the loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from websockets.asyncio.server import ServerConnection, serve

from heliograph import errors
from heliograph.transport import proxy as proxy_module
from heliograph.transport.proxy import proxy_for
from heliograph.transport.websocket_client import open_websocket

CLOUD = "cloud.example"
VARIABLES = [f"{name}_proxy" for name in ("http", "https", "ws", "wss", "socks", "all", "no")]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "variables", "proxy"),
    [
        (f"ws://{CLOUD}/", {}, None),
        (f"ws://{CLOUD}/", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        (f"ws://{CLOUD}/", {"https_proxy": "http://s:1", "http_proxy": "http://p:1"}, "http://s:1"),
        (f"wss://{CLOUD}/", {"HTTPS_PROXY": "http://s:1"}, "http://s:1"),
        (f"wss://{CLOUD}/", {"HTTP_PROXY": "http://p:1"}, None),
        (f"wss://{CLOUD}/", {"WSS_PROXY": "http://w:1", "HTTPS_PROXY": "http://s:1"}, "http://w:1"),
        (f"wss://{CLOUD}/", {"HTTPS_PROXY": "http://s:1", "NO_PROXY": "other,.example"}, None),
        (f"wss://{CLOUD}/", {"HTTPS_PROXY": "http://s:1", "no_proxy": "*"}, None),
        ("ws://127.0.0.1:8765", {"HTTP_PROXY": "http://p:1"}, None),
        ("ws://127.9.9.9:8765", {"HTTP_PROXY": "http://p:1"}, None),
        ("ws://[::1]:8765", {"HTTP_PROXY": "http://p:1"}, None),
        ("ws://localhost:8765", {"HTTP_PROXY": "http://p:1"}, None),
        ("ws://localhost.example:8765", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
    ],
)
def test_choice(url: str, variables: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


@pytest.mark.parametrize("named", ["gopher://p:1", "http://p:99999", "http://", "http://user@p:1", "nowhere"])
def test_what_is_no_proxy_is_named_with_the_next_step(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", named)
    with pytest.raises(errors.ServerUnreachableError, match="NO_PROXY") as caught:
        proxy_for(f"ws://{CLOUD}/")
    assert named not in str(caught.value)


@dataclass
class Proxy:
    """Passes every connection on to one port, whatever host was asked for, once its greeting is said."""

    port: int
    greet: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]
    asked: list[str] = field(default_factory=list)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await self.greet(reader, writer):
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)

        async def relay(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(4096):
                sink.write(data)
            sink.close()

        await asyncio.gather(relay(reader, far_writer), relay(far_reader, writer))


def counts_through(make_proxy: Callable[[int], Proxy], scheme: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """What a connection through a proxy counts for its upgrade, and one of an echo; and that the echo comes."""

    async def echo(websocket: ServerConnection) -> None:
        async for message in websocket:
            await websocket.send(message)

    async def scenario() -> tuple[int, int]:
        async with serve(echo, "127.0.0.1", 0, compression=None) as cloud:
            made = make_proxy(next(iter(cloud.sockets)).getsockname()[1])
            listening = await asyncio.start_server(made.take, "127.0.0.1", 0)
            variable = "HTTP_PROXY" if scheme == "http" else "WS_PROXY"
            monkeypatch.setenv(variable, f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
            connection = await open_websocket(f"ws://{CLOUD}:8765/")
            opening = connection.sent_bytes
            await connection.send(b"x" * 10)
            assert await connection.receive() == b"x" * 10
            message = connection.sent_bytes - opening
            await connection.close()
            listening.close()
            return opening, message

    return asyncio.run(scenario())


def connect_proxy(port: int, status: str = "200 OK") -> Proxy:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await reader.readuntil(b"\r\n\r\n")
        made.asked.append(request.split(b"\r\n")[0].decode())
        writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
        await writer.drain()
        return status.startswith("200")

    made = Proxy(port, greet)
    return made


def socks5_proxy(port: int) -> Proxy:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        *_, kind = await reader.readexactly(4)
        assert kind == 3  # a name: it is looked up by the proxy
        host = await reader.readexactly((await reader.readexactly(1))[0])
        await reader.readexactly(2)
        made.asked.append(host.decode())
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        return True

    made = Proxy(port, greet)
    return made


@pytest.mark.parametrize(
    ("scheme", "make", "asked"),
    [("http", connect_proxy, f"CONNECT {CLOUD}:8765 HTTP/1.1"), ("socks5h", socks5_proxy, CLOUD)],
)
def test_a_websocket_goes_through_a_proxy_and_counts_its_own_bytes(
    scheme: str, make: Callable[[int], Proxy], asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[Proxy]()

    def making(port: int) -> Proxy:
        made.append(make(port))
        return made[-1]

    opening, message = counts_through(making, scheme, monkeypatch)
    assert made[0].asked == [asked]
    assert message == 10 + 6
    assert 100 < opening < 250  # the upgrade alone: what was said to the proxy is the proxy's


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway", "nonsense"])
def test_a_proxy_that_refuses_is_named_with_the_next_step(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.ServerUnreachableError, match="NO_PROXY"):
        counts_through(lambda port: connect_proxy(port, status), "http", monkeypatch)


def test_a_proxy_that_nobody_listens_at_is_named_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{bound.getsockname()[1]}")
        with pytest.raises(errors.ServerUnreachableError, match="NO_PROXY"):
            asyncio.run(open_websocket(f"ws://{CLOUD}/"))


def test_a_socks_proxy_without_the_extra_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WS_PROXY", "socks5h://127.0.0.1:9")
    monkeypatch.setattr(proxy_module, "_has_socks", lambda: False)
    with pytest.raises(errors.MissingExtraError, match=r"heliograph\[socks\]"):
        asyncio.run(open_websocket(f"ws://{CLOUD}/"))

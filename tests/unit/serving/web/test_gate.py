"""Which origins and hosts are let in; requests as a browser makes them."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from heliograph.errors import UsageError
from heliograph.serving.web.gate import REFUSED_HOST, REFUSED_ORIGIN, Gate, checked_host, checked_origin


async def _page(request):
    return PlainTextResponse("inside")


async def _socket(websocket):
    await websocket.accept()


class Browser:
    """Makes the same request as a page and as the handshake of a websocket, which must be answered alike."""

    def __init__(self, **options):
        self.refused = []
        inside = Starlette(routes=[Route("/", _page), WebSocketRoute("/", _socket)])
        self._gate = Gate(inside, on_refusal=self.refused.append, **options)

    def ask(self, **headers):
        """Status and text."""
        raw = [(name.encode(), value.encode("latin-1")) for name, value in {"host": "127.0.0.1", **headers}.items()]
        started, body = self._messages({"type": "http", "method": "GET", "headers": raw})
        assert (b"connection", b"close") in started["headers"]
        shook, *_ = hands = self._messages({"type": "websocket", "headers": raw, "subprotocols": []})
        if started["status"] == 200:
            assert shook["type"] == "websocket.accept"
        else:
            assert (shook["status"], hands[1]["body"]) == (started["status"], body["body"])
        return started["status"], body["body"].decode()

    def _messages(self, scope):
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": f"{scope['type']}.{'connect' if scope['type'] == 'websocket' else 'request'}"}

        whole = {"path": "/", "query_string": b"", "extensions": {"websocket.http.response": {}}, **scope}
        asyncio.run(self._gate(whole, receive, send))
        return sent


@pytest.fixture
def gate():
    return Browser


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8765",
        "localhost",
        "LocalHost:1",
        "app.localhost",
        "localhost.",
        "[::1]:8765",
        "192.0.2.9",
        "[2001:db8::1]",
        "0.0.0.0:8765",
    ],
)
def test_this_machine_and_addresses_are_let_in(gate, host):
    assert gate().ask(host=host) == (200, "inside")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "localhost.evil.example",
        "notlocalhost",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example/127.0.0.1",
        "[::1",
        "[evil]",
        "local host",
        "localhost:port",
        ":8765",
        "",
        "127.1",
    ],
)
def test_names_that_nobody_allowed_are_refused(gate, host):
    client = gate(hosts=("cloud.example",))
    assert client.ask(host=host) == (421, REFUSED_HOST)
    assert client.refused == ["Host"] * 2


def test_names_can_be_allowed(gate):
    client = gate(hosts=("cloud.example", "Upper.Example"))
    for host in ("cloud.example", "CLOUD.example:8765", "cloud.example.", "upper.example:1"):
        assert client.ask(host=host) == (200, "inside")
    assert client.ask(host="sub.cloud.example") == (421, REFUSED_HOST)
    assert gate(hosts=None).ask(host="anything.example") == (200, "inside")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1:8765",
        "http://localhost",
        "null",
        "",
        "file://",
        "https://app.example.evil",
    ],
)
def test_pages_are_refused(gate, origin):
    client = gate(origins=("https://app.example",))
    assert client.ask(origin=origin) == (403, REFUSED_ORIGIN)
    assert client.refused == ["Origin"] * 2


def test_pages_can_be_allowed(gate):
    client = gate(origins=("https://app.example", "http://localhost:3000"))
    for origin in ("https://app.example", "HTTPS://App.Example", "http://localhost:3000"):
        assert client.ask(origin=origin) == (200, "inside")
    for origin in ("http://app.example", "https://app.example:8443", "http://localhost:3001"):
        assert client.ask(origin=origin) == (403, REFUSED_ORIGIN)


def test_an_allowed_origin_does_not_excuse_a_foreign_host(gate):
    client = gate(origins=("https://app.example",))
    assert client.ask(origin="https://app.example", host="evil.example") == (421, REFUSED_HOST)


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "app.example", "https://", "https://app.example/", "https://a@b", "https://a:b", "https://a?b"),
        *("null", "https://.", "https://a b", "https://*.example", "https://ä.example"),
    ],
)
def test_an_origin_that_is_none_is_named(text):
    with pytest.raises(UsageError):
        checked_origin(text)


@pytest.mark.parametrize(
    "text", ["", "*", "a b", "a/b", "a?b", "a#b", "a@b", "[a]", "a:b", "ä.example", ".", "..", "a..b"]
)
def test_a_host_that_is_none_is_named(text):
    with pytest.raises(UsageError):
        checked_host(text)


def test_hosts_and_origins_are_brought_to_one_form():
    assert checked_host("Cloud.Example.:8765") == "cloud.example"
    assert checked_host("[::1]:8765") == "::1"
    assert checked_origin("HTTPS://App.Example:8443") == "https://app.example:8443"
    assert checked_origin("HTTPS://A.EXAMPLE:443") == "https://a.example"
    assert checked_origin("http://a.example:80") == "http://a.example"
    assert checked_origin("http://a.example:443") == "http://a.example:443"
    assert checked_origin("http://[0:0::1]:8000") == "http://[::1]:8000"


def test_an_origin_is_allowed_with_the_port_that_browsers_leave_out(gate):
    client = gate(origins=("https://app.example:443",))
    assert client.ask(origin="https://app.example") == (200, "inside")
    assert client.ask(origin="http://app.example") == (403, REFUSED_ORIGIN)

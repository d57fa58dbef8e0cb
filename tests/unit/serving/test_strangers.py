"""What strangers do at the door of a real server, and that a device is answered meanwhile. On loopback, all bounded."""

import asyncio
import contextlib
import json
import logging
import socket
import urllib.error
import urllib.request

import pytest

from heliograph.errors import UnauthorizedError
from heliograph.protocol.events import FinalReceived
from heliograph.serving.limits import Limits
from heliograph.transport.websocket_client import open_websocket

NEVER_S = 3600.0
PATIENT = {"request_timeout_s": NEVER_S, "hello_timeout_s": NEVER_S}
"""Limits with which nothing is ended for being late: who gets in does so because there is room."""

BEGINNING = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture
def stranger():
    """Open connections that send something and then nothing more."""
    with contextlib.ExitStack() as opened:

        def come(server, data=b""):
            address = (server.url.split("//")[1].rpartition(":")[0], int(server.url.rpartition(":")[2]))
            connected = opened.enter_context(socket.create_connection(address, timeout=20))
            connected.sendall(data)
            return connected

        yield come


def rest_of(connected):
    """Everything that still comes, up to the end of the connection."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while part := connected.recv(65536):
            data += part
    return data


def page(server, path="/health", **headers):
    url = server.url.replace("ws", "http", 1) + path
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as response:
        return response.read().decode()


async def asking(device):
    device.ask()
    device.send([b"x"])
    await device.flush()
    return await device.final()


def test_a_device_is_answered_beside_a_hundred_unfinished_requests_and_slow_greetings(serve, cloud, talk, stranger):
    server = serve(cloud, access_tokens=frozenset({"right"}), limits=Limits(max_sessions=1, **PATIENT))
    for _ in range(100):
        stranger(server, BEGINNING)
    for _ in range(64):
        slow = stranger(server, UPGRADE + b"\r\n")
        assert slow.recv(12) == b"HTTP/1.1 101"
        slow.sendall(bytes([0x82, 0x80 | 40, 0, 0, 0, 0, 0x01]))  # the first byte of a HELLO of forty
    assert isinstance(talk(server, asking, "right"), FinalReceived)
    health = json.loads(page(server))
    assert (health["status"], health["sessions"]) == ("ok", 0)


def test_sessions_are_not_held_up_or_ended_by_a_crowd(serve, cloud, talk, stranger, events):
    server = serve(cloud, limits=Limits(max_ungreeted=8, max_per_address=8, **PATIENT))

    async def conversation(device):
        await device.flush()
        await device.until(events.Welcome)
        for _ in range(50):
            await asyncio.to_thread(stranger, server, BEGINNING)
        return await asking(device)

    assert isinstance(talk(server, conversation), FinalReceived)


@pytest.mark.parametrize("sent", [b"", BEGINNING, UPGRADE, b"POST /health HTTP/1.1\r\n"])
def test_a_request_that_is_not_finished_in_time_is_ended(serve, cloud, stranger, sent):
    server = serve(cloud, limits=Limits(request_timeout_s=0.2))
    assert rest_of(stranger(server, sent)) == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /health HTTP/1.0\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\nabc",
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 20,
        b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
)
def test_one_answer_a_connection(serve, cloud, stranger, sent):
    """No idle connection is kept, no body that never ends is read, no further request is taken."""
    server = serve(cloud, limits=Limits(**PATIENT))
    said = rest_of(stranger(server, sent))
    assert said.count(b"HTTP/1.1 ") == 1
    assert b"\r\nconnection: close\r\n" in said.lower()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 40_000,
        UPGRADE + b"X: y\r\n" * 200 + b"\r\n",
        UPGRADE + b"X: " + b"y" * 9_000 + b"\r\n\r\n",
        UPGRADE.replace(b"13", b"12") + b"\r\n",
        UPGRADE.replace(b"GET / ", b"GET /elsewhere ") + b"\r\n",
        UPGRADE.replace(b"websocket", b"h2c") + b"\r\n",
        b"\x16\x03\x01\x00\xa5 what TLS would say\r\n\r\n",
    ],
)
def test_a_request_that_nobody_takes_ends_quietly(serve, cloud, stranger, sent, caplog):
    server = serve(cloud, limits=Limits(**PATIENT))
    assert b" 101 " not in rest_of(stranger(server, sent))
    assert json.loads(page(server))["status"] == "ok"
    assert [record for record in caplog.records if record.levelno > logging.WARNING] == []


def test_a_peer_that_reads_no_pongs_is_answered_no_more_of_them(serve, cloud, stranger):
    server = serve(cloud, limits=Limits(**PATIENT))
    pinging = stranger(server, UPGRADE + b"\r\n")
    pinging.settimeout(0.5)
    ping = (bytes([0x89, 0x80 | 100, 0, 0, 0, 0]) + b"p" * 100) * 1000
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 12 << 20:
            sent += pinging.send(ping)
    writing = [one for one in server._server.server_state.connections if type(one).__name__ == "WebsocketProtocol"]
    assert len(writing) == 1
    assert writing[0].transport.get_write_buffer_size() < 1 << 20


def test_what_strangers_send_is_bounded_together(serve, cloud, talk, stranger):
    server = serve(cloud, limits=Limits(max_ungreeted_bytes=1 << 20, **PATIENT))
    crowd = [stranger(server, UPGRADE + b"\r\n") for _ in range(4)]
    for one in crowd:
        assert one.recv(4096).startswith(b"HTTP/1.1 101")
        with contextlib.suppress(ConnectionError):
            one.sendall(bytes([0x82, 0xFF]) + (1 << 20).to_bytes(8) + bytes(4 + 400_000))
    assert isinstance(talk(server, asking), FinalReceived)
    ended = 0
    for one in crowd:
        one.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            rest_of(one)
            ended += 1
    assert ended == 2


def test_the_server_lives_where_the_system_has_no_more_open_files(serve, cloud, stranger, caplog):
    resource = pytest.importorskip("resource")
    server = serve(cloud, limits=Limits(max_ungreeted=10_000, max_per_address=10_000, **PATIENT))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    host, port = server.url.split("//")[1].rsplit(":", 1)
    with socket.socket() as late:  # opened while there is room: what is freed below may go to others first
        late.settimeout(20)
        resource.setrlimit(resource.RLIMIT_NOFILE, (late.fileno() + 60, before[1]))
        try:
            crowd = []
            with contextlib.suppress(OSError):
                while len(crowd) < 200:
                    crowd.append(stranger(server, BEGINNING))
            assert len(crowd) < 200, "clients and server share the limit"
            late.connect((host, int(port)))
            late.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            for one in crowd:
                one.close()
            assert json.loads(rest_of(late).partition(b"\r\n\r\n")[2])["status"] == "ok"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}, {"Host": "a:b:c"}]
)
def test_web_pages_of_others_are_refused(serve, cloud, stranger, headers, caplog):
    server = serve(cloud)
    status = "403" if "Origin" in headers else "421"
    for path in ("/health", "/metrics", "/"):
        with pytest.raises(urllib.error.HTTPError, match=status):
            page(server, path, **headers)
    added = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
    shake = UPGRADE.replace(b"Host: 127.0.0.1\r\n", b"") if "Host" in headers else UPGRADE
    assert rest_of(stranger(server, shake + added + b"\r\n")).startswith(f"HTTP/1.1 {status} ".encode())
    assert "heliograph_requests_refused_total 4\n" in page(server, "/metrics")
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(lines) == 1
    assert "evil" not in lines[0]


def test_web_pages_can_be_allowed(serve, cloud, stranger):
    server = serve(cloud, origins=["https://app.example"], hosts=["cloud.example"])
    headers = {"Origin": "https://app.example", "Host": "cloud.example"}
    assert json.loads(page(server, **headers))["status"] == "ok"
    request = b"GET /health HTTP/1.1\r\nHost: cloud.example\r\nOrigin: https://app.example\r\n\r\n"
    assert b"access-control-allow-origin: https://app.example\r\n" in rest_of(stranger(server, request))
    shaking = stranger(server, UPGRADE + b"Origin: https://app.example\r\n\r\n")
    assert shaking.recv(12) == b"HTTP/1.1 101"


def test_wrong_tokens_wait_and_the_right_one_does_not(serve, cloud, device_type, events, caplog):
    server = serve(cloud, access_tokens=frozenset({"right"}), limits=Limits(max_per_address=30))

    async def say(token):
        connection = await open_websocket(server.url)
        device = device_type(connection, token)
        await device.flush()
        return device

    async def scene():
        wrong = [await say("wrong") for _ in range(40)]
        answers = [asyncio.create_task(device.until(events.Closed)) for device in wrong]
        answered = await asking(await say("right"))
        waiting = sum(not answer.done() for answer in answers)
        told = [await answers[place] for place in range(3)]
        for task in answers:
            task.cancel()
        await asyncio.gather(*answers, return_exceptions=True)
        for device in wrong:
            device.connection.abort()
        return answered, waiting, told

    answered, waiting, told = asyncio.run(scene())
    assert isinstance(answered, FinalReceived)
    assert waiting > 10
    assert [one.error_class for one in told] == [UnauthorizedError] * 3
    assert "heliograph_tokens_refused_total 40\n" in page(server, "/metrics")
    lines = [record.getMessage() for record in caplog.records if "token" in record.getMessage()]
    assert lines == ["1 access token(s) refused, missing or wrong, from 127.0.0.1"]

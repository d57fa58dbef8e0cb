"""What one server admits and survives: access tokens, bad frames, limits, its pages, its end."""

import asyncio
import contextlib
import json
import time
import urllib.request

import pytest

from heliograph.errors import (
    ConnectionLostError,
    FrameDamagedError,
    ServerBusyError,
    TimedOutError,
    TooManyError,
    UnauthorizedError,
)
from heliograph.protocol.events import FinalReceived
from heliograph.serving.limits import Limits
from heliograph.serving.web.application import CloudApplication
from heliograph.serving.web.runner import BackgroundServer
from heliograph.transport.websocket_client import open_websocket


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_wrong_token_is_turned_away(serve, cloud, talk, token, events):
    async def conversation(device):
        await device.flush()
        return await device.until(events.Closed)

    server = serve(cloud, access_tokens=frozenset({"right"}))
    assert talk(server, conversation, token).error_class is UnauthorizedError


def test_the_right_token_is_let_in(serve, cloud, talk):
    async def conversation(device):
        device.ask()
        device.send([b"x"])
        await device.flush()
        return await device.final()

    assert isinstance(talk(serve(cloud, access_tokens=frozenset({"right"})), conversation, "right"), FinalReceived)


@pytest.mark.parametrize("garbage", [b"\xff" * 200, b"\x00", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 40])
def test_the_server_lives_after_bad_frames(serve, cloud, talk, garbage, events):
    async def bad(device):
        device.session.bytes_to_send()
        await device.connection.send(garbage)
        data = await asyncio.wait_for(device.connection.receive(), 20)
        assert await asyncio.wait_for(device.connection.receive(), 20) == b""
        return data

    async def good(device):
        device.ask()
        device.send([b"x"])
        await device.flush()
        return await device.final()

    server = serve(cloud)
    assert len(talk(server, bad)) < 16
    assert talk(server, good).text == "what seen at 1"


def test_text_messages_are_refused(serve, cloud, talk, events):
    async def conversation(device):
        await device.flush()
        await device.connection._websocket.send("hello")
        return await device.until(events.Closed)

    server = serve(cloud)
    assert talk(server, conversation).error_class is FrameDamagedError
    wait_for_metric(server, "sessions_open", 0)  # the error came while WELCOME was on its way


def test_a_message_over_the_limit_ends_that_connection_only(serve, cloud, talk):
    async def huge(device):
        await device.flush()
        try:
            await device.connection.send(bytes(3 << 20))
            while await asyncio.wait_for(device.connection.receive(), 20):
                pass
        except ConnectionLostError:
            return

    async def good(device):
        device.ask()
        device.send([b"x"])
        await device.flush()
        return await device.final()

    server = serve(cloud)
    talk(server, huge)
    assert talk(server, good).text == "what seen at 1"


def test_one_device_too_many_is_told_that_the_server_is_busy(serve, cloud, talk, events):
    server = serve(cloud, limits=Limits(max_sessions=1))

    async def conversation(device):
        await device.flush()
        await device.until(events.Welcome)
        second = await open_websocket(server.url)
        other = type(device)(second)
        await other.flush()
        try:
            said = await other.until(events.Closed)
            with pytest.raises(ServerBusyError):  # an end that is no orderly one: try again later
                await asyncio.wait_for(second.receive(), 20)
            return said, second._websocket.close_code
        finally:
            await second.close()

    said, code = talk(server, conversation)
    assert (said.error_class, code) == (ServerBusyError, 1013)
    assert metric(server, "sessions_refused_total") == 1


def test_photos_beyond_the_servers_memory_end_the_session_that_sent_them(serve, cloud, talk, events):
    server = serve(cloud, limits=Limits(max_held_bytes=100_000))

    async def conversation(device):
        device.ask()
        device.send([bytes(60_000), bytes(60_000)], finish=False)
        await device.flush()
        return await device.until(events.Closed)

    assert talk(server, conversation).error_class is TooManyError
    wait_for_metric(server, "held_bytes_open", 0)


@pytest.mark.parametrize("limits", [Limits(hello_timeout_s=0.2), Limits(idle_timeout_s=0.2)])
def test_a_silent_device_is_let_go(serve, cloud, talk, limits, events):
    async def conversation(device):
        if limits.idle_timeout_s < 1:
            await device.flush()
        else:
            device.session.bytes_to_send()  # and never sent: HELLO does not come
        data = b""
        while part := await asyncio.wait_for(device.connection.receive(), 20):
            data += part
        return data

    assert bytes([TimedOutError.code]) in talk(serve(cloud, limits=limits), conversation)


def page(server, path):
    with urllib.request.urlopen(server.url.replace("ws://", "http://") + path, timeout=20) as response:
        return response.read().decode()


def metric(server, name):
    lines = [line for line in page(server, "/metrics").splitlines() if line.startswith(f"heliograph_{name} ")]
    return float(lines[0].split()[1])


def wait_for_metric(server, name, value):
    for _ in range(200):
        if metric(server, name) == value:
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} is {metric(server, name)}, not {value}")


def test_health_and_metrics_tell_what_happened(serve, cloud, talk):
    async def conversation(device):
        device.ask()
        device.send([b"x"] * 2)
        device.ask(question_id=1, text="explode")
        await device.flush()
        return [await device.final(), await device.final()]

    server = serve(cloud)
    talk(server, conversation)
    health = json.loads(page(server, "/health"))
    assert (health["status"], health["model"], health["bundle_hash"]) == ("ok", "telling", b"8 bytes!".hex())
    assert health["uptime_s"] >= 0
    wait_for_metric(server, "sessions_open", 0)
    wait_for_metric(server, "held_bytes_open", 0)
    assert metric(server, "sessions_total") == 1
    assert metric(server, "questions_total") == 2
    assert metric(server, "finals_total") == 1
    assert metric(server, "errors_total") == 1
    assert metric(server, "received_bytes_total") > 20
    assert metric(server, "sent_bytes_total") > 10
    assert metric(server, "final_seconds_count") == 1


def test_the_port_is_free_again_and_devices_are_told_when_the_server_stops(cloud, talk):
    server = BackgroundServer(CloudApplication(cloud))
    server.__enter__()

    async def conversation(device):
        device.ask()
        await device.flush()
        await asyncio.sleep(0.1)
        await asyncio.get_running_loop().run_in_executor(None, server.__exit__, None, None, None)
        with contextlib.suppress(ConnectionLostError):  # an orderly end is as good: nothing hangs
            while await asyncio.wait_for(device.connection.receive(), 20):
                pass

    talk(server, conversation)
    port = int(server.url.rpartition(":")[2])
    with BackgroundServer(CloudApplication(cloud), port=port) as again:
        assert json.loads(page(again, "/health"))["status"] == "ok"

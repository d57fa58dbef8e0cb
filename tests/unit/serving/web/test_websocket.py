"""What a websocket may make the server do before any of our frames is read."""

import asyncio
import contextlib
import json
import time
import urllib.request

import pytest

from heliograph.bench.hardening.hostile_shapes import SHAPES, open_raw, websocket_frame
from heliograph.protocol.frames import FrameType, HelloFrame, IdFrame, ImageFrame, encode_frame
from heliograph.serving.web.websocket import MAX_FRAGMENTS

HELLO = encode_frame(HelloFrame(b"8 bytes!", ""))


@pytest.fixture
def port(serve, cloud):
    return int(serve(cloud).url.rpartition(":")[2])


def close_code(connection):
    """Code of the close frame at the end of what is received."""
    data = b""
    while part := connection.recv(1 << 16):
        data += part
    assert data[-4:-2] == b"\x88\x02"
    return int.from_bytes(data[-2:], "big")


def test_a_message_of_too_many_fragments_ends_that_connection(port):
    with open_raw(port) as connection:
        frames = websocket_frame(HELLO, fin=False) + websocket_frame(b"", 0, fin=False) * (MAX_FRAGMENTS + 1)
        connection.sendall(frames)
        assert close_code(connection) == 1009
    with open_raw(port) as connection:
        connection.sendall(websocket_frame(HELLO))
        assert connection.recv(100)[2:3] == b"\x10"  # WELCOME


def test_a_message_in_fragments_and_pings_between_them_is_heard(port):
    with open_raw(port) as connection:
        parts = [HELLO[:3], HELLO[3:7], b"", HELLO[7:]]
        for place, part in enumerate(parts):
            frame = websocket_frame(part, 0 if place else 2, fin=place == len(parts) - 1)
            connection.sendall(frame + websocket_frame(b"", 9))
        data = b""
        while b"telling" not in data:
            data += connection.recv(1 << 16)
        assert data.count(b"\x8a\x00") >= 3  # pongs


def test_everything_that_is_sent_at_once_is_heard_in_order(port, device_type):
    """Far more than one slice, in messages of all sizes, and a close behind them."""
    messages = [HELLO, encode_frame(ImageFrame(0, 1, b""))]
    messages += [b"\x81" + bytes([n % 251]) for n in range(900)] + [b"\x85abcde" * 400]
    messages.append(encode_frame(IdFrame(FrameType.IMAGE_END, 0)))
    messages.append(encode_frame(IdFrame(FrameType.IMAGE_END, 0)))  # which is not allowed: protocol-state
    with open_raw(port) as connection:
        connection.sendall(b"".join(map(websocket_frame, messages)))
        data = b""
        while part := connection.recv(1 << 16):
            data += part
    assert b"\x70\x01\x2b" in data  # ERROR 43, after everything else was taken


@pytest.mark.parametrize("shape", [name for name in SHAPES if name != "measured-prefixes"])
def test_others_are_served_beside_a_hostile_sender(port, shape):
    """Nothing is measured here but that they are, while it has its way."""
    with open_raw(port) as connection:
        connection.sendall(websocket_frame(HELLO))
        connection.settimeout(0.05)
        ends = time.monotonic() + 0.3
        for message in SHAPES[shape]():
            try:
                connection.sendall(message)
            except (TimeoutError, OSError):
                break
            if time.monotonic() > ends:
                break
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=20) as page:
            assert json.loads(page.read())["status"] == "ok"
        with open_raw(port) as other:
            other.sendall(websocket_frame(HELLO))
            assert other.recv(100)[2:3] == b"\x10"  # WELCOME


def test_a_peer_that_reads_no_pongs_is_not_heard(port):
    """What it is owed does not pile up: it can send only as much as fits into the buffers of both ends."""
    with open_raw(port) as connection:
        connection.sendall(websocket_frame(HELLO))
        connection.settimeout(1.0)
        sent, pings = 0, websocket_frame(b"x" * 100, 9) * 1000
        with contextlib.suppress(TimeoutError):
            while sent < 300 << 20:
                sent += connection.send(pings)
        assert sent < 100 << 20


def test_the_cloud_ends_the_connection_it_has_closed(serve, cloud, talk):
    async def conversation(device):
        await device.flush()
        await asyncio.sleep(0.1)
        device.session.bytes_to_send()
        await device.connection.send(b"\x00")
        data = b"..."
        while data:
            data = await asyncio.wait_for(device.connection.receive(), 20)
        return True

    assert talk(serve(cloud), conversation)

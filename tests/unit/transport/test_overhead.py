"""What an exchange costs beyond payload and text, over a real websocket, both directions."""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection, serve

from heliograph.protocol import events as ev
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.transport.websocket_client import open_websocket

MUST_BYTES, AIM_BYTES = 120, 60
HASH = b"bundle-h"
HEADER, SEGMENTS = b"h" * 14, [b"s" * 10] * 12
QUESTION = "what is on the sign?"
DRAFTS = ["a", "a red", "a red ball", "a red ball and a cup"]
FINAL = "a red ball and a cube"


async def cloud(websocket: ServerConnection) -> None:
    """Drafts after 3, 6, 9 and 12 segments; enough and the final answer with the last one."""
    session = CloudSession(HASH, frozenset(), "reference")
    async for message in websocket:
        assert isinstance(message, bytes)
        for event in session.receive(message, 0.0):
            if isinstance(event, ev.SegmentReceived) and event.index % 3 == 2:
                session.send_draft(0, DRAFTS[event.index // 3], 0.5, event.index + 1)
            if isinstance(event, ev.SegmentReceived) and event.index == 11:
                session.send_enough(0)
                session.send_final(0, FINAL, 0.9, 12)
        await websocket.send(session.bytes_to_send())  # never empty here: every message completes a draft


async def exchange(segments_per_message: int) -> int:
    async with serve(cloud, "127.0.0.1", 0, compression=None) as running:
        port = next(iter(running.sockets)).getsockname()[1]
        connection = await open_websocket(f"ws://127.0.0.1:{port}/")
        device = DeviceSession(HASH)
        device.start()
        await connection.send(device.bytes_to_send())
        device.receive(await connection.receive(), 0.0)
        before = connection.sent_bytes + connection.received_bytes
        heard: list[ev.Event] = []
        device.ask(0, 0, QUESTION)
        device.announce_image(0, "klt", HEADER)
        for start in range(0, 12, segments_per_message):
            for segment in SEGMENTS[start : start + segments_per_message]:
                device.send_segment(0, segment)
            await connection.send(device.bytes_to_send())
            heard += device.receive(await connection.receive(), 0.0)
        assert [event.text for event in heard if isinstance(event, ev.DraftReceived)] == DRAFTS
        assert [event.text for event in heard if isinstance(event, ev.FinalReceived)] == [FINAL]
        assert ev.EnoughReceived(0) in heard
        total = connection.sent_bytes + connection.received_bytes - before
        await connection.close()
        return total - len(HEADER) - sum(map(len, SEGMENTS)) - len(QUESTION) - len(FINAL)


def test_an_exchange_stays_within_the_bound() -> None:
    in_three = asyncio.run(exchange(3))
    in_one = asyncio.run(exchange(12))
    print(f"overhead of an exchange: {in_three} bytes in four messages each way, {in_one} bytes in one")
    assert in_one <= in_three <= MUST_BYTES
    assert in_one <= AIM_BYTES

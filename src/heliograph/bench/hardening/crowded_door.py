"""How long a real device waits for its answer while strangers hold the cloud's door.

A hundred HTTP requests that are never finished and 64 websockets that greet one byte at a time, all from this machine;
then one device asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from heliograph.codec.bundle import Bundle
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.errors import HeliographError
from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder
from heliograph.serving.child import CloudProcess
from heliograph.transport.websocket_client import open_websocket

UNFINISHED_REQUESTS = 100
SLOW_HELLOS = 64
QUESTION = "how many objects are there?"
_DRIP_S = 1.0
_SETTLE_S = 3.0
_GIVE_UP_S = 60.0


@dataclass(frozen=True)
class CrowdedDoor:
    """Seconds from the first connection to the final answer.

    Attributes:
        alone_s: with nobody else there.
        crowded_s: among the strangers; None where no answer came.
        problem: name of the error that came in its place, or empty.
    """

    alone_s: float
    crowded_s: float | None
    problem: str = ""


def measure_crowded_door() -> CrowdedDoor:
    """Starts ``heliograph serve`` with the reference model and both crowds."""
    with CloudProcess("reference", None) as cloud:
        return asyncio.run(_measure(cloud.url))


async def _measure(url: str) -> CrowdedDoor:
    device = Device(Bundle.load(shipped_bundle_folder()))
    await _ask(url, device)  # the model's and the encoder's first run are nobody's news
    alone_s = await _ask(url, device)
    async with contextlib.AsyncExitStack() as crowd:
        await _unfinished_requests(url, crowd)
        await _slow_hellos(url, crowd)
        await asyncio.sleep(_SETTLE_S)
        try:
            return CrowdedDoor(alone_s, await _ask(url, device))
        except HeliographError as error:
            return CrowdedDoor(alone_s, None, error.name)


async def _ask(url: str, device: Device) -> float:
    started_s = time.perf_counter()
    async with DeviceClient(lambda: open_websocket(url), device) as client:
        await client.ask(demo_photo_path(), QUESTION, timeout_s=_GIVE_UP_S)
    return time.perf_counter() - started_s


async def _unfinished_requests(url: str, crowd: contextlib.AsyncExitStack) -> None:
    where = urlsplit(url)
    for _ in range(UNFINISHED_REQUESTS):
        _, writer = await asyncio.open_connection(where.hostname, where.port)
        crowd.callback(writer.transport.abort)
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")


async def _slow_hellos(url: str, crowd: contextlib.AsyncExitStack) -> None:
    for _ in range(SLOW_HELLOS):
        try:
            stranger = await connect(url, compression=None, ping_interval=None)
        except (OSError, WebSocketException):
            continue  # turned away at the door: all the better
        crowd.callback(stranger.transport.abort)
        drip = asyncio.create_task(_drip(stranger))
        crowd.callback(drip.cancel)


async def _drip(stranger: ClientConnection) -> None:
    """HELLO, announced as long as it may be, one byte at a time."""
    with contextlib.suppress(OSError, WebSocketException):
        for byte in (b"\x08", b"\x7f", *[b"\x02"] * 100):
            await stranger.send(byte)
            await asyncio.sleep(_DRIP_S)

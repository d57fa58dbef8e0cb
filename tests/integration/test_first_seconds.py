"""Links that break before the cloud has greeted, clouds that are full, and ends that fall silent behind a proxy that
goes on acknowledging. Real sockets on the loopback; seconds pass ten times as fast where something is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from fast_time import now, run
from heliograph.bench.tasks import scene_items
from heliograph.codec.bundle import Bundle
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.edge.report import AskReport
from heliograph.errors import ServerBusyError, ServerUnreachableError
from heliograph.protocol.session import DeviceSession
from heliograph.question import Question
from heliograph.serving.cloud import Cloud
from heliograph.serving.limits import Limits
from heliograph.serving.opening import load_cloud
from heliograph.serving.web.application import CloudApplication
from heliograph.serving.web.runner import BackgroundServer
from heliograph.transport.base import Connection
from heliograph.transport.links import parse_link
from heliograph.transport.shaped import open_shaped
from heliograph.transport.websocket_client import open_websocket

QUESTION = "how many objects are there?"


@pytest.fixture(scope="module")
def cloud(reference_pair: Any) -> Cloud:
    return load_cloud(str(reference_pair.model), reference_pair.bundle)


@pytest.fixture(scope="module")
def device(reference_pair: Any) -> Device:
    device = Device(Bundle.load(reference_pair.bundle))
    device.encode(photo(), "klt")
    return device


def photo() -> Image.Image:
    return next(iter(scene_items(8_010_000, 1, descriptions=False))).photo


@dataclass
class Relay:
    """Takes TCP connections for a cloud. ``spoil`` may cut one, or fall silent, before a chunk is handed on.

    Attributes:
        spoil: of (number of the connection, chunks from the cloud so far on it); True keeps everything back from then
            on.
        cut: whether keeping back means to reset the connection, or to go on reading in silence.
    """

    url: str
    spoil: Callable[[int, int], bool]
    cut: bool
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        try:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for writer in self.writers:
                writer.transport.abort()
            await asyncio.sleep(0.1)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        far_reader, far_writer = await asyncio.open_connection(urlsplit(self.url).hostname, urlsplit(self.url).port)
        self.writers += [writer, far_writer]
        state = {"chunks": 0, "silent": False}

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, down: bool) -> None:
            try:
                while data := await source.read(4096):
                    if self.spoil(number, state["chunks"]):
                        state["silent"] = True
                    state["chunks"] += down
                    if not state["silent"]:
                        sink.write(data)
                    elif self.cut:
                        writer.transport.abort()
                        far_writer.transport.abort()
                sink.close()
            except OSError:
                pass

        await asyncio.gather(carry(reader, far_writer, down=False), carry(far_reader, writer, down=True))


async def ask(
    opener: Callable[[], Coroutine[Any, Any, Connection]], device: Device, timeout_s: float = 300.0
) -> AskReport:
    async with DeviceClient(opener, device, clock=now) as client:
        return await client.ask(
            photo(), Question(QUESTION, "fixed", 0, max_answer_tokens=8), strategy="klt", timeout_s=timeout_s
        )


def answered_through(cloud: Cloud, device: Device, spoil: Callable[[int, int], bool], *, cut: bool) -> AskReport:
    with BackgroundServer(CloudApplication(cloud)) as server:

        async def scenario() -> AskReport:
            async with Relay(server.url, spoil, cut).listening() as url:
                return await ask(lambda: open_websocket(url), device)

        return run(scenario)


def undisturbed(cloud: Cloud, device: Device) -> AskReport:
    return answered_through(cloud, device, lambda number, chunks: False, cut=False)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("chunks", [0, 1], ids=["before the upgrade is answered", "before WELCOME"])
def test_a_link_that_breaks_in_its_first_second_begins_again(
    cloud: Cloud, device: Device, chunks: int, times: int
) -> None:
    wanted = undisturbed(cloud, device)
    report = answered_through(cloud, device, lambda number, seen: number < times and seen >= chunks, cut=True)
    assert report.answer == wanted.answer
    assert report.reconnections == 1  # one more connection that was of use; the attempts in between were none
    assert report.payload_bytes < 2 * wanted.payload_bytes


@pytest.mark.parametrize("chunks", [0, 1, 2], ids=["the upgrade", "WELCOME", "the answer"])
def test_an_end_that_falls_silent_is_noticed_although_its_system_acknowledges(
    cloud: Cloud, device: Device, chunks: int
) -> None:
    wanted = undisturbed(cloud, device)
    report = answered_through(cloud, device, lambda number, seen: number == 0 and seen >= chunks, cut=False)
    assert report.answer == wanted.answer
    assert report.reconnections == (1 if chunks else 0)  # opening tries again by itself


async def greeted(url: str) -> Connection:
    """A session that is there and says nothing more."""
    connection, session = await open_websocket(url), DeviceSession(b"")
    session.start()
    await connection.send(session.bytes_to_send())
    assert await connection.receive()
    return connection


def test_a_full_cloud_is_asked_again_until_it_has_room(cloud: Cloud, device: Device) -> None:
    with BackgroundServer(CloudApplication(cloud, limits=Limits(max_sessions=1))) as server:

        async def scenario() -> AskReport:
            occupant = await greeted(server.url)
            asking = asyncio.create_task(ask(lambda: open_websocket(server.url), device))
            await asyncio.sleep(8)
            assert not asking.done()
            await occupant.close()
            return await asking

        report = run(scenario)
    assert report.answer
    assert report.reconnections == 1


def test_a_cloud_that_stays_full_is_called_busy(cloud: Cloud, device: Device) -> None:
    with BackgroundServer(CloudApplication(cloud, limits=Limits(max_sessions=1))) as server:

        async def scenario() -> None:
            occupant = await greeted(server.url)
            with pytest.raises(ServerBusyError):
                await ask(lambda: open_websocket(server.url), device, timeout_s=20.0)
            await occupant.close()

        run(scenario)


def test_nobody_there_is_said_at_once(device: Device) -> None:
    tried = list[float]()

    async def nobody() -> Connection:
        tried.append(now())
        return await open_websocket("ws://127.0.0.1:9")

    with pytest.raises(ServerUnreachableError):
        run(lambda: ask(nobody, device))
    assert len(tried) == 1


def test_200_bit_a_second_and_400_ms_need_patience_and_no_second_connection(cloud: Cloud, device: Device) -> None:
    link = parse_link("200bit,400ms")
    with BackgroundServer(CloudApplication(cloud)) as server:

        async def opener() -> Connection:
            return await open_shaped(lambda: open_websocket(server.url), link, now)

        async def scenario() -> AskReport:
            async with DeviceClient(opener, device, clock=now) as client:
                return await client.ask(
                    photo(), Question(QUESTION, "fixed", byte_budget=200), strategy="klt", timeout_s=600.0
                )

        report = run(scenario)
    assert report.answer
    assert report.reconnections == 0
    assert report.final_ms > 20_000

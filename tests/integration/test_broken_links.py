"""A link that dies in mid-stream and comes back, and a cloud that starts again: the session goes on, the answer is the
same, and nothing that arrived is sent twice. The device's clock runs ten times as fast as the real one, and what breaks
breaks after so many segments, not at a time: a busy machine changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image

from fast_time import now, run
from heliograph.bench.tasks import scene_items
from heliograph.codec.bundle import Bundle
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.edge.exchange import MESSAGE_BYTES
from heliograph.edge.report import AskReport
from heliograph.errors import ConnectionLostError, ServerUnreachableError
from heliograph.protocol.buffer import FrameBuffer
from heliograph.protocol.frames import ImageFrame, SegmentFrame
from heliograph.question import Question
from heliograph.serving.cloud import Cloud
from heliograph.serving.limits import Limits
from heliograph.serving.opening import load_cloud
from heliograph.serving.web.application import CloudApplication
from heliograph.serving.web.runner import BackgroundServer
from heliograph.transport.base import Connection, Delivery
from heliograph.transport.links import LinkDirection, LinkProfile
from heliograph.transport.shaped import ShapedConnection
from heliograph.transport.websocket_client import open_websocket

QUESTION = "how many objects are there?"
OUTAGE_S = 20.0
BREAKS_AFTER = 5  # segments
LINK = LinkProfile(2000.0, 80_000.0, 0.05)  # 250 bytes a second: the photo takes seconds
DEAD = LinkProfile(1e-6, 1e-6, 0.05)


@dataclass
class Recorder:
    """A connection to the cloud that notes which segments went into it."""

    inner: Connection
    segments: list[bytes] = field(default_factory=list)
    announced: int = 0
    on_segments: Callable[[int], None] = lambda count: None
    _frames: FrameBuffer = field(default_factory=FrameBuffer)

    @property
    def sent_bytes(self) -> int:
        return self.inner.sent_bytes

    @property
    def received_bytes(self) -> int:
        return self.inner.received_bytes

    async def send(self, data: bytes) -> None:
        for frame in self._frames.feed(data):
            if isinstance(frame, SegmentFrame):
                self.segments.append(frame.payload)
            self.announced += isinstance(frame, ImageFrame)
        await self.inner.send(data)
        self.on_segments(len(self.segments))

    async def receive(self) -> bytes:
        return await self.inner.receive()

    def backlog_bytes(self) -> int:
        return self.inner.backlog_bytes()

    def delivery(self) -> Delivery:
        return self.inner.delivery()

    async def ping(self) -> None:
        await self.inner.ping()

    async def drain(self, limit_bytes: int = 0) -> None:
        await self.inner.drain(limit_bytes)

    async def close(self) -> None:
        await self.inner.close()

    def abort(self) -> None:
        self.inner.abort()


@pytest.fixture(scope="module")
def cloud(reference_pair: Any) -> Cloud:
    return load_cloud(str(reference_pair.model), reference_pair.bundle)


@pytest.fixture(scope="module")
def device(reference_pair: Any) -> Device:
    device = Device(Bundle.load(reference_pair.bundle))
    device.encode(photo(), "klt")  # loads the networks, in real time
    return device


def photo() -> Image.Image:
    return next(iter(scene_items(8_010_000, 1, descriptions=False))).photo


async def ask(
    open_connection: Callable[[], Awaitable[Connection]], device: Device, reconnect_s: float = 600.0
) -> AskReport:
    async with DeviceClient(open_connection, device, clock=now, reconnect_s=reconnect_s) as client:
        return await client.ask(
            photo(), Question(QUESTION, "fixed", 0, max_answer_tokens=8), strategy="klt", timeout_s=3000
        )


def asked_undisturbed(url: str, device: Device) -> AskReport:
    async def scenario() -> AskReport:
        return await ask(lambda: open_websocket(url), device)

    return asyncio.run(scenario())


def fall_silent(connection: ShapedConnection) -> None:
    """The rate falls to nothing, and nobody says so."""
    connection._up, connection._down = LinkDirection(DEAD, up=True), LinkDirection(DEAD, up=False)


def break_off(connection: ShapedConnection) -> None:
    connection.abort()


Break = Callable[[ShapedConnection], None]


def asked_through(device: Device, urls: Callable[[], str], breaks: Break) -> tuple[AskReport, list[Recorder], float]:
    """Ask over a link that breaks after some segments; for 20 s nothing can be opened, then the link is sound."""
    recorders = list[Recorder]()

    async def scenario() -> tuple[AskReport, float]:
        broken_s = list[float]()

        async def connect() -> Connection:
            if recorders and (not broken_s or now() < broken_s[0] + OUTAGE_S):
                await asyncio.sleep(0.5)
                raise ServerUnreachableError
            recorder = Recorder(await open_websocket(urls()))
            connection = ShapedConnection(recorder, LINK, clock=now)

            def break_at(count: int) -> None:
                if count >= BREAKS_AFTER and not broken_s:
                    broken_s.append(now())
                    asyncio.get_running_loop().call_soon(breaks, connection)

            recorder.on_segments = break_at
            recorders.append(recorder)
            return connection

        report = await ask(connect, device)
        return report, now() - broken_s[0]

    report, took_s = run(scenario)
    return report, recorders, took_s


@pytest.mark.parametrize("breaks", [break_off, fall_silent])
def test_a_link_that_is_down_for_20_s_in_mid_stream(cloud: Cloud, device: Device, breaks: Break) -> None:
    with BackgroundServer(CloudApplication(cloud)) as server:
        wanted = asked_undisturbed(server.url, device)
        report, recorders, took_s = asked_through(device, lambda: server.url, breaks)
    assert report.reconnections == 1
    assert took_s > OUTAGE_S
    assert report.answer == wanted.answer
    encoded = device.encode(photo(), "klt")
    first, second = recorders
    assert 0 < len(first.segments) < len(encoded.segments)
    assert [*first.segments, *second.segments] == list(encoded.segments)  # each once, in order
    assert (first.announced, second.announced) == (1, 0)
    lost = report.payload_bytes - encoded.payload_bytes  # left and did not arrive
    assert 0 <= lost <= (MESSAGE_BYTES if breaks is break_off else 0)
    assert report.wire_bytes_up >= report.payload_bytes


def test_a_cloud_that_starts_again_gets_the_photo_again(cloud: Cloud, device: Device) -> None:
    with BackgroundServer(CloudApplication(cloud)) as server:
        wanted = asked_undisturbed(server.url, device)
        with BackgroundServer(CloudApplication(cloud)) as other:  # knows nothing of the session
            urls = iter([server.url, *[other.url] * 9])
            report, recorders, _ = asked_through(device, lambda: next(urls), break_off)
    assert report.answer == wanted.answer
    encoded = device.encode(photo(), "klt")
    assert recorders[1].segments == list(encoded.segments)
    assert recorders[1].announced == 1
    twice = len(encoded.header) + sum(map(len, recorders[0].segments))  # and what was on its way
    assert 0 <= report.payload_bytes - encoded.payload_bytes - twice <= MESSAGE_BYTES


def test_a_session_that_was_kept_too_briefly_begins_anew(cloud: Cloud, device: Device) -> None:
    application = CloudApplication(cloud, limits=Limits(keep_s=0.05))  # real seconds: half a second of the device
    with BackgroundServer(application) as server:
        wanted = asked_undisturbed(server.url, device)
        report, recorders, _ = asked_through(device, lambda: server.url, break_off)
    assert report.answer == wanted.answer
    assert recorders[1].announced == 1
    assert application.metrics.held_bytes_open == 0


def test_a_link_that_never_comes_back_is_named(cloud: Cloud, device: Device) -> None:
    opened = list[Connection]()

    async def connect_once() -> Connection:
        if opened:
            raise ServerUnreachableError
        recorder = Recorder(await open_websocket(server.url))
        link = ShapedConnection(recorder, LINK, clock=now)
        recorder.on_segments = lambda count: link.abort() if count >= BREAKS_AFTER else None
        opened.append(link)
        return link

    with BackgroundServer(CloudApplication(cloud)) as server, pytest.raises(ConnectionLostError):
        run(lambda: ask(connect_once, device, reconnect_s=20.0))

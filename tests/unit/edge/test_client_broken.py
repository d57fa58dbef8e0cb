"""The device's client where connections break: a scripted cloud over in-process connections, one session on each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from PIL import Image

from heliograph.clock import now_s
from heliograph.codec.calibration import Calibration
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.errors import ConnectionLostError, HeliographError, ServerUnreachableError
from heliograph.protocol.events import Event, ImageAnnounced, ImageFinished, QuestionAsked, SegmentReceived
from heliograph.protocol.session import CloudSession
from heliograph.strategies.base import Setting
from heliograph.transport.base import Connection
from heliograph.transport.memory import MemoryConnection, memory_pair
from heliograph.types import EncodedImage

PHOTO = Image.new("RGB", (8, 8))
PAYLOAD = EncodedImage("jpeg", b"h", (b"s" * 100,) * 5, ())


@dataclass
class FakeDevice(Device):
    """Gives the same stream for every photo."""

    bundle_hash: bytes = b""  # type: ignore[assignment]
    calibration: Calibration | None = None  # type: ignore[assignment]

    def encode(self, photo: Image.Image, strategy: str, setting: Setting | None = None) -> EncodedImage:
        return PAYLOAD


Behaviour = Callable[["Cloud", Event], Awaitable[None]]


@dataclass
class Cloud:
    """What it heard, on as many connections as the device opens; ``shown`` are the tokens that devices showed it."""

    behave: Behaviour
    session_token: bytes = b""
    shown: list[bytes] = field(default_factory=list)
    heard: list[Event] = field(default_factory=list)
    connections: list[MemoryConnection] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    session: CloudSession = field(init=False)
    question_id: int = -1

    async def open(self) -> Connection:
        device_end, cloud_end = memory_pair()
        self.connections.append(cloud_end)
        self.tasks.append(asyncio.create_task(self._serve(cloud_end)))
        return device_end

    async def _serve(self, connection: MemoryConnection) -> None:
        self.session = CloudSession(b"", frozenset(), session_token=self.session_token, recall=self.shown.append)
        while not self.session.closed:
            for event in self.session.receive(await connection.receive(), now_s()):
                self.heard.append(event)
                if isinstance(event, QuestionAsked):
                    self.question_id = event.question_id
                await self.behave(self, event)
            try:
                await connection.send(self.session.bytes_to_send())
            except HeliographError:
                return

    def final(self) -> None:
        self.session.send_final(self.question_id, "blue", 0.8, 1)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(whole())


async def breaks_once_in_the_middle(cloud: Cloud, event: Event) -> None:
    if isinstance(event, SegmentReceived):
        if len(cloud.connections) == 1:
            await cloud.connections[0].close()
        elif event.index == 4:
            cloud.final()


def test_a_session_that_the_cloud_does_not_keep_begins_again() -> None:
    async def test() -> None:
        cloud = Cloud(breaks_once_in_the_middle)
        async with DeviceClient(cloud.open, FakeDevice()) as client:
            report = await client.ask(PHOTO, "colour?", strategy="jpeg")
        assert (report.answer, report.reconnections) == ("blue", 1)
        assert len(cloud.connections) == 2

    run(test)


def test_a_region_that_took_two_connections_counts_once() -> None:
    async def behave(cloud: Cloud, event: Event) -> None:
        images = [heard.image_id for heard in cloud.heard if isinstance(heard, ImageAnnounced)]
        match event:
            case ImageFinished(image_id) if image_id == images[-1] and len(images) in (1, 3):
                cloud.session.send_region(cloud.question_id, (0, 0, 512, 512))
            case ImageFinished() if len(cloud.connections) == 1:
                await cloud.connections[0].close()
            case ImageFinished():
                cloud.final()

    async def test() -> None:
        cloud = Cloud(behave)
        async with DeviceClient(cloud.open, FakeDevice()) as client:
            report = await client.ask(Image.new("RGB", (64, 64)), "colour?", strategy="jpeg", region="always")
        assert (report.answer, report.reconnections, report.regions_sent) == ("blue", 1, 1)
        assert report.payload_bytes == 4 * 501  # photo and crop, over either connection

    run(test)


def test_a_session_given_up_at_a_deadline_is_taken_up_by_the_next_question() -> None:
    """The link broke, nothing could be reached until the deadline; the cloud kept the session meanwhile."""

    async def behave(cloud: Cloud, event: Event) -> None:
        if isinstance(event, SegmentReceived) and event.index > 2 and len(cloud.connections) == 1:
            await cloud.connections[0].close()
        elif isinstance(event, ImageFinished):
            cloud.final()

    async def test() -> None:
        cloud = Cloud(behave, session_token=b"t" * 16)

        async def open_once_then_after_the_first_question() -> Connection:
            if len(cloud.connections) == 1 and not reachable:
                raise ServerUnreachableError
            return await cloud.open()

        reachable = list[bool]()
        async with DeviceClient(open_once_then_after_the_first_question, FakeDevice()) as client:
            with pytest.raises(ConnectionLostError):
                await client.ask(PHOTO, "colour?", strategy="jpeg", deadline_s=0.3)
            reachable.append(True)
            assert (await client.ask(PHOTO, "colour?", strategy="jpeg")).answer == "blue"
        assert cloud.shown == [b"t" * 16]

    run(test)


def test_where_nothing_is_to_be_tried_again_a_lost_connection_is_named_and_the_next_question_reconnects() -> None:
    async def test() -> None:
        cloud = Cloud(breaks_once_in_the_middle)
        async with DeviceClient(cloud.open, FakeDevice(), reconnect_s=0) as client:
            with pytest.raises(ConnectionLostError):
                await client.ask(PHOTO, "colour?", strategy="jpeg")
            assert (await client.ask(PHOTO, "colour?", strategy="jpeg")).payload_bytes == 501
        assert len(cloud.connections) == 2

    run(test)

"""The device's client where connections break: a scripted cloud over in-process connections, one session on each."""

from __future__ import annotations

import pytest
from PIL import Image

from heliograph.boxes import WireBox
from heliograph.edge.client import DeviceClient
from heliograph.errors import ConnectionLostError, HeliographError, ServerUnreachableError
from heliograph.protocol.events import Event, ImageAnnounced, ImageFinished, SegmentReceived
from heliograph.question import Question
from heliograph.transport.base import Connection
from scripted_cloud import PHOTO, Cloud, FakeDevice, run, stream

PAYLOAD = stream(5)


async def breaks_once_in_the_middle(cloud: Cloud, event: Event) -> None:
    if isinstance(event, SegmentReceived):
        if len(cloud.connections) == 1:
            await cloud.connections[0].close()
        elif event.index == 4:
            cloud.final()


def test_a_session_that_the_cloud_does_not_keep_begins_again() -> None:
    async def test() -> None:
        cloud = Cloud(breaks_once_in_the_middle)
        async with DeviceClient(cloud.open, FakeDevice(PAYLOAD)) as client:
            report = await client.ask(PHOTO, "colour?", strategy="jpeg")
        assert (report.answer, report.reconnections) == ("blue", 1)
        assert len(cloud.connections) == 2

    run(test)


def test_a_region_that_took_two_connections_counts_once() -> None:
    async def behave(cloud: Cloud, event: Event) -> None:
        images = [heard.image_id for heard in cloud.heard if isinstance(heard, ImageAnnounced)]
        match event:
            case ImageFinished(image_id) if image_id == images[-1] and len(images) in (1, 3):
                cloud.session.send_region(cloud.question_id, WireBox(0, 0, 512, 512))
            case ImageFinished() if len(cloud.connections) == 1:
                await cloud.connections[0].close()
            case ImageFinished():
                cloud.final()

    async def test() -> None:
        cloud = Cloud(behave)
        async with DeviceClient(cloud.open, FakeDevice(PAYLOAD)) as client:
            report = await client.ask(Image.new("RGB", (64, 64)), Question("colour?", region="always"), strategy="jpeg")
        assert (report.answer, report.reconnections, report.regions_sent) == ("blue", 1, 1)
        assert report.payload_bytes == 4 * 501  # photo and crop, over either connection

    run(test)


def test_a_session_given_up_at_a_timeout_is_taken_up_by_the_next_question() -> None:
    """The link broke, nothing could be reached until the timeout; the cloud kept the session meanwhile."""

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
        async with DeviceClient(open_once_then_after_the_first_question, FakeDevice(PAYLOAD)) as client:
            with pytest.raises(ConnectionLostError):
                await client.ask(PHOTO, "colour?", strategy="jpeg", timeout_s=0.3)
            reachable.append(True)
            assert (await client.ask(PHOTO, "colour?", strategy="jpeg")).answer == "blue"
        assert cloud.shown == [b"t" * 16]

    run(test)


def test_where_nothing_is_to_be_tried_again_a_lost_connection_is_named_and_the_next_question_reconnects() -> None:
    async def test() -> None:
        cloud = Cloud(breaks_once_in_the_middle)
        async with DeviceClient(cloud.open, FakeDevice(PAYLOAD), reconnect_s=0) as client:
            with pytest.raises(ConnectionLostError):
                await client.ask(PHOTO, "colour?", strategy="jpeg")
            assert (await client.ask(PHOTO, "colour?", strategy="jpeg")).payload_bytes == 501
        assert len(cloud.connections) == 2

    run(test)


def test_trying_again_is_said_from_the_second_attempt_on() -> None:
    """The first attempt after a break is nothing unusual; what goes on after it is."""

    async def test() -> None:
        cloud, refused = Cloud(breaks_once_in_the_middle), list[int]()

        async def refuses_twice() -> Connection:
            if len(cloud.connections) == 1 and len(refused) < 2:
                refused.append(1)
                raise ServerUnreachableError
            return await cloud.open()

        told = list[type[HeliographError]]()
        async with DeviceClient(
            refuses_twice, FakeDevice(PAYLOAD), on_retry=lambda error: told.append(type(error))
        ) as client:
            assert (await client.ask(PHOTO, "colour?", strategy="jpeg")).answer == "blue"
        assert told == [ServerUnreachableError, ServerUnreachableError]

    run(test)

"""The device's client against a scripted cloud: where the photo's stream stops, and where it goes on."""

from __future__ import annotations

import asyncio

import pytest

from heliograph.edge import exchange as exchange_module
from heliograph.edge.client import DeviceClient
from heliograph.protocol.codes import code_of_bytes
from heliograph.protocol.events import Event, ImageFinished, SegmentReceived
from heliograph.question import Question
from scripted_cloud import PHOTO, SEGMENT, Cloud, FakeDevice, final_at_the_end, run, stream


def test_stops_at_enough() -> None:
    async def behave(cloud: Cloud, event: Event) -> None:
        if isinstance(event, SegmentReceived) and event.index == 2:
            cloud.session.send_enough(event.image_id)
            await asyncio.sleep(0.05)
            cloud.final()

    async def test() -> None:
        cloud = Cloud(behave)
        async with DeviceClient(cloud.open, FakeDevice(stream(400))) as client:
            report = await client.ask(PHOTO, Question("colour?", "fixed", 0), strategy="jpeg")
        assert report.stopped_early
        assert report.payload_bytes < 400 * len(SEGMENT) / 2
        assert not any(isinstance(event, ImageFinished) for event in cloud.heard)

    run(test)


def test_device_stops_by_itself_where_the_controller_will_have_enough() -> None:
    async def behave(cloud: Cloud, event: Event) -> None:
        if isinstance(event, SegmentReceived) and event.index == 9:
            await asyncio.sleep(0.1)  # a round trip in which nothing more may come
            cloud.final()

    async def test() -> None:
        cloud = Cloud(behave)
        quality = tuple((k + 1) / 40 for k in range(40))
        async with DeviceClient(cloud.open, FakeDevice(stream(40, quality))) as client:
            report = await client.ask(PHOTO, Question("colour?", "energy", 63), strategy="jpeg")
        assert len(cloud.of(SegmentReceived)) == 10
        assert report.payload_bytes == 1001
        assert report.stopped_early

    run(test)


def test_device_goes_on_where_the_cloud_does_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "STOP_GRACE_S", 0.01)

    async def test() -> None:
        cloud = Cloud(final_at_the_end())
        async with DeviceClient(cloud.open, FakeDevice(stream(8, (1.0,) * 8))) as client:
            assert (await client.ask(PHOTO, Question("colour?", target=10), strategy="jpeg")).payload_bytes == 801

    run(test)


def test_sends_more_when_asked_for_more_and_no_more_than_that() -> None:
    async def behave(cloud: Cloud, event: Event) -> None:
        if not isinstance(event, SegmentReceived):
            return
        if event.index == 1:
            cloud.session.send_enough(event.image_id)
            cloud.session.send_more(event.image_id, 6)
        if event.index >= 7:
            await asyncio.sleep(0.05)
            cloud.final()

    async def test() -> None:
        cloud = Cloud(behave)
        async with DeviceClient(cloud.open, FakeDevice(stream(40))) as client:
            await client.ask(PHOTO, Question("colour?", "fixed", code_of_bytes(201)), strategy="jpeg")
        assert len(cloud.of(SegmentReceived)) == 8

    run(test)

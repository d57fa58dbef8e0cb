"""A plan knows which photos the cloud holds, from the client that sends them: its bytes are those that are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.controllers.curves import Curve, Curves, Origin, Point
from heliograph.controllers.planner import Goal
from heliograph.edge.device import Device
from heliograph.edge.planning.device_times import DeviceTimes
from heliograph.edge.planning.planned import PlannedClient
from heliograph.errors import UnknownImageError
from heliograph.protocol import events as ev
from heliograph.strategies.base import Setting
from heliograph.types import Answer, EncodedImage, Grid, VisualTokens
from made_up_time import now, run
from scripted_cloud import Cloud

CHEAP, GOOD = Goal(0.5), Goal(0.9)
BYTES = {32: 200, 64: 400}


def curves() -> Curves:
    """Two pictures, named by one knob each: the other has its default."""
    points = tuple(
        Point({"size": size}, float(BYTES[size]), 5.0, 0.2, {"all": quality})
        for size, quality in ((32, 0.5), (64, 0.95))
    )
    every = (Curve("webp", "picture", points), Curve("local", "local", (Point({}, 0.0, 12.0, 0.0, {"all": 1.0}),)))
    answer_ms = {"tokens": 20.0, "picture": 30.0, "region": 40.0, "local": 1e6}
    return Curves(Origin("2026-11-22", "planner", "a machine", "abc", 1200), every, answer_ms)


class FakeDevice(Device):
    """Sends as many bytes as the curves say."""

    def __init__(self) -> None:
        bundle: Any = SimpleNamespace(
            codec_kinds=(), local_model_path=Path("x"), hash=b"", calibration=None, familiarity=None
        )
        super().__init__(bundle)
        self.encodings = 0
        self.before: Callable[[], object] = lambda: None
        self.local_model: Any = SimpleNamespace(answer=lambda *_, **__: Answer("own", 0.9, 0.1))

    def encode(
        self,
        photo: Image.Image,
        strategy: str,
        setting: Setting | None = None,
        agreement: float | None = None,
        question: str = "",
    ) -> EncodedImage:
        self.before()
        self.encodings += 1
        assert setting is not None
        size = int(setting["size"])
        return EncodedImage("webp", b"", (b"s" * (BYTES[size] // 2),) * 2)

    def encode_tokens(self, photo: Image.Image) -> VisualTokens:
        return VisualTokens(np.zeros((1, 1), np.float32), Grid(1, 1))


async def answers(cloud: Cloud, event: ev.Event) -> None:
    if isinstance(event, ev.ImageFinished) or (isinstance(event, ev.QuestionAsked) and not event.image_follows):
        cloud.final()


class Asker:
    """Asks, and compares what was planned with what was sent."""

    def __init__(self, client: PlannedClient) -> None:
        self.client = client

    async def sent(self, photo: Any, goal: Goal = CHEAP) -> int:
        found = await self.client.ask(photo, "colour?", goal)
        assert found.report.strategy == "webp"
        assert found.plan.chosen.payload_bytes == found.report.payload_bytes
        return found.report.payload_bytes


def check(test: Callable[[Asker, Cloud, FakeDevice], Awaitable[None]], cloud: Cloud | None = None) -> None:
    async def whole() -> None:
        asked, device = cloud or Cloud(answers), FakeDevice()
        async with PlannedClient(asked.open, device, curves=curves(), times=DeviceTimes(), clock=now) as client:
            await test(Asker(client), asked, device)

    run(whole())


def pictures(count: int) -> list[Image.Image]:
    return [Image.new("RGB", (8, 8)) for _ in range(count)]


def test_each_way_of_sending_a_photo_is_held_by_itself() -> None:
    async def test(asker: Asker, cloud: Cloud, device: FakeDevice) -> None:
        (photo,) = pictures(1)
        assert [await asker.sent(photo, goal) for goal in (GOOD, CHEAP, GOOD, CHEAP)] == [400, 0, 0, 0]
        assert device.encodings == 1  # the good one is held, and costs nothing: it is taken for the cheap goal as well

    check(test)


def test_33_photos_are_one_more_than_is_held() -> None:
    async def test(asker: Asker, cloud: Cloud, device: FakeDevice) -> None:
        photos = pictures(33)
        assert [await asker.sent(photo) for photo in photos] == [200] * 33
        assert [await asker.sent(photos[n]) for n in (32, 1, 0, 1, 2)] == [0, 0, 200, 200, 200]

    check(test)


def test_a_session_that_was_dropped_holds_nothing() -> None:
    async def test(asker: Asker, cloud: Cloud, device: FakeDevice) -> None:
        first, second = pictures(2)
        assert [await asker.sent(first), await asker.sent(second)] == [200, 200]
        await cloud.connections[0].close()
        await asyncio.sleep(1)
        assert [await asker.sent(first), await asker.sent(first)] == [200, 0]
        assert [await asker.sent(second), await asker.sent(second)] == [200, 0]
        assert device.encodings == 2  # the streams are kept

    check(test)


def test_of_a_session_that_may_have_been_kept_nothing_is_promised_before_the_cloud_says_so() -> None:
    async def test(asker: Asker, cloud: Cloud, device: FakeDevice) -> None:
        first, second = pictures(2)
        assert [await asker.sent(first), await asker.sent(second)] == [200, 200]
        await cloud.connections[0].close()
        await asyncio.sleep(1)
        assert asker.client.plan(first, "colour?", CHEAP).chosen.payload_bytes == 200
        assert (await asker.client.ask(first, "colour?", CHEAP)).report.payload_bytes == 0
        assert [await asker.sent(first), await asker.sent(second)] == [0, 0]

    check(test, Cloud(answers, session_token=b"t" * 16, keeps=True))


def test_a_photo_that_the_cloud_had_let_go_of_is_held_again_once_it_was_sent_again() -> None:
    async def test(asker: Asker, cloud: Cloud, device: FakeDevice) -> None:
        (photo,) = pictures(1)
        assert await asker.sent(photo) == 200
        cloud.session.drop_image(cloud.of(ev.ImageAnnounced)[0].image_id)  # of which a device hears when it asks
        assert (await asker.client.ask(photo, "colour?", CHEAP)).report.payload_bytes == 200
        assert await asker.sent(photo) == 0

    check(test)


def test_a_photo_that_the_cloud_refuses_is_not_held() -> None:
    async def refuses_the_second_and_third(cloud: Cloud, event: ev.Event) -> None:
        if isinstance(event, ev.QuestionAsked) and len(cloud.of(ev.QuestionAsked)) in (2, 3):
            cloud.session.send_error(UnknownImageError(), event.question_id)
        elif len(cloud.of(ev.QuestionAsked)) != 3:
            await answers(cloud, event)

    async def test(asker: Asker, cloud: Cloud, device: FakeDevice) -> None:
        (photo,) = pictures(1)
        assert await asker.sent(photo) == 200
        with pytest.raises(UnknownImageError):
            await asker.client.ask(photo, "colour?", CHEAP)
        assert [await asker.sent(photo), await asker.sent(photo)] == [200, 0]

    check(test, Cloud(refuses_the_second_and_third))


def test_the_same_picture_in_two_files_is_held_once_and_a_file_that_was_rewritten_is_another(tmp_path: Path) -> None:
    async def test(asker: Asker, cloud: Cloud, device: FakeDevice) -> None:
        red, blue = (Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 0, 255)))
        one, other = tmp_path / "one.bmp", tmp_path / "other.bmp"
        red.save(one)
        red.save(other)
        assert [await asker.sent(one), await asker.sent(other), await asker.sent(str(one))] == [200, 0, 0]
        blue.save(one)
        assert [await asker.sent(one), await asker.sent(other)] == [200, 0]
        red.save(one)
        assert await asker.sent(one) == 0

    check(test)


def test_a_photo_that_changed_while_it_was_encoded_is_not_held(tmp_path: Path) -> None:
    async def test(asker: Asker, cloud: Cloud, device: FakeDevice) -> None:
        path = tmp_path / "latest.bmp"
        Image.new("RGB", (8, 8), (255, 0, 0)).save(path)
        device.before = lambda: Image.new("RGB", (8, 8), (0, 0, 255)).save(path)
        assert await asker.sent(path) == 200
        device.before = lambda: None
        assert await asker.sent(path) == 200
        assert await asker.sent(path) == 0

    check(test)


def test_answers_of_its_own_change_nothing_of_what_is_held() -> None:
    """The client that answers by itself holds nothing; the one that sends still holds what it has sent."""
    silent = list[int]()

    async def may_be_silent(cloud: Cloud, event: ev.Event) -> None:
        if not silent:
            await answers(cloud, event)

    async def test(asker: Asker, cloud: Cloud, device: FakeDevice) -> None:
        first, second = pictures(2)
        assert await asker.sent(first) == 200
        silent.append(1)
        own = await asker.client.ask(second, "colour?", Goal(0.5, 3.0))
        assert (own.report.strategy, own.report.payload_bytes) == ("local", 0)
        silent.clear()
        while not (link := asker.client.plan(first, "colour?", CHEAP).situation.link) or not link.up:
            await asker.client.ask(first, "colour?", CHEAP)  # looks for the link beside it
            await asyncio.sleep(1)
        assert [await asker.sent(first), await asker.sent(second), await asker.sent(second)] == [0, 200, 0]

    check(test, Cloud(may_be_silent))


def test_nothing_is_read_for_a_plan_while_no_photo_is_held(tmp_path: Path) -> None:
    async def test(asker: Asker, cloud: Cloud, device: FakeDevice) -> None:
        assert asker.client.plan(tmp_path / "not there.jpg", "colour?", CHEAP).chosen.payload_bytes == 200

    check(test)

"""The device's side of the loop against a scripted cloud: chunks on request, budgets, wishes, regions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image

from heliograph.boxes import WireBox
from heliograph.codec.calibration import Calibration, Curve
from heliograph.codec.expectation import Expectation
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.edge.region import RegionSending
from heliograph.edge.report import AskReport
from heliograph.errors import TimedOutError, UsageError
from heliograph.protocol import events as ev
from heliograph.protocol.frames import AnswerFlag
from heliograph.question import Question
from heliograph.strategies.base import Setting
from heliograph.transport.base import Connection
from heliograph.transport.links import LinkProfile
from heliograph.transport.shaped import ShapedConnection
from heliograph.types import EncodedImage
from scripted_cloud import Behaviour, Cloud

PHOTO = Image.new("RGB", (64, 64))
CURVE = Curve(("answer-differs",), (0.0,), (1.0,), (1.0,), 0.0)
CALIBRATION = Calibration({"min-entropy": CURVE, "error-head": CURVE}, {"min-entropy": CURVE})


@dataclass
class FakeDevice(Device):
    """Gives one prepared stream for every photo, and predicts a better answer with every segment."""

    segments: int = 12
    calibration: Calibration | None = None  # type: ignore[assignment]
    bundle_hash: bytes = b""  # type: ignore[assignment]
    encoded: list[tuple[tuple[int, int], str]] = field(default_factory=list)
    _bundle = None

    def encode(
        self,
        photo: Image.Image,
        strategy: str,
        setting: Setting | None = None,
        agreement: float | None = None,
        question: str = "",
    ) -> EncodedImage:
        self.encoded.append((photo.size, strategy))
        if photo.size == (16, 16):
            raise UsageError
        return EncodedImage("jpeg", b"h", (b"s" * 100,) * self.segments)

    def foresee(self, prefix: EncodedImage, question: str) -> Expectation | None:
        return Expectation(0.1, 1 - len(prefix.segments) / self.segments)


async def at_the_end(cloud: Cloud, event: ev.Event) -> None:
    if isinstance(event, ev.ImageFinished):
        cloud.final()


def asked(cloud: Cloud, device: FakeDevice, region_sending: RegionSending | None = None, **options: Any) -> AskReport:
    question = Question("colour?", **options)

    async def whole() -> AskReport:
        async with asyncio.timeout(20), DeviceClient(cloud.open, device) as client:
            return await client.ask(PHOTO, question, strategy="jpeg", region_sending=region_sending)

    return asyncio.run(whole())


def test_pull_waits_for_a_request_after_every_chunk() -> None:
    counts = list[int]()

    async def behave(cloud: Cloud, event: ev.Event) -> None:
        await at_the_end(cloud, event)
        if isinstance(event, ev.SegmentReceived) and event.index % 3 == 2:
            await asyncio.sleep(0.05)  # a round trip in which nothing more may come
            counts.append(len(cloud.of(ev.SegmentReceived)))
            cloud.session.send_more(event.image_id, 3)

    cloud = Cloud(behave)
    report = asked(cloud, FakeDevice(), controller="pull")
    assert counts == [3, 6, 9, 12]
    assert cloud.of(ev.ImageAnnounced)[0].total_segments == 12
    assert report.payload_bytes == 1 + 1200


def test_a_photo_that_the_cloud_has_let_go_of_is_sent_again_unasked() -> None:
    cloud, ends = Cloud(at_the_end), list[Connection]()

    async def open_and_look() -> Connection:
        ends.append(await cloud.open())
        return ends[-1]

    async def twice() -> tuple[AskReport, AskReport]:
        async with asyncio.timeout(20), DeviceClient(open_and_look, FakeDevice()) as client:
            first = await client.ask(PHOTO, "colour?", strategy="jpeg")
            cloud.session.drop_image(cloud.of(ev.ImageAnnounced)[0].image_id)
            second = await client.ask(PHOTO, "shape?", strategy="jpeg")
            # Both attempts at the second question are its cost: nothing that went over the connection is left out.
            assert first.wire_bytes_up + second.wire_bytes_up == ends[0].sent_bytes
            assert first.wire_bytes_down + second.wire_bytes_down == ends[0].received_bytes
            return first, second

    first, second = asyncio.run(twice())
    assert (first.payload_bytes, second.payload_bytes) == (1201, 1201)
    assert len(ends) == 1
    assert len(cloud.of(ev.ImageAnnounced)) == 2


def test_push_streams_without_waiting_and_does_not_say_how_long() -> None:
    cloud = Cloud(at_the_end)
    assert asked(cloud, FakeDevice(), controller="push").payload_bytes == 1201
    assert cloud.of(ev.ImageAnnounced)[0].total_segments == 0


def test_the_default_is_push_where_there_is_a_calibration_and_energy_elsewhere() -> None:
    for calibration, controller, target in ((CALIBRATION, "push", 243), (None, "energy", 230)):
        cloud = Cloud(at_the_end)
        asked(cloud, FakeDevice(calibration=calibration))
        question = cloud.of(ev.QuestionAsked)[0].question
        assert (question.controller, question.target, question.confidence) == (controller, target, "combined")


def test_push_by_the_error_head_stops_where_the_device_foresees_it() -> None:
    async def behave(cloud: Cloud, event: ev.Event) -> None:
        if isinstance(event, ev.SegmentReceived) and event.index == 8:
            await asyncio.sleep(0.1)
            cloud.final()

    cloud = Cloud(behave)
    device = FakeDevice(calibration=CALIBRATION)
    report = asked(cloud, device, controller="push", target=round(0.7 * 255), confidence="error-head")
    assert len(cloud.of(ev.SegmentReceived)) == 9  # 9 of 12 segments: a chance of 0.75
    assert report.stopped_early


def test_options_travel_and_bounds_are_rounded_down() -> None:
    cloud = Cloud(at_the_end)
    asked(
        cloud,
        FakeDevice(),
        controller="push",
        confidence="margin",
        byte_budget=5000,
        answer_within_s=2.0,
        region="threshold",
    )
    question = cloud.of(ev.QuestionAsked)[0].question
    assert (question.confidence, question.region) == ("margin", "threshold")
    assert question.byte_budget == 4870  # floor(2 ** (147 / 12)); the next code is 5160
    assert question.answer_within_s == 1.933  # floor(2 ** (131 / 12)); the next code is 2.048 s


def region_of(box: WireBox) -> Behaviour:
    async def behave(cloud: Cloud, event: ev.Event) -> None:
        match event:
            case ev.ImageFinished(image_id) if len(cloud.of(ev.ImageFinished)) == 1:
                assert image_id == cloud.of(ev.QuestionAsked)[0].image_id
                cloud.session.send_region(cloud.of(ev.QuestionAsked)[0].question_id, box)
            case ev.ImageFinished():
                cloud.final("green", flags=AnswerFlag.LOOKED)
            case ev.CropAnnounced(_, None):
                cloud.final("blue", flags=AnswerFlag.REGION_MISSED)

    return behave


def test_a_region_is_cut_and_sent_as_a_photo_of_its_own() -> None:
    cloud, device = Cloud(region_of(WireBox(0, 0, 512, 256))), FakeDevice()
    report = asked(cloud, device, region="always", region_sending=RegionSending("avif", {"size": 32}))
    assert device.encoded == [((64, 64), "jpeg"), ((32, 16), "avif")]
    assert cloud.of(ev.CropAnnounced)[0].image_id == cloud.of(ev.ImageAnnounced)[1].image_id
    assert (report.answer, report.looked, report.regions_sent) == ("green", True, 1)
    assert report.payload_bytes == 2 * 1201


@pytest.mark.parametrize(("region", "box"), [("always", WireBox(0, 0, 256, 256)), ("never", WireBox(0, 0, 512, 256))])
def test_a_region_that_cannot_be_made_or_was_not_allowed_is_refused(region: str, box: WireBox) -> None:
    cloud = Cloud(region_of(box))
    report = asked(cloud, FakeDevice(), region=region)
    assert cloud.of(ev.CropAnnounced)[0].image_id is None
    assert (report.answer, report.region_missed, report.regions_sent) == ("blue", True, 0)


def test_what_the_cloud_says_about_its_answer_is_reported() -> None:
    async def behave(cloud: Cloud, event: ev.Event) -> None:
        if isinstance(event, ev.ImageFinished):
            cloud.final("blue", flags=AnswerFlag.CONTROLLER_FAILED)

    report = asked(Cloud(behave), FakeDevice())
    assert (report.controller_failed, report.looked, report.region_missed) == (True, False, False)


def test_push_wastes_no_more_than_what_is_on_its_way() -> None:
    """After "enough" a bandwidth-delay product arrives, and what the device had queued: 40 bytes and a message."""
    link = LinkProfile(up_bit_s=8000.0, down_bit_s=80_000.0, one_way_delay_s=0.25)
    late = list[int]()

    async def behave(cloud: Cloud, event: ev.Event) -> None:
        if isinstance(event, ev.SegmentReceived) and event.index == 9:
            cloud.session.send_enough(event.image_id)
        late.extend([1] if isinstance(event, ev.SegmentReceived) and event.late else [])

    async def whole() -> None:
        cloud = Cloud(behave)

        async def connect() -> Connection:
            return ShapedConnection(await cloud.open(), link)

        async with DeviceClient(connect, FakeDevice(segments=200)) as client:
            with pytest.raises(TimedOutError):
                await client.ask(PHOTO, Question("colour?", "push"), strategy="jpeg", timeout_s=4.0)
        late_bytes = 100 * sum(late)
        on_the_way_bytes = 500  # 8,000 bit/s for a round trip of half a second
        assert on_the_way_bytes * 0.3 < late_bytes <= on_the_way_bytes + 40 + 100

    asyncio.run(whole())

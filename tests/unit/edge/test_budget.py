"""A byte budget is never exceeded, and a question that reaches it always ends: over connections that hold."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from PIL import Image

from budget_cloud import PHOTO, Photos, asked, over, stream
from heliograph.edge.client import DeviceClient
from heliograph.edge.report import AskReport
from heliograph.errors import PayloadTooLargeError
from heliograph.protocol import events as ev
from heliograph.protocol.codes import bytes_of_code, code_of_bytes
from heliograph.protocol.frames import AnswerFlag
from heliograph.question import Question
from heliograph.types import EncodedImage
from scripted_cloud import Cloud, FakeDevice


def test_a_budget_travels_rounded_down() -> None:
    """floor(2 ** (97 / 12)) = 271, floor(2 ** (98 / 12)) = 287, floor(2 ** (99 / 12)) = 304: 300 bytes are 287."""
    assert [bytes_of_code(code) for code in (98, 99, 100)] == [271, 287, 304]
    assert code_of_bytes(300) == 99
    for budget in [*range(1, 300), 10**6, 10**9]:
        assert bytes_of_code(code_of_bytes(budget)) <= budget


@pytest.mark.parametrize(("budget", "sent"), [(300, 201), (256, 201), (128, 101)])
def test_the_segment_that_would_exceed_the_budget_is_not_sent(budget: int, sent: int) -> None:
    cloud = Cloud(Photos())
    report = asked(cloud, stream(1, *[100] * 12), controller="fixed", target=0, byte_budget=budget)
    assert (report.answer, report.payload_bytes, report.stopped_early) == ("blue", sent, True)
    assert cloud.of(ev.ImageFinished)


def test_where_the_budget_is_reached_to_the_byte_the_cloud_sees_it_and_is_told_nothing() -> None:
    cloud = Cloud(Photos())
    report = asked(cloud, stream(6, 50, 100, 100, 100), controller="fixed", target=0, byte_budget=256)
    assert report.payload_bytes == 256
    assert not cloud.of(ev.ImageFinished)


def test_a_stream_that_fits_is_sent_whole() -> None:
    cloud = Cloud(Photos())
    report = asked(cloud, stream(1, 100, 155), controller="fixed", target=0, byte_budget=256)
    assert (report.payload_bytes, report.stopped_early) == (256, False)
    assert cloud.of(ev.ImageFinished)


@pytest.mark.parametrize("controller", ["pull", "push", "energy", "fixed"])
def test_more_does_not_lift_the_bound(controller: str) -> None:
    behave = Photos()

    async def asks_for_more(cloud: Cloud, event: ev.Event) -> None:
        await behave(cloud, event)
        if isinstance(event, ev.SegmentReceived) and behave.question is not None:
            cloud.session.send_more(event.image_id, 100)

    cloud = Cloud(asks_for_more)
    report = asked(cloud, stream(1, *[100] * 12), controller=controller, byte_budget=300)
    assert (report.answer, report.payload_bytes) == ("blue", 201)


def test_pull_ends_within_its_chunk() -> None:
    """Chunks of 3 segments of 12; 200 bytes are a code of 192: one segment, and the end at once."""
    cloud = Cloud(Photos())
    report = asked(cloud, stream(1, *[100] * 12), controller="pull", byte_budget=200)
    assert report.payload_bytes == 101
    assert cloud.of(ev.ImageFinished)


def test_pull_that_has_enough_at_its_chunk_is_not_ended_for_ever() -> None:
    """Three segments are a chunk and all that 301 bytes take; the cloud may have enough before it asks for more."""

    async def behave(cloud: Cloud, event: ev.Event) -> None:
        if isinstance(event, ev.SegmentReceived) and event.index == 2:
            await asyncio.sleep(1)
            cloud.session.send_enough(event.image_id)
            cloud.final()

    cloud = Cloud(behave)
    assert asked(cloud, stream(1, *[100] * 12), controller="pull", byte_budget=305).payload_bytes == 301
    assert not cloud.of(ev.ImageFinished)


def test_pull_that_is_asked_for_more_at_its_bound_says_that_this_is_all() -> None:
    async def behave(cloud: Cloud, event: ev.Event) -> None:
        if isinstance(event, ev.SegmentReceived) and event.index == 2:
            cloud.session.send_more(event.image_id, 3)
        elif isinstance(event, ev.ImageFinished):
            cloud.final()

    cloud = Cloud(behave)
    assert asked(cloud, stream(1, *[100] * 12), controller="pull", byte_budget=305).payload_bytes == 301
    assert len(cloud.of(ev.SegmentReceived)) == 3


@pytest.mark.parametrize("encoded", [stream(1, 100, 5), stream(16, 65)])
def test_a_photo_of_which_not_one_segment_fits_is_refused_by_name_and_nothing_of_it_is_sent(
    encoded: EncodedImage,
) -> None:
    cloud = Cloud(Photos())

    async def twice(client: DeviceClient) -> None:
        for _ in range(2):
            with pytest.raises(PayloadTooLargeError):
                await client.ask(PHOTO, Question("colour?", byte_budget=80), strategy="jpeg")
        assert (await client.ask(PHOTO, "colour?", strategy="jpeg")).payload_bytes == encoded.payload_bytes

    over(cloud, FakeDevice(encoded), twice)
    assert len(cloud.of(ev.ImageAnnounced)) == 1
    assert len(cloud.of(ev.QuestionCancelled)) == 2


def test_a_stream_without_segments_is_no_photo_that_does_not_fit() -> None:
    assert asked(Cloud(Photos()), stream(3), byte_budget=4).payload_bytes == 3


# ---- questions about a held photo ----------------------------------------------------------------------
def payloads(encoded: EncodedImage, *budgets: int | None, **how: Any) -> tuple[list[int], Cloud]:
    cloud = Cloud(Photos())

    async def asking(client: DeviceClient) -> list[int]:
        return [
            (await client.ask(PHOTO, Question("colour?", byte_budget=budget, **how), strategy="jpeg")).payload_bytes
            for budget in budgets
        ]

    return over(cloud, FakeDevice(encoded), asking), cloud


def test_what_an_earlier_question_sent_counts() -> None:
    """Budgets of 256, 512 and 128 bytes, the first reached to the byte: the second one goes on behind it."""
    sent, cloud = payloads(stream(6, 50, *[100] * 12), 256, 512, 128, controller="fixed", target=0)
    assert sent == [256, 200, 0]
    assert len(cloud.of(ev.ImageAnnounced)) == 1


def test_a_photo_that_was_cut_short_is_sent_anew_for_a_question_that_may_have_more_of_it() -> None:
    """201 of 256 bytes, which ends the photo; nothing can be added to it, so 512 bytes are spent anew, then all."""
    sent, cloud = payloads(stream(1, *[100] * 12), 256, 256, 128, 512, None, None, controller="fixed", target=0)
    assert sent == [201, 0, 0, 501, 1201, 0]
    assert [event.image_id for event in cloud.of(ev.ImageForgotten)] == [1, 5]


def test_a_photo_that_was_cut_short_is_kept_where_the_next_question_wants_no_more_of_it() -> None:
    quality = (0.5, 0.9, 0.95, 1.0)
    sent, cloud = payloads(stream(1, *[100] * 4, quality=quality), 256, None, controller="energy", target=200)
    assert sent == [201, 0]
    assert len(cloud.of(ev.ImageAnnounced)) == 1


# ---- regions -------------------------------------------------------------------------------------------
def with_region(budget: int | None, photo: int = 100, crop: int = 100) -> tuple[AskReport, Cloud]:
    class Cutting(FakeDevice):
        def encode(self, photo_: Image.Image, *arguments: object) -> EncodedImage:
            return stream(1, photo) if photo_.size == (64, 64) else stream(1, crop)

    async def behave(cloud: Cloud, event: ev.Event) -> None:
        match event:
            case ev.ImageFinished() if len(cloud.of(ev.ImageFinished)) == 1:
                cloud.session.send_region(cloud.question_id, (0, 0, 512, 512))
                cloud.session.send_region(cloud.question_id, (0, 0, 256, 256))  # one more than there may be
            case ev.ImageFinished():
                cloud.final("green", flags=AnswerFlag.LOOKED)
            case ev.CropAnnounced(_, None):
                cloud.final("blue", flags=AnswerFlag.REGION_MISSED)

    cloud = Cloud(behave)

    async def once(client: DeviceClient) -> AskReport:
        return await client.ask(PHOTO, Question("colour?", byte_budget=budget, region="always"), strategy="jpeg")

    return over(cloud, Cutting(stream(1)), once), cloud


@pytest.mark.parametrize(
    ("crop", "sent", "answer"), [(100, 202, "green"), (154, 256, "green"), (155, 101, "blue"), (900, 101, "blue")]
)
def test_a_region_is_sent_whole_within_the_budget_or_not_at_all(crop: int, sent: int, answer: str) -> None:
    report, cloud = with_region(256, crop=crop)
    assert (report.answer, report.payload_bytes) == (answer, sent)
    assert (report.regions_sent, report.region_missed) == ((1, False) if answer == "green" else (0, True))
    assert len(cloud.of(ev.CropAnnounced)) == 1


def test_without_a_budget_a_region_may_be_as_large_as_it_is() -> None:
    assert with_region(None, crop=9000)[0].payload_bytes == 9102


def test_a_region_counts_on_top_of_what_the_cloud_holds_of_the_photo() -> None:
    """The second question sends none of 101 bytes; a region of 152 would make 253 of 242 (250, as a code)."""

    async def behave(cloud: Cloud, event: ev.Event) -> None:
        match event:
            case ev.ImageFinished() if len(cloud.of(ev.QuestionAsked)) == 1:
                cloud.final()
            case ev.QuestionAsked(image_follows=False):
                cloud.session.send_region(cloud.question_id, (0, 0, 512, 512))
            case ev.CropAnnounced(_, None):
                cloud.final(flags=AnswerFlag.REGION_MISSED)
            case ev.ImageFinished():
                cloud.final("green")

    class Cutting(FakeDevice):
        def encode(self, photo: Image.Image, *arguments: object) -> EncodedImage:
            return stream(1, 100) if photo.size == (64, 64) else stream(2, 150)

    async def asking(client: DeviceClient) -> list[int]:
        return [
            (
                await client.ask(PHOTO, Question("colour?", byte_budget=budget, region="always"), strategy="jpeg")
            ).payload_bytes
            for budget in (120, 250, 300)
        ]

    assert over(Cloud(behave), Cutting(stream(1)), asking) == [101, 0, 152]

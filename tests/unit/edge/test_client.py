"""The device's client against a scripted cloud: one question from its sending to its answer, its error or its end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from heliograph.edge.client import DeviceClient
from heliograph.edge.report import Draft
from heliograph.errors import (
    AnsweringFailedError,
    HeliographError,
    PhotoMissingError,
    QuestionEmptyError,
    ServerUnreachableError,
    TimedOutError,
    UnauthorizedError,
    UsageError,
)
from heliograph.protocol.events import Event, ImageAnnounced, ImageFinished, SegmentReceived
from heliograph.transport.base import Connection
from scripted_cloud import PHOTO, Cloud, FakeDevice, final_at_the_end, run, stream


def test_question_goes_first_then_the_photo_then_drafts_and_the_answer() -> None:
    async def test() -> None:
        cloud, live = Cloud(final_at_the_end()), list[Draft]()
        async with DeviceClient(cloud.open, FakeDevice(stream(5))) as client:
            report = await client.ask(PHOTO, "colour?", strategy="jpeg", on_draft=live.append)
        kinds = [type(event).__name__ for event in cloud.heard[:4]]
        assert kinds == ["HelloReceived", "QuestionAsked", "ImageAnnounced", "SegmentReceived"]
        assert report.answer == "blue"
        assert report.confidence == pytest.approx(0.8, abs=0.01)
        assert report.payload_bytes == 1 + 500
        assert not report.stopped_early
        assert report.photo_seen
        assert [draft.text for draft in report.drafts] == [f"draft {k}" for k in range(5)]
        assert [draft.payload_bytes for draft in report.drafts] == [101, 201, 301, 401, 501]
        assert list(report.drafts) == live
        assert 0 <= report.first_draft_ms <= report.final_ms
        assert report.setting == {"size": 512, "quality": 75}
        assert 500 < report.wire_bytes_up < 500 + 80
        assert report.wire_bytes == report.wire_bytes_up + report.wire_bytes_down > report.wire_bytes_up

    run(test)


def test_a_failed_question_leaves_the_connection_usable() -> None:
    async def behave(cloud: Cloud, event: Event) -> None:
        if isinstance(event, ImageFinished):
            first = next(heard.image_id for heard in cloud.heard if isinstance(heard, ImageAnnounced))
            if event.image_id > first:
                cloud.final()
            else:
                cloud.session.send_error(AnsweringFailedError(), cloud.question_id)

    async def test() -> None:
        cloud = Cloud(behave)
        async with DeviceClient(cloud.open, FakeDevice(stream(3))) as client:
            with pytest.raises(AnsweringFailedError):
                await client.ask(PHOTO, "colour?", strategy="jpeg")
            assert (await client.ask(PHOTO, "colour?", strategy="jpeg")).answer == "blue"
        assert len(cloud.connections) == 1

    run(test)


def test_a_timeout_has_a_name_and_a_late_answer_is_not_taken_for_the_next_one() -> None:
    async def behave(cloud: Cloud, event: Event) -> None:
        if isinstance(event, ImageFinished) and len(cloud.of(SegmentReceived)) > 3:
            cloud.final("right")

    async def test() -> None:
        cloud = Cloud(behave)
        async with DeviceClient(cloud.open, FakeDevice(stream(3))) as client:
            with pytest.raises(TimedOutError):
                await client.ask(PHOTO, "colour?", strategy="jpeg", timeout_s=0.1)
            assert (await client.ask(PHOTO, "colour?", strategy="jpeg")).answer == "right"
        assert len(cloud.connections) == 1

    run(test)


@pytest.mark.parametrize("raised", [ServerUnreachableError, TimedOutError])
def test_no_server(raised: type[HeliographError]) -> None:
    async def refuse() -> Connection:
        raise raised

    async def test() -> None:
        async with DeviceClient(refuse, FakeDevice(stream(3))) as client:
            for _ in range(2):
                with pytest.raises(ServerUnreachableError):
                    await client.ask(PHOTO, "colour?", strategy="jpeg")

    run(test)


def test_a_server_that_never_opens_meets_the_timeout() -> None:
    async def hang() -> Connection:
        await asyncio.sleep(1000)
        raise AssertionError

    async def test() -> None:
        async with DeviceClient(hang, FakeDevice(stream(3))) as client:
            with pytest.raises(TimedOutError):
                await client.ask(PHOTO, "colour?", strategy="jpeg", timeout_s=0.05)

    run(test)


def test_photo_errors_come_through_and_cancel_the_question() -> None:
    async def test() -> None:
        cloud = Cloud(final_at_the_end())
        async with DeviceClient(cloud.open, FakeDevice(stream(3))) as client:
            with pytest.raises(PhotoMissingError):
                await client.ask("no-such-photo.jpg", "colour?", strategy="jpeg")
            assert (await client.ask(PHOTO, "colour?", strategy="jpeg")).answer == "blue"
            assert cloud.session.open_questions == ()

    run(test)


def test_wrong_calls_reach_no_server() -> None:
    async def test() -> None:
        cloud = Cloud(final_at_the_end())
        async with DeviceClient(cloud.open, FakeDevice(stream(3))) as client:
            with pytest.raises(UsageError):
                await client.ask(PHOTO, "colour?", strategy="jpeg", setting={"colour": 1})
            assert cloud.connections == []
            with pytest.raises(QuestionEmptyError):
                await client.ask(PHOTO, "  ", strategy="jpeg")
            assert (await client.ask(PHOTO, "colour?", strategy="jpeg")).answer == "blue"

    run(test)


def test_wrong_access_token() -> None:
    async def test() -> None:
        cloud = Cloud(final_at_the_end(), tokens=frozenset({"right"}))
        async with DeviceClient(cloud.open, FakeDevice(stream(3)), access_token="wrong") as client:
            with pytest.raises(UnauthorizedError):
                await client.ask(PHOTO, "colour?", strategy="jpeg")
        async with DeviceClient(cloud.open, FakeDevice(stream(3)), access_token="right") as client:
            assert (await client.ask(PHOTO, "colour?", strategy="jpeg")).answer == "blue"

    run(test)


def test_encoding_and_opening_overlap() -> None:
    async def test() -> None:
        encoding = threading.Event()
        cloud = Cloud(final_at_the_end())

        async def open_slowly() -> Connection:
            assert await asyncio.to_thread(encoding.wait, 5)  # opens only once the encoder runs
            return await cloud.open()

        async with DeviceClient(open_slowly, FakeDevice(stream(3), before=encoding.set)) as client:
            assert (await client.ask(PHOTO, "colour?", strategy="jpeg")).answer == "blue"

    run(test)


def test_questions_asked_at_once_take_turns() -> None:
    async def test() -> None:
        cloud = Cloud(final_at_the_end())
        async with DeviceClient(cloud.open, FakeDevice(stream(3))) as client:
            reports = await asyncio.gather(*(client.ask(PHOTO, f"{k}?", strategy="jpeg") for k in range(4)))
        assert sorted(report.payload_bytes for report in reports) == [0, 0, 0, 301]

    run(test)


def test_a_cancelled_question_leaves_nothing_running() -> None:
    async def silent(cloud: Cloud, event: Event) -> None:
        return None

    async def test() -> None:
        cloud = Cloud(silent)
        async with DeviceClient(cloud.open, FakeDevice(stream(3))) as client:
            asking = asyncio.create_task(client.ask(PHOTO, "colour?", strategy="jpeg"))
            await asyncio.sleep(0.05)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    run(test)

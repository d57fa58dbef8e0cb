"""The device's client against a scripted cloud over in-process connections."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from heliograph.clock import now_s
from heliograph.codec.calibration import Calibration
from heliograph.controllers.fixed import budget_code
from heliograph.edge import exchange as exchange_module
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
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
from heliograph.protocol.events import Event, ImageAnnounced, ImageFinished, QuestionAsked, SegmentReceived
from heliograph.protocol.session import CloudSession
from heliograph.strategies.base import Setting
from heliograph.transport.base import Connection
from heliograph.transport.memory import MemoryConnection, memory_pair
from heliograph.types import EncodedImage

PHOTO = Image.new("RGB", (8, 8))
SEGMENT = b"s" * 100


@dataclass
class FakeDevice(Device):
    """Gives one prepared stream for every photo."""

    encoded: EncodedImage
    encodings: int = 0
    bundle_hash: bytes = b""  # type: ignore[assignment]
    calibration: Calibration | None = None  # type: ignore[assignment]
    before: Callable[[], object] = lambda: None

    def encode(self, photo: Image.Image, strategy: str, setting: Setting | None = None) -> EncodedImage:
        self.before()
        self.encodings += 1
        return self.encoded


def stream(segments: int, quality: tuple[float, ...] = ()) -> EncodedImage:
    return EncodedImage("jpeg", b"h", (SEGMENT,) * segments, quality)


Behaviour = Callable[["Cloud", Event], Awaitable[None]]


@dataclass
class Cloud:
    """One scripted cloud: a session and what it heard, on as many connections as the device opens."""

    behave: Behaviour
    tokens: frozenset[str] = frozenset()
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
        self.session = CloudSession(b"", self.tokens)
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

    def segments(self) -> int:
        return sum(isinstance(event, SegmentReceived) for event in self.heard)

    def final(self, text: str = "blue", used: int = 1) -> None:
        self.session.send_final(self.question_id, text, 0.8, used)


def final_at_the_end(text: str = "blue") -> Behaviour:
    async def behave(cloud: Cloud, event: Event) -> None:
        match event:
            case SegmentReceived(_, index):
                cloud.session.send_draft(cloud.question_id, f"draft {index}", 0.5, index + 1)
            case ImageFinished():
                cloud.final(text, cloud.segments())
            case QuestionAsked(image_follows=False):
                cloud.final("again")

    return behave


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(20):
            await test()
        leftover = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in leftover:
            task.cancel()
        names = {task.get_coro().__qualname__ for task in leftover}  # type: ignore[union-attr]
        assert names <= {"Cloud._serve"}, names

    asyncio.run(whole())


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


def test_second_question_about_the_same_photo_costs_no_photo(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "photo.png"
        PHOTO.save(path)
        cloud, device = Cloud(final_at_the_end()), FakeDevice(stream(5))
        async with DeviceClient(cloud.open, device) as client:
            first = await client.ask(path, "colour?", strategy="jpeg")
            second = await client.ask(str(path), "and now?", strategy="jpeg")
            assert (first.payload_bytes, second.payload_bytes) == (501, 0)
            assert second.answer == "again"
            assert second.encode_ms == 0
            assert second.wire_bytes < 40
            assert (device.encodings, len(cloud.connections)) == (1, 1)
            Image.new("RGB", (9, 9)).save(path)
            third = await client.ask(path, "changed?", strategy="jpeg")
            assert third.payload_bytes == 501

    run(test)


def test_another_photo_of_the_same_name_size_and_time_is_sent(tmp_path: Path) -> None:
    time_ns = 1_700_000_000_000_000_000

    def take(path: Path, colour: tuple[int, int, int]) -> Path:
        Image.new("RGB", (8, 8), colour).save(path, "BMP")
        os.utime(path, ns=(time_ns, time_ns))
        return path

    async def test() -> None:
        path = take(tmp_path / "latest.bmp", (255, 0, 0))
        cloud, device = Cloud(final_at_the_end()), FakeDevice(stream(5))
        async with DeviceClient(cloud.open, device) as client:
            assert (await client.ask(path, "colour?", strategy="jpeg")).payload_bytes == 501
            take(path, (0, 0, 255))
            assert (await client.ask(path, "and now?", strategy="jpeg")).payload_bytes == 501
            os.replace(take(tmp_path / "next.bmp", (0, 255, 0)), path)
            assert (await client.ask(path, "and now?", strategy="jpeg")).payload_bytes == 501
            assert (await client.ask(path, "and still?", strategy="jpeg")).payload_bytes == 0
            os.replace(take(tmp_path / "next.bmp", (255, 0, 0)), path)
            assert (await client.ask(path, "and again?", strategy="jpeg")).payload_bytes == 0

    run(test)


def test_a_photo_that_changes_while_it_is_encoded_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    class Overwritten(FakeDevice):
        def encode(self, photo: Image.Image, *arguments: object) -> EncodedImage:
            Image.new("RGB", (8, 8), (0, 0, 255)).save(path, "BMP")
            return super().encode(photo, *arguments)

    path = tmp_path / "latest.bmp"

    async def test() -> None:
        Image.new("RGB", (8, 8), (255, 0, 0)).save(path, "BMP")
        cloud = Cloud(final_at_the_end())
        async with DeviceClient(cloud.open, Overwritten(stream(5))) as client:
            assert (await client.ask(path, "colour?", strategy="jpeg")).payload_bytes == 501
            Image.new("RGB", (8, 8), (255, 0, 0)).save(path, "BMP")
            assert (await client.ask(path, "colour?", strategy="jpeg")).payload_bytes == 501

    run(test)


def test_the_note_about_a_cut_photo_reaches_the_report(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "photo.jpg"
        Image.effect_noise((64, 64), 50).convert("RGB").save(path, quality=90)
        path.write_bytes(path.read_bytes()[:-900])
        async with DeviceClient(Cloud(final_at_the_end()).open, FakeDevice(stream(5))) as client:
            report = await client.ask(path, "colour?", strategy="jpeg")
        assert len(report.photo_notes) == 1
        assert "ends early" in report.photo_notes[0]

    run(test)


def test_stops_at_enough() -> None:
    async def behave(cloud: Cloud, event: Event) -> None:
        if isinstance(event, SegmentReceived) and event.index == 2:
            cloud.session.send_enough(event.image_id)
            await asyncio.sleep(0.05)
            cloud.final()

    async def test() -> None:
        cloud = Cloud(behave)
        async with DeviceClient(cloud.open, FakeDevice(stream(400))) as client:
            report = await client.ask(PHOTO, "colour?", strategy="jpeg", controller="fixed", target=0)
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
            report = await client.ask(PHOTO, "colour?", strategy="jpeg", controller="energy", target=63)
        assert cloud.segments() == 10
        assert report.payload_bytes == 1001
        assert report.stopped_early

    run(test)


def test_device_goes_on_where_the_cloud_does_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "STOP_GRACE_S", 0.01)

    async def test() -> None:
        cloud = Cloud(final_at_the_end())
        async with DeviceClient(cloud.open, FakeDevice(stream(8, (1.0,) * 8))) as client:
            assert (await client.ask(PHOTO, "colour?", strategy="jpeg", target=10)).payload_bytes == 801

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
            await client.ask(PHOTO, "colour?", strategy="jpeg", controller="fixed", target=budget_code(201))
        assert cloud.segments() == 8

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


def test_deadline_has_a_name_and_a_late_answer_is_not_taken_for_the_next_one() -> None:
    async def behave(cloud: Cloud, event: Event) -> None:
        if isinstance(event, ImageFinished) and cloud.segments() > 3:
            cloud.final("right")

    async def test() -> None:
        cloud = Cloud(behave)
        async with DeviceClient(cloud.open, FakeDevice(stream(3))) as client:
            with pytest.raises(TimedOutError):
                await client.ask(PHOTO, "colour?", strategy="jpeg", deadline_s=0.1)
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


def test_a_server_that_never_opens_meets_the_deadline() -> None:
    async def hang() -> Connection:
        await asyncio.sleep(1000)
        raise AssertionError

    async def test() -> None:
        async with DeviceClient(hang, FakeDevice(stream(3))) as client:
            with pytest.raises(TimedOutError):
                await client.ask(PHOTO, "colour?", strategy="jpeg", deadline_s=0.05)

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


def test_more_photos_than_the_cloud_holds() -> None:
    async def test() -> None:
        cloud = Cloud(final_at_the_end())
        photos = [Image.new("RGB", (8, 8)) for _ in range(70)]
        async with DeviceClient(cloud.open, FakeDevice(stream(1))) as client:
            for photo in photos:
                assert (await client.ask(photo, "colour?", strategy="jpeg")).payload_bytes == 101
            assert (await client.ask(photos[-1], "colour?", strategy="jpeg")).payload_bytes == 0
            assert (await client.ask(photos[0], "colour?", strategy="jpeg")).payload_bytes == 101

    run(test)

"""A byte budget is never exceeded, and a question that reaches it always ends: by hand, then at random."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image

from heliograph.edge.client import DeviceClient
from heliograph.edge.report import AskReport
from heliograph.errors import ConnectionLostError, PayloadTooLargeError
from heliograph.protocol import events as ev
from heliograph.protocol.codes import bytes_of_code, code_of_bytes
from heliograph.protocol.frames import AnswerFlag
from heliograph.question import Question
from heliograph.transport.base import Delivery
from heliograph.transport.memory import MemoryConnection
from heliograph.types import EncodedImage
from made_up_time import now, run
from scripted_cloud import Behaviour, Cloud, FakeDevice

PHOTO, OTHER = Image.new("RGB", (64, 64)), Image.new("RGB", (65, 65))
BYTE = b"\xee"
"""Of all payload, and of no frame's head here, so that what left can be counted without the code that sent it."""


def stream(header: int, *segments: int, quality: tuple[float, ...] = ()) -> EncodedImage:
    return EncodedImage("jpeg", BYTE * header, tuple(BYTE * size for size in segments), quality)


@dataclass
class Photos:
    """Behaves as a cloud that draws nothing but bytes: it answers at the budget and at the end of a photo."""

    received: dict[int, int] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)
    question: ev.QuestionAsked | None = None

    async def __call__(self, cloud: Cloud, event: ev.Event) -> None:
        match event:
            case ev.HelloReceived():
                self.question = None
            case ev.QuestionAsked():
                self.question = event
                if event.image_id in self.received and not self.has_enough():
                    cloud.session.send_more(event.image_id, 4096)
            case ev.ImageAnnounced():
                self.received[event.image_id] = len(event.header)
            case ev.SegmentReceived():
                self.received[event.image_id] += len(event.payload)
            case ev.ImageFinished():
                self.finished.add(event.image_id)
        if self.question is not None and self.has_enough():
            if self.question.image_id not in self.finished:
                cloud.session.send_enough(self.question.image_id)
            self.question = None
            cloud.final()

    def has_enough(self) -> bool:
        assert self.question is not None
        image_id, budget = self.question.image_id, self.question.question.byte_budget
        reached = budget is not None and self.received.get(image_id, 0) >= budget
        return reached or image_id in self.finished


Asking = Callable[[DeviceClient], Awaitable[Any]]


def over(cloud: Cloud, device: FakeDevice, asking: Asking) -> Any:
    async def whole() -> Any:
        async with DeviceClient(cloud.open, device, clock=now, jitter=lambda: 0.0) as client:
            return await asking(client)

    return run(whole())


def asked(cloud: Cloud, encoded: EncodedImage, **how: Any) -> AskReport:
    async def once(client: DeviceClient) -> AskReport:
        return await client.ask(PHOTO, Question("colour?", **how), strategy="jpeg")

    report: AskReport = over(cloud, FakeDevice(encoded), once)
    return report


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


# ---- connections that break ----------------------------------------------------------------------------
def breaking(at: int, behave: Behaviour) -> Behaviour:
    """The first connection breaks behind that segment."""

    async def whole(cloud: Cloud, event: ev.Event) -> None:
        await behave(cloud, event)
        if isinstance(event, ev.SegmentReceived) and len(cloud.connections) == 1 and event.index == at:
            await cloud.connections[0].close()

    return whole


def test_what_a_broken_connection_lost_is_part_of_the_budget() -> None:
    """301 of 512 bytes went over the first one, which the cloud forgot with it: 211 are left, for 201."""
    cloud = Cloud(breaking(2, Photos()))
    report = asked(cloud, stream(1, *[100] * 3, *[200] * 9), controller="pull", byte_budget=512)
    assert [len(event.payload) for event in cloud.of(ev.SegmentReceived)] == [100, 100, 100, 100, 100]
    assert (report.answer, report.payload_bytes, report.reconnections) == ("blue", 301 + 201, 1)


def test_what_the_cloud_kept_is_not_spent_twice() -> None:
    cloud = Cloud(breaking(2, Photos()), session_token=b"t" * 16, keeps=True)
    report = asked(cloud, stream(1, *[100] * 12), controller="pull", byte_budget=512)
    assert len(cloud.of(ev.SegmentReceived)) == 5
    assert (report.answer, report.payload_bytes, report.reconnections) == ("blue", 501, 1)


def test_where_nothing_is_left_to_send_a_lost_photo_again_that_is_named() -> None:
    cloud = Cloud(breaking(1, Photos()))
    with pytest.raises(PayloadTooLargeError):
        asked(cloud, stream(1, *[100] * 12), controller="pull", byte_budget=256)
    assert len(cloud.of(ev.SegmentReceived)) == 2


class Narrow(MemoryConnection):
    """Takes everything, but only the first bytes leave; then it is dead."""

    def __init__(self, inner: MemoryConnection, leaves: int) -> None:
        self._inner, self._leaves, self._accepted = inner, leaves, 0
        self.left = b""

    @property
    def sent_bytes(self) -> int:
        return len(self.left)

    @property
    def received_bytes(self) -> int:
        return self._inner.received_bytes

    async def send(self, data: bytes) -> None:
        before, self._accepted = self._accepted, self._accepted + len(data)
        self.left += data[: max(0, self._leaves - before)]
        if self._accepted <= self._leaves:
            await self._inner.send(data)
        else:
            self._inner.abort()

    async def receive(self) -> bytes:
        data = await self._inner.receive()
        if not data:
            raise ConnectionLostError
        return data

    def backlog_bytes(self) -> int:
        return 0

    def delivery(self) -> Delivery:
        return Delivery(self._accepted, len(self.left), len(self.left))

    async def ping(self) -> None:
        await self._inner.ping()

    async def drain(self, limit_bytes: int = 0) -> None:
        return None

    def abort(self) -> None:
        self._inner.abort()

    async def close(self) -> None:
        await self._inner.close()


@pytest.mark.parametrize(("leaves", "charged"), [(40, 21 + 356), (150, 131 + 256), (10_000, 356)])
def test_what_never_left_is_not_spent(leaves: int, charged: int) -> None:
    """HELLO and QUESTION are a message of 19 bytes. What left behind it is charged as payload, heads of frames too; the
    rest of 430 bytes (450, as a code) is for the second connection: 409 for segments of 50 and 100 bytes, or 299."""
    cloud, ends = Cloud(Photos()), list[Narrow]()

    async def connect() -> MemoryConnection:
        inner = await cloud.open()
        assert isinstance(inner, MemoryConnection)
        ends.append(Narrow(inner, leaves if not ends else 10_000))
        return ends[-1]

    async def whole() -> AskReport:
        async with DeviceClient(connect, FakeDevice(stream(6, 50, *[100] * 4)), clock=now) as client:
            return await client.ask(PHOTO, Question("colour?", "fixed", 0, byte_budget=450), strategy="jpeg")

    report = run(whole())
    left = [end.left.count(BYTE) for end in ends]
    assert (report.answer, report.payload_bytes) == ("blue", charged)
    assert charged - 5 <= sum(left) <= charged
    assert len(ends) == (1 if leaves == 10_000 else 2)


@pytest.mark.parametrize("seed", range(60))
def test_no_stream_no_budget_and_no_broken_link_exceeds_the_bound(seed: int) -> None:
    """Three questions about two photos, over links that die; the cloud stops and asks for more as it likes."""
    chance = random.Random(seed)
    sizes = [chance.randrange(0, 100) for _ in range(chance.randrange(1, 30))]
    energy = tuple(sorted(chance.random() for _ in sizes)) if chance.random() < 0.5 else ()
    encoded = stream(chance.randrange(0, 17), *sizes, quality=energy)
    behave = Photos()

    async def fickle(cloud: Cloud, event: ev.Event) -> None:
        await behave(cloud, event)
        if isinstance(event, ev.SegmentReceived) and behave.question is not None:
            if chance.random() < 0.3:
                cloud.session.send_enough(event.image_id)
            cloud.session.send_more(event.image_id, chance.randrange(1, 40))

    cloud = Cloud(fickle, session_token=b"t" * 16, keeps=chance.random() < 0.5)
    ends, ended = list[Narrow](), list[str]()

    async def connect() -> MemoryConnection:
        inner = await cloud.open()
        assert isinstance(inner, MemoryConnection)
        ends.append(Narrow(inner, chance.choice([chance.randrange(20, 900), 10**6])))
        return ends[-1]

    def left() -> int:
        return sum(end.left.count(BYTE) for end in ends)

    async def whole() -> None:
        async with DeviceClient(connect, FakeDevice(encoded), clock=now, jitter=chance.random) as client:
            for _ in range(3):
                budget, before = chance.randrange(1, 1500), left()
                photo, controller = chance.choice([PHOTO, OTHER]), chance.choice(["fixed", "energy", "push", "pull"])
                try:
                    asked = Question("colour?", controller, byte_budget=budget)
                    report = await client.ask(photo, asked, strategy="jpeg", timeout_s=600)
                except (PayloadTooLargeError, ConnectionLostError) as error:
                    ended.append(error.name)
                else:
                    ended.append(report.answer)
                    assert left() - before <= report.payload_bytes <= budget
                assert left() - before <= budget

    run(whole())
    assert len(ended) == 3

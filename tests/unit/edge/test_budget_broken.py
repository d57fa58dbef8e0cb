"""A byte budget is never exceeded where connections break: by hand, then at random."""

from __future__ import annotations

import random

import pytest

from budget_cloud import BYTE, OTHER, PHOTO, Photos, asked, stream
from heliograph.edge.client import DeviceClient
from heliograph.edge.report import AskReport
from heliograph.errors import ConnectionLostError, PayloadTooLargeError
from heliograph.protocol import events as ev
from heliograph.question import Question
from heliograph.transport.base import Delivery
from heliograph.transport.memory import MemoryConnection
from made_up_time import now, run
from scripted_cloud import Behaviour, Cloud, FakeDevice


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

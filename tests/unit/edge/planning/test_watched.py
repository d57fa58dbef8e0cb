"""What a watched connection tells of its link: sizes and times counted by hand."""

from __future__ import annotations

import asyncio
from typing import Any

from heliograph.edge.planning.link_estimate import LinkObservation
from heliograph.edge.planning.watched import WatchedConnection
from heliograph.transport.base import Delivery


class Inner:
    """Remembers what was called; 300 bytes came while it was opened."""

    sent_bytes, received_bytes = 700, 300

    def __init__(self) -> None:
        self.called = list[Any]()

    async def send(self, data: bytes) -> None:
        self.called.append(data)

    async def receive(self) -> bytes:
        return b"reply"

    def backlog_bytes(self) -> int:
        return 11

    def delivery(self) -> Delivery:
        return Delivery(3, 2, 1)

    async def ping(self) -> None:
        self.called.append("ping")

    async def drain(self, limit_bytes: int) -> None:
        self.called.append(limit_bytes)

    async def close(self) -> None:
        self.called.append("close")

    def abort(self) -> None:
        self.called.append("abort")


class Time:
    now_s = 10.0

    def __call__(self) -> float:
        return self.now_s


def watched(inner: Inner, time: Time) -> WatchedConnection:
    """Opened in the second before 10 s."""
    return WatchedConnection(inner, time, 9.0)  # type: ignore[arg-type]


def test_everything_goes_to_the_inner_connection() -> None:
    async def whole() -> None:
        inner = Inner()
        connection = watched(inner, Time())
        await connection.send(b"data")
        await connection.send(b"")
        await connection.ping()
        await connection.drain()
        await connection.drain(7)
        await connection.close()
        connection.abort()
        assert inner.called == [b"data", b"", "ping", 256, 7, "close", "abort"]
        assert await connection.receive() == b"reply"
        assert (connection.sent_bytes, connection.received_bytes, connection.backlog_bytes()) == (700, 300, 11)
        assert connection.delivery() == Delivery(3, 2, 1)

    asyncio.run(whole())


def test_a_first_question_shows_the_opening_the_greeting_and_the_photo() -> None:
    """A message has a head of 6 bytes, with its mask; of 126 bytes and more, 8. HELLO goes out at 11 s, the question
    at 12 and the photo at 13; the greeting comes at 11.5, the answer at 15."""

    async def whole() -> None:
        inner, time = Inner(), Time()
        connection = watched(inner, time)
        time.now_s = 11.0
        await connection.send(b"h" * 20)
        time.now_s = 11.5
        await connection.receive()
        for at_s, size in ((12.0, 100), (12.5, 0), (13.0, 200)):
            time.now_s = at_s
            await connection.send(b"s" * size)
        for at_s in (14.0, 15.0):
            time.now_s = at_s
            await connection.receive()
        assert connection.observations(0.25) == [
            LinkObservation(300, 9.0, 9.5, 0.0, False),  # one of the two round trips of the opening
            LinkObservation(26, 11.0, 11.5, 0.0, False),
            LinkObservation(106 + 208, 12.0, 15.0, 0.25, True),
        ]
        connection.begin()
        assert connection.observations(0.25) == []
        time.now_s = 20.0
        await connection.send(b"q" * 30)
        time.now_s = 21.0
        await connection.receive()
        assert connection.observations(0.5) == [LinkObservation(36, 20.0, 21.0, 0.5, True)]

    asyncio.run(whole())


def test_where_nothing_came_while_it_was_opened_a_byte_is_assumed_and_no_greeting_is_no_observation() -> None:
    async def whole() -> None:
        inner, time = Inner(), Time()
        inner.received_bytes = 0
        connection = watched(inner, time)
        await connection.send(b"h" * 20)
        found = connection.observations(0.0)
        assert [(seen.size_bytes, seen.answered) for seen in found] == [(1, False), (26, True)]

    asyncio.run(whole())


def test_a_message_that_is_all_there_was_is_the_photo_too() -> None:
    async def whole() -> None:
        time = Time()
        connection = watched(Inner(), time)
        await connection.send(b"h" * 20)
        time.now_s = 12.0
        await connection.receive()
        assert connection.observations(0.0)[1:] == [
            LinkObservation(26, 10.0, 12.0, 0.0, False),
            LinkObservation(26, 10.0, 12.0, 0.0, True),
        ]

    asyncio.run(whole())


class Slow(Inner):
    """Bytes are acknowledged when a test says so."""

    pending, certain = 5, True

    def delivery(self) -> Delivery:
        return Delivery(self.pending, self.pending, 0, certain=self.certain)


def delivered(certain: bool, looks: tuple[int, ...]) -> float | None:
    """What a question says of its delivery; bytes that are pending at every look, 20 ms apart at least."""

    async def whole() -> float | None:
        inner, time = Slow(), Time()
        inner.certain = certain
        connection = watched(inner, time)
        await connection.send(b"hello")
        connection.begin()
        time.now_s = 11.0
        await connection.send(b"question")
        for pending in looks:
            time.now_s += 1.0
            inner.pending = pending
            await asyncio.sleep(0.05)
        time.now_s = 20.0
        await connection.receive()
        await connection.close()
        assert connection._look is None
        return connection.observations(0.5)[-1].delivered_s

    return asyncio.run(whole())


def test_when_the_last_byte_was_delivered_is_noted_where_the_system_says() -> None:
    assert delivered(True, (5, 5, 0)) == 14.0
    assert delivered(True, (5, 5)) is None
    assert delivered(False, (5, 0)) is None

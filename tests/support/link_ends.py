"""A device's link whose connection and session are the test's own, on made-up time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from heliograph.edge.link import DeviceLink
from heliograph.errors import ConnectionLostError, HeliographError
from heliograph.protocol import events as ev
from heliograph.transport.base import Delivery
from made_up_time import now, run


class Session:
    """Says what it is told to, and makes the events of the message that came."""

    def __init__(self, *, has_key: bool = False) -> None:
        self.closed, self.started, self.has_key = False, False, has_key
        self.open_questions: tuple[int, ...] = ()
        self.queued = b""
        self.heard_s = list[float]()

    def start(self) -> None:
        self.started = True

    def bytes_to_send(self) -> bytes:
        data, self.queued = self.queued, b""
        return data

    def receive(self, events: list[ev.Event], now_s: float) -> list[ev.Event]:
        self.heard_s.append(now_s)
        self.closed = self.closed or any(isinstance(event, ev.SessionClosed) for event in events)
        return events

    def close(self) -> None:
        self.closed = True


class Wire:
    """A connection whose other end is the test."""

    def __init__(self) -> None:
        self.sent, self.drained = list[bytes](), list[int]()
        self.coming: asyncio.Queue[Any] = asyncio.Queue()
        self.received_bytes = 0
        self.left = asyncio.Event()
        self.left.set()
        self.send_error: HeliographError | None = None
        self.ping_error: HeliographError | None = None
        self.pings_s, self.pongs = list[float](), asyncio.Event()
        self.close_s, self.closes, self.aborts = 0.0, 0, 0

    def delivery(self) -> Delivery:
        size = sum(map(len, self.sent))
        return Delivery(size, size, size)

    async def send(self, data: bytes) -> None:
        await self.left.wait()
        if self.send_error is not None:
            raise self.send_error
        if data:
            self.sent.append(data)

    async def receive(self) -> Any:
        came = await self.coming.get()
        if isinstance(came, HeliographError):
            raise came
        self.received_bytes += 1
        return came

    async def ping(self) -> None:
        self.pings_s.append(now())
        if self.ping_error is not None:
            raise self.ping_error
        await self.pongs.wait()

    async def drain(self, limit_bytes: int) -> None:
        self.drained.append(limit_bytes)

    async def close(self) -> None:
        self.closes += 1
        await asyncio.sleep(self.close_s)
        raise ConnectionLostError

    def abort(self) -> None:
        self.aborts += 1


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


Test = Callable[[DeviceLink, Session, Wire], Awaitable[None]]


def check(test: Test, *, has_key: bool = False, **how: float) -> None:
    async def whole() -> None:
        session, wire = Session(has_key=has_key), Wire()
        link = DeviceLink(wire, session, now, **how)  # type: ignore[arg-type]
        await test(link, session, wire)
        await link.abandon()
        assert {task.get_coro().__qualname__ for task in asyncio.all_tasks()} <= {"check.<locals>.whole", "wait_for"}  # type: ignore[union-attr]

    run(whole())

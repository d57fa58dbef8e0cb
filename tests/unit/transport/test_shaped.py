"""The shaped connection over memory, in virtual time: exact, and without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from heliograph.errors import ConnectionLostError
from heliograph.transport.links import LinkProfile
from heliograph.transport.memory import MemoryConnection, memory_pair
from heliograph.transport.shaped import SOCKET_BUFFER_BYTES, ShapedConnection, open_shaped

LINK = LinkProfile(up_bit_s=8000.0, down_bit_s=80_000.0, one_way_delay_s=0.1)  # 1 kB/s up, 10 kB/s down


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer in place of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.virtual_s = 0.0
        real_select: Callable[[float | None], Any] = self._selector.select  # type: ignore[attr-defined]

        def select(timeout: float | None) -> Any:
            self.virtual_s += timeout or 0.0
            return real_select(0)

        self._selector.select = select  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.virtual_s


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(asyncio.wait_for(scenario(), 1000))
    finally:
        loop.close()


def now() -> float:
    return asyncio.get_running_loop().time()


def shaped(inner: Any, link: LinkProfile = LINK) -> ShapedConnection:
    return ShapedConnection(inner, link, clock=now, up_bytes=lambda n: n, down_bytes=lambda n: n)


def test_both_directions_take_the_time_of_the_link() -> None:
    async def scenario() -> None:
        device, cloud = memory_pair()
        link = shaped(device)
        await link.send(b"x" * 500)
        await link.send(b"y" * 500)
        assert await cloud.receive() == b"x" * 500
        assert now() == pytest.approx(0.6)
        assert await cloud.receive() == b"y" * 500
        assert now() == pytest.approx(1.1)
        await cloud.send(b"z" * 1000)
        assert await link.receive() == b"z" * 1000
        assert now() == pytest.approx(1.3)
        assert (link.sent_bytes, link.received_bytes) == (1000, 1000)
        await link.close()

    run(scenario)


def test_messages_travel_while_others_are_on_the_way() -> None:
    async def scenario() -> None:
        device, cloud = memory_pair()
        link = shaped(device, LinkProfile(1e9, 1e9, 5.0))
        for number in range(10):
            await link.send(bytes([number]))
        arrived = [await cloud.receive() for _ in range(10)]
        assert arrived == [bytes([number]) for number in range(10)]
        assert now() < 5.1  # one delay for all, not one for each
        await link.close()

    run(scenario)


def test_drain_leaves_little_unsent_so_that_enough_saves_the_rest() -> None:
    async def device_side(link: ShapedConnection) -> int:
        enough = asyncio.ensure_future(link.receive())
        sent = 0
        while not enough.done() and sent < 100:
            await link.send(b"s" * 100)
            sent += 1
            await link.drain(200)
            assert link.backlog_bytes() <= 200
        await enough
        return sent

    async def scenario() -> None:
        device, cloud = memory_pair()
        link = shaped(device)
        task = asyncio.ensure_future(device_side(link))
        for _ in range(5):
            await cloud.receive()
        await cloud.send(b"!")
        sent = await task
        # 5 arrived; a round trip carries 2 more, and 200 bytes queue: never the whole 100
        assert 7 <= sent <= 11
        await link.close()

    run(scenario)


def test_send_waits_behind_a_small_socket_buffer() -> None:
    async def scenario() -> None:
        device, _ = memory_pair()
        link = shaped(device)
        await link.send(b"x" * (SOCKET_BUFFER_BYTES + 1000))
        await link.send(b"y")
        assert now() == pytest.approx(1.0)
        assert link.backlog_bytes() == SOCKET_BUFFER_BYTES + 1
        await link.close()

    run(scenario)


def test_the_end_crosses_the_link_after_what_was_sent_before() -> None:
    async def scenario() -> None:
        device, cloud = memory_pair()
        link = shaped(device)
        await cloud.send(b"last")
        await cloud.close()
        assert [await link.receive(), await link.receive(), await link.receive()] == [b"last", b"", b""]
        await link.send(b"into the void")  # the loss shows when this arrives
        await asyncio.sleep(1)
        with pytest.raises(ConnectionLostError):
            await link.send(b"x")
        await link.close()

    run(scenario)


def test_a_cancelled_receive_loses_nothing() -> None:
    async def scenario() -> None:
        device, cloud = memory_pair()
        link = shaped(device)
        await cloud.send(b"answer")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(link.receive(), 0.05)
        assert await link.receive() == b"answer"
        await link.close()

    run(scenario)


def test_close_ends_a_waiting_receive_and_drops_what_is_on_its_way() -> None:
    async def scenario() -> None:
        device, cloud = memory_pair()
        link = shaped(device)
        waiting = asyncio.ensure_future(link.receive())
        await link.send(b"x" * 1000)
        await link.close()
        assert await waiting == b""
        assert await cloud.receive() == b""
        with pytest.raises(ConnectionLostError):
            await link.send(b"x")

    run(scenario)


def test_open_shaped_waits_for_the_handshake() -> None:
    async def scenario() -> None:
        opened_s = list[float]()

        async def open_inner() -> MemoryConnection:
            opened_s.append(now())
            device, cloud = memory_pair()
            await device.send(b"r" * 300)  # stands for the HTTP request
            await cloud.receive()
            return device

        link = await open_shaped(open_inner, LINK, now)
        assert now() == pytest.approx(0.4 + 0.3)
        assert opened_s == pytest.approx([0.3 + 0.15])  # a request of 150 bytes would be there, and not before
        await link.close()

    run(scenario)


def test_memory_pair_is_bounded_and_ends_in_order() -> None:
    async def scenario() -> None:
        device, cloud = memory_pair()
        for _ in range(64):
            await device.send(b"m")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(device.send(b"one too many"), 1)
        await device.send(b"")  # nothing to send is not an end
        await device.close()
        assert [await cloud.receive() for _ in range(65)] == [b"m"] * 64 + [b""]
        assert (device.sent_bytes, cloud.received_bytes) == (64, 64)
        with pytest.raises(ConnectionLostError):
            await cloud.send(b"x")

    run(scenario)

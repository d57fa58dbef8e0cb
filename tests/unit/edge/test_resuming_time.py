"""When a device tries again, how long, and when it gives up: a client on made-up time, every number by hand.

Pauses are 0, 0.25, 0.5, 1, 2, 4, 4 ... s after breaks, and 1, 2, 4, 8, 15 ... s of a full cloud; jitter 1 leaves them
whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from PIL import Image

from heliograph.edge.client import DeviceClient
from heliograph.errors import (
    ConnectionLostError,
    HeliographError,
    ServerBusyError,
    ServerUnreachableError,
    TimedOutError,
    UnauthorizedError,
)
from heliograph.protocol import events as ev
from heliograph.question import Question
from heliograph.transport.base import Connection, Delivery
from heliograph.transport.memory import MemoryConnection
from made_up_time import now, run
from scripted_cloud import PHOTO, Cloud, FakeDevice, final_at_the_end, stream

Open = Callable[[], Awaitable[Connection]]


class Opener:
    """Opens what each attempt is given, the last one for ever: a cloud, an error, or seconds that it takes first."""

    def __init__(self, *attempts: Any) -> None:
        self.attempts, self.at_s = list(attempts), list[float]()

    async def __call__(self) -> Connection:
        self.at_s.append(now())
        made = self.attempts.pop(0) if len(self.attempts) > 1 else self.attempts[0]
        if isinstance(made, tuple):
            await asyncio.sleep(made[0])
            made = made[1]
        if isinstance(made, type):
            raise made()
        connection: Connection = await made.open()
        return connection


def ask(
    opener: Open,
    *,
    then: float | None = None,
    timeout_s: float = 120.0,
    segments: int = 5,
    question: str | Question = "colour?",
    **how: Any,
) -> tuple[Any, float]:
    """What comes of a question, or of another one some seconds later, and when."""

    async def whole() -> tuple[Any, float]:
        async with DeviceClient(
            opener, FakeDevice(stream(segments)), clock=now, **({"jitter": lambda: 1.0} | how)
        ) as client:
            for wait_s in (0.0, *([] if then is None else [then])):
                await asyncio.sleep(wait_s)
                try:
                    found: Any = (await client.ask(PHOTO, question, strategy="jpeg", timeout_s=timeout_s)).answer
                except HeliographError as error:
                    found = error
                ended_s = now()
            return found, ended_s

    return run(whole())


async def breaks(cloud: Cloud, event: ev.Event) -> None:
    if isinstance(event, ev.QuestionAsked):
        await cloud.connections[-1].close()


def test_where_nobody_ever_was_nothing_is_tried_again() -> None:
    opener = Opener(ServerUnreachableError)
    found, ended_s = ask(opener)
    assert (type(found), ended_s, opener.at_s) == (ServerUnreachableError, 0.0, [0.0])


def test_an_error_that_trying_again_does_not_mend_ends_the_question() -> None:
    opener = Opener(Cloud(breaks), UnauthorizedError)
    found, ended_s = ask(opener)
    assert (type(found), ended_s, opener.at_s) == (UnauthorizedError, 0.0, [0.0, 0.0])


def test_after_a_break_the_pauses_grow_until_the_link_is_back() -> None:
    unreachable = [ServerUnreachableError] * 6
    opener, told = Opener(Cloud(breaks), *unreachable, Cloud(final_at_the_end())), list[type]()
    found, ended_s = ask(opener, on_retry=lambda error: told.append(type(error)))
    assert (found, ended_s) == ("blue", 11.75)
    assert opener.at_s == [0, 0, 0.25, 0.75, 1.75, 3.75, 7.75, 11.75]
    assert told == [ServerUnreachableError] * 6


def test_jitter_shortens_the_pauses() -> None:
    opener = Opener(Cloud(breaks), *[ServerUnreachableError] * 3, Cloud(final_at_the_end()))
    ask(opener, jitter=lambda: 0.5)
    assert opener.at_s == [0, 0, 0.1875, 0.5625, 1.3125]


def test_a_question_that_breaks_every_connection_is_given_up_after_eight() -> None:
    opener = Opener(Cloud(breaks))
    found, ended_s = ask(opener)
    assert (type(found), ended_s) == (ConnectionLostError, 15.75)
    assert opener.at_s == [0, 0, 0.25, 0.75, 1.75, 3.75, 7.75, 11.75, 15.75]


def test_a_segment_more_in_the_cloud_begins_the_count_and_the_pauses_anew() -> None:
    """Every connection takes one message more, of two segments: twenty of them for forty, and none in vain."""

    async def one_more(cloud: Cloud, event: ev.Event) -> None:
        if isinstance(event, ev.SegmentReceived) and event.index < 38:
            await cloud.connections[-1].close()
        elif isinstance(event, ev.ImageFinished):
            cloud.final()

    opener = Opener(Cloud(one_more, session_token=b"t" * 16, keeps=True))
    assert ask(opener, segments=40) == ("blue", 0.0)
    assert opener.at_s == [0.0] * 20


def test_where_only_the_answer_is_missing_the_question_is_asked_again_at_once() -> None:
    async def breaks_at_the_end(cloud: Cloud, event: ev.Event) -> None:
        if isinstance(event, ev.ImageFinished):
            await cloud.connections[0].close()
        elif isinstance(event, ev.QuestionAsked) and len(cloud.connections) == 2:
            cloud.final("green" if not event.image_follows else "blue")

    cloud = Cloud(breaks_at_the_end, session_token=b"t" * 16, keeps=True)
    assert ask(Opener(cloud)) == ("green", 0.0)
    assert len(cloud.of(ev.SegmentReceived)) == 5


def test_where_a_stream_that_waits_for_more_is_taken_up_the_question_is_asked_again_at_once() -> None:
    async def breaks_at_the_chunk(cloud: Cloud, event: ev.Event) -> None:
        if isinstance(event, ev.SegmentReceived) and event.index == 1:
            await cloud.connections[0].close()
        elif isinstance(event, ev.QuestionAsked) and len(cloud.connections) == 2:
            cloud.final()

    cloud = Cloud(breaks_at_the_chunk, session_token=b"t" * 16, keeps=True)
    assert ask(Opener(cloud), question=Question("colour?", "fixed", 0, byte_budget=256), segments=8) == ("blue", 0.0)


def test_how_long_to_try_can_be_bounded() -> None:
    opener = Opener(Cloud(breaks), ServerUnreachableError)
    found, ended_s = ask(opener, reconnect_s=3.0)
    assert (type(found), ended_s) == (ConnectionLostError, 1.75)  # the next one would begin at 3.75
    assert opener.at_s == [0, 0, 0.25, 0.75, 1.75]


def test_a_pause_that_ends_with_the_time_is_not_waited_for() -> None:
    opener = Opener(Cloud(breaks), ServerUnreachableError)
    found, ended_s = ask(opener, reconnect_s=1.75)
    assert (type(found), ended_s, opener.at_s) == (ConnectionLostError, 0.75, [0, 0, 0.25, 0.75])


def test_not_at_all_means_not_once() -> None:
    opener = Opener(Cloud(breaks))
    found, ended_s = ask(opener, reconnect_s=0)
    assert (type(found), ended_s, opener.at_s) == (ConnectionLostError, 0.0, [0.0])


def test_a_session_that_broke_is_opened_anew_for_the_next_question_where_nothing_is_tried_again() -> None:
    opener = Opener(Cloud(breaks, session_token=b"t" * 16), later := Cloud(final_at_the_end()))
    found, ended_s = ask(opener, reconnect_s=0, then=5.0)
    assert (found, ended_s, opener.at_s) == ("blue", 5.0, [0.0, 5.0])
    assert later.shown == []


def test_the_questions_own_time_ends_the_trying() -> None:
    opener = Opener(Cloud(breaks), ServerUnreachableError)
    found, ended_s = ask(opener, timeout_s=5.0)
    assert (type(found), ended_s) == (ConnectionLostError, 3.75)


def test_a_full_cloud_is_asked_again_later_and_the_last_word_is_that_it_is_full() -> None:
    opener = Opener(ServerBusyError)
    found, ended_s = ask(opener, timeout_s=60.0)
    assert (type(found), ended_s) == (ServerBusyError, 45.0)
    assert opener.at_s == [0, 1, 3, 7, 15, 30, 45]


def test_a_full_cloud_that_has_room_again() -> None:
    opener = Opener(ServerBusyError, ServerBusyError, Cloud(final_at_the_end()))
    assert ask(opener) == ("blue", 3.0)


def test_a_cloud_that_is_full_for_this_question_is_asked_again_over_the_same_connection() -> None:
    async def full_once(cloud: Cloud, event: ev.Event) -> None:
        if isinstance(event, ev.QuestionAsked) and len(cloud.of(ev.QuestionAsked)) == 1:
            cloud.session.send_error(ServerBusyError(), event.question_id)
        elif len(cloud.of(ev.QuestionAsked)) == 2 and cloud.of(ev.ImageFinished):
            cloud.final()

    cloud = Cloud(full_once)
    opener = Opener(cloud)
    assert ask(opener) == ("blue", 1.0)
    assert opener.at_s == [0.0]


# ---- opening that takes long ---------------------------------------------------------------------------
@pytest.mark.parametrize(("timeout_s", "limit_s"), [(120.0, 60.0), (30.0, 15.0), (12.0, 10.0)])
def test_the_first_opening_may_take_half_of_the_questions_time_and_at_least_ten_seconds(
    timeout_s: float, limit_s: float
) -> None:
    opener = Opener((1000.0, ServerUnreachableError))
    found, ended_s = ask(opener, timeout_s=timeout_s)
    assert (type(found), ended_s, opener.at_s) == (ServerUnreachableError, limit_s, [0.0])
    assert found.__notes__ == [f"It did not answer within {limit_s:.0f} s."]


@pytest.mark.parametrize(("opening_s", "limits_s"), [(0.0, [10, 20, 40]), (2.5, [10, 20, 40]), (6.0, [24, 48, 96])])
def test_later_openings_may_take_four_times_the_slowest_and_twice_as_long_after_each_that_took_longer(
    opening_s: float, limits_s: list[float]
) -> None:
    slow = (1000.0, ServerUnreachableError)
    opener = Opener((opening_s, Cloud(breaks)), slow, slow, slow, Cloud(final_at_the_end()))
    found, _ = ask(opener, timeout_s=600.0)
    assert found == "blue"
    began_s = opening_s
    expected = [0.0]
    for pause_s, limit_s in zip((0.0, 0.25, 0.5, 1.0), (*limits_s, 0.0), strict=True):
        expected.append(began_s := began_s + pause_s)
        began_s += limit_s
    assert opener.at_s == expected


def test_an_opener_with_a_limit_of_its_own_found_nobody_either() -> None:
    assert type(ask(Opener(TimedOutError))[0]) is ServerUnreachableError


def test_an_opening_that_was_quick_again_takes_the_usual_limit() -> None:
    slow = (1000.0, ServerUnreachableError)
    opener = Opener(Cloud(breaks), slow, Cloud(breaks), slow, Cloud(final_at_the_end()))
    assert ask(opener, timeout_s=600.0)[0] == "blue"
    assert opener.at_s == [0, 0, 10.25, 10.75, 21.75]  # 10 s each, and the pauses go on growing: nothing was achieved


# ---- links that break in silence -----------------------------------------------------------------------
class Silent(MemoryConnection):
    """Takes everything and carries nothing, as a flow that was forgotten on the way."""

    def __init__(self) -> None:
        self._taken, self.aborted_s = 0, list[float]()
        self._never = asyncio.Event()

    @property
    def sent_bytes(self) -> int:
        return self._taken

    @property
    def received_bytes(self) -> int:
        return 0

    async def send(self, data: bytes) -> None:
        self._taken += len(data)

    async def receive(self) -> bytes:
        await self._never.wait()
        return b""

    def backlog_bytes(self) -> int:
        return 0

    def delivery(self) -> Delivery:
        return Delivery(self._taken, self._taken, 0)

    async def ping(self) -> None:
        await self._never.wait()

    async def drain(self, limit_bytes: int = 0) -> None:
        return None

    def abort(self) -> None:
        self.aborted_s.append(now())

    async def close(self) -> None:
        return None


def test_a_half_open_link_is_let_go_of_after_eight_seconds() -> None:
    silent = list[Silent]()

    class Half:
        async def open(self) -> Connection:
            silent.append(Silent())
            return silent[-1]

    opener = Opener(Half(), Cloud(final_at_the_end()))
    found, ended_s = ask(opener)
    assert found == "blue"
    assert opener.at_s == [0.0, ended_s]
    assert 8.0 <= ended_s <= 8.5  # it looks every half second
    assert silent[0].aborted_s == [ended_s]


def test_a_link_that_answers_pings_is_not_half_open_however_long_the_answer_takes() -> None:
    async def slow(cloud: Cloud, event: ev.Event) -> None:
        if isinstance(event, ev.ImageFinished):
            loop = asyncio.get_running_loop()
            loop.call_later(100.0, answer, cloud)

    def answer(cloud: Cloud) -> None:
        cloud.final()
        answering.append(asyncio.ensure_future(cloud.connections[-1].send(cloud.session.bytes_to_send())))

    answering = list[Any]()
    opener = Opener(Cloud(slow))
    assert ask(opener) == ("blue", 100.0)
    assert opener.at_s == [0.0]


# ---- a question whose time is over ---------------------------------------------------------------------
def test_a_question_that_was_not_answered_in_time_is_cancelled_in_the_cloud_and_its_photo_forgotten() -> None:
    async def never(cloud: Cloud, event: ev.Event) -> None:
        cancelled.extend([now()] if isinstance(event, ev.QuestionCancelled) else [])
        if len(cloud.of(ev.QuestionAsked)) == 2 and isinstance(event, ev.ImageFinished):
            cloud.final()

    cancelled = list[float]()
    cloud = Cloud(never)
    found, ended_s = ask(Opener(cloud), timeout_s=7.0, then=1.0)
    assert (found, ended_s, cancelled) == ("blue", 8.0, [7.0])
    first, second = cloud.of(ev.ImageAnnounced)
    assert [event.image_id for event in cloud.of(ev.ImageForgotten)] == [first.image_id]
    assert second.image_id > first.image_id


def test_a_late_answer_to_a_question_that_was_given_up_is_none_to_the_next() -> None:
    async def late(cloud: Cloud, event: ev.Event) -> None:
        if isinstance(event, ev.QuestionAsked) and len(cloud.of(ev.QuestionAsked)) == 2:
            cloud.final("theirs")

    assert ask(Opener(Cloud(late)), timeout_s=7.0, then=0.0) == ("theirs", 7.0)


def test_the_deadline_counts_from_the_asking_also_for_a_question_that_waits_for_its_turn() -> None:
    async def silent(cloud: Cloud, event: ev.Event) -> None:
        return None

    async def whole() -> list[float]:
        ended = list[float]()

        async def one(client: DeviceClient) -> None:
            with pytest.raises(TimedOutError):
                await client.ask(PHOTO, "colour?", strategy="jpeg", timeout_s=3.0)
            ended.append(now())

        async with DeviceClient(Cloud(silent).open, FakeDevice(stream(1)), clock=now) as client:
            await asyncio.gather(one(client), one(client))
        return ended

    assert run(whole()) == [3.0, 3.0]


# ---- photos that are forgotten -------------------------------------------------------------------------
def test_the_oldest_photo_is_forgotten_in_the_cloud_when_there_are_too_many() -> None:
    async def whole() -> tuple[list[int], list[int]]:
        cloud = Cloud(final_at_the_end())
        async with DeviceClient(cloud.open, FakeDevice(stream(1)), clock=now) as client:
            for _ in range(34):
                await client.ask(Image.new("RGB", (8, 8)), "colour?", strategy="jpeg")
        announced = [event.image_id for event in cloud.of(ev.ImageAnnounced)]
        return announced, [event.image_id for event in cloud.of(ev.ImageForgotten)]

    announced, forgotten = run(whole())
    assert forgotten == announced[:2]

"""One connection with its session, on made-up time: what is carried, who waits for it, and what its end is called."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heliograph.edge.link import DeviceLink
from heliograph.errors import (
    AnsweringFailedError,
    ConnectionLostError,
    HeliographError,
    ServerBusyError,
    StreamForgedError,
    TimedOutError,
    TooManyError,
)
from heliograph.protocol import events as ev
from heliograph.reasons import ForgedFault
from link_ends import Session, Wire, check, settle
from made_up_time import now

WELCOME = ev.WelcomeReceived("model", b"12345678", b"t" * 16)
DRAFT = ev.DraftReceived(1, "blue", 0.5, 1)


# ---- what goes out -------------------------------------------------------------------------------------
def test_what_was_queued_goes_out_as_one_message_when_it_is_flushed() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        assert session.started
        session.queued += b"hello"
        await settle()
        assert wire.sent == []
        session.queued += b", you"
        link.flush()
        await link.room()
        assert (wire.sent, wire.drained) == ([b"hello, you"], [256])
        await link.room(40)
        assert wire.drained == [256, 40]

    check(test)


def test_there_is_no_room_before_everything_that_was_flushed_is_on_its_way() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        wire.left.clear()
        session.queued = b"one"
        link.flush()
        room = asyncio.create_task(link.room())
        await settle()
        session.queued = b"two"
        link.flush()  # while the first message is being sent
        await settle()
        wire.left.set()
        wire.left.clear()  # the first one has left, the second one waits
        await settle()
        assert (wire.sent, room.done()) == ([b"one"], False)
        wire.left.set()
        await room
        assert wire.sent == [b"one", b"two"]

    check(test)


def test_a_link_that_was_not_used_has_room() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        assert link.opening_s == 0.0
        await link.room(7)
        assert (wire.sent, wire.drained) == ([], [7])

    check(test)


def test_payload_counts_as_unsent_until_its_message_has_left() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        link.queue_payload(3)
        assert link.payload_unsent == 3
        session.queued = b"head and 123"
        link.flush()
        await link.room()
        assert link.payload_unsent == 0

    check(test)


def test_what_the_session_answers_goes_out_by_itself() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        session.queued = b"answer"
        await asyncio.sleep(2.5)
        wire.coming.put_nowait([])
        await settle()
        assert (wire.sent, session.heard_s) == ([b"answer"], [2.5])

    check(test)


# ---- what comes in -------------------------------------------------------------------------------------
def test_the_greeting_says_what_the_cloud_holds() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        assert (link.greeted, link.session_token, link.cloud_bundle_hash) == (False, b"", b"")
        greeting = asyncio.create_task(link.welcome())
        await settle()
        assert not greeting.done()
        wire.coming.put_nowait([WELCOME, DRAFT])
        assert await greeting == WELCOME
        assert (link.greeted, link.session_token, link.cloud_bundle_hash) == (True, b"t" * 16, b"12345678")
        assert [await link.event(), await link.event()] == [WELCOME, DRAFT]
        assert (link.usable, link.failure) == (True, None)

    check(test)


def test_events_that_nobody_waited_for_can_be_dropped() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        wire.coming.put_nowait([DRAFT, DRAFT])
        await settle()
        link.drop_events()
        wire.coming.put_nowait([WELCOME])
        assert await link.event() == WELCOME

    check(test)


# ---- the end -------------------------------------------------------------------------------------------
def test_a_connection_that_breaks_while_sending_ends_whatever_waits() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        wire.send_error = ConnectionLostError()
        link.flush()
        greeting = asyncio.create_task(link.welcome())
        with pytest.raises(ConnectionLostError):
            await link.room()
        with pytest.raises(ConnectionLostError):
            await greeting
        assert (link.usable, link.failure, wire.drained) == (False, wire.send_error, [])
        assert await link.event() == ev.SessionClosed(ConnectionLostError)

    check(test)


def test_the_first_failure_is_the_reason_and_is_told_once() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        wire.coming.put_nowait(first := TimedOutError())
        await settle()
        wire.send_error = ConnectionLostError()
        link.flush()
        await settle()
        assert link.failure is first
        assert [await link.event(), link._events.empty()] == [ev.SessionClosed(TimedOutError), True]

    check(test)


def test_a_session_that_ends_behind_a_failure_ends_because_of_it() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        wire.send_error = TimedOutError()
        link.flush()
        await settle()
        wire.coming.put_nowait([ev.SessionClosed(TooManyError)])
        await settle()
        assert type(link.failure) is TimedOutError
        assert await link.event() == await link.event() == ev.SessionClosed(TimedOutError)

    check(test)


@pytest.mark.parametrize(
    ("greeted", "has_key", "closed", "named", "fault"),
    [
        (False, False, None, ConnectionLostError, None),
        (False, False, AnsweringFailedError, AnsweringFailedError, None),
        (False, False, TooManyError, ServerBusyError, None),  # of devices: this one has nothing yet
        (False, False, StreamForgedError, StreamForgedError, ForgedFault.KEY_WANTED),
        (False, True, StreamForgedError, StreamForgedError, ForgedFault.KEY_REFUSED),
        (True, True, None, ConnectionLostError, None),
        (True, True, TooManyError, TooManyError, None),
        (True, True, StreamForgedError, StreamForgedError, StreamForgedError.received().args),
    ],
)
def test_the_end_of_a_session_is_named(
    greeted: bool, has_key: bool, closed: Any, named: type[HeliographError], fault: Any
) -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        if greeted:
            wire.coming.put_nowait([WELCOME])
            await link.event()
        wire.coming.put_nowait([ev.SessionClosed(closed)])
        assert await link.event() == ev.SessionClosed(named)
        assert type(link.failure) is named
        assert not link.usable
        if isinstance(fault, ForgedFault):
            assert str(link.failure) == str(StreamForgedError(fault))
        if not greeted:
            with pytest.raises(named):
                await link.welcome()
        link.flush()
        await settle()
        assert link._tasks[1].done()  # nothing is read behind the end

    check(test, has_key=has_key)


def test_nobody_waits_for_room_once_the_session_is_over() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        wire.left.clear()
        link.flush()
        room = asyncio.create_task(link.room())
        await settle()
        wire.coming.put_nowait([ev.SessionClosed(None)])
        with pytest.raises(ConnectionLostError):
            await room

    check(test)


def test_a_session_that_is_closed_is_not_usable_even_where_nothing_failed() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        assert link.usable
        session.closed = True
        assert not link.usable

    check(test)


@pytest.mark.parametrize(("close_s", "took_s"), [(0.5, 0.5), (1.9, 1.9), (60.0, 2.0)])
def test_closing_takes_two_seconds_at_most_and_what_fails_then_does_not_matter(close_s: float, took_s: float) -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        wire.close_s = close_s
        await link.close()
        assert (session.closed, wire.closes, wire.aborts) == (True, 1, 0)
        assert now() == pytest.approx(took_s)
        assert all(task.done() for task in link._tasks)

    check(test)


def test_letting_go_says_nothing() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        await link.abandon()
        assert (session.closed, wire.closes, wire.aborts) == (True, 0, 1)
        assert all(task.done() for task in link._tasks)

    check(test)


# ---- is anybody there? ---------------------------------------------------------------------------------
async def greeted_and_asked(link: DeviceLink, session: Session, wire: Wire) -> None:
    """Half a minute of silence means nothing once the greeting is there; then an answer is owed."""
    wire.coming.put_nowait([WELCOME])
    await link.event()
    await asyncio.sleep(30.0)
    assert wire.pings_s == []
    session.open_questions = (1,)
    link.flush()
    await settle()


def test_a_cloud_that_owes_an_answer_is_asked_for_a_sign_of_life_and_given_up_after_eight_seconds() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        await greeted_and_asked(link, session, wire)
        assert await link.event() == ev.SessionClosed(ConnectionLostError)
        assert wire.pings_s == [pytest.approx(33.0, abs=0.51)]  # one, while it is not answered
        assert 38.0 <= now() <= 38.6

    check(test)


def test_a_greeting_is_owed_from_the_beginning() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        with pytest.raises(ConnectionLostError):
            await link.welcome()
        assert 8.0 <= now() <= 8.6

    check(test)


def test_a_link_that_opened_slowly_is_given_four_openings() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        with pytest.raises(ConnectionLostError):
            await link.welcome()
        assert 20.0 <= now() <= 20.6

    check(test, opening_s=5.0)


def test_a_cloud_that_answers_pings_is_waited_for_and_asked_again() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        wire.pongs.set()
        await greeted_and_asked(link, session, wire)
        await asyncio.sleep(60.0)
        assert link.usable
        assert 12 <= len(wire.pings_s) <= 20  # every three to five seconds
        session.open_questions = ()
        await asyncio.sleep(5.0)
        pings = len(wire.pings_s)
        await asyncio.sleep(60.0)
        assert len(wire.pings_s) == pings  # nothing is owed any more

    check(test)


def test_a_ping_that_fails_is_the_end() -> None:
    async def test(link: DeviceLink, session: Session, wire: Wire) -> None:
        wire.ping_error = TimedOutError()
        await greeted_and_asked(link, session, wire)
        assert await link.event() == ev.SessionClosed(TimedOutError)
        assert len(wire.pings_s) == 1

    check(test)

"""When a session's attendant does what: its timers and what is overdue, on made-up time."""

import asyncio

import pytest

from heliograph.errors import TimedOutError
from heliograph.protocol.events import (
    EnoughReceived,
    ErrorReceived,
    FinalReceived,
)
from heliograph.serving.desk.states import QuestionState
from heliograph.serving.jobs import Purpose

HASH = b"8 bytes!"


# ---- time --------------------------------------------------------------------------------------------
def test_the_controller_is_asked_again_when_an_answer_is_due(attended):
    async def test(one):
        one.shared.patience.note_answer(2.0)
        one.ask(answer_within_s=5.0)  # on the wire as a code: 4.8 s or so
        one.photo()
        watching = asyncio.ensure_future(one.attendant.observer.run())
        controller = one.desk.questions[0].controller
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked = len(controller.seen)
        await asyncio.sleep(2.0)
        assert len(controller.seen) == asked
        await asyncio.sleep(1.5)
        watching.cancel()
        assert len(controller.seen) == asked + 1
        within_s = one.desk.questions[0].asked.question.answer_within_s
        assert controller.seen[-1].elapsed_s == pytest.approx(within_s - 2.0, abs=0.01)
        assert controller.seen[-1].answer_s == 2.0

    attended(test)


def test_a_draft_that_is_held_back_calls_the_scheduler_in_time(attended):
    async def test(one):
        one.shared.patience.note_answer(4.0)  # held back for 1 s
        one.ask(0, 0)
        one.photo()
        one.shared.scheduler.remove(one.attendant)
        assert one.attendant.next_job() is None
        await asyncio.sleep(0.9)
        assert not one.shared.scheduler.waiting
        await asyncio.sleep(0.2)
        assert list(one.shared.scheduler.waiting) == [one.attendant]
        assert one.attendant.next_job().purpose is Purpose.DRAFT

    attended(test)


def test_what_is_overdue_is_answered_from_what_came_or_fails(attended):
    async def test(one):
        one.ask(0, 0)
        one.photo(0)
        one.ask(1, 1)
        one.hear()
        await asyncio.sleep(99)
        one.attendant.tidy()
        assert one.hear() == []
        await asyncio.sleep(1)
        one.attendant.tidy()
        (failed,) = one.hear()
        assert failed == ErrorReceived(TimedOutError, 1)
        assert one.desk.questions[0].state is QuestionState.ANSWERING
        one.attendant.decide(0)
        one.answered()
        assert one.kinds() == [EnoughReceived, FinalReceived]

    attended(test, question_timeout_s=100.0)


def test_nothing_is_overdue_while_a_frame_is_half_here(attended):
    async def test(one):
        one.ask(0, 0)
        one.photo(0)
        one.device.send_segment(0, b"x" * 50)
        data = one.device.bytes_to_send()
        await asyncio.sleep(60)
        list(one.session.receive(data[:9], one.now()))
        await asyncio.sleep(99)
        one.attendant.tidy()
        assert one.desk.questions[0].state is QuestionState.STREAMING
        await asyncio.sleep(1)  # it has been quiet for so long too
        one.attendant.tidy()
        assert one.desk.questions[0].state is QuestionState.ANSWERING

    attended(test, question_timeout_s=100.0)


def test_a_closed_session_is_not_tidied(attended):
    async def test(one):
        one.ask(0, 0)
        one.photo(0)
        one.session.close()
        await asyncio.sleep(500)
        wakes = one.outlet.wakes
        one.attendant.tidy()
        one.attendant.decide(0)
        assert one.attendant.next_job() is None
        assert one.outlet.wakes == wakes
        assert one.desk.questions[0].state is QuestionState.STREAMING

    attended(test)

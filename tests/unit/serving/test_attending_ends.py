"""What ends at a session's attendant and what that leaves behind: timers, places in line, drafts, photos, log lines."""

import asyncio
import logging
from types import SimpleNamespace

import pytest

from heliograph.controllers.base import Enough, Wait
from heliograph.errors import TooManyRegionsError
from heliograph.protocol.events import EnoughReceived
from heliograph.serving.desk.states import QuestionState
from heliograph.serving.jobs import Outcome, Purpose


def line_of(one):
    return list(one.shared.scheduler.waiting)


def test_who_has_stopped_leaves_the_line_and_comes_back_by_no_timer(attended):
    async def test(one):
        one.shared.patience.note_answer(4.0)  # drafts are held back for 1 s
        one.ask(answer_within_s=5.0)
        one.photo()
        one.attendant.advance()
        assert line_of(one) == []
        await asyncio.sleep(1.1)
        assert line_of(one) == [one.attendant]
        one.attendant.stop()
        assert line_of(one) == []
        await asyncio.sleep(100)
        assert line_of(one) == []

    attended(test)


def test_a_timer_of_the_desk_that_is_left_does_not_ring_at_the_new_one(attended):
    async def test(one):
        one.ask(answer_within_s=5.0)
        one.photo()
        one.attendant.stop()
        one.shared.scheduler.remove(one.attendant)
        await asyncio.sleep(100)
        assert line_of(one) == []

    attended(test)


def test_a_draft_that_became_the_answer_rings_no_bell(attended):
    async def test(one):
        one.shared.patience.note_answer(4.0)
        one.ask()
        one.photo()
        assert one.attendant.next_job() is None  # its draft is due in 1 s
        one.device.finish_image(0)
        one.say()
        one.attendant.decide(0)
        assert one.attendant.next_job().purpose is Purpose.FINAL
        one.shared.scheduler.remove(one.attendant)
        await asyncio.sleep(10)
        assert line_of(one) == []

    attended(test)


def test_a_stop_that_no_question_has_caused_goes_out_at_once(attended):
    """One question has enough and the other is given up: from then on the photo is too much, without a further word."""

    def test(one):
        one.ask(0, 0, Enough())
        one.ask(1, 0, Wait(), Wait())
        one.photo()
        one.attendant.decide(0)
        assert one.hear() == []
        one.device.cancel(1)
        one.say()
        wakes = one.outlet.wakes
        one.attendant.decide(0)
        assert one.kinds() == [EnoughReceived]
        assert one.outlet.wakes > wakes

    attended(test)


def test_a_region_that_is_here_already_is_answered_from_at_once(attended):
    def test(one):
        one.photo(5, finish=True)
        one.ask(0, 7, region="always")
        one.photo(7, finish=True)
        one.attendant.decide(7)
        one.answered()
        one.made(box=(0, 0, 512, 512))
        one.shared.scheduler.remove(one.attendant)
        one.device.send_crop(0, 5)
        one.say()
        assert line_of(one) == [one.attendant]
        assert one.attendant.next_job().purpose is Purpose.SECOND

    attended(test)


# ---- what is held for too long -------------------------------------------------------------------------------
def test_a_photo_that_nobody_uses_is_dropped_by_desk_and_session(attended):
    async def test(one):
        dropped = []
        one.attendant.trace = SimpleNamespace(photo_dropped=dropped.append)
        one.photo(3, finish=True)
        await asyncio.sleep(59)
        one.attendant.tidy()
        assert (list(one.desk.photos), dropped) == ([3], [])
        await asyncio.sleep(1)
        one.attendant.tidy()
        assert (list(one.desk.photos), dropped) == ([], [3])
        assert one.session.image_count(3) is None

    attended(test, retain_s=60.0)


@pytest.mark.parametrize(
    ("limits", "after_s"), [({"question_timeout_s": 50.0}, 50), ({"question_timeout_s": 50.0, "retain_s": 20.0}, 20)]
)
def test_the_drafts_of_a_broken_connection_are_kept_for_the_time_of_a_question(attended, limits, after_s):
    async def test(one):
        one.ask()
        one.photo()
        one.answered()
        one.desk.interrupt(one.now())
        await asyncio.sleep(after_s - 1)
        one.attendant.tidy()
        assert one.desk.book.interrupted
        await asyncio.sleep(1)
        one.attendant.tidy()
        assert not one.desk.book.interrupted

    attended(test, **limits)


def test_a_device_that_speaks_of_something_else_keeps_no_question_waiting(attended):
    async def test(one):
        one.ask(0, 0)
        one.photo(0)
        await asyncio.sleep(50)
        one.photo(1)  # whole frames: nothing is half here
        await asyncio.sleep(50)
        one.attendant.tidy()
        assert one.desk.questions[0].state is QuestionState.ANSWERING

    attended(test, question_timeout_s=100.0)


# ---- what is counted -----------------------------------------------------------------------------------------
def test_a_picture_that_is_not_complete_enough_says_nothing_of_how_long_answers_take(attended):
    def test(one):
        one.ask()
        one.photo()
        one.attendant.deliver(one.attendant.next_job(), Outcome(seconds=9.0))
        metrics = one.metrics
        assert one.shared.patience.usual_s == 0.0
        assert (metrics.model_jobs_total, metrics.drafts_total, metrics.first_draft_seconds_count) == (1, 0, 0)

    attended(test)


def test_the_work_of_the_model_is_told_to_the_trace(attended):
    def test(one):
        told = []
        one.attendant.trace = SimpleNamespace(
            job_started=lambda job: told.append(("started", job.question_id)),
            job_ended=lambda job, outcome: told.append(("ended", job.question_id, outcome.seconds)),
        )
        assert one.attendant.next_job() is None
        one.ask(4)
        one.photo()
        one.answered(seconds=0.5)
        assert told == [("started", 4), ("ended", 4, 0.5)]

    attended(test)


def test_the_log_says_how_long_a_question_took(attended, caplog):
    caplog.set_level(logging.INFO, "heliograph.access")

    async def test(one):
        one.ask(0, 0)
        one.photo(segments=2, finish=True)
        await asyncio.sleep(1.25)
        one.attendant.decide(0)
        one.answered()
        one.ask(1, 0, region="always")
        one.ask(2, 0)
        await asyncio.sleep(2)
        one.device.cancel(2)
        one.say()

    attended(test, max_regions=0)
    facts = [(one.facts["outcome"], one.facts["ms"], one.facts.get("segments")) for one in caplog.records]
    assert facts == [("answered", 1250, 2), (TooManyRegionsError.name, 0, None), ("cancelled", 2000, 2)]


def test_a_question_whose_session_has_ended_was_abandoned(attended, caplog):
    caplog.set_level(logging.INFO, "heliograph.access")

    def test(one):
        one.ask()
        one.photo()
        one.session.close()
        one.desk.cancel(0)
        one.attendant.carry_out()

    attended(test)
    assert [one.facts["outcome"] for one in caplog.records] == ["abandoned"]

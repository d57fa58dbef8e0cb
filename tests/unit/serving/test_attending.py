"""What a session's attendant tells device and model, in which order and when; the test is both, and the clock."""

import asyncio

import pytest

from desk_talk import BOX
from heliograph.controllers.base import Enough, More, Wait
from heliograph.errors import AnsweringFailedError, StreamDamagedError, TooManyRegionsError
from heliograph.protocol.events import (
    DraftReceived,
    EnoughReceived,
    ErrorReceived,
    FinalReceived,
    MoreRequested,
    RegionRequested,
    SessionClosed,
)
from heliograph.protocol.frames import AnswerFlag
from heliograph.protocol.limits import MAX_SEGMENTS_PER_IMAGE
from heliograph.serving.jobs import Outcome, Purpose
from heliograph.types import Answer

HASH = b"8 bytes!"


# ---- in which order ----------------------------------------------------------------------------------
def test_the_device_is_stopped_before_it_is_answered(attended):
    def test(one):
        one.ask(0, 0, Wait(), Enough(take_draft=True))
        one.photo()
        one.attendant.decide(0)
        assert one.kinds() == []
        one.answered()
        assert one.kinds() == [DraftReceived]
        one.attendant.decide(0)
        (enough, final) = one.hear()
        assert (type(enough), type(final)) == (EnoughReceived, FinalReceived)
        assert (final.text, final.segments_used, final.question_id, final.flags) == ("red", 1, 0, AnswerFlag(0))

    attended(test)


def test_the_whole_photo_is_answered_without_a_word_before(attended):
    def test(one):
        one.ask()
        one.photo(finish=True)
        one.attendant.decide(0)
        assert one.hear() == []  # nothing is left to stop
        job = one.answered("blue", 0.75)
        assert job.purpose is Purpose.FINAL
        (final,) = one.hear()
        assert (final.text, final.confidence) == ("blue", pytest.approx(0.75, abs=0.003))

    attended(test)


def test_answers_that_cost_nothing_new_are_sent_with_the_one_that_was_made(attended):
    def test(one):
        one.ask(0, 0, Enough())
        one.ask(1, 1, Enough(take_draft=True))
        one.photo(0)
        one.photo(1)
        drafted = [one.answered().question_id for _ in range(2)]
        one.hear()
        one.attendant.decide(0)  # its draft is from all that has come
        assert [(type(event), event.question_id) for event in one.hear()[1:]] == [(FinalReceived, drafted[0])]
        one.attendant.decide(1)
        assert [(type(event), event.question_id) for event in one.hear()[1:]] == [(FinalReceived, drafted[1])]

    attended(test)


def test_a_device_that_waits_is_asked_for_more_within_what_a_photo_may_have(attended):
    def test(one):
        one.ask(0, 0, More(3), More(1 << 20))
        one.photo()
        one.attendant.decide(0)
        one.attendant.decide(0)
        assert [event.segments for event in one.hear()] == [3, MAX_SEGMENTS_PER_IMAGE]

    attended(test)


def test_a_later_question_that_needs_more_takes_the_stop_back(attended):
    def test(one):
        one.ask(0, 0, Enough())
        one.photo()
        one.attendant.decide(0)
        one.attendant.decide(0)
        assert one.kinds() == [EnoughReceived]  # once
        one.ask(1, 0, Wait(), Wait())
        one.attendant.decide(0)
        one.attendant.decide(0)
        (more,) = one.hear()
        assert (type(more), more.image_id, more.segments) == (MoreRequested, 0, MAX_SEGMENTS_PER_IMAGE)

    attended(test)


def test_a_photo_that_nobody_asks_about_is_not_stopped(attended):
    def test(one):
        one.photo()
        one.attendant.decide(0)
        one.attendant.decide(7)  # never announced
        assert one.hear() == []

    attended(test)


# ---- the second look ---------------------------------------------------------------------------------
def region_asked(one):
    one.ask(region="always")
    one.photo(segments=2, finish=True)
    one.attendant.decide(0)
    one.answered()
    look = one.made(box=BOX)
    assert look.purpose is Purpose.LOOK
    draft, region = one.hear()
    assert (type(draft), draft.segments_used) == (DraftReceived, 2)
    assert (type(region), region.box) == (RegionRequested, BOX)


def test_a_region_is_waited_for_so_long_and_no_longer(attended):
    async def test(one):
        region_asked(one)
        await asyncio.sleep(6.9)
        assert one.hear() == []
        await asyncio.sleep(0.2)
        (final,) = one.hear()
        assert (final.text, final.flags) == ("red", AnswerFlag.REGION_MISSED)

    attended(test, region_timeout_s=7.0)


@pytest.mark.parametrize("how", ["answered", "cancelled", "stopped"])
def test_a_question_that_is_over_rings_no_bell(attended, how):
    async def test(one):
        region_asked(one)
        if how == "cancelled":
            one.device.cancel(0)
        elif how == "answered":
            one.device.send_crop(0, None)
        else:
            assert one.attendant.stop() is one.desk
            assert one.attendant.desk is not one.desk
        one.say()
        one.hear()
        await asyncio.sleep(100)
        assert one.hear() == []

    attended(test)


def test_the_second_answer_is_final(attended):
    def test(one):
        region_asked(one)
        one.device.send_crop(0, 1)
        one.photo(1, finish=True)
        second = one.answered("blue", 0.75)
        assert second.purpose is Purpose.SECOND
        (final,) = one.hear()
        assert (final.text, final.flags, final.segments_used) == ("blue", AnswerFlag.LOOKED, 2)
        assert one.metrics.finals_total == 1

    attended(test)


def test_a_region_that_the_protocol_refuses_leaves_the_first_answer(attended):
    def test(one):
        one.ask(region="always")
        one.photo(finish=True)
        one.attendant.decide(0)
        one.answered()
        one.hear()
        one.session._questions[0].regions = 1  # as if one had been asked for
        one.made(box=BOX)
        (final,) = one.hear()
        assert (type(final), final.flags) == (FinalReceived, AnswerFlag.REGION_MISSED)

    attended(test)


# ---- what fails, and what is counted -----------------------------------------------------------------
def test_a_question_that_is_refused_is_told_so_and_the_session_lives(attended):
    def test(one):
        wakes = one.outlet.wakes
        one.ask(0, 0, region="always")
        assert one.hear() == [ErrorReceived(TooManyRegionsError, 0)]
        assert one.outlet.wakes > wakes
        assert (one.metrics.questions_total, one.metrics.errors_total) == (1, 1)
        assert not one.session.closed

    attended(test, max_regions=0)


def test_a_failure_of_one_question_leaves_the_others(attended):
    def test(one):
        one.ask(0, 0)
        one.ask(1, 1)
        one.photo(0)
        one.photo(1)
        failed = one.made(error=AnsweringFailedError())
        assert one.hear() == [ErrorReceived(AnsweringFailedError, failed.question_id)]
        assert one.metrics.errors_total == 1
        assert one.answered().question_id != failed.question_id
        assert one.kinds() == [DraftReceived]

    attended(test)


def test_a_device_that_gives_a_question_up_hears_no_more_of_it(attended):
    def test(one):
        one.ask(0, 0)
        one.photo(0)
        job = one.attendant.next_job()
        one.device.cancel(0)
        one.say()
        one.attendant.deliver(job, Outcome(Answer("red", 0.5, 1.0)))
        assert one.hear() == []
        assert (one.metrics.model_jobs_total, one.metrics.drafts_total) == (1, 0)

    attended(test)


def test_what_the_model_has_done_is_counted(attended):
    async def test(one):
        await asyncio.sleep(5)
        one.ask(0, 0)
        one.photo(0)
        await asyncio.sleep(3)
        one.answered("red", seconds=2.0)
        one.device.send_segment(0, b"x")
        one.device.finish_image(0)
        one.say()
        one.attendant.decide(0)
        await asyncio.sleep(4)
        changes = len(one.changes)
        one.answered("blue", seconds=0.5, kept_tokens=3)
        assert len(one.changes) == changes + 1
        metrics = one.metrics
        assert (metrics.model_jobs_total, metrics.model_seconds_total) == (2, 2.5)
        assert (metrics.drafts_total, metrics.finals_total, metrics.draft_tokens_kept_total) == (1, 1, 3)
        assert (metrics.first_draft_seconds_sum, metrics.first_draft_seconds_count) == (3.0, 1)
        assert (metrics.final_seconds_sum, metrics.final_seconds_count) == (7.0, 1)
        assert one.shared.patience.usual_s == 2.0  # answers from a draft say nothing of how long one takes
        assert (metrics.questions_total, metrics.errors_total) == (1, 0)

    attended(test)


@pytest.mark.parametrize(("error", "counted"), [(StreamDamagedError, 1), (None, 0)])
def test_a_session_that_ends_with_an_error_is_counted(attended, error, counted):
    def test(one):
        wakes = one.outlet.wakes
        one.attendant.on_event(SessionClosed(error))
        assert one.metrics.errors_total == counted
        assert one.outlet.wakes == wakes  # a refusal has its own time

    attended(test)


def test_nothing_is_made_for_a_device_that_does_not_take_what_there_is(attended):
    def test(one):
        one.ask(0, 0)
        one.photo(0)
        one.outlet.full = True
        assert one.attendant.next_job() is None
        one.outlet.full = False
        assert one.attendant.next_job() is not None

    attended(test)


def test_what_the_device_forgets_is_forgotten_with_all_that_hangs_on_it(attended):
    def test(one):
        one.ask(0, 0)
        one.photo(0)
        one.device.forget_image(0)
        one.say()
        assert (one.desk.photos, one.desk.questions, len(one.desk.book.watchlist)) == ({}, {}, 0)
        assert one.attendant.next_job() is None

    attended(test)


def test_a_region_that_the_device_forgets_half_way_leaves_the_first_answer(attended):
    def test(one):
        region_asked(one)
        one.device.send_crop(0, 1)
        one.photo(1)
        one.device.forget_image(1)
        one.say()
        (final,) = one.hear()
        assert (type(final), final.flags) == (FinalReceived, AnswerFlag.REGION_MISSED)
        assert list(one.desk.photos) == [0]

    attended(test)


def test_an_error_of_the_device_gives_the_question_up(attended):
    def test(one):
        one.ask(0, 0)
        one.ask(1, 0)
        one.photo(0)
        one.attendant.on_event(ErrorReceived(StreamDamagedError, 0))
        one.attendant.on_event(ErrorReceived(StreamDamagedError, None))  # of the session: it has its own end
        assert list(one.desk.questions) == [1]

    attended(test)


def test_who_owes_an_answer_says_so(attended):
    def test(one):
        one.ask(0, 0, Enough())
        one.photo(0)
        assert not one.attendant.has_pending_answer()
        one.attendant.decide(0)
        assert one.attendant.has_pending_answer()

    attended(test)

"""A session under load: its drafts go first, then its looks, then its new questions; and what is cancelled stops."""

import asyncio

import pytest

from heliograph.controllers.base import Enough
from heliograph.errors import ServerBusyError
from heliograph.protocol.events import DraftReceived, ErrorReceived, FinalReceived, SessionClosed
from heliograph.protocol.frames import AnswerFlag
from heliograph.protocol.session import DeviceSession
from heliograph.question import Question
from heliograph.serving.desk.states import QuestionState
from heliograph.serving.fair.load import Load, Shed, Thresholds
from heliograph.serving.fair.parties import Party
from heliograph.serving.fair.urgency import Rank
from heliograph.serving.jobs import Outcome, Purpose

LIMITS = {"shed_drafts_s": 2.0, "shed_looks_s": 5.0, "refuse_s": 30.0}


def waiting_for(one, seconds):
    """Let the session's party be one whose answers wait so long."""
    party = Party(b"party", load=Load(Thresholds(*LIMITS.values())))
    party.load.note(seconds, one.now())
    one.attendant.join(party)
    return party


# ---- drafts ------------------------------------------------------------------------------------------------
def test_drafts_are_dropped_and_counted_and_the_answer_comes(attended):
    async def test(one):
        waiting_for(one, 4.0)
        one.ask()
        one.photo(segments=2)
        await asyncio.sleep(2)  # patience is a quarter of the wait
        assert one.attendant.urgency() is None
        assert one.metrics.drafts_shed_total == 1
        one.attendant.urgency()
        assert one.metrics.drafts_shed_total == 1  # it is dropped once
        one.device.finish_image(0)
        one.say()
        one.attendant.decide(0)
        assert one.answered().purpose is Purpose.FINAL
        assert one.kinds() == [FinalReceived]

    attended(test)


def test_drafts_come_again_when_the_wait_is_over(attended):
    async def test(one):
        waiting_for(one, 4.0)
        one.ask()
        one.photo(segments=2)
        await asyncio.sleep(60)
        one.attendant.urgency()
        one.device.send_segment(0, b"x")
        one.say()
        one.attendant.advance()
        await asyncio.sleep(5)
        assert one.shared.scheduler.waiting == (one.attendant,)
        assert one.attendant.next_job().purpose is Purpose.DRAFT

    attended(test)


def test_a_draft_is_held_back_for_longer_where_answers_wait(attended):
    async def test(one):
        waiting_for(one, 1.6)  # too short to shed anything
        one.shared.patience.note_answer(1.0)
        one.ask()
        one.photo()
        begun_s = one.now()
        while one.attendant.next_job() is None:
            await asyncio.sleep(0.01)
        return one.now() - begun_s

    assert attended(test) == pytest.approx(0.25 * (1.0 + 1.6), abs=0.05)


# ---- controllers see it ------------------------------------------------------------------------------------
def test_controllers_learn_that_answers_wait_and_that_no_drafts_come(attended):
    def test(one):
        controller = one.ask(0, 0)
        one.photo()
        one.attendant.decide(0)
        waiting_for(one, 4.0)
        one.shared.patience.note_answer(0.5)
        one.attendant.decide(0)
        return [(seen.drafting, seen.answer_s) for seen in controller.seen]

    assert attended(test) == [(True, 0.0), (False, 4.5)]


def test_a_question_with_a_time_has_enough_earlier_where_answers_wait(attended):
    async def enough_after(one, waited_s):
        if waited_s:
            waiting_for(one, waited_s)
        question = Question("what", "fixed", 0, answer_within_s=20.0)
        one.device.ask(0, 0, question)
        one.say()
        one.photo()
        watching = asyncio.ensure_future(one.attendant.observer.run())
        begun_s = one.now()
        while one.desk.questions[0].state is QuestionState.STREAMING:
            await asyncio.sleep(0.05)
        watching.cancel()
        return one.now() - begun_s

    usual_s, loaded_s = (attended(lambda one, s=s: enough_after(one, s)) for s in (0.0, 16.0))
    assert 18 < usual_s < 20.1
    assert loaded_s < usual_s - 5  # the wait is less by then than when it was asked


# ---- looks -------------------------------------------------------------------------------------------------
def test_a_look_is_left_out_and_the_first_answer_says_so(attended):
    def test(one):
        one.ask(0, 0, Enough(), region="always")
        one.photo(finish=True)
        one.attendant.decide(0)
        one.answered()
        waiting_for(one, 10.0)
        one.attendant.advance()
        final = one.hear()[-1]
        assert isinstance(final, FinalReceived)
        assert AnswerFlag.REGION_MISSED in final.flags
        assert (one.metrics.looks_shed_total, one.metrics.drafts_shed_total) == (1, 0)
        assert one.attendant.next_job() is None

    attended(test)


def test_a_region_that_was_asked_for_is_answered_from(attended):
    def test(one):
        one.photo(5, finish=True)
        one.ask(0, 7, region="always")
        one.photo(7, finish=True)
        one.attendant.decide(7)
        one.answered()
        one.made(box=(0, 0, 512, 512))
        one.device.send_crop(0, 5)
        one.say()
        waiting_for(one, 100.0)
        assert one.attendant.urgency().rank is Rank.ANSWER
        assert one.attendant.next_job().purpose is Purpose.SECOND

    attended(test)


# ---- questions and sessions -----------------------------------------------------------------------------------
def test_a_new_question_is_told_to_try_later_and_one_that_is_open_is_answered(attended):
    def test(one):
        one.ask(0, 0, Enough())
        one.photo(finish=True)
        party = waiting_for(one, 40.0)
        one.ask(1, 0)
        assert one.hear() == [ErrorReceived(ServerBusyError, 1)]
        assert (one.metrics.questions_refused_total, list(one.desk.questions)) == (1, [0])
        one.attendant.decide(0)
        one.answered()
        assert FinalReceived in one.kinds()
        return party.load.shed(one.now())

    assert attended(test) is Shed.QUESTIONS


def test_a_question_that_is_asked_again_after_a_break_is_no_new_one(attended):
    def test(one):
        one.ask()
        one.photo()
        one.answered()
        one.desk.interrupt(one.now())
        waiting_for(one, 40.0)
        one.device.ask(1, 0, Question("question 0", controller="fixed", target=0))
        one.say()
        assert list(one.desk.questions) == [1]

    attended(test)


def test_the_wait_of_answers_is_measured_and_that_of_drafts_is_not(attended):
    async def test(one):
        one.ask(0, 0, Enough())
        one.photo(finish=True)
        one.attendant.decide(0)
        await asyncio.sleep(3)
        one.answered()
        one.ask(1, 1)
        one.photo(1)
        await asyncio.sleep(3)
        one.answered()
        metrics = one.metrics
        return metrics.queueing_seconds_sum, metrics.queueing_seconds_count, one.attendant.party.load.known

    assert attended(test) == (pytest.approx(3.0), 1, True)


def asked_while_busy(fake, cloud, resumed=False, **busy):
    """What a device is told that says HELLO where answers wait."""

    async def whole():
        shared = fake.shared_of(cloud, **LIMITS)
        party = shared.parties.of(b"10.0.0.1")
        if busy.get("own"):
            party.load.note(40.0, fake.now())
        if busy.get("crowd"):
            shared.scheduler._usual_s = 1.0
            for number in range(busy["crowd"]):
                shared.scheduler._awaited.sessions[Party(str(number).encode())] = {}
        device = fake.Device(shared, **({"resumable": True, "session_token": b"t" * 16} if resumed else {}))
        device.say()
        await asyncio.sleep(1)
        for data in device.line.sent:
            device.heard += device.session.receive(data, 0.0)
        kinds = [event.error_class for event in device.heard if isinstance(event, SessionClosed)]
        device.served.cancel()
        return kinds, shared.metrics.sessions_refused_total

    return fake.run(whole())


def test_a_new_session_is_told_to_try_later_where_its_partys_answers_wait(fake, cloud):
    assert asked_while_busy(fake, cloud) == ([], 0)
    assert asked_while_busy(fake, cloud, own=True) == ([ServerBusyError], 1)
    assert asked_while_busy(fake, cloud, own=True, resumed=True) == ([], 0)


def test_a_party_that_is_not_known_is_refused_only_where_everybody_waits(fake, cloud):
    assert asked_while_busy(fake, cloud, crowd=29) == ([], 0)
    assert asked_while_busy(fake, cloud, crowd=30) == ([ServerBusyError], 1)


# ---- cancelling ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["cancel", "forget"])
def test_what_is_cancelled_stops_and_is_counted_once(attended, how):
    def test(one):
        cancelled = []
        one.shared.scheduler.cancel = lambda job: cancelled.append(job) or True
        one.ask(0, 0, Enough())
        one.photo(finish=True)
        one.attendant.decide(0)
        job = one.attendant.next_job()
        one.hear()
        getattr(one.device, {"cancel": "cancel", "forget": "forget_image"}[how])(0)
        one.say()
        assert cancelled == [job]
        assert one.metrics.jobs_cancelled_total == 1
        one.attendant.withdraw(job, Outcome(stopped=True, seconds=0.5))
        told = {"cancel": [], "forget": [ErrorReceived]}
        assert (one.kinds(), one.metrics.model_seconds_total) == (told[how], 0.5)

    attended(test)


def test_what_has_not_begun_is_never_begun(attended):
    def test(one):
        one.ask(0, 0, Enough())
        one.photo(finish=True)
        one.attendant.decide(0)
        assert one.shared.scheduler.waiting == (one.attendant,)
        one.device.cancel(0)
        one.say()
        one.attendant.advance()
        assert one.shared.scheduler.waiting == ()
        assert one.attendant.next_job() is None
        assert one.metrics.jobs_cancelled_total == 0

    attended(test)


def test_a_draft_that_made_room_is_made_later(attended):
    def test(one):
        one.ask(0, 0)
        one.photo()
        job = one.attendant.next_job()
        assert one.attendant.urgency() is None
        one.attendant.withdraw(job, Outcome(stopped=True))
        again = one.attendant.next_job()
        assert (job.purpose, again.purpose) == (Purpose.DRAFT, Purpose.DRAFT)
        one.attendant.deliver(again, Outcome())
        assert DraftReceived not in one.kinds()

    attended(test)


def test_two_questions_of_a_session_are_worked_on_at_once(attended):
    def test(one):
        one.photo(0, finish=True)
        for number in range(2):
            one.ask(number, 0, Enough())
        one.attendant.decide(0)
        jobs = [one.attendant.next_job() for _ in range(3)]
        assert [None if job is None else job.question_id for job in jobs] == [0, 1, None]
        assert isinstance(one.device, DeviceSession)

    attended(test)

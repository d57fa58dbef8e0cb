"""Time and memory at the desk: time limits, what is overdue, what is kept of a broken connection, what is measured."""

from math import inf

import pytest

from desk_talk import BOX, Talk, calibration
from heliograph.codec.expectation import Expectation
from heliograph.controllers.base import ENERGY, EXPECTATION, Enough
from heliograph.errors import TimedOutError
from heliograph.protocol.events import QuestionAsked
from heliograph.question import Question
from heliograph.serving.desk.desk import REGION_TIMEOUT_S, Desk
from heliograph.serving.desk.states import Effect, QuestionEvent, QuestionState
from heliograph.serving.jobs import Purpose
from heliograph.serving.measuring import Measured


# ---- time limits -------------------------------------------------------------------------------------
def test_a_controller_is_asked_again_an_answers_time_before_the_answer_is_due():
    talk = Talk(now=100.0)
    talk.photo(finish=False)
    asked = QuestionAsked(0, 0, Question("what", "fixed", 0, answer_within_s=5.0))
    talk.desk.ask(asked, 100.0, 1.5)
    book = talk.desk.book
    book.watchlist.clear()
    assert book.due_s == 103.5
    book.on_time(103.4)
    assert not book.watchlist
    book.on_time(103.5)
    assert book.watchlist.take() == 0
    assert book.due_s == inf  # once
    assert talk.happened() == [(0, QuestionEvent.PHOTO_ANNOUNCED), (0, QuestionEvent.ANSWER_DUE)]


def test_an_answer_that_takes_longer_than_there_is_time_is_due_at_once_and_not_before():
    talk = Talk()
    talk.desk.ask(QuestionAsked(0, 0, Question("what", "fixed", 0, answer_within_s=2.0)), 10.0, 60.0)
    assert talk.desk.book.due_s == inf  # there is nothing to answer from
    talk.photo(finish=False)
    assert talk.desk.book.due_s == 10.0


def test_a_time_limit_is_over_with_the_state_that_it_is_for():
    talk = Talk()
    talk.scripted(0, 0, Enough(), answer_within_s=5.0)
    talk.scripted(1, 0, answer_within_s=9.0)
    talk.photo(finish=False)
    assert talk.desk.book.due_s == 5.0
    talk.desk.decide(0)
    assert talk.desk.book.due_s == 9.0
    talk.desk.cancel(1)
    assert talk.desk.book.due_s == inf


def test_a_region_has_its_time_from_when_it_was_found():
    talk = Talk(Desk(region_timeout_s=7.0), now=100.0)
    look = talk.first_answer(answer_within_s=900.0)
    talk.now = 200.0
    talk.made(look, box=BOX)
    talk.steps()
    assert talk.desk.book.due_s == 207.0
    talk.desk.book.on_time(206.9)
    assert talk.said() == []
    talk.desk.book.on_time(207.0)
    assert talk.said() == [(0, Effect.SEND_FINAL)]
    assert Desk()._region_timeout_s == REGION_TIMEOUT_S == 20.0


def test_the_next_draft_is_due_for_whoever_has_waited_longest_and_may_be_drafted():
    talk = Talk()
    talk.ask(0, 9)  # whose photo is not there
    assert talk.desk.draft_due_s(2.0) == inf
    talk.scripted(1, 0, Enough())
    talk.photo(0, finish=False)
    assert talk.desk.draft_due_s(2.0) == 2.0
    talk.desk.decide(0)
    assert talk.desk.draft_due_s(2.0) == inf  # a final answer does not wait
    for number in (2, 3):
        talk.now += 5.0
        talk.scripted(number, number)
        talk.photo(number, finish=False)
    assert talk.desk.draft_due_s(2.0) == 7.0


# ---- what is overdue ---------------------------------------------------------------------------------
def test_a_question_is_overdue_when_neither_it_nor_its_photo_is_news():
    talk = Talk(now=10.0)
    talk.scripted(0, 0)
    talk.now = 20.0
    talk.announce()
    talk.now = 30.0
    talk.segment()
    talk.steps()
    talk.desk.end_overdue(29.9)
    assert talk.happened() == []
    talk.desk.end_overdue(30.0)
    assert talk.happened() == [(0, QuestionEvent.OVERDUE)]
    assert talk.desk.book.watchlist.take() == 0  # for the device to be stopped
    assert talk.job().purpose is Purpose.FINAL
    talk.desk.end_overdue(99.0)  # it is answered by now
    assert talk.happened() == []


def test_questions_that_are_not_overdue_do_not_hide_one_behind_them():
    talk = Talk()
    talk.scripted(0, 0, Enough())
    talk.scripted(1, 1)
    talk.photo(0, finish=False)
    talk.photo(1, finish=False)
    talk.desk.decide(0)
    talk.steps()
    talk.desk.end_overdue(0.0)
    assert talk.happened() == [(1, QuestionEvent.OVERDUE)]


def test_a_later_question_about_a_quiet_photo_has_its_own_time():
    talk = Talk()
    talk.photo(finish=False)
    talk.now = 50.0
    talk.ask()
    talk.desk.end_overdue(49.0)
    assert talk.desk.questions[0].state is QuestionState.STREAMING


@pytest.mark.parametrize("announced", [True, False])
def test_a_question_to_whose_photo_nothing_came_is_a_named_error(announced):
    talk = Talk()
    talk.ask(0)
    talk.ask(1, 1)
    talk.photo(1)
    talk.desk.decide(1)
    if announced:
        talk.announce()
    talk.steps()
    talk.desk.end_overdue(0.0)
    step = talk.steps()[-1]
    assert (step.question_id, step.event) == (0, QuestionEvent.NOTHING_CAME)
    assert isinstance(step.facts["error"], TimedOutError)
    assert list(talk.desk.questions) == [1]


# ---- a broken connection -----------------------------------------------------------------------------
def interrupted(question_text="what"):
    """A draft from one segment, then the connection broke at 10 s."""
    talk = Talk(Desk(calibration()))
    talk.ask(0, text=question_text, controller="push", target=255)
    talk.ask(1, text="without a draft", controller="push", target=255)
    talk.photo(finish=False)
    talk.answered(talk.job(), "red", 0.5)
    talk.desk.interrupt(10.0)
    return talk


def test_a_question_that_is_asked_again_goes_on_from_its_draft():
    talk = interrupted()
    assert (talk.desk.questions, len(talk.desk.book.watchlist), talk.steps()) == ({}, 0, [])
    assert list(talk.desk.book.interrupted) == [(0, "what")]
    talk.now = 20.0
    talk.ask(2, controller="push", target=255)
    question = talk.desk.questions[2]
    assert (question.draft.text, question.draft_segments, question.tried_segments) == ("red", 1, 1)
    assert question.signals.stable_drafts == 1
    assert talk.desk.book.interrupted == {}
    assert talk.job() is None  # there is no news
    talk.segment()
    talk.answered(talk.job(), "red", 0.75)
    assert question.signals.stable_drafts == 2  # it goes on counting
    assert question.signals.stable_bytes == 1


@pytest.mark.parametrize("other", [{"text": "who"}, {"image_id": 1}])
def test_another_question_begins_anew(other):
    talk = interrupted()
    talk.photo(1, finish=False)
    talk.ask(2, **{"controller": "push", "target": 255, **other})
    assert talk.desk.questions[2].draft is None
    assert len(talk.desk.book.interrupted) == 1


def test_what_nobody_asks_again_is_forgotten_with_its_time_or_its_photo():
    talk = interrupted()
    held = talk.desk.held_bytes
    talk.desk.book.forget_interrupted(9.9)
    assert talk.desk.book.interrupted
    talk.desk.book.forget_interrupted(10.0)
    assert not talk.desk.book.interrupted
    assert talk.desk.held_bytes < held - 2600
    talk = interrupted()
    talk.desk.forget(1)
    assert talk.desk.book.interrupted
    talk.desk.forget(0)
    assert not talk.desk.book.interrupted


def test_a_question_that_was_interrupted_is_not_watched_any_more():
    talk, seen = Talk(), []
    talk.desk.book.watcher = seen.append
    talk.ask()
    talk.photo(finish=False)
    talk.desk.interrupt()
    assert seen[-1].event is QuestionEvent.INTERRUPTED
    count = len(seen)
    talk.ask(1)
    assert len(seen) == count


# ---- what is held ------------------------------------------------------------------------------------
def test_a_photo_is_unused_when_nobody_sends_asks_or_answers():
    talk = Talk(now=10.0)
    talk.photo(0)
    talk.photo(1)
    talk.now = 20.0
    talk.ask(0, 0)
    assert talk.desk.unused(20.0) == [1]
    assert talk.desk.unused(9.9) == []
    talk.desk.decide(0)
    talk.now = 30.0
    talk.answered(talk.job())
    talk.steps()
    assert talk.desk.unused(29.9) == [1]
    assert talk.desk.unused(30.0) == [0, 1]


def test_a_crop_is_used_while_its_question_is_open():
    talk = Talk()
    talk.region_asked()
    talk.crop(0, 5)
    talk.photo(5, finish=False)
    assert talk.desk.unused(99.0) == []
    talk.desk.cancel(0)
    assert talk.desk.unused(99.0) == [0, 5]


def test_a_session_is_worth_keeping_for_what_has_come_of_photos():
    talk = Talk()
    talk.ask()
    talk.announce()
    assert not talk.desk.worth_keeping
    talk.segment()
    assert talk.desk.worth_keeping


def test_the_device_waits_from_when_there_is_enough():
    talk = Talk()
    talk.scripted(0, 0, Enough())
    talk.photo(finish=False)
    assert not talk.desk.has_pending_answer
    talk.desk.decide(0)
    assert talk.desk.has_pending_answer
    talk.answered(talk.job())
    talk.steps()
    assert not talk.desk.has_pending_answer


# ---- what is measured --------------------------------------------------------------------------------
def test_what_controllers_read_is_measured_for_those_who_have_waited_longest():
    talk = Talk(Desk(calibration()))
    for number in range(10):
        talk.ask(number, controller="push", target=255, confidence="error-head")
    talk.photo(segments=3, finish=False)
    first = talk.desk.to_measure(0)
    assert (list(first.questions), first.left, first.segments, first.reads) == (
        list(range(8)),
        True,
        3,
        frozenset({EXPECTATION}),
    )
    assert first.texts == dict.fromkeys(range(8), "what")
    for question in first.questions.values():
        question.measured_segments = 3
    second = talk.desk.to_measure(0)
    assert (list(second.questions), second.left) == ([8, 9], False)
    talk.segment()
    assert list(talk.desk.to_measure(0).questions) == [8, 9, 0, 1, 2, 3, 4, 5]


def test_energy_is_measured_once_for_all():
    talk = Talk()
    for number in range(10):
        talk.ask(number, controller="energy", target=255)
    talk.photo(finish=False)
    wanted = talk.desk.to_measure(0)
    assert (len(wanted.questions), wanted.left, wanted.reads) == (10, False, frozenset({ENERGY}))


def test_nothing_is_measured_that_nobody_reads():
    talk = Talk()
    talk.ask(0)
    assert talk.desk.to_measure(0) is None  # no photo
    talk.photo(finish=False)
    assert talk.desk.to_measure(0) is None  # ``fixed`` reads nothing
    talk.ask(1, controller="energy", target=255)
    assert list(talk.desk.to_measure(0).questions) == [0, 1]
    for question in talk.desk.questions.values():
        question.measured_segments = 1
    assert talk.desk.to_measure(0) is None  # nothing new
    talk.segment()
    talk.desk.finish(0)
    assert talk.desk.to_measure(0) is None  # the whole photo is always enough


def test_what_was_measured_goes_with_the_prefix_that_it_was_measured_of():
    talk = Talk(Desk(calibration()))
    talk.ask(0, controller="energy", target=255)
    talk.ask(1, controller="push", target=255, confidence="error-head")
    talk.photo(segments=2, finish=False)
    wanted = talk.desk.to_measure(0)
    talk.segment(count=3)  # meanwhile
    expectation = Expectation(0.1, 0.25)
    talk.desk.note_measured(wanted, Measured(0.5, {1: expectation}))
    talk.desk.decide(0)
    facts = {step.question_id: step.facts["observation"] for step in talk.steps() if "observation" in step.facts}
    assert [(seen.segments, seen.received_bytes) for seen in facts.values()] == [(2, 3), (2, 3)]
    assert [seen.retained_energy for seen in facts.values()] == [0.5, 0.5]
    assert facts[0].arrived is None
    assert facts[1].arrived.answer_differs == 0.25
    talk.desk.note_measured(talk.desk.to_measure(0), Measured(None, {}))
    assert talk.desk.photos[0].energy == 0.5  # what is not wanted again stays


def test_what_was_measured_before_a_question_came_is_not_its_own():
    """It would go with a prefix of no segments."""
    talk = Talk()
    talk.photo(segments=2, finish=False)
    talk.desk.photos[0].energy = 0.75
    talk.ask(0, controller="energy", target=255)
    talk.desk.decide(0)
    seen = talk.steps()[-1].facts["observation"]
    assert (seen.retained_energy, seen.segments) == (None, 0)

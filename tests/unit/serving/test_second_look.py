"""The second look at the desk, on made-up time: its price, what comes late or not at all, and which answer stays."""

import pytest

from desk_talk import BOX, Talk
from heliograph.controllers.base import Enough
from heliograph.controllers.region.policies import Price
from heliograph.errors import AnsweringFailedError, StreamDamagedError
from heliograph.protocol.frames import NO_FLAGS, AnswerFlag
from heliograph.reasons import StreamFault
from heliograph.serving.desk.desk import Desk
from heliograph.serving.desk.states import Effect, QuestionEvent, QuestionState
from heliograph.serving.jobs import UNKNOWN_PRICE, Purpose


def final(talk):
    """The one question that was answered."""
    (step,) = [step for step in talk.steps() if Effect.SEND_FINAL in step.effects]
    assert talk.desk.questions == {}
    return step.question


def crop_comes(talk, segments=5):
    talk.crop(0, 5)
    talk.photo(5, segments)


# ---- as it should go ---------------------------------------------------------------------------------
def test_the_first_answer_is_shown_the_region_asked_for_and_both_pictures_answered_from():
    talk = Talk()
    look = talk.first_answer()
    assert [effect for _, effect in talk.said()] == [Effect.SEND_DRAFT]
    assert (look.purpose, look.draft.text, len(look.encoded.segments)) == (Purpose.LOOK, "red", 3)
    talk.made(look, box=BOX)
    step = talk.steps()[-1]
    assert (step.effects, step.facts["box"]) == ((Effect.ASK_REGION,), BOX)
    assert talk.job() is None
    talk.crop(0, 5)
    assert talk.job() is None
    talk.photo(5, 2, finish=False)
    assert talk.job() is None
    talk.desk.finish(5)
    second = talk.job()
    assert (second.purpose, len(second.encoded.segments), len(second.crop.segments)) == (Purpose.SECOND, 3, 2)
    assert (second.draft.text, second.price) == ("red", UNKNOWN_PRICE)
    talk.answered(second, "blue", 0.75)
    answered = final(talk)
    assert (answered.draft.text, answered.draft_segments, answered.flags) == ("blue", 3, AnswerFlag.LOOKED)


@pytest.mark.parametrize(("second", "kept"), [(0.49, "red"), (0.5, "red"), (0.51, "blue")])
def test_the_more_confident_answer_stays_and_the_first_one_of_two_that_are_as_sure(second, kept):
    talk = Talk()
    talk.region_asked(confidence=0.5)
    crop_comes(talk)
    talk.answered(talk.job(), "blue", second)
    answered = final(talk)
    assert answered.draft.text == kept
    assert answered.flags == (AnswerFlag.LOOKED if kept == "blue" else NO_FLAGS)


def test_no_look_is_taken_where_the_question_wants_none():
    talk = Talk()
    talk.ask(0, region="never")
    talk.photo()
    talk.desk.decide(0)
    talk.answered(talk.job())
    assert final(talk).flags == NO_FLAGS


def test_segments_that_come_after_the_look_has_begun_change_the_first_answer_no_more():
    talk = Talk()
    talk.scripted(0, 0, Enough(), region="always")
    talk.photo(segments=2, finish=False)
    talk.desk.decide(0)
    tokens = object()
    talk.answered(talk.job(), "from two", tokens=tokens)
    look = talk.job()
    assert look.purpose is Purpose.LOOK
    talk.segment(count=4)
    talk.made(look, box=BOX)
    crop_comes(talk)
    second = talk.job()
    assert (second.purpose, len(second.encoded.segments), second.tokens) == (Purpose.SECOND, 2, tokens)
    talk.desk.withdraw(second)
    talk.desk.drop_tokens()
    assert talk.job().tokens is None


def test_segments_that_come_before_it_do():
    talk = Talk()
    talk.scripted(0, 0, Enough(), region="always")
    talk.photo(segments=2, finish=False)
    talk.desk.decide(0)
    talk.answered(talk.job(), "from two")
    talk.segment()
    again = talk.job()
    assert (again.purpose, len(again.encoded.segments)) == (Purpose.FINAL, 3)


def test_a_crop_that_is_held_already_is_answered_from_at_once():
    talk = Talk()
    talk.photo(5)
    talk.region_asked()
    talk.crop(0, 5)
    assert talk.happened() == [(0, QuestionEvent.CROP_ANNOUNCED), (0, QuestionEvent.CROP_COMPLETE)]
    assert talk.job().purpose is Purpose.SECOND


# ---- as it should not --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("outcome", "flags", "event"),
    [
        ({}, NO_FLAGS, QuestionEvent.NOTHING_TO_SEE),
        ({"error": AnsweringFailedError()}, AnswerFlag.CONTROLLER_FAILED, QuestionEvent.LOOK_FAILED),
    ],
)
def test_a_look_that_finds_nothing_or_fails_leaves_the_first_answer(outcome, flags, event):
    talk = Talk()
    look = talk.first_answer()
    talk.steps()
    talk.made(look, **outcome)
    step = talk.desk.book.take_steps()[-1]
    assert (step.event, step.effects[-1], step.question.draft.text) == (event, Effect.SEND_FINAL, "red")
    assert step.question.flags == flags


def lost(talk):
    talk.desk.lose_region(0)


def refused(talk):
    talk.crop(0, None)


def refused_after_it_was_announced(talk):
    talk.crop(0, 5)
    talk.crop(0, None)


def late(talk):
    talk.desk.book.on_time(20.0)


def late_on_its_way(talk):
    talk.crop(0, 5)
    talk.photo(5, finish=False)
    talk.desk.book.on_time(20.0)


def late_while_it_is_answered_from(talk):
    crop_comes(talk)
    talk.job()
    talk.desk.book.on_time(20.0)


def forgotten(talk):
    talk.crop(0, 5)
    talk.photo(5, finish=False)
    talk.desk.forget(5)


def damaged(talk):
    crop_comes(talk)
    talk.made(talk.job(), error=StreamDamagedError(StreamFault.CHECKSUM))


@pytest.mark.parametrize(
    "what",
    [
        lost,
        refused,
        refused_after_it_was_announced,
        late,
        late_on_its_way,
        late_while_it_is_answered_from,
        forgotten,
        damaged,
    ],
)
def test_a_region_that_comes_to_nothing_leaves_the_first_answer_which_says_so(what):
    talk = Talk()
    talk.region_asked()
    what(talk)
    answered = final(talk)
    assert (answered.draft.text, answered.flags) == ("red", AnswerFlag.REGION_MISSED)
    assert talk.job() is None


def test_a_second_answer_that_comes_after_its_time_changes_nothing():
    talk = Talk()
    talk.region_asked()
    crop_comes(talk)
    second = talk.job()
    talk.desk.book.on_time(20.0)
    assert final(talk).draft.text == "red"
    talk.answered(second, "blue", 1.0)
    assert talk.steps() == []


def test_only_the_question_whose_region_is_late_is_ended():
    talk = Talk()
    talk.region_asked(0)
    talk.now = 5.0
    talk.region_asked(1)
    talk.desk.book.on_time(20.0)
    assert talk.said() == [(0, Effect.SEND_FINAL)]
    talk.desk.book.on_time(24.9)
    assert talk.said() == []
    talk.desk.book.on_time(25.0)
    assert talk.said() == [(1, Effect.SEND_FINAL)]


def test_a_crop_that_nobody_waits_for_changes_nothing():
    talk = Talk()
    talk.scripted(0, 0)
    talk.photo(finish=False)
    talk.steps()
    talk.crop(0, 5)
    talk.crop(7, 5)
    assert talk.steps() == []
    assert talk.desk.questions[0].crop_id is None
    talk.photo(5)
    assert talk.happened() == []


def test_another_photo_that_is_dropped_leaves_the_region_alone():
    talk = Talk()
    talk.photo(3)
    talk.region_asked()
    talk.desk.forget(3)
    assert talk.desk.questions[0].state is QuestionState.REGION_ASKED


# ---- how often, and what it costs --------------------------------------------------------------------
def test_a_session_has_so_many_regions_and_no_more():
    talk = Talk(Desk(max_regions=2))
    for number in range(2):
        talk.region_asked(number)
        talk.crop(number, None)
        assert talk.said() == [(number, Effect.SEND_FINAL)]
    talk.ask(2, 0, region="random")
    talk.desk.decide(0)
    talk.answered(talk.job())
    look = talk.job()
    assert (look.price.looks, look.price.most_looks) == (2, 2)
    talk.steps()
    talk.made(look, box=BOX)
    (step,) = talk.steps()
    assert (step.event, step.question.flags) == (QuestionEvent.NO_REGION_LEFT, AnswerFlag.REGION_MISSED)


def test_a_look_is_told_its_price():
    """A header of 1 byte and 4 segments of 250, one every half second: 8 x 750 bits in 1.5 s after the first."""
    talk = Talk(Desk(max_regions=3))
    talk.ask(region="always", byte_budget=4000)
    talk.announce()
    for _ in range(4):
        talk.segment(payload=b"x" * 250)
        talk.now += 0.5
    talk.desk.finish(0)
    talk.desk.decide(0)
    talk.answered(talk.job())
    look = talk.job()
    assert look.price == Price(rate_bit_s=4000.0, region_bytes=1500, budget_bytes=2999, looks=0, most_looks=3)
    talk.made(look, box=BOX)
    talk.crop(0, 5)
    talk.announce(5)
    talk.segment(5, b"y" * 99, count=2)
    talk.desk.finish(5)
    talk.answered(talk.job())
    talk.ask(1, 0, region="always")
    talk.desk.decide(0)
    talk.answered(talk.job())
    assert talk.job().price == Price(rate_bit_s=4000.0, region_bytes=199, looks=1, most_looks=3)  # as large as the last


@pytest.mark.parametrize(
    ("gaps_s", "rate_bit_s"),
    [((), 0.0), ((0.004,), 0.0), ((0.005,), 8 * 100 / 0.005), ((0.0, 0.01), 8 * 200 / 0.01)],
)
def test_the_rate_of_the_uplink_is_known_once_segments_came_at_two_times(gaps_s, rate_bit_s):
    talk = Talk()
    talk.ask(region="always", byte_budget=50)
    talk.announce()
    talk.segment(payload=b"x" * 100)
    for gap_s in gaps_s:
        talk.now += gap_s
        talk.segment(payload=b"x" * 100)
    talk.desk.finish(0)
    talk.desk.decide(0)
    talk.answered(talk.job())
    price = talk.job().price
    assert price.rate_bit_s == pytest.approx(rate_bit_s)
    assert price.budget_bytes == 0  # spent


def test_a_photo_of_which_nothing_came_has_no_rate():
    talk = Talk()
    talk.ask(region="always")
    talk.photo(segments=0)
    talk.desk.decide(0)
    talk.answered(talk.job())
    assert talk.job().price.rate_bit_s == 0.0


def test_other_jobs_have_no_price():
    talk = Talk()
    talk.ask(region="always")
    talk.photo()
    talk.desk.decide(0)
    job = talk.job()
    assert (job.purpose, job.price, job.crop) == (Purpose.FINAL, UNKNOWN_PRICE, None)

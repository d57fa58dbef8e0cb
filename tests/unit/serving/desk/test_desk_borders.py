"""The desk where things begin and change: drafts that become others, clocks at zero, one of several photos."""

from math import inf

import pytest

from desk_talk import BOX, Talk, calibration
from heliograph.controllers.base import Enough, Observation
from heliograph.protocol.events import ImageAnnounced, QuestionAsked
from heliograph.question import Question
from heliograph.serving.desk.desk import Desk
from heliograph.serving.desk.photo import Photo
from heliograph.serving.jobs import Outcome
from heliograph.types import Answer


def drafted(talk, *ids):
    """A draft of these tokens from everything that has come."""
    talk.made(talk.job(), answer=Answer("an answer", 0.5, 1.0, ids))
    return talk.desk.questions[0].signals


# ---- drafts ------------------------------------------------------------------------------------------------
def test_drafts_in_a_row_are_counted_until_one_is_another():
    """A header of 1 byte, then segments of 2, 3, 5, 7 and 11 bytes: prefixes of 3, 6, 11, 18 and 29."""
    talk, counted = Talk(Desk(calibration())), []
    talk.ask(controller="push", target=255)
    talk.announce()
    for size, ids in ((2, (7,)), (3, (7,)), (5, (7,)), (7, (8,)), (11, (8,))):
        talk.segment(payload=b"x" * size)
        signals = drafted(talk, *ids)
        counted.append((signals.stable_drafts, signals.stable_bytes, signals.received_bytes))
    assert counted == [(1, 0, 3), (2, 3, 6), (3, 8, 11), (1, 0, 18), (2, 11, 29)]


def test_without_a_calibration_no_signals_are_read():
    talk = Talk()
    talk.ask()
    talk.photo(finish=False)
    assert drafted(talk, 7) is None


def test_before_the_first_draft_a_controller_sees_none():
    talk = Talk()
    controller = talk.scripted()
    talk.photo(finish=False)
    talk.desk.decide(0)
    (seen,) = controller.seen
    assert (seen.draft_confidence, seen.draft, seen.draft_segments) == (None, None, Observation(0, 0).draft_segments)
    assert seen.draft_segments == -1


def test_an_outcome_of_nothing_is_nothing():
    assert Outcome() == Outcome(None, None, None, 0, 0.0, None, None, None, None)


# ---- a clock that nobody gave ---------------------------------------------------------------------------------
def test_whoever_gives_no_time_is_at_second_zero():
    talk = Talk()
    controller = talk.scripted(0, 0, region="always")
    talk.desk.announce(ImageAnnounced(0, "klt", b"h", 0))
    talk.segment()
    talk.desk.finish(0)
    talk.desk.decide(0)
    assert (controller.seen[-1].elapsed_s, controller.seen[-1].answer_s) == (0.0, 0.0)
    talk.desk.deliver(talk.job(), Outcome(Answer("red", 0.5, 1.0, (7,))))
    assert talk.desk.photos[0].used_s == 0.0
    talk.desk.deliver(talk.job(), Outcome(box=BOX))
    assert talk.desk.book.due_s == 20.0
    talk.desk.interrupt()
    talk.desk.book.forget_interrupted(-0.1)
    assert talk.desk.book.interrupted
    talk.desk.book.forget_interrupted(0.0)
    assert not talk.desk.book.interrupted
    assert Desk().book.due_s == inf


def test_an_answer_is_due_when_it_is_wanted_where_nobody_knows_how_long_one_takes():
    talk = Talk()
    talk.photo(finish=False)
    talk.desk.ask(QuestionAsked(0, 0, Question("what", "fixed", 0, answer_within_s=5.0)), 100.0)
    assert talk.desk.book.due_s == 105.0


# ---- one of several --------------------------------------------------------------------------------------------
def test_one_photo_of_which_something_came_is_worth_keeping_the_session_for():
    talk = Talk()
    talk.photo(0)
    talk.announce(1)
    assert talk.desk.worth_keeping


def test_one_question_that_has_enough_makes_the_device_wait():
    talk = Talk()
    talk.scripted(0, 0, Enough())
    talk.scripted(1, 0)
    talk.photo(finish=False)
    talk.desk.decide(0)
    assert talk.desk.has_pending_answer


@pytest.mark.parametrize(("segments", "cut"), [(None, (b"ab", b"", b"c")), (2, (b"ab", b"")), (0, ())])
def test_a_prefix_is_cut_where_its_segments_end(segments, cut):
    photo = Photo("klt", b"head")
    for payload in (b"ab", b"", b"c"):
        photo.add(payload, 1.0)
    assert photo.encoded(segments).segments == cut
    assert [photo.prefix_bytes(count) for count in range(4)] == [4, 6, 6, 7]
    assert photo.payload_bytes == 7

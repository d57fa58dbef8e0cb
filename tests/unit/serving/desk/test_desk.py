"""The desk on made-up time: whose answer is made next, what controllers say together, and what fails. No sockets."""

import pytest

from desk_talk import Talk
from heliograph.controllers.base import Enough, More, Wait
from heliograph.errors import (
    AnsweringFailedError,
    StreamDamagedError,
    TooManyRegionsError,
    UnknownNameError,
)
from heliograph.protocol.events import QuestionAsked
from heliograph.protocol.frames import NO_FLAGS, AnswerFlag
from heliograph.question import Question
from heliograph.reasons import StreamFault
from heliograph.serving.desk.desk import Desk, Verdict
from heliograph.serving.desk.states import Effect, QuestionEvent, QuestionState
from heliograph.serving.jobs import Purpose


def states(talk):
    return {question_id: question.state for question_id, question in talk.desk.questions.items()}


# ---- from the question to the answer -----------------------------------------------------------------
def test_a_question_is_answered_from_the_whole_photo():
    talk = Talk()
    talk.ask()
    assert states(talk) == {0: QuestionState.WAITING}
    assert talk.job() is None
    talk.announce()
    assert states(talk) == {0: QuestionState.STREAMING}
    talk.segment(count=2)
    talk.desk.finish(0)
    assert talk.desk.decide(0) == Verdict(enough=True)
    assert not talk.said()
    job = talk.job()
    assert (job.purpose, len(job.encoded.segments), job.draft, job.tokens) == (Purpose.FINAL, 2, None, None)
    assert job.question.text == "what"
    talk.answered(job, "red")
    step = talk.steps()[-1]
    assert (step.event, step.effects) == (QuestionEvent.ANSWERED, (Effect.SEND_FINAL,))
    answered = step.question
    assert (answered.draft.text, answered.draft_segments, answered.flags) == ("red", 2, NO_FLAGS)
    assert talk.desk.questions == {}
    assert talk.job() is None


def test_a_question_about_a_held_photo_begins_at_once_and_uses_it():
    talk = Talk()
    talk.photo()
    talk.now = 50.0
    talk.ask()
    assert talk.happened() == [(0, QuestionEvent.PHOTO_ANNOUNCED)]
    assert talk.desk.book.watchlist.take() == 0
    assert talk.desk.photos[0].used_s == 50.0


def test_every_news_of_a_photo_has_it_looked_at():
    talk = Talk()
    watchlist = talk.desk.book.watchlist
    talk.ask()
    assert not watchlist
    for news in (talk.announce, talk.segment, talk.segment, lambda: talk.desk.finish(0)):
        news()
        assert watchlist.take() == 0
        assert not watchlist


def test_drafts_go_out_as_they_are_made_and_the_controllers_see_them():
    talk = Talk()
    controller = talk.scripted(0, 0)
    talk.photo(finish=False)
    talk.desk.book.watchlist.clear()
    talk.answered(talk.job(), "red", 0.25)
    assert talk.said() == [(0, Effect.SEND_DRAFT)]
    assert talk.desk.book.watchlist.take() == 0
    talk.now = 3.0
    talk.desk.decide(0, 3.0, 0.5)
    seen = controller.seen[-1]
    assert (seen.draft_confidence, seen.draft_segments, seen.segments, seen.received_bytes) == (0.25, 1, 1, 2)
    assert (seen.elapsed_s, seen.answer_s, seen.image_finished, seen.asked_segments) == (3.0, 0.5, False, 0)


def test_segments_that_come_while_the_model_works_are_one_piece_of_work():
    talk = Talk()
    talk.scripted(0, 0)
    talk.photo(finish=False)
    job = talk.job()
    talk.segment(count=200)
    talk.answered(job)
    merged = talk.job()
    assert (len(merged.encoded.segments), merged.purpose) == (201, Purpose.DRAFT)
    assert merged.draft.text == "red"
    talk.answered(merged)
    assert talk.job() is None  # nothing new


def test_late_segments_count_until_the_answer_is_there():
    talk = Talk()
    talk.scripted(0, 0, Enough())
    talk.photo(segments=2, finish=False)
    talk.desk.decide(0)
    job = talk.job()
    talk.segment()
    talk.answered(job)
    assert talk.said() == []  # not from all of it
    again = talk.job()
    assert (again.purpose, len(again.encoded.segments)) == (Purpose.FINAL, 3)
    talk.answered(again)
    assert talk.said() == [(0, Effect.SEND_FINAL)]


def test_a_draft_that_was_under_way_when_there_was_enough_is_the_answer_and_is_sent_as_both():
    talk = Talk()
    talk.scripted(0, 0, Enough())
    talk.photo(segments=2, finish=False)
    job = talk.job()
    assert job.purpose is Purpose.DRAFT
    talk.desk.decide(0)
    talk.answered(job)
    assert talk.said() == [(0, Effect.SEND_DRAFT), (0, Effect.SEND_FINAL)]


def test_a_draft_that_is_taken_is_the_answer_without_another_look_at_the_photo():
    talk = Talk()
    talk.scripted(0, 0, Enough(take_draft=True))
    talk.photo(finish=False)
    talk.answered(talk.job(), "sure")
    talk.segment(count=3)
    talk.steps()
    talk.desk.decide(0)
    step = talk.steps()[-1]
    assert (step.event, step.question.draft.text, step.question.draft_segments) == (QuestionEvent.ANSWERED, "sure", 1)


def test_a_picture_that_is_not_complete_enough_for_a_draft_is_waited_for():
    talk = Talk()
    talk.scripted(0, 0)
    talk.photo(finish=False)
    talk.made(talk.job())
    assert talk.said() == []
    assert talk.job() is None  # the same prefix is not tried again
    talk.segment()
    assert talk.job().draft is None


def test_what_was_restored_is_not_restored_again():
    talk = Talk()
    talk.ask(0)
    talk.ask(1)
    talk.photo(segments=2)
    talk.desk.decide(0)
    tokens = object()
    talk.answered(talk.job(), tokens=tokens)
    assert talk.job().tokens is tokens
    talk.desk.drop_tokens()
    assert talk.desk.photos[0].newest_tokens() is None


# ---- whose turn it is --------------------------------------------------------------------------------
def test_questions_of_one_session_take_turns():
    talk = Talk()
    for number in range(3):
        talk.scripted(number, number)
        talk.photo(number, finish=False)
    turns = []
    for _ in range(6):
        job = talk.job()
        turns.append(job.question_id)
        talk.answered(job)
        talk.segment(job.image_id)
    assert turns == [0, 1, 2, 0, 1, 2]


def test_a_final_answer_comes_before_every_draft():
    talk = Talk()
    for number in range(3):
        talk.scripted(number, number)
        talk.photo(number, finish=number == 2)
    talk.desk.decide(2)
    final = talk.job()
    assert final.question_id == 2
    assert [talk.job().question_id for _ in range(2)] == [0, 1]  # where there is room beside it
    assert talk.job() is None  # of every question something is being done
    talk.answered(final)
    assert (2, Effect.SEND_FINAL) in talk.said()


def test_a_question_without_its_photo_holds_up_nobody():
    talk = Talk()
    talk.ask(0, 9)
    talk.ask(1, 0)
    talk.photo(0)
    talk.desk.decide(0)
    assert talk.job().question_id == 1


# ---- what controllers say together -------------------------------------------------------------------
def test_the_device_is_stopped_when_nobody_waits_for_more():
    talk = Talk()
    talk.scripted(0, 0, Enough())
    talk.scripted(1, 0, Wait(), Enough())
    talk.photo(finish=False)
    assert talk.desk.decide(0) == Verdict(enough=False, waits=True)
    assert talk.desk.decide(0) == Verdict(enough=True)
    talk.scripted(2, 0, Wait())
    assert talk.desk.decide(0) == Verdict(enough=False, waits=True)


def test_nothing_is_said_of_a_photo_that_nobody_asks_about():
    talk = Talk()
    talk.photo(finish=False)
    assert talk.desk.decide(0) == Verdict(enough=False)
    talk.scripted(0, 0, Enough())
    talk.desk.decide(0)
    talk.desk.cancel(0)
    assert talk.desk.decide(0) == Verdict(enough=False)


def test_the_most_demanding_question_says_how_many_segments_more():
    talk = Talk()
    controllers = [talk.scripted(number, 0, More(segments), Wait()) for number, segments in enumerate((2, 5, 3))]
    talk.photo(segments=4, finish=False)
    assert talk.desk.decide(0) == Verdict(enough=False, more=5, waits=True)
    talk.desk.decide(0)
    assert [controller.seen[-1].asked_segments for controller in controllers] == [6, 9, 7]


def test_who_has_enough_is_not_asked_again():
    talk = Talk()
    controller = talk.scripted(0, 0, Enough())
    talk.photo(finish=False)
    for _ in range(3):
        talk.desk.decide(0)
    assert len(controller.seen) == 1


def test_whoever_looks_on_sees_every_decision_with_its_numbers():
    talk, seen = Talk(), []
    talk.desk.book.watcher = seen.append
    talk.scripted(0, 0, Wait(), More(3), Enough())
    talk.photo(segments=2, finish=False)
    for _ in range(3):
        talk.desk.decide(0)
    asked = seen[1:]
    assert [step.event for step in asked] == [QuestionEvent.WAIT, QuestionEvent.MORE, QuestionEvent.ENOUGH]
    assert [step.facts["decision"] for step in asked] == [Wait(), More(3), Enough()]
    assert [step.facts["observation"].segments for step in asked] == [2, 2, 2]
    assert [step.before for step in seen] == [QuestionState.WAITING] + [QuestionState.STREAMING] * 3
    assert seen == talk.desk.book.take_steps()
    assert talk.desk.book.take_steps() == []


# ---- what fails --------------------------------------------------------------------------------------
@pytest.mark.parametrize("drafted", [True, False])
def test_a_controller_that_fails_leaves_the_draft_or_what_has_come(drafted):
    talk = Talk()
    talk.scripted(0, 0, RuntimeError("a secret"))
    other = talk.scripted(1, 0)
    talk.photo(segments=2, finish=False)
    if drafted:
        talk.answered(talk.job(), "from two")
        talk.segment()
    talk.steps()
    assert talk.desk.decide(0) == Verdict(enough=False, waits=True)
    assert len(other.seen) == 1  # which is none of its business
    if not drafted:
        job = talk.job()
        assert (job.question_id, job.purpose) == (0, Purpose.FINAL)
        talk.answered(job, "from two")
    final = talk.steps()[-1].question
    assert (final.draft.text, final.flags) == ("from two", AnswerFlag.CONTROLLER_FAILED)
    assert list(talk.desk.questions) == [1]


def test_a_controller_that_cannot_say_what_it_reads_reads_nothing(monkeypatch):
    def reads(self):
        raise RuntimeError("a secret")

    from heliograph.controllers.energy import EnergyController

    monkeypatch.setattr(EnergyController, "reads", reads)
    talk = Talk()
    talk.ask(controller="energy", target=255)
    talk.photo()
    assert talk.desk.questions[0].reads == frozenset()
    assert talk.desk.decide(0) == Verdict(enough=True)


@pytest.mark.parametrize("purpose", [Purpose.DRAFT, Purpose.FINAL])
def test_a_question_that_cannot_be_answered_ends_alone(purpose):
    talk = Talk()
    talk.scripted(0, 0)
    talk.scripted(1, 0)
    talk.photo(finish=purpose is Purpose.FINAL)
    talk.desk.decide(0)
    job = talk.job()
    assert job.purpose is purpose
    talk.made(job, error=AnsweringFailedError())
    step = talk.steps()[-1]
    assert (step.question_id, step.effects) == (0, (Effect.SEND_ERROR,))
    assert isinstance(step.facts["error"], AnsweringFailedError)
    assert list(talk.desk.questions) == [1]


def test_a_draft_that_fails_spoils_no_answer_that_was_taken():
    talk = Talk()
    talk.scripted(0, 0, Enough(take_draft=True), region="always")
    talk.photo(finish=False)
    talk.answered(talk.job(), "sure")
    talk.segment()
    job = talk.job()
    talk.desk.decide(0)
    talk.made(job, error=StreamDamagedError(StreamFault.CHECKSUM))
    assert states(talk) == {0: QuestionState.ANSWERING}
    assert talk.job().purpose is Purpose.LOOK


def test_a_prefix_that_cannot_be_measured_fails_those_who_wait_for_it():
    talk = Talk()
    talk.scripted(0, 0, Enough())
    talk.photo(finish=False)
    talk.desk.decide(0)
    talk.scripted(1, 0)
    talk.scripted(2, 7)
    talk.steps()
    talk.desk.fail_measuring(0, StreamDamagedError(StreamFault.CHECKSUM))
    assert talk.said() == [(1, Effect.SEND_ERROR)]
    assert list(talk.desk.questions) == [0, 2]


def test_what_cannot_be_asked_is_refused_and_leaves_nothing_behind():
    talk = Talk(Desk(max_regions=0))
    with pytest.raises(TooManyRegionsError):
        talk.ask(region="always")
    with pytest.raises(UnknownNameError):
        talk.desk.ask(QuestionAsked(0, 0, Question("what", "magic", 0)), 0.0)
    assert talk.desk.questions == {}
    talk.ask(region="random")  # which may find that none is needed
    assert list(talk.desk.questions) == [0]


@pytest.mark.parametrize("end", ["cancelled", "forgotten"])
def test_a_result_for_a_question_that_is_gone_changes_nothing_but_the_photo(end):
    talk = Talk()
    talk.ask(0)
    talk.photo()
    talk.desk.decide(0)
    job = talk.job()
    if end == "cancelled":
        talk.desk.cancel(0)
    else:
        talk.desk.forget(0)
    talk.steps()
    tokens = object()
    talk.now = 9.0
    talk.answered(job, tokens=tokens)
    assert talk.said() == []
    if end == "cancelled":
        assert (talk.desk.photos[0].tokens, talk.desk.photos[0].used_s) == (tokens, 9.0)
    talk.desk.cancel(0)  # a second time
    assert talk.steps() == []

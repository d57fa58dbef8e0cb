"""Drafts are held back while the rest of the photo may come sooner than they could be made."""

from math import inf

import pytest

from heliograph.protocol.events import ImageAnnounced, QuestionAsked, SegmentReceived
from heliograph.question import Question
from heliograph.serving.cloud import Outcome
from heliograph.serving.desk.desk import Desk
from heliograph.serving.limits import Limits
from heliograph.serving.patience import DRAFT_PATIENCE, DraftPatience
from heliograph.types import Answer


def test_the_wait_follows_what_answers_take():
    patience = DraftPatience()
    assert patience.wait_s == 0.0
    patience.note_answer(0.4)
    assert patience.wait_s == pytest.approx(DRAFT_PATIENCE * 0.4)
    for _ in range(60):
        patience.note_answer(2.0)
    assert patience.wait_s == pytest.approx(DRAFT_PATIENCE * 2.0, rel=0.01)
    impatient = DraftPatience(0.0)
    impatient.note_answer(5.0)
    assert impatient.wait_s == 0.0


def desk_with_a_segment(now):
    desk = Desk()
    desk.ask(QuestionAsked(0, 0, Question("what", "fixed", 0)), 0.0)
    desk.announce(ImageAnnounced(0, "klt", b""))
    desk.add_segment(SegmentReceived(0, 0, b"x"), now)
    desk.decide(0)
    return desk


def test_a_draft_waits_from_the_first_news():
    desk = desk_with_a_segment(10.0)
    desk.add_segment(SegmentReceived(0, 0, b"x"), 11.5)
    assert desk.next_job(11.9, 2.0) is None
    assert desk.draft_due_s(2.0) == 12.0
    job = desk.next_job(12.0, 2.0)
    assert not job.final
    assert len(job.encoded.segments) == 2
    desk.deliver(job, Outcome(Answer("red", 0.5, 1.0)))
    assert desk.draft_due_s(2.0) == inf  # nothing new
    desk.add_segment(SegmentReceived(0, 0, b"x"), 12.5)
    assert desk.draft_due_s(2.0) == 14.5


def test_a_final_answer_never_waits():
    desk = desk_with_a_segment(10.0)
    desk.finish(0)
    desk.decide(0)
    assert desk.draft_due_s(100.0) == inf
    assert desk.next_job(10.0, 100.0).final


def conversation_in_two_messages(events):
    async def conversation(device):
        for question_id in range(2):
            device.ask(question_id, question_id)
            device.send([b"x"], question_id, finish=False)
            if question_id == 1:
                await device.flush()
                device.session.send_segment(question_id, b"x")
            device.session.finish_image(question_id)
            await device.flush()
            final = await device.final()
        return final, [event for event in device.events if isinstance(event, events.Draft)]

    return conversation


def test_a_photo_that_comes_at_once_gets_no_draft(serve, cloud, model, talk, events):
    server = serve(cloud, limits=Limits(draft_patience=1e9))
    final, drafts = talk(server, conversation_in_two_messages(events))
    assert (final.text, drafts) == ("what seen at 2", [])
    assert model.answered == [("what", 1), ("what", 2)]  # the final answers and nothing else


def test_a_draft_that_was_held_back_comes_by_itself(serve, cloud, talk, events, monkeypatch):
    monkeypatch.setattr(DraftPatience, "wait_s", 0.2)

    async def conversation(device):
        device.ask()
        device.send([b"x"], finish=False)
        await device.flush()
        return await device.until(events.Draft)

    assert talk(serve(cloud), conversation).text == "what seen at 1"

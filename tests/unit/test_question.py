"""A question is the same object, with all its fields, from the command line to the model's job."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import pytest

from heliograph.cli.main import build_parser
from heliograph.cli.options.stopping import question_from
from heliograph.controllers.base import share_code
from heliograph.edge.client import DeviceClient
from heliograph.errors import QuestionEmptyError, QuestionTooLongError, UnknownNameError, UsageError
from heliograph.protocol.events import Event, ImageAnnounced, ImageFinished, QuestionAsked, SegmentReceived
from heliograph.protocol.frames import encode_frame
from heliograph.protocol.questions import as_heard, question_frame
from heliograph.question import DEFAULT_TARGETS, Question
from heliograph.registry import CONTROLLERS
from heliograph.serving.desk.desk import Desk
from heliograph.serving.jobs import AnswerJob
from scripted_cloud import PHOTO, Cloud, FakeDevice, run, stream

CHOSEN: dict[str, Any] = {
    "text": "which colour is the Straße?",
    "controller": "pull",
    "target": 204,
    "confidence": "margin",
    "byte_budget": 4096,
    "answer_within_s": 2.048,
    "region": "threshold",
    "max_answer_tokens": 17,
}
"""Every field, unlike its default; bounds that a code stands for exactly."""

OPTIONS = {
    "text": [],
    "controller": ["--controller", "pull"],
    "target": ["--target", "0.8"],
    "confidence": ["--confidence", "margin"],
    "region": ["--region", "threshold"],
    "max_answer_tokens": ["--max-tokens", "17"],
}
WITHOUT_OPTION = {"byte_budget", "answer_within_s"}
"""``--budget`` makes the stream itself no longer, and ``--deadline`` is the planner's."""


def of_the_command_line(*options: str) -> Question:
    return question_from(build_parser("ask")[0].parse_args(["ask", "photo.jpg", CHOSEN["text"], *options]))


def test_every_field_is_looked_at() -> None:
    """A new field needs a value here, and an option or a reason for having none."""
    names = {field.name for field in fields(Question)}
    assert names == set(CHOSEN) == set(OPTIONS) | WITHOUT_OPTION
    plain = Question("what?").completed()
    assert all(getattr(plain, name) != value for name, value in CHOSEN.items())


def test_every_field_survives_from_the_command_line_to_the_job() -> None:
    typed = of_the_command_line(*(word for words in OPTIONS.values() for word in words))
    assert typed == Question(**{name: CHOSEN[name] for name in OPTIONS})
    asked = replace(typed, **{name: CHOSEN[name] for name in WITHOUT_OPTION})
    desk, jobs, events = Desk(), list[AnswerJob](), list[QuestionAsked]()

    async def behave(cloud: Cloud, event: Event) -> None:
        match event:
            case QuestionAsked():
                events.append(event)
                desk.ask(event, 0.0)
            case ImageAnnounced():
                desk.announce(event)
            case SegmentReceived():
                desk.add_segment(event, 0.0)
                if event.index == 0:
                    cloud.session.send_more(event.image_id, 100)
            case ImageFinished(image_id):
                desk.photos[image_id].finished = True
                assert desk.decide(image_id).enough
                job = desk.next_job(0.0, 0.0)
                assert job is not None
                jobs.append(job)
                cloud.final()

    async def whole() -> None:
        cloud = Cloud(behave)
        async with DeviceClient(cloud.open, FakeDevice(stream(4))) as client:
            await client.ask(PHOTO, asked, strategy="jpeg")

    run(whole)
    assert [event.question for event in events] == [job.question for job in jobs] == [Question(**CHOSEN)]


@pytest.mark.parametrize("name", CHOSEN)
def test_every_field_has_bits_of_its_own_in_the_frame(name: str) -> None:
    plain = Question("what?").completed()
    frames = [question_frame(0, 0, one, image_follows=True) for one in (plain, replace(plain, **{name: CHOSEN[name]}))]
    assert encode_frame(frames[0]) != encode_frame(frames[1])
    assert as_heard(replace(plain, **{name: CHOSEN[name]})) == replace(plain, **{name: CHOSEN[name]})


# ---- defaults --------------------------------------------------------------------------------------------
def test_a_text_alone_is_a_question_with_the_defaults() -> None:
    assert Question.of("what?") == Question("what?") == of_nothing_else("what?")
    asked = Question("what?", region="always")
    assert Question.of(asked) is asked


def of_nothing_else(text: str) -> Question:
    return question_from(build_parser("ask")[0].parse_args(["ask", "photo.jpg", text]))


def test_what_is_left_open_depends_on_whether_there_is_a_calibration() -> None:
    asked = Question("what?")
    assert asked.completed() == replace(asked, controller="energy", target=230)
    assert asked.completed(calibrated=True) == replace(asked, controller="push", target=243)
    named = replace(asked, controller="pull", target=7)
    assert named.completed() == named.completed(calibrated=True) == named
    assert replace(asked, target=7).completed(calibrated=True) == replace(asked, controller="push", target=7)


def test_default_targets_are_nine_tenths_of_the_energy_and_95_percent_of_the_answers() -> None:
    assert set(DEFAULT_TARGETS) == set(CONTROLLERS.names())
    assert DEFAULT_TARGETS["energy"] == share_code(0.9) == math.ceil(0.9 * 255)
    assert DEFAULT_TARGETS["push"] == DEFAULT_TARGETS["pull"] == share_code(0.95) == math.ceil(0.95 * 255)
    assert DEFAULT_TARGETS["fixed"] == 0


# ---- what is refused -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", QuestionEmptyError),
        (" \n\t", QuestionEmptyError),
        ("x" * 2001, QuestionTooLongError),
        (" " * 2001, QuestionTooLongError),
        ("what is \udcff?", UsageError),
    ],
)
def test_texts_that_cannot_be_asked_are_named(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        Question(text)
    with pytest.raises(error):
        Question.of(text)


def test_the_longest_text_and_the_largest_numbers_are_taken() -> None:
    longest = Question("\U0001f600" * 2000, "fixed", 255, byte_budget=1, answer_within_s=1e-3, max_answer_tokens=1024)
    assert as_heard(longest) == longest


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": -1},
        {"target": 256},
        {"byte_budget": 0},
        {"byte_budget": -5},
        {"answer_within_s": 0.0},
        {"answer_within_s": -1.0},
        {"answer_within_s": math.nan},
        {"answer_within_s": math.inf},
        {"max_answer_tokens": 0},
        {"max_answer_tokens": 1025},
    ],
    ids=str,
)
def test_numbers_outside_their_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Question("what?", **wrong)
    with pytest.raises(UsageError):
        replace(Question("what?"), **wrong)


@pytest.mark.parametrize("name", ["controller", "confidence", "region"])
def test_names_without_a_number_are_refused_where_they_travel(name: str) -> None:
    with pytest.raises(UnknownNameError):
        question_frame(0, 0, Question("what?", **{name: "magic"}), image_follows=True)

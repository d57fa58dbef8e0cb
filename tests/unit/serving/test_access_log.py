"""One line per question that has ended: who asked, what arrived, how it ended; its text only where it is wanted."""

import logging

import pytest

from heliograph.controllers.base import Enough
from heliograph.errors import AnsweringFailedError, TooManyRegionsError
from heliograph.protocol.access import owner_of
from heliograph.serving.access_log import AccessLog, Visitor, token_label


def facts_of(caplog):
    return [record.facts for record in caplog.records if record.name == "heliograph.access"]


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "heliograph.access")
    return lambda: facts_of(caplog)


def test_an_answered_question_is_one_line_without_its_text(attended, lines, caplog):
    def test(one):
        one.attendant.visitor = Visitor("10.0.0.7", "3fa9c1d2")
        one.ask()
        one.photo(segments=3, finish=True)
        one.attendant.decide(0)
        one.answered("blue")

    attended(test)
    (facts,) = lines()
    assert facts == {
        "address": "10.0.0.7",
        "token": "3fa9c1d2",
        "strategy": "klt",
        "payload_bytes": 4,
        "segments": 3,
        "ms": facts["ms"],
        "outcome": "answered",
    }
    assert "outcome=answered" in caplog.text
    assert "question 0" not in caplog.text
    assert "blue" not in caplog.text


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (lambda one: one.device.cancel(0), "cancelled"),
        (lambda one: one.device.forget_image(0), "photo_gone"),
        (lambda one: one.attendant.stop(), "abandoned"),
        (lambda one: (one.answered("x"), one.attendant.stop()), "abandoned"),
    ],
)
def test_a_question_without_an_answer_says_why(attended, lines, end, outcome):
    def test(one):
        one.ask()
        one.photo()
        end(one)
        one.say()

    attended(test)
    assert [facts["outcome"] for facts in lines()] == [outcome]


def test_a_question_that_fails_or_is_refused_has_the_name_of_its_error(attended, lines):
    def test(one):
        one.ask(0, 0, Enough())
        one.photo(finish=True)
        one.attendant.decide(0)
        one.made(error=AnsweringFailedError())
        one.ask(1, 0, region="always")

    attended(test, max_regions=0)
    assert [facts["outcome"] for facts in lines()] == [AnsweringFailedError.name, TooManyRegionsError.name]


def test_texts_are_there_where_they_are_wanted_and_cannot_break_the_line(attended, lines, caplog):
    def test(one):
        object.__setattr__(one.shared, "access_log", AccessLog(with_texts=True))
        one.ask()
        one.photo(finish=True)
        one.attendant.decide(0)
        one.answered('two\nlines "and" \x1b[2J')

    attended(test)
    (facts,) = lines()
    assert (facts["question"], facts["answer"]) == ("question 0", 'two\nlines "and" \x1b[2J')
    (record,) = [one for one in caplog.records if one.name == "heliograph.access"]
    text = record.getMessage()
    assert 'question="question 0"' in text
    assert 'answer="two\\nlines \\"and\\" \\u001b[2J"' in text


def test_nothing_is_made_up_for_a_level_that_nobody_reads(attended, caplog):
    caplog.set_level(logging.WARNING, "heliograph.access")
    attended(lambda one: (one.ask(), one.attendant.stop()))
    assert facts_of(caplog) == []


def test_a_token_is_known_by_a_label_that_is_not_part_of_it():
    label = token_label(owner_of("a long and secret token"))
    assert len(label) == 8
    assert label not in "a long and secret token"
    assert label != token_label(owner_of("another token"))


def test_a_device_on_a_real_connection_is_named_by_address_and_token(serve, cloud, talk, lines):
    server = serve(cloud, access_tokens=frozenset({"right", "other"}))

    async def conversation(device):
        device.ask()
        device.send([b"1", b"2"])
        await device.flush()
        return await device.final()

    talk(server, conversation, token="right")
    (facts,) = lines()
    assert (facts["address"], facts["token"]) == ("127.0.0.1", token_label(owner_of("right")))
    assert (facts["payload_bytes"], facts["outcome"]) == (2, "answered")

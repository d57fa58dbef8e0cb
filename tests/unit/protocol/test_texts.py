"""What of a question and an answer travels: lengths in bytes, differences, and times in milliseconds."""

from __future__ import annotations

import pytest

from heliograph.errors import FrameDamagedError, QuestionTooLongError
from heliograph.protocol.questions import as_heard
from heliograph.protocol.texts import answer_bytes, answer_frame, question_text
from heliograph.question import Question


def test_a_question_of_8000_bytes_is_read_and_a_longer_one_is_not() -> None:
    assert question_text("\U0001f600".encode() * 2000) == "\U0001f600" * 2000
    with pytest.raises(FrameDamagedError):
        question_text(b"\xff" * 8000)
    with pytest.raises(QuestionTooLongError):
        question_text(b"\xff" * 8001)  # too long before it is looked at


@pytest.mark.parametrize(
    ("previous", "data", "shared", "rest"),
    [
        (b"", b"abc", 0, b"abc"),
        (b"abc", b"abd", 2, b"d"),
        (b"abc", b"abc", 3, b""),
        (b"abc", b"ab", 2, b""),
        (b"ab", b"abc", 2, b"c"),
        (b"xbc", b"abc", 0, b"abc"),
        (b"abc", b"", 0, b""),
    ],
)
def test_an_answer_is_said_as_what_it_shares_with_the_draft_before(
    previous: bytes, data: bytes, shared: int, rest: bytes
) -> None:
    frame = answer_frame(3, data, previous, 1.0, 2, final=False)
    assert (frame.question_id, frame.shared, frame.rest, frame.final) == (3, shared, rest, False)


def test_an_answer_is_cut_at_4000_characters() -> None:
    assert answer_bytes("é" * 4001) == b"\xc3\xa9" * 4000
    assert answer_bytes("a\ud800") == b"a?"


@pytest.mark.parametrize(
    ("seconds", "heard_s"),
    [
        (0.001999999, 0.001),  # a nanosecond less than 2 ms
        (0.0019999999, 0.002),  # a tenth of one less: what floating point does to a number of milliseconds
        (1e-12, 0.001),
    ],
)
def test_times_are_told_to_the_nanosecond(seconds: float, heard_s: float) -> None:
    assert as_heard(Question("what?", answer_within_s=seconds)).answer_within_s == heard_s

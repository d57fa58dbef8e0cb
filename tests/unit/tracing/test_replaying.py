"""A traced answer is made again from the very prefix, and from nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest

from heliograph.errors import BundleMismatchError, UsageError
from heliograph.tracing import replay
from heliograph.tracing.exchanges import questions_of
from heliograph.tracing.reading import Trace, TraceEvent, parse_trace
from heliograph.types import Answer, Grid, VisualTokens

HERE = Path(__file__).parent
HASH = "0123456789abcdef"


class Cloud:
    """Answers ``SAYS``, and keeps what it was asked; tokens tell the prefix they are of."""

    def __init__(self, says="K52", token_ids=(75, 52, 2), name="reference", bundle_hash=HASH):
        self.bundle_hash, self.name, self.says = bytes.fromhex(bundle_hash), name, Answer(says, 0.9, 0.1, token_ids)
        self.restored, self.asked = [], []

    @property
    def model(self):
        return self

    def restore(self, encoded, question=""):
        self.restored.append(encoded)
        return VisualTokens(np.full((1, 1), len(encoded.segments), np.float32), Grid(1, 1))

    def answer(self, question, images, *, max_new_tokens):
        self.asked.append((question, [int(one.values[0, 0]) for one in images], max_new_tokens))
        return self.says


def trace(name):
    return parse_trace((HERE / f"{name}.trace").read_bytes())


@pytest.mark.parametrize("name", ["device", "cloud"])
def test_the_prefix_of_the_final_answer_is_rebuilt_from_either_end(name):
    cloud = Cloud()
    found = replay(trace(name), cloud)
    assert cloud.asked == [("what is on the sign?", [3], 64)]
    ten = b"0123456789"
    assert (found.prefix.strategy, found.prefix.header) == ("klt", bytes((0, 1, 2)))
    assert found.prefix.segments == (ten, ten * 2, ten * 3)
    assert (found.recorded, found.same, found.same_model) == ("K52", True, True)
    assert found.same_tokens is (True if name == "cloud" else None)


def test_another_answer_is_told():
    found = replay(trace("cloud"), Cloud("K57", (75, 57, 2), "another"))
    assert (found.same, found.same_tokens, found.same_model) == (False, False, False)
    assert found.answer.text == "K57"


def test_the_same_words_from_other_tokens_are_told():
    found = replay(trace("cloud"), Cloud(token_ids=(7552, 2)))
    assert (found.same, found.same_tokens) == (True, False)


def test_tokens_of_another_bundle_are_not_decoded():
    cloud = Cloud(bundle_hash="fedcba9876543210")
    with pytest.raises(BundleMismatchError):
        replay(trace("device"), cloud)
    assert cloud.restored == []


def test_a_question_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(UsageError) as refused:
        replay(trace("device"), Cloud(), question_id=3)
    assert "it holds: 2" in refused.value.__notes__[0]


def without(name):
    """The device's trace as it is written without content."""
    lines = (HERE / "device.trace").read_text().splitlines()
    left = [json.loads(line) for line in lines]
    for event in left[1:]:
        event["data"].pop(name, None)
    return parse_trace("".join(json.dumps(one) + "\n" for one in left).encode())


@pytest.mark.parametrize("name", ["text", "payload", "header"])
def test_a_trace_without_content_cannot_be_replayed(name):
    with pytest.raises(UsageError):
        replay(without(name), Cloud())


def frame(name, **data):
    return TraceEvent(0.0, "session:frame_sent", {"session": 1, "frame": name} | data)


def built(*events, strategy="jpeg"):
    """An exchange about a picture of three segments, which needs no bundle."""
    return Trace(
        "device",
        {},
        (
            frame("WELCOME", model="reference", bundle_hash=""),
            frame("QUESTION", question_id=0, image_id=0, text="what?", max_answer_tokens=8),
            frame("IMAGE", image_id=0, strategy=strategy, header="", payload_bytes=0),
            *(frame("SEGMENT", image_id=0, index=n, payload="YQ==", payload_bytes=1) for n in range(3)),
            *events,
            frame("FINAL", question_id=0, text="K52", confidence=1.0, segments_used=3, flags=["looked"]),
        ),
    )


def test_an_answer_from_a_region_is_made_from_photo_and_crop():
    crop = (
        frame("CROP", question_id=0, image_id=1),
        frame("IMAGE", image_id=1, strategy="webp", header="", payload_bytes=0),
        frame("SEGMENT", image_id=1, index=0, payload="Yg==", payload_bytes=1),
    )
    cloud = Cloud()
    found = replay(built(*crop), cloud)
    assert cloud.asked == [("what?", [3, 1], 8)]
    assert found.crop is not None
    assert (found.crop.strategy, found.crop.segments) == ("webp", (b"b",))


def test_segments_that_a_broken_connection_swallowed_are_not_used_twice():
    """The third segment left but did not arrive; the cloud holds two, and the third is sent again."""
    again = (
        frame("WELCOME", model="reference", bundle_hash="", held=[[0, 2, False]]),
        frame("QUESTION", question_id=1, image_id=0, text="what?", max_answer_tokens=8),
        frame("SEGMENT", image_id=0, index=2, payload="Yw==", payload_bytes=1),
    )
    whole = built(*again)
    final = frame("FINAL", question_id=1, text="K52", confidence=1.0, segments_used=3, flags=[])
    found = replay(Trace("device", {}, (*whole.events[:-1], final)), Cloud())
    assert found.prefix.segments == (b"a", b"a", b"c")
    assert found.question.question_id == 1


def test_a_photo_whose_beginning_was_in_a_file_that_is_gone():
    events = tuple(one for one in built().events if one.data.get("index") != 0)
    with pytest.raises(UsageError):
        replay(Trace("device", {}, events), Cloud())


def test_a_strategy_that_nobody_knows():
    with pytest.raises(UsageError):
        replay(built(strategy="moonlight"), Cloud())


def test_questions_are_told_with_what_they_cost():
    (found,) = questions_of(trace("cloud"))
    assert found.photo is not None
    assert found.final is not None
    assert (found.session, found.question_id, found.decisions, len(found.drafts)) == (6, 2, 2, 1)
    assert found.photo.payload_bytes(found.final.segments_used) == 63
    assert found.token_ids == (75, 52, 2)


def test_questions_that_failed_say_why():
    events = (
        frame("QUESTION", question_id=0, image_id=0, text="what?"),
        frame("ERROR", question_id=0, error="unknown-image"),
        frame("ERROR", error="timed-out"),
        frame("QUESTION", question_id=1, image_id=0, text="what?"),
        frame("ERROR", question_id=1, error="answering-failed"),
    )
    assert [one.error for one in questions_of(Trace("cloud", {}, events))] == ["unknown-image", "answering-failed"]


def test_frames_with_nothing_in_them_are_passed_over():
    names = ("WELCOME", "QUESTION", "IMAGE", "SEGMENT", "CROP", "DRAFT", "FINAL", "ERROR", "moon")
    events = (*map(frame, names), *(frame(name, question_id=0, image_id=0) for name in names))
    found = questions_of(Trace("cloud", {}, (*events, frame("WELCOME", held=[1, [2], ["a", 1, True]]))))
    assert [one.question_id for one in found] == [0]
    assert found[0].text is None

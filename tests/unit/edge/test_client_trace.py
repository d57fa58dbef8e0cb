"""A client's trace says what its report says, names what went wrong, and holds no secret."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from heliograph.edge.client import DeviceClient
from heliograph.errors import AnsweringFailedError, TimedOutError
from heliograph.protocol.events import Event, ImageFinished, QuestionAsked, SegmentReceived
from heliograph.question import Question
from heliograph.tracing.table import EVENTS, FRAMES
from scripted_cloud import PHOTO, Cloud, FakeDevice, final_at_the_end, run, stream

Events = list[tuple[str, Mapping[str, Any]]]


def sink_of(events: Events):  # type: ignore[no-untyped-def]
    return lambda name, data: events.append((name, data))


def recorded(events: Events, name: str) -> list[Mapping[str, Any]]:
    return [data for what, data in events if what == name]


def asked(cloud: Cloud, question: str | Question = "what?", **client: Any) -> tuple[Events, Any]:
    """One question about a stream of three segments; its events, and its report or error."""
    events, outcome = Events(), list[Any]()

    async def whole() -> None:
        async with DeviceClient(cloud.open, FakeDevice(stream(3)), trace=sink_of(events), **client) as device:
            try:
                outcome.append(await device.ask(PHOTO, question, strategy="jpeg", timeout_s=5))
            except Exception as error:
                outcome.append(error)

    run(whole)
    return events, outcome[0]


def test_payload_bytes_and_answers_are_those_of_the_report() -> None:
    events, report = asked(Cloud(final_at_the_end()))
    sent = recorded(events, "session:frame_sent")
    assert sum(one.get("payload_bytes", 0) for one in sent) == report.payload_bytes == 301
    (answered,) = recorded(events, "question:answered")
    assert (answered["text"], answered["payload_bytes"]) == (report.answer, report.payload_bytes)
    assert (answered["wire_bytes_up"], answered["wire_bytes_down"]) == (report.wire_bytes_up, report.wire_bytes_down)
    crossed = sum(one["bytes"] for one in sent)
    assert crossed == report.wire_bytes_up  # in memory there is no framing of messages
    drafts = [one["text"] for one in recorded(events, "session:frame_received") if one["frame"] == "DRAFT"]
    assert drafts == [draft.text for draft in report.drafts]


def test_what_happens_is_told_in_order() -> None:
    events, _ = asked(Cloud(final_at_the_end()), Question("what?", byte_budget=5000, answer_within_s=2.0))
    names = [name for name, _ in events if not name.startswith("session:")]
    assert sorted(names[1:3]) == ["connection:opened", "photo:encoded"]  # both at once
    assert [names[0], *names[3:]] == [
        "question:asked",
        "device:stop_expected",
        "device:budget",
        "question:answered",
        "connection:closed",
    ]
    question = recorded(events, "question:asked")[0]
    frame = next(one for one in recorded(events, "session:frame_sent") if one["frame"] == "QUESTION")
    assert question["text"] == frame["text"] == "what?"
    assert question["budget_bytes"] == frame["budget_bytes"] <= 5000
    assert question["answer_within_ms"] == frame["answer_within_ms"] <= 2000
    assert recorded(events, "photo:encoded")[0]["segments"] == 3


def test_every_event_has_the_fields_that_are_documented() -> None:
    events, _ = asked(Cloud(final_at_the_end()), Question("what?", byte_budget=5000))
    for name, data in events:
        assert "device" in EVENTS[name].written_by
        assert set(data) <= {*EVENTS[name].fields, *FRAMES.get(data.get("frame", ""), ())}, name


def test_a_reconnection_is_told_with_its_cause_and_segments_are_counted_on() -> None:
    """The connection breaks behind the second segment; the session goes on with what the cloud holds."""
    broken = False

    async def behave(cloud: Cloud, event: Event) -> None:
        nonlocal broken
        match event:
            case SegmentReceived(_, 1) if not broken:
                broken = True
                cloud.connections[-1].abort()
            case ImageFinished():
                cloud.final("blue", 3)
            case QuestionAsked():
                pass

    events, report = asked(Cloud(behave), jitter=lambda: 0.0)
    assert report.reconnections == 1
    closed, retry = recorded(events, "connection:closed"), recorded(events, "connection:retry")
    assert [one.get("error") for one in closed] == ["connection-lost", None]
    assert [one["cause"] for one in retry] == ["connection-lost"]
    assert [one["connection"] for one in recorded(events, "connection:opened")] == [1, 2]
    frames = recorded(events, "session:frame_sent")
    assert {one["connection"] for one in frames} == {1, 2}
    indices = [one["index"] for one in frames if one["frame"] == "SEGMENT" and one["connection"] == 2]
    assert indices == [0, 1, 2]  # this cloud kept nothing


@pytest.mark.parametrize("error", [AnsweringFailedError, TimedOutError])
def test_a_question_that_fails_says_so(error: type[Exception]) -> None:
    async def behave(cloud: Cloud, event: Event) -> None:
        if isinstance(event, ImageFinished):
            cloud.session.send_error(error(), cloud.question_id)  # type: ignore[arg-type]

    events, raised = asked(Cloud(behave))
    assert isinstance(raised, error)
    assert [one["error"] for one in recorded(events, "question:failed")] == [raised.name]
    assert recorded(events, "question:answered") == []


def test_a_question_that_is_given_up_says_so() -> None:
    events = Events()

    async def silent(cloud: Cloud, event: Event) -> None:
        pass

    async def whole() -> None:
        cloud = Cloud(silent)
        async with DeviceClient(cloud.open, FakeDevice(stream(1)), trace=sink_of(events)) as device:
            asking = asyncio.create_task(device.ask(PHOTO, "what?", strategy="jpeg"))
            while not cloud.of(ImageFinished):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    run(whole)
    assert [one["error"] for one in recorded(events, "question:failed")] == ["CancelledError"]


def test_no_secret_is_in_any_event() -> None:
    token, session_token = "an-access-token", b"a session token!"
    cloud = Cloud(final_at_the_end(), frozenset({token}), session_token)
    events, report = asked(cloud, access_token=token)
    assert report.answer == "blue"
    text = repr(events)
    for secret in (token, session_token.decode(), session_token.hex()):
        assert secret not in text
    hello = recorded(events, "session:frame_sent")[0]
    welcome = recorded(events, "session:frame_received")[0]
    assert (hello["frame"], hello["resumable"], welcome["frame"], welcome["resumable"]) == (
        "HELLO",
        True,
        "WELCOME",
        True,
    )

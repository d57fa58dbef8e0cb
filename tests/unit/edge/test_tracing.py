"""What a device writes into its trace, field by field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from heliograph.edge.report import AskReport
from heliograph.edge.tracing import DeviceTrace
from heliograph.errors import ConnectionLostError
from heliograph.protocol.session import DeviceSession
from heliograph.question import Question
from heliograph.types import EncodedImage

ENCODED = EncodedImage("klt", b"head", (b"12345", b"678", b"9"), bundle_hash=b"\x01\xff")


def written(*doing: Callable[[DeviceTrace], Any]) -> list[tuple[str, Mapping[str, Any]]]:
    events = list[tuple[str, Mapping[str, Any]]]()
    trace = DeviceTrace(lambda name, data: events.append((name, data)))
    for one in doing:
        one(trace)
    return events


def test_connections_are_numbered_and_their_ends_named() -> None:
    session = DeviceSession(b"")
    assert session.on_frame is None
    events = written(
        lambda trace: trace.opened(session, 0.25),
        lambda trace: trace.closed(ConnectionLostError()),
        lambda trace: trace.retry(ConnectionLostError(), 1.5, busy=False),
        lambda trace: trace.opened(session, 2.0),
        lambda trace: trace.closed(None),
    )
    assert session.on_frame is not None
    assert events == [
        ("connection:opened", {"connection": 1, "session": 1, "ms": 250.0}),
        ("connection:closed", {"connection": 1, "session": 1, "error": "connection-lost"}),
        ("connection:retry", {"cause": "connection-lost", "busy": False, "pause_ms": 1500.0}),
        ("connection:opened", {"connection": 2, "session": 1, "ms": 2000.0}),
        ("connection:closed", {"connection": 2, "session": 1}),
    ]


def test_frames_carry_the_number_of_their_connection_and_session() -> None:
    session = DeviceSession(b"")
    events = written(lambda trace: trace.opened(session, 0.0), lambda trace: session.start())
    name, hello = events[1]
    assert (name, hello["frame"], hello["connection"], hello["session"]) == ("session:frame_sent", "HELLO", 1, 1)


@pytest.mark.parametrize("authenticated", [False, True])
def test_a_greeting_says_whether_it_is_authenticated(authenticated: bool) -> None:
    events = list[tuple[str, Mapping[str, Any]]]()
    trace = DeviceTrace(lambda name, data: events.append((name, data)), authenticated=authenticated)
    session = DeviceSession(b"")
    trace.opened(session, 0.0)
    session.start()
    assert bool(events[1][1].get("authenticated")) is authenticated


def test_a_question_with_its_bounds_and_without() -> None:
    plain = {
        "text": "colour?",
        "strategy": "webp",
        "controller": "energy",
        "target": 230,
        "judged_by": "combined",
        "region": "never",
        "max_answer_tokens": 64,
    }
    bounded = Question("colour?", byte_budget=300, answer_within_s=0.5)
    assert written(lambda trace: trace.asked(Question("colour?"), "webp")) == [("question:asked", plain)]
    assert written(lambda trace: trace.asked(bounded, "webp")) == [
        ("question:asked", plain | {"budget_bytes": 300, "answer_within_ms": 500.0})
    ]


REPORT = AskReport("blue", 0.75, "webp", {"size": 64}, 101, 150, 30, 12.5, 200.0, 300.0)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({}, []),
        ({"looked": True}, ["looked"]),
        ({"region_missed": True}, ["region-missed"]),
        ({"controller_failed": True}, ["controller-failed"]),
    ],
)
def test_an_answer_with_its_cost(flags: dict[str, bool], told: list[str]) -> None:
    report = AskReport(**(vars(REPORT) | {"regions_sent": 1, "reconnections": 2} | flags))
    answered = {
        "text": "blue",
        "confidence": 0.75,
        "strategy": "webp",
        "payload_bytes": 101,
        "wire_bytes_up": 150,
        "wire_bytes_down": 30,
        "encode_ms": 12.5,
        "final_ms": 300.0,
        "regions_sent": 1,
        "reconnections": 2,
        "flags": told,
    }
    assert written(lambda trace: trace.answered(report)) == [("question:answered", answered)]


def test_errors_have_their_names_and_strangers_their_class() -> None:
    events = written(lambda trace: trace.failed(ConnectionLostError()), lambda trace: trace.failed(KeyError("secret")))
    assert events == [
        ("question:failed", {"session": 1, "error": "connection-lost"}),
        ("question:failed", {"session": 1, "error": "KeyError"}),
    ]


def test_an_encoded_photo_with_its_size() -> None:
    """A header of 4 bytes and segments of 5, 3 and 1."""
    encoded = {"strategy": "klt", "segments": 3, "payload_bytes": 13, "ms": 7.5, "bundle_hash": "01ff"}
    assert written(lambda trace: trace.encoded(ENCODED, 7.5)) == [("photo:encoded", encoded)]


def test_where_the_stream_is_expected_to_stop_and_where_the_budget_ends_it() -> None:
    energy, budget = Question("?", "energy"), Question("?", "energy", byte_budget=10)
    stop = {"image_id": 3, "segments": 2, "payload_bytes": 12, "total_segments": 3, "controller": "energy"}
    bound = {"image_id": 3, "segments": 1, "payload_bytes": 9, "total_segments": 3, "budget_bytes": 10}
    for question, expected, events in (
        (energy, 2, [("device:stop_expected", stop)]),
        (budget, 2, [("device:stop_expected", stop), ("device:budget", bound)]),
        (budget, None, [("device:budget", bound)]),
        (energy, None, []),
    ):
        assert written(lambda trace: trace.stop_expected(3, question, ENCODED, expected, 1)) == events  # noqa: B023


def test_a_plan_with_what_it_chose_from() -> None:
    chosen = SimpleNamespace(name="webp", quality=0.9, total_s=0.5, payload_bytes=200.4)
    other = SimpleNamespace(name="local", quality=1.0, total_s=9.0, payload_bytes=0)
    goal = SimpleNamespace(quality=0.8, answer_within_s=2.0)
    plan: Any = SimpleNamespace(
        chosen=chosen, candidates=(chosen, other), rule="the quickest", notes=("a", "b"), goal=goal
    )
    made = {
        "name": "webp",
        "reason": "the quickest",
        "quality": 0.8,
        "total_s": 0.5,
        "payload_bytes": 200,
        "notes": ["a", "b"],
        "candidates": [
            {"name": "webp", "quality": 0.9, "total_s": 0.5, "payload_bytes": 200.4},
            {"name": "local", "quality": 1.0, "total_s": 9.0, "payload_bytes": 0},
        ],
    }
    assert written(lambda trace: trace.planned(plan)) == [("plan:made", made | {"answer_within_ms": 2000.0})]
    goal.answer_within_s = None
    shown = list[Any]()
    events = written(
        lambda trace: trace.planned_too(shown.append)(plan),
        lambda trace: trace.planned_too(None)(plan),
        lambda trace: trace.plan_failed("no answer after 2 s"),
    )
    assert events == [("plan:made", made), ("plan:made", made), ("plan:failed", {"reason": "no answer after 2 s"})]
    assert shown == [plan]

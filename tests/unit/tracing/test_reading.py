"""A trace is somebody's file: whatever is in it, reading ends with events or with the line that is wrong."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import FileUnreadableError, TraceDamagedError
from heliograph.tracing import reading
from heliograph.tracing.reading import of_session, parse_trace, read_trace

HERE = Path(__file__).parent
WHOLE = (HERE / "device.trace").read_bytes()
HEADER = WHOLE.splitlines(keepends=True)[0]


def event(**changed):
    return json.dumps({"time": 1.0, "name": "connection:opened", "data": {}} | changed).encode() + b"\n"


def header(**changed):
    return json.dumps(json.loads(HEADER) | changed).encode() + b"\n"


def test_every_event_in_order():
    trace = parse_trace(WHOLE)
    assert (trace.vantage_point, len(trace.events), trace.cut, trace.begins_late) == ("device", 17, False, False)
    assert (trace.events[0].time_ms, trace.events[0].name) == (0.5, "question:asked")
    assert trace.events[0].data["budget_bytes"] == 300


@pytest.mark.parametrize("kept", [1, 20, len(HEADER) + 5, len(WHOLE) - 1])
def test_a_last_line_without_an_end_is_left_out(kept):
    whole = WHOLE[:kept].count(b"\n")
    if not whole:
        with pytest.raises(TraceDamagedError):
            parse_trace(WHOLE[:kept])
        return
    trace = parse_trace(WHOLE[:kept])
    assert trace.cut
    assert len(trace.events) == whole - 1


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (b"", "line 1: it is not whole."),
        (b"\n", "line 1: it is no JSON."),
        (b"{}\n", "line 1: it is not the header of a trace."),
        (header(version=2), "line 1: another version of the format than 1."),
        (header(vantage_point="moon"), "line 1: the header says too little."),
        (header(part=None), "line 1: the header says too little."),
        (header(part="0"), "line 1: part is no whole number."),
        (HEADER + b"\n", "line 2: it is no JSON."),
        (HEADER + event() + b"[]\n", "line 3: it is no JSON object."),
        (HEADER + event(time="1"), "line 2: it has no time."),
        (HEADER + event(time=True), "line 2: it has no time."),
        (HEADER + event(time=1e15), "line 2: it has no time."),
        (HEADER + event(name=3), "line 2: it has no name."),
        (HEADER + event(name="a sentence: of words"), "line 2: it has no name."),
        (HEADER + event(data=[]), "line 2: it has no data."),
        (HEADER + event(data={"connection": "one"}), "line 2: connection is no whole number."),
        (HEADER + event(data={"connection": True}), "line 2: connection is no whole number."),
        (HEADER + event(data={"connection": 1.5}), "line 2: connection is no whole number."),
        (HEADER + event(data={"ms": "slow"}), "line 2: ms is no number."),
        (HEADER + event(data={"ms": {"a": [[[[[[[[]]]]]]]]}}), "line 2: it is no JSON."),
        (HEADER + event().replace(b"1.0", b"1e999"), "line 2: it is no JSON."),
        (HEADER + event().replace(b"1.0", b"NaN"), "line 2: it is no JSON."),
        (HEADER + b'{"time":1,"time":2,"name":"a:b","data":{}}\n', "line 2: it is no JSON."),
        (HEADER + b'{"time":1,"name":"a:b","data":{"text":"' + b"x" * (4 << 20) + b'"}}\n', "line 2: it is too long."),
    ],
)
def test_the_line_that_is_wrong_is_named(data, note):
    with pytest.raises(TraceDamagedError) as refused:
        parse_trace(data)
    assert refused.value.__notes__ == [note]
    assert str(refused.value) == TraceDamagedError.text


def test_what_a_newer_program_adds_is_taken():
    trace = parse_trace(HEADER + event(name="moon:seen", data={"phase": [1]}) + event(data={"phase": {}}))
    assert [one.name for one in trace.events] == ["moon:seen", "connection:opened"]


def test_nobody_knows_is_a_value():
    assert parse_trace(HEADER + event(data={"ms": None})).events[0].data == {"ms": None}


def test_too_many_lines_are_not_even_split(monkeypatch):
    monkeypatch.setattr(reading, "_MAX_EVENTS", 3)
    assert len(parse_trace(HEADER + event() * 2).events) == 2
    with pytest.raises(TraceDamagedError):
        parse_trace(HEADER + event() * 3)


def test_the_path_is_named_for_the_person_at_the_command_line(tmp_path):
    path = tmp_path / "it.trace"
    path.write_bytes(HEADER + b"nothing\n")
    with pytest.raises(TraceDamagedError) as refused:
        read_trace(path)
    assert refused.value.__notes__ == [f"{path}: line 2: it is no JSON."]
    with pytest.raises(FileUnreadableError):
        read_trace(tmp_path / "none")
    with pytest.raises(FileUnreadableError):
        read_trace(tmp_path)


def test_a_file_larger_than_any_trace_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_TRACE_BYTES", 100)
    monkeypatch.setattr(reading, "MAX_LINE_BYTES", 100)
    path = tmp_path / "it.trace"
    path.write_bytes(WHOLE)
    with pytest.raises(FileUnreadableError):
        read_trace(path)


def test_one_session_of_many():
    trace = parse_trace((HERE / "cloud.trace").read_bytes())
    assert {one.data.get("session") for one in trace.events} == {5, 6}
    assert {one.data.get("session") for one in of_session(trace, 6).events} == {6}
    assert of_session(trace, None) is trace


@given(st.binary(max_size=200) | st.integers(0, len(WHOLE)).map(lambda n: WHOLE[:n] + b"\xff" + WHOLE[n + 1 :]))
def test_any_bytes_are_a_trace_or_a_named_error(data):
    with contextlib.suppress(TraceDamagedError):
        assert parse_trace(data).header["format"] == "heliograph-trace"

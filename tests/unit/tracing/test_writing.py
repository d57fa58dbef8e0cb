"""What is written, and that writing never stands in the way of the exchange."""

import base64
import json
import os
import signal
import stat
import sys
import threading
from pathlib import Path

import pytest

from heliograph.errors import OutputUnwritableError
from heliograph.tracing import writing
from heliograph.tracing.reading import read_trace
from heliograph.tracing.table import MAX_TRACE_BYTES
from heliograph.tracing.writing import TraceWriter
from processes import ended, first_line, started


class Clock:
    """Half a second later at every look."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        self.now += 0.5
        return self.now


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_header_then_one_line_an_event(tmp_path):
    path = tmp_path / "it.trace"
    with TraceWriter(path, "device", clock=Clock()) as trace:
        trace.record("photo:encoded", {"strategy": "klt", "segments": 3, "payload_bytes": 40, "ms": 2.5})
        trace.record("connection:closed", {"connection": 1, "session": 1})
    header, *events = lines(path)
    assert header["format"] == "heliograph-trace"
    assert (header["version"], header["vantage_point"], header["part"], header["content"]) == (1, "device", 0, True)
    assert events == [
        {
            "time": 500.0,
            "name": "photo:encoded",
            "data": {"strategy": "klt", "segments": 3, "payload_bytes": 40, "ms": 2.5},
        },
        {"time": 1000.0, "name": "connection:closed", "data": {"connection": 1, "session": 1}},
    ]


def test_only_its_owner_may_read_it_even_where_it_was_there_before(tmp_path):
    path = tmp_path / "it.trace"
    for _ in range(2):
        TraceWriter(path, "device").close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o644)


def test_values_that_json_does_not_have(tmp_path):
    path = tmp_path / "it.trace"
    with TraceWriter(path, "cloud") as trace:
        trace.record("model:job_ended", {"margin": float("nan"), "text": "a\ud800b\x1b\n", "token_ids": (1, 2)})
        trace.record("session:frame_sent", {"frame": "SEGMENT", "payload": b"\x00\xff"})
    data = [event.data for event in read_trace(path).events]
    assert data[0] == {"margin": None, "text": "a?b\x1b\n", "token_ids": [1, 2]}
    assert base64.b64decode(data[1]["payload"]) == b"\x00\xff"
    assert path.read_bytes().isascii()


def test_without_content_neither_photo_nor_words(tmp_path):
    path = tmp_path / "it.trace"
    with TraceWriter(path, "cloud", content=False) as trace:
        trace.record("session:frame_sent", {"frame": "SEGMENT", "payload": b"photo", "payload_bytes": 5})
        trace.record("model:job_ended", {"text": "secret answer", "token_ids": [7, 8], "confidence": 0.5})
        trace.record("question:asked", {"text": "secret question", "a_field_of_the_future": "secret"})
    found = read_trace(path)
    assert found.header["content"] is False
    assert [dict(event.data) for event in found.events] == [
        {"frame": "SEGMENT", "payload_bytes": 5},
        {"confidence": 0.5},
        {},
    ]
    assert b"secret" not in path.read_bytes()


def test_a_file_that_is_no_trace_stays(tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8 a photo")
    with pytest.raises(OutputUnwritableError) as refused:
        TraceWriter(photo, "device")
    assert "no trace" in refused.value.__notes__[0]
    assert photo.read_bytes() == b"\xff\xd8 a photo"


def test_no_folder_no_link_no_pipe_and_no_place(tmp_path):
    (tmp_path / "there.trace").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "there.trace")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "link", tmp_path / "pipe", tmp_path / "none" / "it.trace", Path("a\0b")):
        with pytest.raises(OutputUnwritableError):
            TraceWriter(path, "device")


def test_a_disk_that_fails_costs_the_trace_alone(tmp_path, monkeypatch):
    warnings, warned = [], threading.Event()

    def warn(text):
        warnings.append(text)
        warned.set()

    trace = TraceWriter(tmp_path / "it.trace", "device", on_warning=warn)
    trace.record("connection:opened", {"connection": 1})

    def full(self, value):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TraceWriter, "_write_line", full)
    trace.record("connection:closed", {"connection": 1})
    assert warned.wait(10)
    for _ in range(10):
        trace.record("connection:closed", {"connection": 1})
    trace.close()
    assert warnings == [f"the trace {tmp_path / 'it.trace'} ends here: No space left on device"]
    assert trace._waiting == []


def test_a_value_that_nobody_can_write_costs_the_trace_alone(tmp_path):
    warnings = []
    with TraceWriter(tmp_path / "it.trace", "device", on_warning=warnings.append) as trace:
        trace.record("connection:closed", {"connection": object()})
    assert len(warnings) == 1
    assert read_trace(tmp_path / "it.trace").events == ()


def test_what_the_disk_cannot_take_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_MAX_WAITING", 10)
    path = tmp_path / "it.trace"
    gate = threading.Event()
    original = TraceWriter._write

    def held_up(self, events, lost):
        gate.wait(10)
        original(self, events, lost)

    monkeypatch.setattr(TraceWriter, "_write", held_up)
    trace = TraceWriter(path, "device")
    for number in range(100):
        trace.record("connection:opened", {"connection": number})
    gate.set()
    trace.close()
    events = read_trace(path).events
    lost = sum(event.data["events"] for event in events if event.name == "trace:lost")
    written = [event.data["connection"] for event in events if event.name == "connection:opened"]
    assert lost > 0
    assert len(written) + lost == 100
    assert written == sorted(written)


def test_waiting_payload_is_bounded_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_MAX_WAITING_BYTES", 1000)
    gate = threading.Event()
    monkeypatch.setattr(TraceWriter, "_write", lambda self, events, lost: gate.wait(10))
    trace = TraceWriter(tmp_path / "it.trace", "cloud")
    for _ in range(50):
        trace.record("session:frame_received", {"payload": b"x" * 300})
    assert sum(len(data["payload"]) for _, _, data in trace._waiting) <= 1000
    gate.set()
    trace.close()


def test_a_long_trace_goes_on_in_a_new_file_and_is_read_as_one(tmp_path):
    path = tmp_path / "it.trace"
    with TraceWriter(path, "cloud", max_bytes=2000) as trace:
        for number in range(30):
            trace.record("connection:opened", {"connection": number, "session": number})
    assert {one.name for one in tmp_path.iterdir()} == {"it.trace", "it.trace.1"}
    assert all(one.stat().st_size < 2200 for one in tmp_path.iterdir())
    assert stat.S_IMODE((tmp_path / "it.trace.1").stat().st_mode) == 0o600
    found = read_trace(path)
    numbers = [event.data["connection"] for event in found.events]
    assert numbers == list(range(numbers[0], 30))
    assert found.begins_late == (numbers[0] > 0)
    first = read_trace(tmp_path / "it.trace.1")
    assert numbers[: len(first.events)] == [event.data["connection"] for event in first.events]


def test_another_traces_earlier_part_is_not_taken_for_this_ones(tmp_path):
    path = tmp_path / "it.trace"
    with TraceWriter(path, "cloud", max_bytes=600) as trace:
        for number in range(8):
            trace.record("connection:opened", {"connection": number, "session": number})
    own = read_trace(path)
    TraceWriter(tmp_path / "other.trace", "cloud").close()
    (tmp_path / "other.trace").rename(tmp_path / "it.trace.1")
    alone = read_trace(path)
    assert alone.begins_late
    assert len(alone.events) < len(own.events)


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from heliograph.tracing.writing import TraceWriter
trace = TraceWriter(Path(sys.argv[1]), "device")
print("begun", flush=True)
number = 0
while True:
    trace.record("session:frame_sent", {"connection": number, "frame": "SEGMENT", "payload": b"p" * 400})
    number += 1
"""


def test_a_writer_that_is_killed_leaves_whole_lines(tmp_path):
    path = tmp_path / "it.trace"
    with started((sys.executable, "-c", WRITE_FOR_EVER, path)) as child:
        assert first_line(child) == "begun"
        while path.stat().st_size < 200_000:
            assert child.poll() is None
            threading.Event().wait(0.01)
        ended(child, signal.SIGKILL)
    assert path.stat().st_size <= MAX_TRACE_BYTES
    numbers = [event.data["connection"] for event in read_trace(path).events if event.name != "trace:lost"]
    assert len(numbers) > 100
    assert numbers == sorted(numbers)


def test_recording_from_many_threads_keeps_the_order_of_time(tmp_path):
    path = tmp_path / "it.trace"
    with TraceWriter(path, "device") as trace:
        threads = [
            threading.Thread(target=lambda: [trace.record("connection:opened", {"connection": n}) for n in range(200)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    times = [event.time_ms for event in read_trace(path).events]
    assert len(times) == 800
    assert times == sorted(times)

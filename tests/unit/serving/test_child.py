"""A cloud in a process of its own, with the process made up: how it is started, waited for and ended."""

import os
import sys
from pathlib import Path

import pytest

from heliograph.errors import ServerUnreachableError, TimedOutError
from heliograph.serving import child
from heliograph.serving.child import CloudProcess


class MadeUp:
    """A process whose standard output is what a test has chosen, written before it is read.

    Args:
        said: on standard output.
        ends: it closes its output then.
        ends_on_request: it ends when it is asked to.
    """

    def __init__(self, *said, ends=False, ends_on_request=True):
        reading, self._writing = os.pipe()
        self.stdout = os.fdopen(reading, "rb", buffering=0)
        for part in said:
            os.write(self._writing, part)
        if ends:
            self.close()
        self._ends_on_request, self.done = ends_on_request, []

    def close(self):
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    def terminate(self):
        self.done.append("terminate")

    def kill(self):
        self.done.append("kill")

    def wait(self, timeout=None):
        self.done.append(timeout)
        if timeout is not None and not self._ends_on_request:
            raise child.subprocess.TimeoutExpired("serve", timeout)


@pytest.fixture
def started(monkeypatch):
    """Have a process started that is made up; the commands that were given."""
    commands, made = [], []

    def use(process):
        def popen(command, stdout):
            assert stdout == child.subprocess.PIPE
            commands.append(command)
            return process

        monkeypatch.setattr(child.subprocess, "Popen", popen)
        made.append(process)
        return commands

    yield use
    for process in made:
        process.close()


ORDERLY = ["terminate", 10.0]
"""It is asked to end, and has ten seconds for that."""


def test_a_cloud_is_started_as_a_user_starts_it_and_ends_with_the_block(started):
    process = MadeUp(b'{"url": "ws://127.0.0.1:7"}\n')
    commands = started(process)
    with CloudProcess("reference", None) as cloud:
        assert cloud.url == "ws://127.0.0.1:7"
        assert process.done == []
    assert (process.done, process.stdout.closed) == (ORDERLY, True)
    serve = [sys.executable, "-m", "heliograph", "serve", "--port", "0", "--model", "reference", "--json"]
    assert commands == [[*serve, "--draft-patience", "0"]]


def test_a_bundle_is_passed_on(started):
    commands = started(MadeUp(b'{"url": "ws://127.0.0.1:7"}\n'))
    with CloudProcess("reference", Path("some") / "bundle"):
        pass
    assert commands[0][-2:] == ["--bundle", str(Path("some") / "bundle")]


def test_a_process_that_does_not_end_when_asked_is_killed(started):
    process = MadeUp(b'{"url": "ws://127.0.0.1:7"}\n', ends_on_request=False)
    started(process)
    with CloudProcess("reference", None):
        pass
    assert process.done == [*ORDERLY, "kill", None]


def test_a_line_that_comes_in_parts_is_read_to_its_end(started, monkeypatch):
    process = MadeUp(b'{"url": "ws://127.0.0.1:7"}\n')
    started(process)
    monkeypatch.setattr(child, "_MAX_LINE_BYTES", 5)
    read = os.read

    def slowly(descriptor, most):
        monkeypatch.setattr(child, "_MAX_LINE_BYTES", 1000)
        return read(descriptor, most)

    monkeypatch.setattr(child.os, "read", slowly)
    with CloudProcess("reference", None) as cloud:
        assert cloud.url == "ws://127.0.0.1:7"


def test_a_process_that_ends_at_once_is_a_named_error(started):
    process = MadeUp(b"not a whole line", ends=True)
    started(process)
    with pytest.raises(ServerUnreachableError), CloudProcess("reference", None):
        pass
    assert (process.done, process.stdout.closed) == (ORDERLY, True)


@pytest.mark.parametrize(("size", "error"), [(65_536, TimedOutError), (65_537, ServerUnreachableError)])
def test_what_never_becomes_a_line_is_not_read_for_ever(started, monkeypatch, size, error):
    """A pipe holds 64 KiB: the rest is written once the first part has been read."""
    process = MadeUp(b"x" * 60_000)
    started(process)
    parts, read = [b"x" * (size - 60_000), b"x"], os.read

    def refilled(descriptor, most):
        assert most == 65_536
        data = read(descriptor, most)
        if parts:
            os.write(process._writing, parts.pop(0))
        return data

    monkeypatch.setattr(child.os, "read", refilled)
    monkeypatch.setattr(child, "START_TIMEOUT_S", 0.0)
    with pytest.raises(error), CloudProcess("reference", None):
        pass


def test_three_minutes_are_waited_and_no_longer(started, monkeypatch):
    started(MadeUp(b"half a line"))
    waits, times = [], iter((1000.0, 1060.0, 1181.0))

    class Selector:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def register(self, stream, events):
            assert events == child.selectors.EVENT_READ

        def select(self, wait_s):
            waits.append(wait_s)
            return wait_s > 0

    monkeypatch.setattr(child, "now_s", lambda: next(times))
    monkeypatch.setattr(child.selectors, "DefaultSelector", Selector)
    with pytest.raises(TimedOutError), CloudProcess("reference", None):
        pass
    assert waits == [120.0, -1.0]

"""Reads a trace back: bounded, and with the line that is wrong where one is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from heliograph.errors import HeliographError, TraceDamagedError
from heliograph.reading.files import read_bytes
from heliograph.reading.json_values import parse_json
from heliograph.tracing.table import (
    EVENTS,
    FIELDS,
    FORMAT,
    HEADER,
    MAX_LINE_BYTES,
    MAX_TRACE_BYTES,
    VANTAGE_POINTS,
    VERSION,
    Field,
)
from heliograph.tracing.writing import EARLIER

_MAX_EVENTS = 2_000_000
_MAX_DEPTH = 8
_LARGEST_TIME_MS = 1e12
_NAME = re.compile(r"[a-z_]{1,40}:[a-z_]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One event.

    Attributes:
        time_ms: since the trace began.
        name: category and type; one of :data:`heliograph.tracing.table.EVENTS`, or of a newer program's.
        data: fields by name; those of :data:`heliograph.tracing.table.FIELDS` are of the kind that is stated there.
    """

    time_ms: float
    name: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Trace:
    """One trace, its earlier part included where that is there.

    Attributes:
        vantage_point: ``device`` or ``cloud``.
        header: of the newest file, as :data:`heliograph.tracing.table.HEADER` says.
        events: in order.
        cut: the last line is not whole: whoever wrote it was ended.
        begins_late: earlier events are not there any more.
    """

    vantage_point: str
    header: Mapping[str, Any]
    events: tuple[TraceEvent, ...]
    cut: bool = False
    begins_late: bool = False


def read_trace(path: Path) -> Trace:
    """The trace in a file and, where it went on from one, in the file before it.

    Raises:
        FileUnreadableError: no such file, or a much larger one than any trace.
        TraceDamagedError: a line of it is none of a trace.
    """
    trace = _read_part(path)
    if not trace.header.get("part"):
        return trace
    before = path.with_name(path.name + EARLIER)
    try:
        earlier = _read_part(before)
    except HeliographError:
        return replace(trace, begins_late=True)
    same = earlier.header["trace_id"] == trace.header["trace_id"]
    if not same or earlier.header["part"] != trace.header["part"] - 1:
        return replace(trace, begins_late=True)
    return replace(trace, events=earlier.events + trace.events, begins_late=earlier.header["part"] > 0)


def _read_part(path: Path) -> Trace:
    data = read_bytes(path, max_bytes=MAX_TRACE_BYTES + MAX_LINE_BYTES)
    try:
        return parse_trace(data)
    except TraceDamagedError as error:
        notes = getattr(error, "__notes__", ["it cannot be read."])
        raise TraceDamagedError().noted(f"{path}: {notes[0]}") from error


def parse_trace(data: bytes) -> Trace:
    """The trace in the bytes of one file. A last line without an end is left out.

    Raises:
        TraceDamagedError: with the number of the line that is wrong.
    """
    if data.count(b"\n") > _MAX_EVENTS:
        raise _damaged(_MAX_EVENTS, "there are more lines than this")
    lines = data.split(b"\n")
    cut = lines.pop() != b""
    if not lines:
        raise _damaged(1, "it is not whole")
    header = _header(lines[0])
    events = tuple(_event(number, line) for number, line in enumerate(lines[1:], start=2))
    return Trace(header["vantage_point"], header, events, cut)


def of_session(trace: Trace, session: int | None) -> Trace:
    """What belongs to one session; all of the trace for None."""
    if session is None:
        return trace
    return replace(trace, events=tuple(event for event in trace.events if event.data.get("session") == session))


def _header(line: bytes) -> dict[str, Any]:
    header = _object(1, line)
    if header.get("format") != FORMAT:
        raise _damaged(1, "it is not the header of a trace")
    if header.get("version") != VERSION:
        raise _damaged(1, f"another version of the format than {VERSION}")
    _check_fields(1, header, HEADER)
    if any(header.get(name) is None for name in HEADER) or header["vantage_point"] not in VANTAGE_POINTS:
        raise _damaged(1, "the header says too little")
    return header


def _event(number: int, line: bytes) -> TraceEvent:
    found = _object(number, line)
    time_ms, name, data = found.get("time"), found.get("name"), found.get("data")
    if isinstance(time_ms, bool) or not isinstance(time_ms, int | float) or not abs(time_ms) < _LARGEST_TIME_MS:
        raise _damaged(number, "it has no time")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _damaged(number, "it has no name")
    if not isinstance(data, dict):
        raise _damaged(number, "it has no data")
    if name in EVENTS:
        _check_fields(number, data, FIELDS)
    return TraceEvent(float(time_ms), name, data)


def _check_fields(number: int, data: Mapping[str, Any], known: Mapping[str, Field]) -> None:
    for name, value in data.items():
        if name in known and not known[name].kind.fits(value):
            raise _damaged(number, f"{name} is no {known[name].kind.value[0]}")


def _object(number: int, line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise _damaged(number, "it is too long")
    try:
        found = parse_json(line, error=lambda _: TraceDamagedError(), depth=_MAX_DEPTH)
    except TraceDamagedError as error:
        raise _damaged(number, "it is no JSON") from error
    if not isinstance(found, dict):
        raise _damaged(number, "it is no JSON object")
    return found


def _damaged(number: int, why: str) -> TraceDamagedError:
    return TraceDamagedError().noted(f"line {number}: {why}.")

"""Two traces of one exchange in one order, without trust in the clocks of either end.

A frame is sent before it is received. The frames of a connection therefore give an order to the events of both ends,
and bounds on the difference of their clocks: what the device sent came no earlier, and what the cloud sent left no
later::

    device  --t1--QUESTION------------------\\                 /----------DRAFT--t4--
    cloud   ---------------------------------t2----------t3--/
    t1 - t2 <= device clock - cloud clock <= t4 - t3
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from math import inf, isinf
from typing import Any

from heliograph.errors import UsageError
from heliograph.tracing.exchanges import FRAME_EVENTS
from heliograph.tracing.reading import Trace, TraceEvent
from heliograph.tracing.table import CLOUD, DEVICE, FRAME_SENT

UP, DOWN = "up", "down"
_MS_PER_S = 1e3
_SAME = ("frame", "bytes", "question_id", "image_id", "index", "segments_used", "segments", "error")


@dataclass
class Step:
    """One event in the common order.

    Attributes:
        side: ``device`` or ``cloud``, whose trace it is from.
        time_ms: on the device's clock where its trace is there; of the cloud's events as well as that can be known.
        event: as read.
        direction: of a frame, ``up`` or ``down``; empty for other events.
        partner: place in the steps of the same frame at the other end; None where it is not known there.
        matched: both ends of its connection were traced.
    """

    side: str
    time_ms: float
    event: TraceEvent
    direction: str = ""
    partner: int | None = None
    matched: bool = False

    @property
    def sent(self) -> bool:
        """A frame that left; otherwise it came."""
        return self.event.name == FRAME_SENT


@dataclass(frozen=True)
class Merged:
    """Events of one or two traces in one order.

    Attributes:
        steps: in that order.
        connections: of the device's trace, and which of the cloud's each is.
        offset_ms: device clock less cloud clock; 0 for a single trace.
        uncertainty_ms: by which the offset may be wrong, up or down; None where the frames do not bound it.
    """

    steps: tuple[Step, ...]
    connections: dict[int, int]
    offset_ms: float = 0.0
    uncertainty_ms: float | None = None


def merged(first: Trace, second: Trace | None = None) -> Merged:
    """One trace, or a device's and a cloud's, in one order; of a cloud's only what belongs to the device's connections,
    where those are in it.

    Raises:
        UsageError: two traces of the same end.
    """
    if second is None:
        return Merged(tuple(_steps(first)), {})
    by_side = {first.vantage_point: first, second.vantage_point: second}
    if len(by_side) < 2:
        raise UsageError().noted(f"Both traces are of the {first.vantage_point}; one of each end is needed.")
    device, cloud = _steps(by_side[DEVICE]), _steps(by_side[CLOUD])
    connections = _match(device, cloud)
    if connections:
        cloud = _of_connections(cloud, set(connections.values()))
    pairs = _pair(device, cloud, connections)
    offset_ms, uncertainty_ms = _offset(device, cloud, pairs)
    if uncertainty_ms is None and not pairs:
        offset_ms = _wall_offset(by_side[DEVICE], by_side[CLOUD])
    for step in cloud:
        step.time_ms += offset_ms
    return Merged(tuple(_ordered(device, cloud, pairs)), connections, offset_ms, uncertainty_ms)


def _steps(trace: Trace) -> list[Step]:
    side = trace.vantage_point
    return [Step(side, event.time_ms, event, _direction(side, event)) for event in trace.events]


def _direction(side: str, event: TraceEvent) -> str:
    if event.name not in FRAME_EVENTS:
        return ""
    return UP if (side == DEVICE) == (event.name == FRAME_SENT) else DOWN


# ---- which connection is which -------------------------------------------------------------------------
_Frames = dict[int, dict[str, list[int]]]


def _frames(steps: Sequence[Step]) -> _Frames:
    """Places of the frames, by connection and direction."""
    found: _Frames = {}
    for place, step in enumerate(steps):
        if step.direction:
            connection = step.event.data.get("connection") or 0
            found.setdefault(connection, {UP: [], DOWN: []})[step.direction].append(place)
    return found


def _match(device: list[Step], cloud: list[Step]) -> dict[int, int]:
    """The cloud's connection for each of the device's: what one end heard is how the other end's saying began."""
    ours, theirs = _frames(device), _frames(cloud)
    names = {number: _by_direction(cloud, frames) for number, frames in theirs.items()}
    found: dict[int, int] = {}
    for number, frames in ours.items():
        sent = _by_direction(device, frames)
        fits = {
            other: len(heard[UP]) + len(sent[DOWN])
            for other, heard in names.items()
            if other not in found.values() and _begins(sent[UP], heard[UP]) and _begins(heard[DOWN], sent[DOWN])
        }
        best = max(fits, key=lambda other: fits[other], default=None)
        if best is not None and fits[best]:
            found[number] = best
    return found


def _of_connections(steps: list[Step], connections: set[int]) -> list[Step]:
    """Steps of these connections, without what a server did for others."""
    sessions = {step.event.data.get("session") for step in steps if step.event.data.get("connection") in connections}
    return [
        step
        for step in steps
        if step.event.data.get("connection", next(iter(connections))) in connections
        and step.event.data.get("session", None) in (None, *sessions)
    ]


def _by_direction(steps: Sequence[Step], frames: dict[str, list[int]]) -> dict[str, list[tuple[Any, ...]]]:
    return {
        direction: [tuple(str(steps[place].event.data.get(name)) for name in _SAME) for place in places]
        for direction, places in frames.items()
    }


def _begins(whole: list[tuple[Any, ...]], part: list[tuple[Any, ...]]) -> bool:
    return whole[: len(part)] == part


def _pair(device: list[Step], cloud: list[Step], connections: dict[int, int]) -> dict[int, int]:
    """The cloud's place of every frame of the device's that is known at both ends."""
    ours, theirs = _frames(device), _frames(cloud)
    pairs: dict[int, int] = {}
    for number, other in connections.items():
        for direction in (UP, DOWN):
            pairs.update(zip(ours[number][direction], theirs[other][direction], strict=False))
            for step, places in ((device, ours[number]), (cloud, theirs[other])):
                for place in places[direction]:
                    step[place].matched = True
    return pairs


# ---- clocks --------------------------------------------------------------------------------------------
def _offset(device: list[Step], cloud: list[Step], pairs: dict[int, int]) -> tuple[float, float | None]:
    """Device clock less cloud clock, and half of what is left open; see the drawing above."""
    least, most = -inf, inf
    for ours, theirs in pairs.items():
        difference = device[ours].time_ms - cloud[theirs].time_ms
        if device[ours].direction == UP:
            least = max(least, difference)
        else:
            most = min(most, difference)
    if isinf(least) or isinf(most):
        return (most if isinf(least) else least) if pairs else 0.0, None
    return (least + most) / 2, max(most - least, 0.0) / 2


def _wall_offset(device: Trace, cloud: Trace) -> float:
    """Offset from the headers' wall clocks, where no frame is known at both ends."""
    try:
        ours, theirs = (datetime.fromisoformat(str(one.header["reference_time"])) for one in (device, cloud))
        return (theirs - ours).total_seconds() * _MS_PER_S
    except (TypeError, ValueError):
        return 0.0


# ---- one order -----------------------------------------------------------------------------------------
def _ordered(device: list[Step], cloud: list[Step], pairs: dict[int, int]) -> list[Step]:
    """Steps by time, except that no frame is received before it was sent."""
    back = {theirs: ours for ours, theirs in pairs.items()}
    places: dict[tuple[str, int], int] = {}
    steps: list[Step] = []
    i = j = 0
    while i < len(device) or j < len(cloud):
        ours_waits = i == len(device) or (not device[i].sent and i in pairs and pairs[i] >= j)
        theirs_waits = j == len(cloud) or (not cloud[j].sent and j in back and back[j] >= i)
        if not ours_waits and not theirs_waits:
            take_ours = device[i].time_ms <= cloud[j].time_ms
        else:
            take_ours = theirs_waits if i < len(device) else False
        side, place = (DEVICE, i) if take_ours else (CLOUD, j)
        places[side, place] = len(steps)
        steps.append(device[i] if take_ours else cloud[j])
        i, j = (i + 1, j) if take_ours else (i, j + 1)
    for ours, theirs in pairs.items():
        first, second = places[DEVICE, ours], places[CLOUD, theirs]
        steps[first].partner, steps[second].partner = second, first
    return steps


def uninterrupted(steps: Sequence[Step]) -> list[bool]:
    """Per step: it is a frame between whose sending and arrival only frames of its direction were exchanged."""
    others = {
        direction: list(accumulate((step.direction != direction for step in steps), initial=0))
        for direction in (UP, DOWN)
    }
    found = []
    for place, step in enumerate(steps):
        ends = sorted((place, place if step.partner is None else step.partner))
        count = others.get(step.direction)
        found.append(step.partner is not None and count is not None and count[ends[0]] == count[ends[1]])
    return found

"""Two ends in one order: checked against exchanges whose true clocks are known."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from heliograph.errors import UsageError
from heliograph.tracing.merging import merged, uninterrupted
from heliograph.tracing.reading import Trace, TraceEvent, parse_trace

HERE = Path(__file__).parent
DEVICE = parse_trace((HERE / "device.trace").read_bytes())
CLOUD = parse_trace((HERE / "cloud.trace").read_bytes())

HEADER = {"reference_time": "2026-01-01T00:00:00.000+00:00"}


def frame(time_ms, sent, name, connection=1, **data):
    kind = "session:frame_sent" if sent else "session:frame_received"
    return TraceEvent(time_ms, kind, {"connection": connection, "session": connection, "frame": name} | data)


def exchange(seed, offset_ms, connection=1, other=1):
    """Random frames both ways with random delays; the cloud's clock is ``offset_ms`` ahead of the device's."""
    draw = random.Random(seed)
    device, cloud, now, arrived_up, arrived_down = [], [], 0.0, 0.0, 0.0
    for number in range(draw.randint(2, 25)):
        now += draw.uniform(0, 20)
        up, name = draw.random() < 0.6, draw.choice(("SEGMENT", "DRAFT", "MORE"))
        came = now + draw.uniform(0.1, 60)
        if up:
            came = arrived_up = max(came, arrived_up)
            device.append(frame(now, True, name, connection, index=number))
            cloud.append(frame(came + offset_ms, False, name, other, index=number))
        else:
            came = arrived_down = max(came, arrived_down)
            cloud.append(frame(now + offset_ms, True, name, other, index=number))
            device.append(frame(came, False, name, connection, index=number))
    return [sorted(events, key=lambda one: one.time_ms) for events in (device, cloud)]


def together(device, cloud):
    return merged(Trace("device", HEADER, tuple(device)), Trace("cloud", HEADER, tuple(cloud)))


@pytest.mark.parametrize("seed", range(60))
def test_nothing_comes_before_it_left_whatever_the_clocks_say(seed):
    offset_ms = random.Random(seed).choice((0.0, 1e9, -7.25, -1e6))
    device, cloud = exchange(seed, offset_ms)
    found = together(device, cloud)
    places = {id(step.event): place for place, step in enumerate(found.steps)}
    assert len(found.steps) == len(device) + len(cloud)
    assert [step.event for step in found.steps if step.side == "device"] == device
    assert [step.event for step in found.steps if step.side == "cloud"] == cloud
    for step in found.steps:
        if not step.sent:
            assert step.partner is not None
            sent = found.steps[step.partner]
            assert places[id(sent.event)] < places[id(step.event)]
            assert (sent.event.data["index"], sent.sent) == (step.event.data["index"], True)
            assert found.steps[step.partner].partner == places[id(step.event)]
    both = {step.direction for step in found.steps} == {"up", "down"}
    assert (found.uncertainty_ms is not None) == both
    if both:
        assert abs(found.offset_ms + offset_ms) <= found.uncertainty_ms + 1e-6


def test_the_bounds_of_the_offset_by_hand():
    device = [frame(10, True, "QUESTION"), frame(50, False, "FINAL")]
    cloud = [frame(1017, False, "QUESTION"), frame(1027, True, "FINAL")]
    found = together(device, cloud)
    # the question says the difference is at least -1007, the answer at most -977
    assert (found.offset_ms, found.uncertainty_ms) == (-992.0, 15.0)
    assert [step.time_ms for step in found.steps] == [10, 25, 35, 50]


def test_a_device_that_reconnected_finds_its_connections_among_those_of_others():
    first, other, second = exchange(1, 500, 1, 4), exchange(2, 500, 1, 5), exchange(3, 500, 2, 9)
    later = [[replace(one, time_ms=one.time_ms + 1000) for one in end] for end in second]
    cloud = sorted([*first[1], *other[1], *later[1]], key=lambda one: one.time_ms)
    found = together([*first[0], *later[0]], cloud)
    assert found.connections == {1: 4, 2: 9}
    assert {step.event.data["connection"] for step in found.steps if step.side == "cloud"} == {4, 9}


def test_frames_that_did_not_come_have_no_partner():
    device = [frame(1, True, "QUESTION"), frame(2, True, "SEGMENT", index=0), frame(3, True, "SEGMENT", index=1)]
    cloud = [frame(5, False, "QUESTION"), frame(6, False, "SEGMENT", index=0)]
    steps = together(device, cloud).steps
    assert [step.partner is None for step in steps if step.side == "device"] == [False, False, True]
    assert all(step.matched for step in steps)


def test_traces_that_have_nothing_to_do_with_one_another_go_by_the_wall_clock():
    device = Trace("device", HEADER, (frame(1, True, "HELLO"),))
    later = {"reference_time": "2026-01-01T00:00:02.500+00:00"}
    cloud = Trace("cloud", later, (frame(1, False, "QUESTION"),))
    found = merged(device, cloud)
    assert (found.connections, found.offset_ms, found.uncertainty_ms) == ({}, 2500.0, None)
    assert not any(step.matched for step in found.steps)


def test_two_traces_of_one_end_are_refused():
    with pytest.raises(UsageError):
        merged(DEVICE, DEVICE)


def test_a_trace_that_contradicts_itself_is_still_put_in_some_order():
    """Each frame came before the other one left: no clock does that, but a file can say it."""
    device = [frame(1, False, "DRAFT"), frame(2, True, "SEGMENT")]
    cloud = [frame(1, False, "SEGMENT"), frame(2, True, "DRAFT")]
    assert len(together(device, cloud).steps) == 4


def test_which_frames_are_drawn_in_one_piece():
    found = merged(DEVICE, CLOUD)
    whole = {
        str(step.event.data["frame"])
        for step, one_piece in zip(found.steps, uninterrupted(found.steps), strict=True)
        if one_piece and step.sent
    }
    assert whole == {"HELLO", "SEGMENT", "ENOUGH"}

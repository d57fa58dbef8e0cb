"""Link descriptions, trace files, and the arithmetic of arrivals."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import LinkTraceError
from heliograph.transport.links import LinkDirection, LinkProfile, delivery_times, handshake_seconds, parse_link


def profile(**changes: object) -> LinkProfile:
    values: dict[str, object] = {"up_bit_s": 8000.0, "down_bit_s": 80_000.0, "one_way_delay_s": 0.1}
    return LinkProfile(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "up", "down", "round_trip", "loss"),
    [
        ("1mbit,50ms", 1e6, 1e6, 0.05, 0.0),
        ("20kbit,200ms", 2e4, 2e4, 0.2, 0.0),
        ("0.25mbit,100ms,loss=1%", 2.5e5, 2.5e5, 0.1, 0.01),
        ("1Mbit/s , 0.5s , down=10mbit", 1e6, 1e7, 0.5, 0.0),
        ("300bit", 300, 300, 0.05, 0.0),
    ],
)
def test_descriptions(text: str, up: float, down: float, round_trip: float, loss: float) -> None:
    link = parse_link(text)
    assert (link.up_bit_s, link.down_bit_s, link.loss) == (up, down, loss)
    assert link.round_trip_s == pytest.approx(round_trip)
    assert link.name == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "fast",
        "0mbit",
        "-1mbit",
        "nanmbit",
        "infmbit",
        "1e3kbit",
        "1mbit,50",
        "1mbit,-5ms",
        "1mbit,61s",
        "1mbit,50ms,50ms",
        "1mbit,loss=51%",
        "1mbit,loss=nan%",
        "1mbit,burst=-1",
        "1mbit,burst=99999999999",
        "1mbit,what=3",
        "1mbit,",
        "no-such-file.txt",
        ".",
        "a\0b",
        "9" * 400 + "mbit",
    ],
)
def test_nonsense_is_a_named_error(text: str) -> None:
    with pytest.raises(LinkTraceError):
        parse_link(text)


def trace(folder: Path, text: str) -> str:
    path = folder / "trace.txt"
    path.write_text(text)
    return str(path)


def test_a_trace_is_replayed_from_zero_and_repeats(tmp_path: Path) -> None:
    # 1 kB/s for 1 s, silence for 1 s, 2 kB/s for 1 s (as long as the step before it), and again
    link = parse_link(trace(tmp_path, "5.0 0.008\n6.0 0\n\n7.0 0.016\n") + ",200ms,seed=4")
    assert link.trace_period_s == 3.0
    assert link.up_bit_s == pytest.approx(8000)
    arrivals = delivery_times(link, [0, 0, 0, 0], [500, 500, 1000, 1500])
    assert arrivals == pytest.approx([0.6, 1.1, 2.6, 3.6])


@pytest.mark.parametrize(
    "text",
    ["", "1", "1 2 3", "a b", "1 1\n1 1", "2 1\n1 1", "0 0\n1 0", "0 nan", "inf 1", "-1 1", "0 -1", "0 1e9", "\xff"],
)
def test_damaged_traces_are_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(LinkTraceError):
        parse_link(trace(tmp_path, text))


def test_a_huge_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LinkTraceError):
        parse_link(trace(tmp_path, "".join(f"{i} 1\n" for i in range(100_001))))


def test_messages_queue_behind_each_other() -> None:
    # 1 kB/s up: 100 bytes take 0.1 s, the second waits for the first, the third finds an idle link
    assert delivery_times(profile(), [0, 0.05, 1.0], [100, 100, 100]) == pytest.approx([0.2, 0.3, 1.2])
    assert delivery_times(profile(), [0], [100], up=False) == pytest.approx([0.11])


def test_a_burst_passes_at_once_and_refills() -> None:
    arrivals = delivery_times(profile(burst_bytes=100), [0, 0, 0.1, 5, 5], [100, 100, 0, 100, 50])
    assert arrivals == pytest.approx([0.1, 0.2, 0.2, 5.1, 5.15])


def test_losses_stall_what_follows_and_are_seeded() -> None:
    times, sizes = [i * 0.01 for i in range(300)], [50] * 300
    fast = profile(up_bit_s=1e9)
    calm = delivery_times(fast, times, sizes)
    lossy = [delivery_times(profile(up_bit_s=1e9, loss=0.05, seed=seed), times, sizes) for seed in (1, 1, 2)]
    assert lossy[0] == lossy[1] != lossy[2]
    assert lossy[0] == sorted(lossy[0])
    late = [b - a for a, b in zip(calm, lossy[0], strict=True)]
    assert min(late) == pytest.approx(0)
    assert max(late) >= 0.4  # 200 ms timeout and a round trip
    assert sum(delay > 0.39 for delay in late) <= 40


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(0, 5000)), min_size=1, max_size=20),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([0, 300]),
    st.booleans(),
)
def test_arrivals_keep_order_and_never_beat_the_link(
    messages: list[tuple[float, int]], loss: float, burst: int, traced: bool
) -> None:
    steps = {"trace": ((0.0, 4000.0), (0.7, 0.0), (1.1, 16_000.0)), "trace_period_s": 2.0} if traced else {}
    link = profile(loss=loss, burst_bytes=burst, **steps)
    times, sizes = sorted(t for t, _ in messages), [size for _, size in messages]
    arrivals = delivery_times(link, times, sizes)
    assert arrivals == sorted(arrivals)
    fastest = 16_000.0 if traced else 8000.0
    for sent, arrived in zip(times, arrivals, strict=True):
        assert arrived >= sent + 0.1 - 1e-9
    assert arrivals[-1] - times[0] >= (sum(sizes) - burst) * 8 / fastest - 1e-6


def test_backlog_shrinks_at_the_rate_of_the_link() -> None:
    up = LinkDirection(profile(), up=True)
    up.carry(0.0, 1000)
    assert [up.backlog_bytes(t) for t in (0.0, 0.25, 1.0, 9.0)] == [1000, 750, 0, 0]
    assert up.time_of_backlog(250) == pytest.approx(0.75)
    assert up.time_of_backlog(5000) == 0.0


def test_handshake_takes_two_round_trips_and_the_bytes() -> None:
    assert handshake_seconds(profile(), 100, 100) == pytest.approx(0.4 + 0.1 + 0.01)

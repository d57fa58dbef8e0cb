"""Links by description, as people write them: ``1mbit,50ms`` or a trace file.

The arithmetic behind them is :mod:`heliograph.transport.link_model`; its names can be imported from here.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from heliograph.errors import LinkTraceError
from heliograph.reading.files import read_text
from heliograph.reasons import FileFault, LinkFault
from heliograph.transport.link_model import (
    Carried,
    LinkDirection,
    LinkProfile,
    delivery_times,
    handshake_seconds,
)

__all__ = ["Carried", "LinkDirection", "LinkProfile", "delivery_times", "handshake_seconds", "parse_link", "read_trace"]

DEFAULT_ROUND_TRIP_S = 0.05
MAX_ROUND_TRIP_S = 60.0
MAX_RATE_BIT_S = 1e12
MAX_LOSS = 0.5
MAX_BURST_BYTES = 1 << 24
MAX_TRACE_BYTES = 1 << 22
MAX_TRACE_STEPS = 100_000
MAX_TRACE_SECONDS = 1e7

_UNITS_BIT_S = {"bit": 1.0, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
_UNITS_S = {"ms": 1e-3, "s": 1.0}
_NUMBER = r"(\d{1,12}(?:\.\d{1,12})?)"
_RATE = re.compile(_NUMBER + r"(bit|kbit|mbit|gbit)(?:/s)?")
_TIME = re.compile(_NUMBER + r"(ms|s)")
_PERCENT = re.compile(_NUMBER + "%")
_COUNT = re.compile(r"\d{1,9}")


def parse_link(text: str) -> LinkProfile:
    """A link from its description.

    ``RATE[,ROUND_TRIP][,down=RATE][,loss=P%][,burst=BYTES][,seed=N]`` such as ``1mbit,50ms``,
    ``20kbit,200ms`` or ``0.25mbit,100ms,loss=1%``; the path of a trace file may stand in place of the first
    rate. Without a round trip it is 50 ms; the downlink has the uplink's rate unless ``down`` is given. A trace
    sets the rate of both directions.

    Raises:
        LinkTraceError: not such a description, or the trace file cannot be used.
    """
    first, *rest = (part.strip() for part in text.split(","))
    base = _constant(first) if _RATE.fullmatch(first.lower()) else _named_trace(first)
    profile, seen = replace(base, name=text), set[str]()
    for part in rest:
        try:
            key, profile = _with_option(profile, part.lower())
            if key in seen or (key == "down" and base.trace):
                raise LinkTraceError(LinkFault.OPTION)
        except LinkTraceError as error:
            error.add_note(f"{part!r}.")
            raise
        seen.add(key)
    return profile


def _named_trace(name: str) -> LinkProfile:
    """The trace file of that name; a word that is neither a rate nor a file is told what would be understood."""
    try:
        return read_trace(Path(name))
    except LinkTraceError as error:
        if error.fault is FileFault.MISSING:
            raise LinkTraceError(LinkFault.UNKNOWN).noted(f"{name!r}.") from error
        raise


def read_trace(path: Path) -> LinkProfile:
    """A link from a trace file: one ``seconds Mbit/s`` pair a line, seconds ascending, shifted to begin at 0.

    Each rate holds until the next line's time, the last one for as long as the one before it; then the trace
    repeats. Rates of 0 are outages.

    Raises:
        LinkTraceError: no such file, too long, not numbers, not ascending, or no capacity at all.
    """
    steps = [_step(line) for line in _trace_lines(path)]
    if not 1 <= len(steps) <= MAX_TRACE_STEPS:
        raise LinkTraceError(LinkFault.TRACE_LENGTH)
    start_s = steps[0][0]
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(steps)] or [1.0]
    if min(gaps) <= 0:
        raise LinkTraceError(LinkFault.TRACE_ORDER)
    lengths = [*gaps[: len(steps) - 1], gaps[-1]]
    bits = sum(length * rate for length, (_, rate) in zip(lengths, steps, strict=True))
    if bits <= 0:
        raise LinkTraceError(LinkFault.TRACE_STILL)
    period_s = sum(lengths)
    trace = tuple((time_s - start_s, rate) for time_s, rate in steps)
    mean = bits / period_s
    return LinkProfile(mean, mean, DEFAULT_ROUND_TRIP_S / 2, trace=trace, trace_period_s=period_s, name=path.name)


def _trace_lines(path: Path) -> list[str]:
    text = read_text(path, max_bytes=MAX_TRACE_BYTES, error=LinkTraceError, pipes=True)
    if not text.isascii():
        raise LinkTraceError(LinkFault.TRACE_LINE)
    return [line for line in text.splitlines() if line.strip()]


def _step(line: str) -> tuple[float, float]:
    try:
        time_s, mbit_s = (float(field) for field in line.split())
    except ValueError as error:
        raise LinkTraceError(LinkFault.TRACE_LINE) from error
    rate = mbit_s * 1e6
    if not (math.isfinite(time_s) and 0 <= time_s <= MAX_TRACE_SECONDS and 0 <= rate <= MAX_RATE_BIT_S):
        raise LinkTraceError(LinkFault.TRACE_LINE)
    return time_s, rate


def _constant(text: str) -> LinkProfile:
    rate = _rate(text)
    return LinkProfile(rate, rate, DEFAULT_ROUND_TRIP_S / 2)


def _with_option(profile: LinkProfile, part: str) -> tuple[str, LinkProfile]:
    key, equals, value = part.partition("=")
    if not equals:
        return "round trip", replace(profile, one_way_delay_s=_round_trip_s(part) / 2)
    if key == "down":
        return key, replace(profile, down_bit_s=_rate(value))
    if key == "loss":
        return key, replace(profile, loss=_loss(value))
    if key == "burst":
        return key, replace(profile, burst_bytes=_count(value, MAX_BURST_BYTES))
    if key == "seed":
        return key, replace(profile, seed=_count(value, 10**9))
    raise LinkTraceError(LinkFault.OPTION)


def _rate(text: str) -> float:
    found = _RATE.fullmatch(text.lower())
    rate = float(found[1]) * _UNITS_BIT_S[found[2]] if found else 0.0
    if not 0 < rate <= MAX_RATE_BIT_S:
        raise LinkTraceError(LinkFault.RATE)
    return rate


def _round_trip_s(text: str) -> float:
    found = _TIME.fullmatch(text)
    if not found or float(found[1]) * _UNITS_S[found[2]] > MAX_ROUND_TRIP_S:
        raise LinkTraceError(LinkFault.ROUND_TRIP)
    return float(found[1]) * _UNITS_S[found[2]]


def _loss(text: str) -> float:
    found = _PERCENT.fullmatch(text)
    if not found or float(found[1]) / 100 > MAX_LOSS:
        raise LinkTraceError(LinkFault.LOSS)
    return float(found[1]) / 100


def _count(text: str, most: int) -> int:
    if not _COUNT.fullmatch(text) or int(text) > most:
        raise LinkTraceError(LinkFault.COUNT)
    return int(text)

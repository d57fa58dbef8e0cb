"""Numbers as every report writes them: thousands separators, the digits that matter, no exponents."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WHOLE_FROM = 100
_DIGITS = 3
_LONG_WHOLE = re.compile(r"\d{4,}")


def number_text(value: float) -> str:
    """``15,430``, ``128``, ``99.8``, ``0.235``, ``0.00011``: whole numbers from 100 on, else three digits."""
    if value == 0:
        return "0"
    if abs(value) >= _WHOLE_FROM or float(value).is_integer():
        return f"{value:,.0f}"
    text = f"{value:.{_DIGITS}g}"
    if "e" in text:
        text = f"{value:.7f}".rstrip("0")
    return text


def interval_text(value: float | None, interval: Sequence[float] | None) -> str:
    """``0.235 [0.193, 0.325]``; "not reached" where there is no value."""
    if value is None:
        return "not reached"
    if interval is None:
        return number_text(value)
    return f"{number_text(value)} [{number_text(interval[0])}, {number_text(interval[1])}]"


def crossing_text(value: float | None, interval: Sequence[float] | None) -> str:
    """``129 [116, 146]`` of bytes at which a level is reached, to whole ones; says so where resamples do not reach it.

    A level that more than 5 % of the resamples never reach has no interval, and its value hangs on few photos.
    """
    if value is None:
        return interval_text(None, None)
    if interval is None:
        return f"{number_text(round(value))} (no interval: over 5 % of resamples never reach it)"
    return interval_text(round(value), [round(end) for end in interval])


def verdict_text(
    value: float | None,
    interval: Sequence[float] | None,
    must: float | None,
    aim: float | None,
    *,
    at_least: bool = False,
) -> str:
    """Which bound a figure meets with its whole interval: ``aim``, ``must`` or ``no``; nothing without bounds.

    ``value alone``: the value is within the must, the far end of its interval is not, and another sample may miss it.
    """
    if must is None:
        return ""
    if value is None:
        return "no"
    far = value if interval is None else min(interval) if at_least else max(interval)

    def within(number: float, bound: float) -> bool:
        return number >= bound if at_least else number <= bound

    if within(far, must) and within(value, must):
        return "aim" if aim is not None and within(far, aim) and within(value, aim) else "must"
    return "value alone" if within(value, must) else "no"


def cell_text(cell: str) -> str:
    """A printed cell, with thousands separators where it is one whole number of four digits and more."""
    return f"{int(cell):,}" if _LONG_WHOLE.fullmatch(cell) else cell

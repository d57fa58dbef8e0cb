"""What ``heliograph energy`` prints: a table of terms with bands, the order that survives them, and the sources."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from heliograph.cli.text import milliseconds, printable, table
from heliograph.energy.constants import Constant
from heliograph.energy.joules import Measured, Modelled
from heliograph.energy.model import TERMS, Estimate
from heliograph.energy.radios import Board, Radio
from heliograph.energy.ranking import byte_against_compute, pairs, tiers

_DIGITS = 2
_WHOLE_FROM = 100


def digits(value: float) -> str:
    """Two digits that matter, without an exponent: ``0.0021``, ``0.35``, ``12``, ``1,340``.

    >>> digits(0.00214)
    '0.0021'
    """
    if value == 0:
        return "0"
    if value >= _WHOLE_FROM:
        return f"{value:,.0f}"
    places = max(0, _DIGITS - 1 - math.floor(math.log10(value)))
    return f"{value:.{places}f}"


def band(joules: Modelled) -> str:
    """``0.011-0.19``: from low to high."""
    return "-" if joules.high == 0 else f"{digits(joules.low)}-{digits(joules.high)}"


def head_lines(
    radio: Radio, board: Board, wait_s: float, slower: float, *, measured_on: str = "this machine"
) -> list[str]:
    """What the joules are of, and what they are not."""
    times = f"measured on {measured_on}, " + ("taken as it is" if slower == 1 else f"x {slower:g}")
    return [
        f"radio  {printable(radio.name)}: {printable(radio.about)}",
        f"board  {printable(board.name)}: {printable(board.about)}; processor time {times}, answer after {wait_s:g} s",
        *(["       a board takes longer: say how many times with --slower, or run this on it"] if slower == 1 else []),
        "joules are modelled, not measured: each from low to high, every power and energy x 1/2 to x 2",
    ]


def estimates_table(estimates: Sequence[Estimate], more: Mapping[str, Sequence[str]]) -> str:
    """One row per estimate; terms that nobody has are left out.

    Args:
        estimates: to show, in this order.
        more: further columns by their heads, a cell per estimate, behind the name.
    """
    terms = [name for name in TERMS if any(one.term(name).high for one in estimates)]
    head = ["strategy", *more, "sent B", "packets", "airtime", "processor", *(f"{name} J" for name in terms), "total J"]
    rows = [
        [
            printable(one.name),
            *(column[number] for column in more.values()),
            f"{one.traffic.sent_bytes:,}",
            f"{one.traffic.packets:,}",
            f"{digits(one.traffic.airtime_s)} s",
            milliseconds(1e3 * one.processor_s),
            *(band(one.term(name)) for name in terms),
            band(one.total),
        ]
        for number, one in enumerate(estimates)
    ]
    return table(head, rows)


def order_lines(estimates: Sequence[Estimate], radio: Radio, board: Board) -> list[str]:
    """Who certainly takes less, what a byte is worth, and what the joules leave out."""
    lines = ["order that survives the bands, fewest joules first; within a line they do not decide:"]
    groups = [", ".join(printable(one.name) for one in group) for group in tiers(estimates)]
    lines += [f"{place:3}. {names}" for place, names in enumerate(groups, start=1)]
    worth = byte_against_compute(radio, board)
    lines.append(f"one byte more takes as much as {digits(worth.low)}-{digits(worth.high)} ms of one core")
    if radio.duty_cycle:
        lines.append(
            f"on the air {radio.duty_cycle:.0%} of the time at most: packets take {1 / radio.duty_cycle:g} times their "
            "airtime to leave, and the board sleeps meanwhile"
        )
    return [*lines, *(f"left out: {printable(one)}" for one in radio.missing)]


def constants_of(estimates: Iterable[Estimate]) -> list[Constant]:
    """Every constant that the estimates rest on, once."""
    return list(dict.fromkeys(constant for one in estimates for constant in one.quantities))


def constants_table(constants: Sequence[Constant]) -> str:
    """Value, unit, basis and source of each row."""
    rows = [
        (printable(one.name), f"{row.value:g}", one.unit, row.basis, printable(row.source))
        for one in constants
        for row in one.rows
    ]
    return table(("constant", "value", "unit", "basis", "source"), rows, left=(0, 2, 3, 4))


def estimate_data(one: Estimate) -> dict[str, Any]:
    """An estimate as JSON values."""
    return {
        "name": one.name,
        "sent_bytes": one.traffic.sent_bytes,
        "packets": one.traffic.packets,
        "airtime_s": round(one.traffic.airtime_s, 6),
        "processor_ms": round(1e3 * one.processor_s, 4),
        "joules": {
            "source": "modelled",
            "total": modelled_data(one.total),
            "terms": {name: modelled_data(one.term(name)) for name in TERMS},
        },
    }


def modelled_data(joules: Modelled) -> dict[str, float]:
    """A band as JSON values."""
    return {end: float(f"{value:.6g}") for end, value in asdict(joules).items()}


def measured_data(measured: Iterable[Measured]) -> list[dict[str, Any]]:
    """What meters counted, as JSON values; never beside modelled joules in one number."""
    return [
        {"source": "measured", "domain": "+".join(sorted(one.domains)), "joules": one.joules, "seconds": one.seconds}
        for one in measured
    ]


def shared_data(estimates: Sequence[Estimate], radio: Radio, board: Board) -> dict[str, Any]:
    """Radio, board, order and constants as JSON values."""
    return {
        "radio": {"name": radio.name, "about": radio.about, "source": radio.source, "missing": list(radio.missing)},
        "board": {"name": board.name, "about": board.about, "cores": board.cores},
        "order": [[one.name for one in group] for group in tiers(estimates)],
        "certainly_less": [list(pair) for pair in pairs(estimates)],
        "byte_as_processor_ms": modelled_data(byte_against_compute(radio, board)),
        "constants": [
            {
                "name": one.name,
                "about": one.about,
                "unit": one.unit,
                "low": one.low,
                "centre": one.centre,
                "high": one.high,
                "rows": [asdict(row) for row in one.rows],
            }
            for one in constants_of(estimates)
        ],
    }

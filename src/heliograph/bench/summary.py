"""The few figures that the README shows, from published suites: real photos, and what 99 % of the accuracy costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from heliograph.bench.metrics import ALL, B99_SHARE, cost_at
from heliograph.bench.numbers import interval_text
from heliograph.bench.opponents import bare_pictures, picture_files
from heliograph.bench.plots import UNCOMPRESSED
from heliograph.bench.street.names import HEADLINE, OVER_PIXELS, PAYLOAD, PIXELS_WIN, WIRE
from heliograph.strategies.selection import strategies_with, strategy_class

SUITE, STREET = "reference", "street"
_LINKS = ((0.02, "ms over 20 kbit/s, 200 ms"), (1.0, "ms over 1 Mbit/s, 50 ms"))
_SHOWN = 8

Rows = Sequence[Mapping[str, Any]]


def summary(results: Sequence[Mapping[str, Any]]) -> str:
    """The table and its sentence as Markdown; empty where the suite ``reference`` is not among the results.

    Args:
        results: parsed ``SUITE.json`` files.
    """
    found = next((result for result in results if result["suite"] == SUITE), None)
    if found is None:
        return ""
    costs = {name: _costs(found["rows"], name) for name in _strategies(found)}
    ranked = sorted(costs, key=lambda name: found["b99"][name])
    lines = [["strategy", "payload bytes [95 % interval]", "wire bytes", *(text for _, text in _LINKS)]]
    lines.append(["---"] * len(lines[0]))
    for name in ranked:
        interval = found.get("b99_ci", {}).get(name)
        payload = interval_text(round(found["b99"][name]), interval)
        lines.append([f"`{name}`", payload, *(f"{cost:,.0f}" for cost in costs[name])])
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{table}\n\n{_sentence(found, ranked, costs)}"


def street_summary(results: Sequence[Mapping[str, Any]], folder: str = "docs/results") -> str:
    """The picture of real photos and a line about it as Markdown; empty where ``street`` is not among the results.

    Args:
        results: parsed ``SUITE.json`` files.
        folder: where its picture lies, as the page links to it.
    """
    found = next((result for result in results if result["suite"] == STREET), None)
    if found is None:
        return ""
    figures = {figure["name"]: figure["value"] for figure in found["figures"]}
    payload, wire = (figures[f"{what}, {OVER_PIXELS} at agreement {HEADLINE:.2f}"] for what in (PAYLOAD, WIRE))
    picture = f"![answers about real photos that stay the same, against bytes]({folder}/{STREET}-agreement.png)"
    if payload is None or wire is None:
        line = "no coded stream and picture file both keep 90 % of its answers."
    else:
        line = (
            f"coded tokens keep {100 * HEADLINE:.0f} % of its answers, balanced, in {100 * payload:.0f} % of the "
            f"payload of the best picture file and {100 * wire:.0f} % of its bytes on the wire (modelled)."
        )
    lost = next((note for note in found["notes"] if note.startswith(PIXELS_WIN)), "")
    return f"{picture}\n\nReal photos, asked of the [field model](docs/howto/field-model.md): {line} {lost}".rstrip()


def _strategies(found: Mapping[str, Any]) -> list[str]:
    """Coded tokens with prefixes, bare pictures and picture files that reach 99 %, cheapest first."""
    pictures = {*bare_pictures(), *picture_files()}
    coded = {name for name in strategies_with(embedded=True) if strategy_class(name).codec}
    reached = {name: value for name, value in found["b99"].items() if value and name in pictures | coded}
    return sorted(reached, key=lambda name: reached[name])[:_SHOWN]


def _costs(rows: Rows, strategy: str) -> tuple[float, ...]:
    """Wire bytes, opening included, and milliseconds over each link, at 99 % of the uncompressed accuracy."""
    target = B99_SHARE * next(row["accuracy"] for row in rows if row["strategy"] == UNCOMPRESSED and row["task"] == ALL)
    times = [_cost(rows, strategy, mbit, "final_ms", target) for mbit, _ in _LINKS]
    return (_cost(rows, strategy, _LINKS[0][0], "wire_bytes", target), *times)


def _cost(rows: Rows, strategy: str, mbit: float, kind: str, target: float) -> float:
    points = [
        (row[kind], row["accuracy"])
        for row in rows
        if (row["strategy"], row["task"], row["link_mbit"], row["source"]) == (strategy, ALL, mbit, "modelled")
    ]
    cost = cost_at(points, target)
    return inf if cost is None else cost


def _sentence(found: Mapping[str, Any], ranked: Sequence[str], costs: Mapping[str, tuple[float, ...]]) -> str:
    files = [name for name in ranked if name in picture_files()]
    bare = [name for name in ranked if name in bare_pictures()]
    pictures, text = (bare, "bare picture") if bare else (files, "picture file")
    if not pictures or ranked[0] in pictures:
        return f"No coded stream needs fewer bytes than the best {text}."
    ours, payload = ranked[0], found["b99"]
    best = [min(costs[name][part] for name in pictures) for part in range(1 + len(_LINKS))]
    wire, thin, quick = (costs[ours][part] / best[part] for part in range(1 + len(_LINKS)))
    beside = f" ({100 * payload[ours] / payload[files[0]]:.0f} % of the best standard file's)" if bare and files else ""
    return (
        f"At 99 % of the uncompressed accuracy `{ours}` needs {100 * payload[ours] / payload[pictures[0]]:.0f} % of "
        f"the payload of the best {text}{beside}, but {100 * wire:.0f} % of its bytes on the wire, and answers in "
        f"{100 * thin:.0f} % of its time over the thin link and {100 * quick:.0f} % over the quick one."
    )

"""The two pictures that most suites have: quality against bytes, and quality against time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from heliograph.bench.labels import label_series
from heliograph.bench.metrics import ALL, B99_SHARE, cost_at
from heliograph.bench.opponents import bare_pictures
from heliograph.bench.results import Row, SuiteResult
from heliograph.bench.style import MAX_SERIES, Points, curve, in_order, log_axis, picture, reference_line
from heliograph.strategies.selection import strategies_with

UNCOMPRESSED = "uncompressed"
MAX_PICTURE_SERIES = 3
"""Pictures' codecs in a plot of times, so that there is room for what they are compared with."""

_MATERIAL = {"photos": "{:,} real photos, MobileNetV2 split after its last bottleneck"}
_GENERATED = "generated scenes, {:,} questions"

Place = Callable[[Row], float | None]


def plot_rate_accuracy(result: SuiteResult, path: Path) -> bool:
    """Quality against mean payload bytes (log), one line per strategy. False where there is nothing to draw."""
    rows = [r for r in headline_rows(result) if r.link_mbit is None and r.payload_bytes]
    curves = series_of(rows, lambda r: r.payload_bytes)
    if not curves:
        return False
    chosen = _most_settings(curves)
    facts = f"{material(result)}; bands: 95 % intervals{_left_out(curves, chosen)}"
    with picture(path, _rate_message(result), facts) as (axes,):
        draw_rates(axes, chosen, result)
    return True


def draw_rates(
    axes: Any,
    curves: Mapping[str, Points],
    result: SuiteResult,
    names: Mapping[str, str] | None = None,
    *,
    place: float = 0.01,
) -> None:
    """The panel of quality against bytes, with its reference lines (named at ``place``) and direct labels."""
    for name, points in curves.items():
        curve(axes, points, name)
    log_axis(axes.xaxis)
    axes.set_xlabel("mean payload per photo (bytes)")
    axes.set_ylabel(quality_name(result))
    whole = uncompressed_accuracy(result)
    if whole is not None:
        axes.set_ylim(top=100 * whole + 3)
        reference_line(axes, 100 * whole, f"uncompressed, {100 * whole:.1f} %", place=place)
        reference_line(axes, 100 * B99_SHARE * whole, "", place=place)
        below = {"fontsize": 8, "color": "#7A7A7A", "va": "top", "transform": axes.get_yaxis_transform()}
        axes.text(place, 100 * B99_SHARE * whole - 0.4, "99 % of it", **below)
    label_series(axes, {name: [(x, y) for x, y, _ in points] for name, points in curves.items()}, names)


def plot_time_accuracy(result: SuiteResult, path: Path) -> bool:
    """Quality against mean time to the final answer (log), one panel per link. False where no times are known."""
    rows = [r for r in headline_rows(result) if r.link_mbit is not None and r.final_ms and r.source == "modelled"]
    links = sorted({(r.link_mbit or 0.0, r.rtt_ms or 0.0) for r in rows})
    if not links:
        return False
    whole = uncompressed_accuracy(result)
    every = {link: series_of([r for r in rows if (r.link_mbit, r.rtt_ms) == link], _final_ms) for link in links}
    shown = _quickest(every, whole)
    columns = min(2, len(links))
    lines = -(-len(links) // columns)
    facts = (
        f"{material(result)}; each line the best settings, bands: 95 % intervals; times from the link model; "
        "99 %: of the uncompressed accuracy"
        f"{_left_out(every[links[0]], shown)}"
    )
    size = (5.6 * columns, 3.4 * lines)
    with picture(path, _time_message(every, whole), facts, rows=lines, columns=columns, size=size) as panels:
        for axes, link in zip(panels, links, strict=False):
            _draw_times(axes, {name: every[link][name] for name in shown if name in every[link]}, link, result)
        for axes in panels[len(links) :]:
            axes.set_visible(False)
    return True


def _draw_times(axes: Any, curves: Mapping[str, Points], link: tuple[float, float], result: SuiteResult) -> None:
    best = {name: upper_edge(points) for name, points in curves.items()}
    for name, points in best.items():
        curve(axes, points, name, markers=False)
    log_axis(axes.xaxis)
    whole = uncompressed_accuracy(result)
    if whole is not None:
        reference_line(axes, 100 * B99_SHARE * whole, "99 %", place=1.0)
    axes.set_title(f"{link[0]:g} Mbit/s up, {link[1]:g} ms round trip")
    axes.set_xlabel("mean time to the final answer (ms)")
    axes.set_ylabel(quality_name(result))
    label_series(axes, {name: [(x, y) for x, y, _ in points] for name, points in best.items()})


def _final_ms(row: Row) -> float | None:
    return row.final_ms


def headline_rows(result: SuiteResult) -> list[Row]:
    """Rows of the mean over tasks, or all where there is only one task; without the uncompressed path's own."""
    has_all = any(r.task == ALL for r in result.rows)
    return [r for r in result.rows if (not has_all or r.task == ALL) and r.strategy != UNCOMPRESSED]


def series_of(rows: Sequence[Row], place: Place) -> dict[str, Points]:
    """(x, quality in percent, its interval) of every setting, by strategy, in the order of the style sheet."""
    by_accuracy = any(r.accuracy is not None for r in rows)
    found: dict[str, list[tuple[float, float, tuple[float, float] | None]]] = {}
    for row in rows:
        x, y = place(row), row.accuracy if by_accuracy else row.agreement
        interval = row.accuracy_ci if by_accuracy else row.agreement_ci
        if x and y is not None:
            bounds = None if interval is None else (100 * interval[0], 100 * interval[1])
            found.setdefault(row.strategy, []).append((x, 100 * y, bounds))
    return {name: upper_edge(found[name]) for name in in_order(list(found))}


def upper_edge(points: Points) -> Points:
    """The settings that are better than every cheaper one."""
    kept: list[tuple[float, float, tuple[float, float] | None]] = []
    for point in sorted(points, key=lambda one: (one[0], -one[1])):
        if not kept or point[1] > kept[-1][1]:
            kept.append(point)
    return kept


def quality_name(result: SuiteResult) -> str:
    """Label of the axis of quality."""
    if any(r.accuracy is not None for r in result.rows):
        return "accuracy, mean over tasks (%)"
    return "same class as the unsplit network (%)"


def uncompressed_accuracy(result: SuiteResult) -> float | None:
    """Accuracy of the path without any loss; None where the suite has not measured it."""
    return next((r.accuracy for r in result.rows if r.strategy == UNCOMPRESSED and r.task == ALL), None)


def material(result: SuiteResult) -> str:
    """What the answers are about, and how many: "generated scenes, 2,091 questions"."""
    count = max((r.questions for r in headline_rows(result)), default=0)
    return _MATERIAL.get(result.suite, _GENERATED).format(count)


def _most_settings(curves: Mapping[str, Points]) -> dict[str, Points]:
    """The series that are lines rather than points, the first of the style sheet's order."""
    lines = [name for name, points in curves.items() if len(points) > 1] or list(curves)
    return {name: curves[name] for name in lines[:MAX_SERIES]}


def _quickest(every: Mapping[tuple[float, float], Mapping[str, Points]], whole: float | None) -> list[str]:
    """Six series: the quickest pictures' codecs, and those that come first to 99 % of the accuracy on any link."""
    places: dict[str, int] = {}
    for curves in every.values():
        times = {name: _reached(points, whole) for name, points in curves.items()}
        for place, name in enumerate(sorted(times, key=lambda one: times[one])):
            places[name] = min(place, places.get(name, place))
    ranked = sorted(places, key=lambda name: places[name])
    tuned = strategies_with(tuned=True)
    pictures = [name for name in ranked if name in tuned][:MAX_PICTURE_SERIES]
    others = [name for name in ranked if name not in tuned]
    return in_order([*pictures, *others][:MAX_SERIES])


def _reached(points: Points, whole: float | None) -> float:
    """Milliseconds to 99 % of the uncompressed accuracy; without end where that is unknown or never reached."""
    found = None if whole is None else cost_at([(x, y) for x, y, _ in points], 100 * B99_SHARE * whole)
    return inf if found is None else found


def _left_out(curves: Mapping[str, Points], shown: Collection[str]) -> str:
    missing = [name for name in curves if name not in shown]
    return f"; in the table alone: {', '.join(missing)}" if missing else ""


def _rate_message(result: SuiteResult) -> str:
    """The cheapest coded stream beside the cheapest bare picture, or any tuned one where none is bare, at 99 % or,
    where a suite has it, at 0.85."""
    pictures = set(strategies_with(tuned=True))
    costs = {name: value for name, value in result.b99.items() if value}
    level = "99 % of the accuracy"
    if not pictures & set(costs):
        rows = [r for r in headline_rows(result) if r.link_mbit is None and r.payload_bytes]
        level = "85 % agreement"
        curves = series_of(rows, lambda r: r.payload_bytes)
        found = {name: cost_at([(x, y) for x, y, _ in points], 85.0) for name, points in curves.items()}
        costs = {name: value for name, value in found.items() if value is not None}
    ours = {name: value for name, value in costs.items() if name not in pictures}
    rivals = set(bare_pictures()) & set(costs) or pictures
    theirs = {name: value for name, value in costs.items() if name in rivals}
    if not ours or not theirs:
        return f"Suite {result.suite}: what each byte buys"
    best, rival = min(ours, key=lambda name: ours[name]), min(theirs, key=lambda name: theirs[name])
    return f"{level}: {best} needs {ours[best]:,.0f} bytes, {rival} {theirs[rival]:,.0f}"


def _time_message(every: Mapping[tuple[float, float], Mapping[str, Points]], whole: float | None) -> str:
    """Who is first to 99 % of the accuracy on the slowest and on the fastest link."""
    if whole is None:
        return "What each millisecond buys"
    firsts = []
    for link in (min(every), max(every)):
        times = {name: _reached(points, whole) for name, points in every[link].items()}
        first = min(times, key=lambda name: times[name])
        if times[first] < inf:
            firsts.append(f"{first} on {link[0]:g} Mbit/s ({times[first]:,.0f} ms)")
    return (
        f"First to 99 % of the accuracy: {', '.join(dict.fromkeys(firsts))}" if firsts else "What each millisecond buys"
    )


USUAL_PICTURES: Mapping[str, Callable[[SuiteResult, Path], bool]] = {
    "rate_accuracy.png": plot_rate_accuracy,
    "time_accuracy.png": plot_time_accuracy,
}
"""Of suites without pictures of their own."""

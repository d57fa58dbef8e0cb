"""Pictures of the suite ``families``, drawn from its JSON: of each family, of all, and of what nothing beats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from heliograph.bench.labels import label_series
from heliograph.bench.metrics import B99_SHARE
from heliograph.bench.opponents import bare_pictures
from heliograph.bench.plots import UNCOMPRESSED, headline_rows, material, series_of, uncompressed_accuracy, upper_edge
from heliograph.bench.results import SuiteResult
from heliograph.bench.style import MAX_SERIES, Points, curve, log_axis, picture, reference_line
from heliograph.codec.fallback import CLOSED_FORM
from heliograph.errors import UnknownNameError
from heliograph.strategies.base import Family
from heliograph.strategies.selection import strategy_class

FRONT_TITLE = "What no other setting beats in bytes, device's work and accuracy"

_COLOURS = ("#5B2C8F", "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#8C510A")
_CLASSES = (
    (0, "no network"),
    (30, "a network of up to 30 million"),
    (115, "a part of the tower"),
    (115.4, "the whole tower"),
    (inf, "more than the tower"),
)
"""Million MACs of a device up to which a setting belongs to a line, and the line's name; the tower has 115.3."""

_GREYS = ("#7A7A7A", "#B0B0B0")
_SLUGS = {
    Family.TOKEN_COMPRESSION: "tokens",
    Family.COMPRESSED_LATENT: "latents",
    Family.COMPRESSED_DOMAIN: "domain",
    Family.SEMANTIC: "semantic",
    Family.SPLIT: "split",
    Family.GUIDED: "guided",
    Family.BASELINE: "baseline",
}


def plot_family(family: Family, result: SuiteResult, path: Path) -> bool:
    """Accuracy against bytes of one family's strategies. False where none was run."""
    curves = _curves(result)
    own = {name: points for name, points in curves.items() if _family(name) is family}
    if not own:
        return False
    ranked = sorted(own, key=lambda name: _rank(result, name, own[name]))
    shown, left = ranked[:MAX_SERIES], ranked[MAX_SERIES:]
    references = [name for name in _references(result, curves) if name not in own]
    colours = dict(zip(shown, _COLOURS, strict=False)) | dict(zip(references, _GREYS, strict=False))
    facts = f"{material(result)}; bands: 95 % intervals" + (f"; in the table alone: {', '.join(left)}" if left else "")
    with picture(path, _message(result, family, ranked), facts) as (axes,):
        _draw(axes, {name: curves[name] for name in (*references, *shown)}, colours, result)
    return True


def plot_all(result: SuiteResult, path: Path) -> bool:
    """The best settings of each family's strategies together. False where nothing was run."""
    found: dict[str, list[tuple[float, float, tuple[float, float] | None]]] = {}
    for name, points in _curves(result).items():
        family = _family(name)
        if family is not None:
            found.setdefault(str(family), []).extend(points)
    if not found:
        return False
    curves = {name: upper_edge(found[name]) for name in map(str, Family) if name in found}
    facts = f"{material(result)}; each line the best settings of all strategies of a family; bands: 95 % intervals"
    with picture(path, "Six families over one wire: the best of each", facts) as (axes,):
        _draw(axes, curves, dict(zip(map(str, Family), _COLOURS, strict=True)), result)
    return True


def plot_front(result: SuiteResult, path: Path) -> bool:
    """The settings that nothing beats, by what networks cost the device. False where there is no such table."""
    table = next((one for one in result.tables if one.title == FRONT_TITLE), None)
    if table is None or not table.body:
        return False
    rows = [
        (float(size.replace(",", "")), float(macs.replace(",", "")), float(y)) for _, _, size, macs, y in table.body
    ]
    curves: dict[str, list[tuple[float, float]]] = {name: [] for _, name in _CLASSES}
    for size, macs, accuracy in sorted(row for row in rows if row[0]):  # what sends nothing has no place on the axis
        curves[next(name for most, name in _CLASSES if macs <= most)].append((size, accuracy))
    curves = {name: points for name, points in curves.items() if points}
    colours = dict(zip(curves, _COLOURS, strict=False))
    facts = f"{material(result)}; lines: MACs of networks on the device, of which the tower has 115 million"
    with picture(path, "What nothing beats in bytes, device's work and accuracy", facts) as (axes,):
        for name, points in curves.items():
            curve(axes, [(x, y, None) for x, y in points], name, colour=colours[name])
        _finish(axes, result)
        label_series(axes, curves, colours=colours)
    return True


def _draw(axes: Any, curves: Mapping[str, Points], colours: Mapping[str, str], result: SuiteResult) -> None:
    for name, points in curves.items():
        curve(axes, points, name, colour=colours[name])
    _finish(axes, result)
    label_series(axes, {name: [(x, y) for x, y, _ in points] for name, points in curves.items()}, colours=colours)


def _finish(axes: Any, result: SuiteResult) -> None:
    log_axis(axes.xaxis)
    axes.set_xlabel("mean payload per photo (bytes)")
    axes.set_ylabel("accuracy, mean over tasks (%)")
    whole = uncompressed_accuracy(result)
    if whole is not None:
        axes.set_ylim(top=100 * whole + 3)
        reference_line(axes, 100 * whole, f"{UNCOMPRESSED}, {100 * whole:.1f} %")
        reference_line(axes, 100 * B99_SHARE * whole, "")


def _curves(result: SuiteResult) -> dict[str, Points]:
    rows = [row for row in headline_rows(result) if row.link_mbit is None and row.payload_bytes]
    return series_of(rows, lambda row: row.payload_bytes)


def _references(result: SuiteResult, curves: Mapping[str, Points]) -> list[str]:
    """In every picture of a family, in grey: the codec in closed form, and the best bare picture file."""
    bare = [name for name in curves if name in bare_pictures()]
    best = sorted(bare, key=lambda name: _rank(result, name, curves[name]))[:1]
    return [name for name in (CLOSED_FORM, *best) if name in curves]


def _family(name: str) -> Family | None:
    """None for a strategy that this installation does not have."""
    try:
        return strategy_class(name).family
    except UnknownNameError:
        return None


def _rank(result: SuiteResult, name: str, points: Points) -> tuple[float, float]:
    """Fewest bytes at 99 % first, then the highest accuracy."""
    return (result.b99.get(name) or float("inf"), -max(y for _, y, _ in points))


def _message(result: SuiteResult, family: Family, ranked: Sequence[str]) -> str:
    first = next((name for name in ranked if result.b99.get(name)), None)
    if first is None:
        return f"{family[0].upper()}{family[1:]}: no strategy reaches 99 % of the accuracy"
    return f"{family[0].upper()}{family[1:]}: {first} needs {result.b99[first]:,.0f} bytes for 99 %"


PICTURES: Mapping[str, Callable[[SuiteResult, Path], bool]] = {
    "all.png": plot_all,
    "front.png": plot_front,
    **{f"{slug}.png": partial(plot_family, family) for family, slug in _SLUGS.items()},
}

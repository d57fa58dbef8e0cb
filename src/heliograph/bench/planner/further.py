"""Curves of further strategies, from the rows of a suite that measured every strategy, beside those of a bundle.

``python -m heliograph.bench.planner.further BUNDLE docs/results/families.json`` adds them to the bundle's
``curves.json``; run again, it replaces what it added and leaves what the bundle's own measurement found::

    rows --times scaled--> settings --own envelope, nothing kept beats them--> 6 to 10 a strategy --> curves

A setting is kept where no other kept one takes no more bytes, no more of the device's and of the cloud's time (but for
a millisecond, by which processors differ from run to run) and is as good, for one kind of question at least. A strategy
with fewer than six of these gets others of its envelope, which count on a device that lacks what beats them, or for
``--strategy``. The suite and the curves were measured on different machines: times are multiplied by the median, over
the strategies that are in both, of how their encoding times differ at about the same bytes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from heliograph.bench.metrics import ALL
from heliograph.bench.planner.curves import curves_of
from heliograph.codec.bundle import Bundle
from heliograph.codec.manifest import CURVES
from heliograph.controllers.curves import Curve, Curves, Origin, Point, candidate_name, made_monotone
from heliograph.errors import FileUnreadableError, UsageError
from heliograph.reasons import FileFault
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Kind
from heliograph.strategies.selection import strategy_class

MIN_POINTS, MAX_POINTS = 6, 10
"""Of one strategy, as far as it has so many settings that cost more and are better."""

_SAME_MS = 1.0
"""Times nearer than this are the same, on the curves' machine."""


@dataclass(frozen=True)
class _Setting:
    """One setting of one strategy, with its times on the curves' machine."""

    strategy: str
    sight: str
    point: Point
    cloud_ms: float

    @property
    def name(self) -> str:
        return candidate_name(self.strategy, self.point.setting)

    def beaten(self, other: _Setting, kind: str) -> bool:
        """Whether another one is as good in everything."""
        mine, theirs = self.point, other.point
        return (
            theirs.payload_bytes <= mine.payload_bytes
            and theirs.encode_ms <= mine.encode_ms + _SAME_MS
            and other.cloud_ms <= self.cloud_ms + _SAME_MS
            and _quality(theirs, kind) >= _quality(mine, kind)
        )


def with_further(known: Curves, result: Mapping[str, Any]) -> Curves:
    """The curves with those of a suite's result in addition, in place of what was added before.

    Args:
        known: of a bundle.
        result: JSON of a suite's result (``results.json``) with rows of the strategies, and of the uncompressed photo.

    Raises:
        UsageError: the result and the curves have no strategy in common, so that times cannot be compared.
    """
    known = known.own
    measured = curves_of(result, strategies=_plannable(result), answer_ms=known.answer_ms, monotone=False)
    factor = time_factor(known, measured)
    there = {candidate_name(curve.strategy, point.setting) for curve in known.curves for point in curve.points}
    kinds = {ALL, *known.kinds.questions}
    found = [
        _Setting(curve.strategy, curve.sight, one, one.restore_ms + known.answer_ms[curve.sight])
        for curve in measured.curves
        for one in _envelope([_scaled(point, factor, kinds) for point in curve.points])
    ]
    found = [one for one in found if one.sight != Kind.LOCAL and one.name not in there]
    kept = _unbeaten(found, kinds)
    origin = measured.origin
    origin = replace(origin, machine=f"{origin.machine}; its times x {factor:.3g}")
    added = _curves(found, kept, origin)
    return replace(known, curves=(*known.curves, *added))


def time_factor(known: Curves, measured: Curves) -> float:
    """How many times as slow the machine of ``known`` is: the median of strategies in both, each the median over its
    points of encoding time against that of the measured setting with the nearest bytes.

    Raises:
        UsageError: there is no such strategy.
    """
    theirs = {curve.strategy: curve.points for curve in measured.curves}
    ratios = []
    for curve in known.curves:
        timed = [point for point in theirs.get(curve.strategy, ()) if point.encode_ms > 0]
        if curve.crop or not timed:
            continue
        ratios.append(
            median(point.encode_ms / _nearest(timed, point.payload_bytes).encode_ms for point in curve.points)
        )
    if not ratios:
        raise UsageError().noted("the result times none of the strategies that the bundle's curves have.")
    return median(ratios)


def _plannable(result: Mapping[str, Any]) -> frozenset[str]:
    """Strategies of a result that need no more of the cloud than a bundle and its parts."""
    named = {row["strategy"] for row in result["rows"]}.intersection(STRATEGIES.names())
    return frozenset(n for n in named if not (strategy_class(n).enters_tower or strategy_class(n).program))


def _scaled(point: Point, factor: float, kinds: Iterable[str]) -> Point:
    quality = {kind: value for kind, value in point.quality.items() if kind in kinds}
    return replace(point, quality=quality, encode_ms=factor * point.encode_ms, restore_ms=factor * point.restore_ms)


def _envelope(points: Sequence[Point]) -> list[Point]:
    """A strategy's settings by bytes, those left out that cost more than another and are no better overall."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.payload_bytes, -p.quality[ALL])):
        if not kept or point.quality[ALL] > kept[-1].quality[ALL]:
            kept.append(point)
    return kept


def _unbeaten(settings: Sequence[_Setting], kinds: Iterable[str]) -> list[_Setting]:
    """What no kept setting beats for every kind of question."""
    kept: list[_Setting] = []
    for one in sorted(settings, key=lambda s: (s.point.payload_bytes, s.point.encode_ms + s.cloud_ms)):
        if any(not any(one.beaten(other, kind) for other in kept) for kind in kinds):
            kept.append(one)
    return kept


def _curves(found: Sequence[_Setting], kept: Sequence[_Setting], origin: Origin) -> Iterator[Curve]:
    for name in dict.fromkeys(one.strategy for one in found):
        every = [one for one in found if one.strategy == name]
        best = _thinned([one for one in every if one in kept], MAX_POINTS)
        others = _thinned([one for one in every if one not in best], MIN_POINTS - len(best))
        points = made_monotone([one.point for one in (*best, *others)])
        yield Curve(name, every[0].sight, points, origin=origin)


def _thinned(settings: Sequence[_Setting], most: int) -> list[_Setting]:
    """At most ``most`` of them, evenly, the last one always among them."""
    if most < 1 or len(settings) <= most:
        return list(settings) if most > 0 else []
    last = len(settings) - 1
    return [settings[round((place + 1) * last / most)] for place in range(most)]


def _nearest(points: Sequence[Point], payload_bytes: float) -> Point:
    return min(points, key=lambda point: abs(point.payload_bytes - payload_bytes))


def _quality(point: Point, kind: str) -> float:
    return point.quality.get(kind, point.quality[ALL])


def main() -> None:
    """``python -m heliograph.bench.planner.further``."""
    parser = argparse.ArgumentParser(prog="python -m heliograph.bench.planner.further", description=__doc__)
    parser.add_argument("bundle", type=Path, help="bundle folder whose curves.json gets further curves")
    parser.add_argument("result", type=Path, help="results.json of a suite with rows of every strategy")
    arguments = parser.parse_args()
    bundle = Bundle.load(arguments.bundle)
    try:
        curves = with_further(
            Curves.load(bundle.file(CURVES)), json.loads(arguments.result.read_text(encoding="utf-8"))
        )
    except (OSError, ValueError, KeyError) as error:
        raise FileUnreadableError(FileFault.CONTENT).noted(f"{arguments.result}.") from error
    bundle.with_measured(CURVES, curves.to_json())


if __name__ == "__main__":
    main()

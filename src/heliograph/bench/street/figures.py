"""The figures of the suite ``street``: bytes at equal agreement, their ratios on the same resamples, and anchors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from heliograph.bench.results import Figure
from heliograph.bench.scores import Crossing, Mean, best_of, crossing_at, ratio_of
from heliograph.bench.street.agreement import Agreement, mean_of
from heliograph.bench.street.judge import Measured
from heliograph.bench.street.names import CHANCE, HEADLINE, OVER_PIXELS, PAYLOAD, PIXELS_WIN, WIRE
from heliograph.bench.street.sent import PIXEL_NAMES
from heliograph.strategies.selection import strategies_with

LEVELS = (0.80, 0.90, 0.95)
Bounds = tuple[float | None, float | None]
_NO_BOUNDS: Bounds = (None, None)
_PAYLOAD_BOUNDS, _WIRE_BOUNDS, _LEARNED_BOUNDS = (0.20, 0.05), (0.35, 0.15), (0.9, 0.6)  # must, aim


@dataclass(frozen=True)
class Point:
    """One way at one setting, as means over photos with their resamples."""

    measured: Measured
    payload: Mean
    wire: Mean
    agreement: Mean


class StreetFigures:
    """All of them.

    Args:
        measured: every way at every setting, on the same photos.
        agreement: with the uncompressed path.
    """

    def __init__(self, measured: Sequence[Measured], agreement: Agreement) -> None:
        self._agreement = agreement
        self.points: dict[str, list[Point]] = {}
        for one in measured:
            made = Point(one, mean_of(one.sent.payload), mean_of(one.sent.wire), agreement.balanced(one.answers))
            self.points.setdefault(one.sent.strategy, []).append(made)
        self.ours = [name for name in strategies_with(embedded=True) if name in self.points and name not in PIXEL_NAMES]
        self.pixels = [name for name in PIXEL_NAMES if name in self.points]
        self._at: dict[tuple[str, str, float], Crossing] = {}

    def at(self, name: str, level: float, cost: str = "payload") -> Crossing:
        """Mean bytes of one way at an agreement; ``cost`` is payload or wire."""
        key = name, cost, level
        if key not in self._at:
            found = self.points.get(name, [])
            self._at[key] = crossing_at([getattr(one, cost) for one in found], [one.agreement for one in found], level)
        return self._at[key]

    def best(self, names: Sequence[str], level: float, cost: str = "payload") -> Crossing:
        """The cheapest of several ways, chosen anew on every resample."""
        return best_of([self.at(name, level, cost) for name in names])

    def all(self) -> list[Figure]:
        """Ratios with bounds first, then the bytes behind them, then what agreements have to be seen beside."""
        return [*self._headlines(), *self._others(), *self._bytes(), *self._anchors()]

    def _headlines(self) -> list[Figure]:
        return [
            *(
                self._over_pixels(HEADLINE, cost, bounds)
                for cost, bounds in (("payload", _PAYLOAD_BOUNDS), ("wire", _WIRE_BOUNDS))
            ),
            self._learned(HEADLINE, _LEARNED_BOUNDS),
        ]

    def _others(self) -> list[Figure]:
        return [
            made
            for level in LEVELS
            if level != HEADLINE
            for made in (
                *(self._over_pixels(level, cost, _NO_BOUNDS) for cost in ("payload", "wire")),
                self._learned(level, _NO_BOUNDS),
            )
        ]

    def _over_pixels(self, level: float, cost: str, bounds: Bounds) -> Figure:
        name = f"{PAYLOAD if cost == 'payload' else WIRE}, {OVER_PIXELS} at agreement {level:.2f}"
        ratio = ratio_of(self.best(self.ours, level, cost), self.best(self.pixels, level, cost))
        return replace(_figure(name, ratio, bounds), source="measured" if cost == "payload" else "modelled")

    def _learned(self, level: float, bounds: Bounds) -> Figure:
        name = f"bytes of meta / klt at agreement {level:.2f}"
        return _figure(name, ratio_of(self.at("meta", level), self.at("klt", level)), bounds)

    def _bytes(self) -> list[Figure]:
        return [
            _figure(f"bytes of {name} at agreement {level:.2f}", self.at(name, level), _NO_BOUNDS)
            for level in LEVELS
            for name in (*self.ours, *self.pixels)
        ]

    def _anchors(self) -> list[Figure]:
        highest = [
            Figure(f"highest agreement of {text}", top.value, top.interval)
            for text, names in (("the progressive codecs", self.ours), ("the pixel codecs", self.pixels))
            if (top := self._highest(names)) is not None
        ]
        return [Figure(CHANCE, self._agreement.chance()), *highest]

    def _highest(self, names: Sequence[str]) -> Mean | None:
        found = [point.agreement for name in names for point in self.points[name]]
        return max(found, key=lambda one: one.value, default=None)


def where_pixels_win(found: StreetFigures, device: Mapping[str, float]) -> list[str]:
    """Sentences that say it plainly, each only where it is so.

    Args:
        found: the figures.
        device: milliseconds of the device by name, see :mod:`heliograph.bench.street.device_times`.
    """
    made = []
    for level in LEVELS:
        ours, pixels = found.best(found.ours, level).value, found.best(found.pixels, level).value
        if pixels is not None and ours is None:
            made.append(
                f"At agreement {level:.2f} only pixels answer: no setting of the progressive codecs reaches it."
            )
        elif pixels is not None and ours is not None and ours >= pixels:
            made.append(
                f"At agreement {level:.2f} the best pixel codec needs fewer bytes ({pixels:,.0f}; {ours:,.0f})."
            )
    if device["device"] > device["jpeg"]:
        made.append(
            f"A device that sends pixels works {device['jpeg']:.1f} ms for a photo, one that sends tokens "
            f"{device['device']:.1f} ms, and holds no encoder."
        )
    return [f"{PIXELS_WIN}{one}" for one in made]


def _figure(name: str, found: Crossing, bounds: Bounds) -> Figure:
    value = None if found.value is None or np.isnan(found.value) else found.value
    return Figure(name, value, None if value is None else found.interval, *bounds)

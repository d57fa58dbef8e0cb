"""The figures of the suite ``photos`` and its rows, from what every setting gave on the same photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from heliograph.bench.metrics import cost_at, evenly_spaced, largest_fall
from heliograph.bench.opponents import bare_pictures, picture_files
from heliograph.bench.photos.measuring import Measured
from heliograph.bench.results import Figure, Row
from heliograph.bench.stats import DoubleArray, Interval, clustered_interval, clustered_mean_interval
from heliograph.codec.klt import KltCodec
from heliograph.codec.meta import MetaCodec

LEVELS = (0.85, 0.90, 0.94)
HEADLINE, LEARNED_LEVEL = 0.85, 0.90
_PIXEL_BOUNDS, _LEARNED_BOUNDS = (0.07, 0.035), (1.0, 0.7)  # must, aim
TASK = "top1"


def figures(measured: Sequence[Measured]) -> tuple[Figure, ...]:
    """Bytes at each agreement level per codec, and the ratios that the project set itself."""
    there = {one.strategy: None for one in measured}
    ours = [kind for kind in (KltCodec.kind, MetaCodec.kind) if kind in there]
    others = [name for name in there if name not in (*ours, *bare_pictures(), *picture_files())]
    found: list[Figure] = []
    for level in LEVELS:
        for strategy in (*ours, *bare_pictures(), *picture_files()):
            curves = _Curves(measured, (strategy,))
            found.append(
                Figure(f"bytes of {strategy} at agreement {level:.2f}", curves.bytes_at(level), curves.interval(level))
            )
        for kind in ours:
            bounds = _PIXEL_BOUNDS if (kind, level) == ("klt", HEADLINE) else (None, None)
            for opponents, text in ((bare_pictures(), "bare pixel codec"), (picture_files(), "standard picture file")):
                name = f"bytes of {kind} / best {text} at agreement {level:.2f}"
                found.append(ratio_figure(measured, (kind,), opponents, level, name, bounds))
                bounds = (None, None)  # the first is the headline
            if others:
                name = f"bytes of {kind} / best strategy of another family at agreement {level:.2f}"
                found.append(ratio_figure(measured, (kind,), others, level, name, bounds))
        if "meta" in ours:
            bounds = _LEARNED_BOUNDS if level == LEARNED_LEVEL else (None, None)
            name = f"bytes of meta / klt at agreement {level:.2f}"
            found.append(ratio_figure(measured, ("meta",), ("klt",), level, name, bounds))
    return (*found, *(_fall([m for m in measured if m.strategy == kind], kind) for kind in ours))


def _fall(steps: Sequence[Measured], kind: str) -> Figure:
    chosen = [steps[place - 1] for place in evenly_spaced(len(steps), 8)]

    def fall(weights: DoubleArray) -> float:
        return largest_fall([float(weights @ one.agrees / weights.sum()) for one in chosen])

    photos = len(chosen[0].agrees)
    name = f"largest fall of agreement between 8 evenly spaced {kind} prefixes"
    return Figure(name, fall(np.ones(photos)), clustered_interval(fall, photos))


def crossing(measured: Sequence[Measured], strategy: str, level: float) -> tuple[float | None, Interval | None]:
    """Mean bytes at which a strategy reaches an agreement, and their interval; None for what is not reached, by the
    photos or by more than 5 % of their resamples."""
    curves = _Curves(measured, (strategy,))
    return curves.bytes_at(level), curves.interval(level)


def sure_figures(measured: Sequence[Measured]) -> list[Figure]:
    """The same on photos whose class leads, which no project's bounds are about.

    Args:
        measured: on these photos alone; of none there are no figures.
    """
    if not len(measured[0].agrees):
        return []
    return [replace(one, name=f"{one.name}, sure classes", must=None, aim=None) for one in figures(measured)]


def ratio_figure(
    measured: Sequence[Measured],
    ours: Sequence[str],
    theirs: Sequence[str],
    level: float,
    name: str,
    bounds: tuple[float | None, float | None],
) -> Figure:
    """Bytes of the best of some strategies over those of the best of others, photos resampled in pairs.

    Args:
        measured: settings of all of them, on the same photos.
        ours, theirs: names of strategies.
        level: of agreement.
        name: of the figure.
        bounds: must and aim.
    """
    above, below = _Curves(measured, ours), _Curves(measured, theirs)

    def ratio(weights: DoubleArray) -> float | None:
        first, second = above.bytes_at(level, weights), below.bytes_at(level, weights)
        return None if first is None or second is None else first / second

    photos = len(measured[0].agrees)
    return Figure(name, ratio(np.ones(photos)), clustered_interval(ratio, photos), *bounds)


class _Curves:
    """Per-photo bytes and agreement of some strategies' settings, for figures on resampled photos."""

    def __init__(self, measured: Sequence[Measured], strategies: Sequence[str]) -> None:
        self._groups = [[m for m in measured if m.strategy == s] for s in strategies]

    def bytes_at(self, level: float, weights: DoubleArray | None = None) -> float | None:
        """The fewest bytes at which one of the strategies reaches ``level``; weights (photos,) count photos."""
        found = [cost_at(self._points(group, weights), level) for group in self._groups]
        return min((f for f in found if f is not None), default=None)

    def interval(self, level: float) -> tuple[float, float] | None:
        """95 % interval over resampled photos."""
        photos = len(self._groups[0][0].agrees) if self._groups[0] else 0
        return clustered_interval(lambda weights: self.bytes_at(level, weights), photos)

    @staticmethod
    def _points(group: Sequence[Measured], weights: DoubleArray | None) -> list[tuple[float, float]]:
        if weights is None:
            return [m.point for m in group]
        total = weights.sum()
        return [(float(weights @ m.payload_bytes / total), float(weights @ m.agrees / total)) for m in group]


def row_of(found: Measured, sure: npt.NDArray[np.bool_], task: str = TASK) -> Row:
    """The row of a setting.

    Args:
        found: on (I,) photos.
        sure: (I,) which of them have a class that leads.
        task: what it is called.
    """
    names = [str(i) for i in range(len(found.agrees))]
    agreement_interval = clustered_mean_interval(found.agrees.tolist(), names)

    def interval(values: DoubleArray) -> tuple[float, float] | None:
        return clustered_mean_interval(values.tolist(), names)

    return Row(
        strategy=found.strategy,
        setting=found.setting,
        task=task,
        questions=len(names),
        agreement=float(found.agrees.mean()),
        agreement_ci=agreement_interval,
        sure_agreement=float(found.agrees[sure].mean()) if sure.any() else None,
        sure_agreement_ci=clustered_mean_interval(found.agrees[sure].tolist(), [names[i] for i in sure.nonzero()[0]]),
        payload_bytes=float(found.payload_bytes.mean()),
        payload_bytes_ci=interval(found.payload_bytes),
        encode_ms=float(found.encode_ms.mean()),
        encode_ms_ci=interval(found.encode_ms),
        decode_ms=float(found.decode_ms.mean()),
        decode_ms_ci=interval(found.decode_ms),
    )

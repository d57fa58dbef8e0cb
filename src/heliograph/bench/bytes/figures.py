"""The figures of the suite ``bytes`` on scenes: bytes at equal answers, and their ratios on the same resamples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from heliograph.bench.bytes.opponents import AVIF_TILES, NNC, OLDER
from heliograph.bench.metrics import B99_SHARE
from heliograph.bench.results import Figure
from heliograph.bench.scores import Crossing, Scores, b99_of, best_of, crossing_at, ratio_of
from heliograph.bench.stats import percentile_interval

AGREEMENTS = (0.85, 0.90, 0.95)
Groups = Mapping[str, Sequence[Scores]]
Bounds = tuple[float | None, float | None]

_B99_PIXELS = {"klt": (0.25, 0.20), "meta": (0.14, 0.08)}
_B99_OLDER: Bounds = (0.75, 0.65)
_NNC_BOUNDS: dict[float, Bounds] = {0.90: (0.9, 0.8), 0.95: (0.65, 0.55)}
_ABOVE_POINTS, _WHOLE_BYTES = 0.8, 150.0
_QUARTER_BOUNDS = (0.60, 0.75)
_NO_BOUNDS: Bounds = (None, None)


def agreement_crossing(settings: Sequence[Scores], level: float) -> Crossing:
    """Mean payload bytes at which a codec's answers agree with the uncompressed ones to ``level``."""
    return crossing_at([s.payload for s in settings], [s.agreement() for s in settings], level)


def sure_crossing(settings: Sequence[Scores], level: float) -> Crossing:
    """The same of the questions whose uncompressed answer is sure; never where some task has no such question."""
    found = [s.sure_agreement() for s in settings]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(settings):
        return Crossing(None, np.full(1, np.nan))
    return crossing_at([s.payload for s in settings], known, level)


def affordable(points: Sequence[tuple[float, float]], most_bytes: float | None) -> float | None:
    """The best quality among settings of at most so many bytes; None where there is none, or no bound."""
    reached = [quality for cost, quality in points if most_bytes is not None and cost <= most_bytes]
    return max(reached, default=None)


class SceneFigures:
    """All figures on scenes.

    Args:
        groups: scores of every codec's settings, by its name.
        uncompressed: of the uncompressed path.
        pictures: names of the bare pixel codecs among the groups.
    """

    def __init__(self, groups: Groups, uncompressed: Scores, pictures: Sequence[str]) -> None:
        self._groups, self._uncompressed = groups, uncompressed
        self._pictures = [name for name in pictures if name in groups]
        self.b99 = {name: b99_of(settings, uncompressed) for name, settings in groups.items()}
        self.at = {
            (name, level): agreement_crossing(settings, level)
            for name, settings in groups.items()
            for level in AGREEMENTS
        }

    def all(self) -> tuple[Figure, ...]:
        """The figures with bounds, then the others."""
        return (*self._headlines(), *self._nnc(), *self._others(), *self._sure())

    def _headlines(self) -> list[Figure]:
        pixels = best_of([self.b99[name] for name in self._pictures])
        found = [
            self._ratio(f"B99 of {kind} / best bare pixel codec", self.b99.get(kind), pixels, bounds)
            for kind, bounds in _B99_PIXELS.items()
        ]
        older = self.b99.get(OLDER)
        found.insert(1, self._ratio("B99 of klt / of the older build, paired", self.b99.get("klt"), older, _B99_OLDER))
        return [*found, *self._meta()] if "meta" in self._groups else found

    def _meta(self) -> list[Figure]:
        settings, base = self._groups["meta"], self._uncompressed.accuracy()
        whole = settings[-1].accuracy()
        above = 100 * (whole.value - B99_SHARE * base.value)
        interval = percentile_interval(100 * (whole.samples - B99_SHARE * base.samples))
        name = "meta: whole stream above the 99 % line, points"
        size = settings[-1].payload
        return [
            Figure(name, above, interval, _ABOVE_POINTS, at_least=True),
            Figure("meta: bytes of the whole stream", size.value, size.interval, _WHOLE_BYTES),
            self._quarter(),
        ]

    def _quarter(self) -> Figure:
        """Share of the uncompressed accuracy that a quarter of B99's bytes keeps, by the best setting within it."""
        settings, base, whole = self._groups["meta"], self._uncompressed.accuracy(), self.b99["meta"]
        accuracies, payloads = [s.accuracy() for s in settings], [s.payload for s in settings]
        points = [(p.value, a.value) for p, a in zip(payloads, accuracies, strict=True)]
        reached = affordable(points, whole.value and whole.value / 4)
        samples = []
        for i, most in enumerate((whole.samples / 4).tolist()):
            drawn = [(float(p.samples[i]), float(a.samples[i])) for p, a in zip(payloads, accuracies, strict=True)]
            found = affordable(drawn, most)
            samples.append(np.nan if found is None else found / base.samples[i])
        value = None if reached is None else reached / base.value
        name = "accuracy at a quarter of meta's B99, share of the uncompressed"
        interval = percentile_interval(np.array(samples, dtype=np.float64))
        return Figure(name, value, interval, *_QUARTER_BOUNDS, at_least=True)

    def _nnc(self) -> list[Figure]:
        return [
            self._ratio(
                f'bytes of klt / "KLT + NNC" bare at agreement {level:.2f}, scenes',
                self.at.get(("klt", level)),
                self.at.get((NNC, level)),
                _NNC_BOUNDS.get(level, _NO_BOUNDS),
            )
            for level in AGREEMENTS
        ]

    def _others(self) -> list[Figure]:
        found = []
        for level in AGREEMENTS:
            # Below the highest level the dearest settings alone, which were run, would make pixels look dear.
            pixels = (
                Crossing(None, np.full(1, np.nan))
                if level < AGREEMENTS[-1]
                else best_of([self.at[name, level] for name in self._pictures])
            )
            for kind, other, text in (
                ("klt", self.at.get((OLDER, level)), "the older build's"),
                ("klt", self.at.get((AVIF_TILES, level)), '"KLT tiles, AVIF bare"'),
                ("klt", pixels, "best bare pixel codec"),
                ("meta", pixels, "best bare pixel codec"),
                ("meta", self.at.get(("klt", level)), "klt"),
            ):
                name = f"bytes of {kind} / {text} at agreement {level:.2f}, scenes"
                found.append(self._ratio(name, self.at.get((kind, level)), other))
        return found

    def _sure(self) -> list[Figure]:
        """Ratios of klt and meta where ties do not count."""
        pairs = [(kind, other) for kind in ("klt", "meta") for other in (OLDER, NNC, AVIF_TILES, "klt")]
        pairs = [(kind, other) for kind, other in pairs if kind != other and {kind, other} <= self._groups.keys()]
        found = []
        for level in AGREEMENTS:
            at = {name: sure_crossing(self._groups[name], level) for pair in pairs for name in pair}
            for kind, other in pairs:
                name = f"bytes of {kind} / {other} at agreement {level:.2f} of sure answers, scenes"
                found.append(self._ratio(name, at[kind], at[other]))
        return found

    @staticmethod
    def _ratio(name: str, above: Crossing | None, below: Crossing | None, bounds: Bounds = _NO_BOUNDS) -> Figure:
        if above is None or below is None:
            return Figure(name, None, None, *bounds)
        ratio = ratio_of(above, below)
        return Figure(name, ratio.value, ratio.interval, *bounds)

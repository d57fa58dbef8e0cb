"""The figures that the project set itself on the reference task, computed from one run's findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from heliograph.bench.definitions import Link, standard_links
from heliograph.bench.device.process import DeviceProcess
from heliograph.bench.metrics import B99_SHARE, evenly_spaced, largest_fall
from heliograph.bench.results import Figure
from heliograph.bench.scores import CloudWork, Crossing, Mean, Scores, best_of, ratio_of, time_crossing
from heliograph.bench.stats import clustered_mean_interval, percentile_interval

Bounds = tuple[float, float]
"""What must be reached, what is aimed at."""


@dataclass(frozen=True)
class Marks:
    """What the project asks of one kind of codec.

    Attributes:
        b99: share of the best bare pixel codec's bytes.
        prefixes: accuracy must not fall between so many evenly spaced ones.
        times: by link, share of the best bare pixel codec's time to the final answer.
        codec_ms: to encode and decode one photo.
    """

    b99: Bounds
    prefixes: int
    times: dict[str, Bounds]
    codec_ms: Bounds


MARKS = {
    "klt": Marks((0.25, 0.10), 8, {"narrow-band": (0.6, 0.4), "mobile": (1.0, 0.8)}, (10, 3)),
    "meta": Marks((0.15, 0.05), 16, {"narrow-band": (0.5, 0.35), "mobile": (1.0, 0.8)}, (10, 4)),
}
LEVEL_FIGURES = ("B99", "final answer time", "accuracy lost")
"""How the names of figures begin that are read where a level is reached, and resamples may not reach it."""

_META_TO_KLT: Bounds = (0.7, 0.5)
_QUARTER_LOSS: Bounds = (0.15, 0.05)


@dataclass(frozen=True)
class Findings:
    """What one run found.

    Attributes:
        uncompressed: scores of the uncompressed path.
        groups: scores per strategy, one entry per setting, cheapest first.
        crossings: B99 per strategy.
        cloud: what one answer costs the cloud.
        process: a device process of its own.
        opponents: by what they are called in figures, tuned pixel codecs; the first ones are the headline's, the
            others stand beside them.
    """

    uncompressed: Scores
    groups: dict[str, list[Scores]]
    crossings: dict[str, Crossing]
    cloud: CloudWork
    process: DeviceProcess
    opponents: Mapping[str, tuple[str, ...]]


def reference_figures(found: Findings) -> tuple[Figure, ...]:
    """All of them; a figure whose parts were not reached has the value None."""
    kinds = [kind for kind in MARKS if kind in found.groups]
    learned = (_meta_to_klt(found), _quarter(found)) if "meta" in kinds else ()
    return (
        *(figure for kind in kinds for figure in _figures_of(found, kind, MARKS[kind])),
        *learned,
        Figure("import of heliograph.edge and its client, processor s", found.process.import_s, None, 0.4, 0.2),
        Figure("device process peak memory, MB", found.process.peak_memory_mb, None, 250, 150),
        _overhead(found),
    )


def _figures_of(found: Findings, kind: str, marks: Marks) -> list[Figure]:
    links = {link.name: link for link in standard_links()}
    return [
        *_b99_ratios(found, kind, marks.b99),
        _largest_fall(found, kind, marks.prefixes),
        *(one for name, bounds in marks.times.items() for one in _time_ratios(found, kind, links[name], bounds)),
        _codec_ms(found, kind, marks.codec_ms),
    ]


def _crossing(found: Findings, strategy: str) -> Crossing:
    return found.crossings.get(strategy, Crossing(None, np.full(1, np.nan)))


def _b99_ratios(found: Findings, kind: str, bounds: Bounds) -> list[Figure]:
    """Against the opponents of the headline, which has bounds, and against the others."""
    figures = []
    for (text, names), (must, aim) in zip(found.opponents.items(), _first(bounds), strict=False):
        pixels = best_of([found.crossings[name] for name in names if name in found.crossings])
        ratio = ratio_of(_crossing(found, kind), pixels)
        figures.append(Figure(f"B99 of {kind} / B99 of the best {text}", ratio.value, ratio.interval, must, aim))
    return figures


def _first(bounds: Bounds) -> Iterator[tuple[float | None, float | None]]:
    """The bounds, then none."""
    yield bounds
    yield from repeat((None, None))


def _meta_to_klt(found: Findings) -> Figure:
    ratio = ratio_of(_crossing(found, "meta"), _crossing(found, "klt"))
    return Figure("B99 of meta / B99 of klt", ratio.value, ratio.interval, *_META_TO_KLT)


def _quarter(found: Findings) -> Figure:
    """Share of the uncompressed accuracy that is missing with a quarter of B99's bytes."""
    name = "accuracy lost at a quarter of meta's B99, share of the uncompressed"
    settings, whole = found.groups["meta"], _crossing(found, "meta")
    points, base = [(s.payload, s.accuracy()) for s in settings], found.uncompressed.accuracy()
    lost = 1 - (_affordable([(p.value, a.value) for p, a in points], whole.value) / base.value)
    samples = [
        1 - _affordable([(float(p.samples[i]), float(a.samples[i])) for p, a in points], most) / base.samples[i]
        for i, most in enumerate(whole.samples.tolist())
    ]
    interval = percentile_interval(np.array(samples, dtype=np.float64))
    return Figure(name, None if np.isnan(lost) else float(lost), interval, *_QUARTER_LOSS)


def _affordable(points: list[tuple[float, float]], whole: float | None) -> float:
    """The best accuracy among settings of at most a quarter of so many bytes; NaN where there is none."""
    reached = [accuracy for size, accuracy in points if whole is not None and size <= whole / 4]
    return max(reached, default=float("nan"))


def _largest_fall(found: Findings, kind: str, prefixes: int) -> Figure:
    """The largest fall in points, over evenly spaced budgets."""
    settings = found.groups.get(kind, [])
    chosen = [settings[i - 1].accuracy() for i in evenly_spaced(len(settings), prefixes)]
    name = f"largest fall of accuracy between {prefixes} evenly spaced {kind} prefixes, points"
    if not chosen:
        return Figure(name, None, None, 1.0, 1.0)
    fall = 100 * largest_fall([one.value for one in chosen])
    samples = [100 * largest_fall(row) for row in np.stack([one.samples for one in chosen], axis=1).tolist()]
    return Figure(name, fall, percentile_interval(np.array(samples)), 1.0, 1.0)


def _time_ratios(found: Findings, kind: str, link: Link, bounds: Bounds) -> list[Figure]:
    base = found.uncompressed.accuracy()
    target = Mean(B99_SHARE * base.value, B99_SHARE * base.samples)

    def crossing(strategy: str) -> Crossing:
        return time_crossing(found.groups.get(strategy, []), link, found.cloud, target)

    figures, ours = [], crossing(kind)
    for (text, names), (must, aim) in zip(found.opponents.items(), _first(bounds), strict=False):
        ratio = ratio_of(ours, best_of([crossing(name) for name in names if name in found.groups]))
        name = f"final answer time at 99 % accuracy, {kind} / best {text}, {link.mbit:g} Mbit/s and {link.rtt_ms:g} ms"
        figures.append(Figure(name, ratio.value, ratio.interval, must, aim, source="modelled"))
    return figures


def _codec_ms(found: Findings, kind: str, bounds: Bounds) -> Figure:
    """Codec time without the tower, at the cheapest budget that keeps 99 % of the accuracy (else at the largest)."""
    name = f"{kind} codec encode + decode of one photo at that accuracy, processor ms"
    settings = found.groups.get(kind, [])
    if not settings:
        return Figure(name, None, None, *bounds)
    target = B99_SHARE * found.uncompressed.accuracy().value
    chosen = next((s for s in settings if s.accuracy().value >= target), settings[-1])
    photos = chosen.outcome.photos
    values = [p.codec_ms + p.decode_ms for p in photos.values()]
    return Figure(name, float(np.mean(values)), clustered_mean_interval(values, list(photos)), *bounds)


def _overhead(found: Findings) -> Figure:
    """Bytes beyond payload and text of klt exchanges on an open connection, both directions: the mean."""
    name = "bytes of an exchange beyond payload and text, open connection"
    extra = [
        (messages.exchange_bytes - messages.text_bytes - scores.outcome.photos[image_id].payload_bytes, image_id)
        for scores in found.groups.get("klt", [])
        for image_id, messages in scores.outcome.messages.items()
    ]
    if not extra:
        return Figure(name, None, None, 120, 60)
    values, photos = [value for value, _ in extra], [photo for _, photo in extra]
    return Figure(name, float(np.mean(values)), clustered_mean_interval(values, photos), 120, 60)

"""The figures that the project set itself on the reference task, computed from one run's findings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliograph.bench.definitions import Link, standard_links
from heliograph.bench.device.process import DeviceProcess
from heliograph.bench.metrics import B99_SHARE, evenly_spaced, largest_fall
from heliograph.bench.results import Figure
from heliograph.bench.scores import CloudWork, Crossing, Scores, best_of, ratio_of, time_at_accuracy

Bounds = tuple[float, float]
"""What must be reached, what is aimed at."""


@dataclass(frozen=True)
class Marks:
    """What the project asks of one kind of codec.

    Attributes:
        b99: share of the best pixel codec's bytes.
        prefixes: accuracy must not fall between so many evenly spaced ones.
        times: by link, share of the best pixel codec's time to the final answer.
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
        pixel_strategies: the opponents.
    """

    uncompressed: Scores
    groups: dict[str, list[Scores]]
    crossings: dict[str, Crossing]
    cloud: CloudWork
    process: DeviceProcess
    pixel_strategies: tuple[str, ...]


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
        _b99_ratio(found, kind, marks.b99),
        _largest_fall(found, kind, marks.prefixes),
        *(_time_ratio(found, kind, links[name], bounds) for name, bounds in marks.times.items()),
        _codec_ms(found, kind, marks.codec_ms),
    ]


def _crossing(found: Findings, strategy: str) -> Crossing:
    return found.crossings.get(strategy, Crossing(None, np.full(1, np.nan)))


def _b99_ratio(found: Findings, kind: str, bounds: Bounds) -> Figure:
    pixels = best_of([found.crossings[s] for s in found.pixel_strategies if s in found.crossings])
    ratio = ratio_of(_crossing(found, kind), pixels)
    return Figure(f"B99 of {kind} / B99 of the best tuned pixel codec", ratio.value, ratio.interval, *bounds)


def _meta_to_klt(found: Findings) -> Figure:
    ratio = ratio_of(_crossing(found, "meta"), _crossing(found, "klt"))
    return Figure("B99 of meta / B99 of klt", ratio.value, ratio.interval, *_META_TO_KLT)


def _quarter(found: Findings) -> Figure:
    """Share of the uncompressed accuracy that is missing with a quarter of B99's bytes."""
    name = "accuracy lost at a quarter of meta's B99, share of the uncompressed"
    settings, whole = found.groups["meta"], _crossing(found, "meta").value
    affordable = [s for s in settings if whole is not None and s.payload.value <= whole / 4]
    if not affordable:
        return Figure(name, None, None, *_QUARTER_LOSS)
    reached = max(s.accuracy().value for s in affordable)
    return Figure(name, 1 - reached / found.uncompressed.accuracy().value, None, *_QUARTER_LOSS)


def _largest_fall(found: Findings, kind: str, prefixes: int) -> Figure:
    """The largest fall in points, over evenly spaced budgets."""
    settings = found.groups.get(kind, [])
    accuracies = [settings[i - 1].accuracy().value for i in evenly_spaced(len(settings), prefixes)]
    fall = 100 * largest_fall(accuracies) if accuracies else None
    name = f"largest fall of accuracy between {prefixes} evenly spaced {kind} prefixes, points"
    return Figure(name, fall, None, 1.0, 1.0)


def _time_ratio(found: Findings, kind: str, link: Link, bounds: Bounds) -> Figure:
    target = B99_SHARE * found.uncompressed.accuracy().value
    ours = time_at_accuracy(found.groups.get(kind, []), link, found.cloud, target)
    theirs = [
        time_at_accuracy(found.groups[s], link, found.cloud, target)
        for s in found.pixel_strategies
        if s in found.groups
    ]
    best = min((t for t in theirs if t is not None), default=None)
    value = ours / best if ours is not None and best else None
    name = f"final answer time at 99 % accuracy, {kind} / best pixel codec, {link.mbit:g} Mbit/s and {link.rtt_ms:g} ms"
    return Figure(name, value, None, *bounds, source="modelled")


def _codec_ms(found: Findings, kind: str, bounds: Bounds) -> Figure:
    """Codec time without the tower, at the cheapest budget that keeps 99 % of the accuracy (else at the largest)."""
    name = f"{kind} codec encode + decode of one photo at that accuracy, processor ms"
    settings = found.groups.get(kind, [])
    if not settings:
        return Figure(name, None, None, *bounds)
    target = B99_SHARE * found.uncompressed.accuracy().value
    chosen = next((s for s in settings if s.accuracy().value >= target), settings[-1])
    value = float(np.mean([p.codec_ms + p.decode_ms for p in chosen.outcome.photos.values()]))
    return Figure(name, value, None, *bounds)


def _overhead(found: Findings) -> Figure:
    """Bytes beyond payload and text of klt exchanges on an open connection, both directions: the mean."""
    name = "bytes of an exchange beyond payload and text, open connection"
    extra = [
        messages.exchange_bytes - messages.text_bytes - scores.outcome.photos[image_id].payload_bytes
        for scores in found.groups.get("klt", [])
        for image_id, messages in scores.outcome.messages.items()
    ]
    return Figure(name, float(np.mean(extra)) if extra else None, None, 120, 60)

"""The figures that the project set itself on the reference task, computed from one run's findings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliograph.bench.definitions import Link, standard_links
from heliograph.bench.device_process import DeviceProcess
from heliograph.bench.metrics import B99_SHARE, evenly_spaced, largest_fall
from heliograph.bench.results import Figure
from heliograph.bench.scores import CloudWork, Crossing, Scores, best_of, ratio_of, time_at_accuracy

PREFIXES = 8
_TIME_BOUNDS = {"narrow-band": (0.6, 0.4), "mobile": (1.0, 0.8)}


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
    return (
        _b99_ratio(found),
        _largest_fall(found),
        *(_time_ratio(found, link, *_TIME_BOUNDS[link.name]) for link in standard_links() if link.name in _TIME_BOUNDS),
        _codec_ms(found),
        Figure("import of heliograph.edge and its client, processor s", found.process.import_s, None, 0.4, 0.2),
        Figure("device process peak memory, MB", found.process.peak_memory_mb, None, 250, 150),
        _overhead(found),
    )


def _b99_ratio(found: Findings) -> Figure:
    ratio = ratio_of(
        found.crossings.get("klt", Crossing(None, np.full(1, np.nan))),
        best_of([found.crossings[s] for s in found.pixel_strategies if s in found.crossings]),
    )
    return Figure("B99 of klt / B99 of the best tuned pixel codec", ratio.value, ratio.interval, 0.25, 0.10)


def _largest_fall(found: Findings) -> Figure:
    """In points, over evenly spaced ones of the klt budgets."""
    settings = found.groups.get("klt", [])
    accuracies = [settings[i - 1].accuracy().value for i in evenly_spaced(len(settings), PREFIXES)]
    fall = 100 * largest_fall(accuracies) if accuracies else None
    return Figure(
        f"largest fall of accuracy between {PREFIXES} evenly spaced klt prefixes, points", fall, None, 1.0, 1.0
    )


def _time_ratio(found: Findings, link: Link, must: float, aim: float) -> Figure:
    target = B99_SHARE * found.uncompressed.accuracy().value
    ours = time_at_accuracy(found.groups.get("klt", []), link, found.cloud, target)
    theirs = [
        time_at_accuracy(found.groups[s], link, found.cloud, target)
        for s in found.pixel_strategies
        if s in found.groups
    ]
    best = min((t for t in theirs if t is not None), default=None)
    value = ours / best if ours is not None and best else None
    name = f"final answer time at 99 % accuracy, klt / best pixel codec, {link.mbit:g} Mbit/s and {link.rtt_ms:g} ms"
    return Figure(name, value, None, must, aim, source="modelled")


def _codec_ms(found: Findings) -> Figure:
    """Without the tower, at the cheapest budget that keeps 99 % of the accuracy (the largest where none does)."""
    name = "klt codec encode + decode of one photo at that accuracy, processor ms"
    settings = found.groups.get("klt", [])
    if not settings:
        return Figure(name, None, None, 10, 3)
    target = B99_SHARE * found.uncompressed.accuracy().value
    chosen = next((s for s in settings if s.accuracy().value >= target), settings[-1])
    value = float(np.mean([p.codec_ms + p.decode_ms for p in chosen.outcome.photos.values()]))
    return Figure(name, value, None, 10, 3)


def _overhead(found: Findings) -> Figure:
    """Bytes beyond payload and text of klt exchanges on an open connection, both directions: the mean."""
    name = "bytes of an exchange beyond payload and text, open connection"
    extra = [
        messages.exchange_bytes - messages.text_bytes - scores.outcome.photos[image_id].payload_bytes
        for scores in found.groups.get("klt", [])
        for image_id, messages in scores.outcome.messages.items()
    ]
    return Figure(name, float(np.mean(extra)) if extra else None, None, 120, 60)

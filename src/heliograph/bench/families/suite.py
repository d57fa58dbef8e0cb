"""Suite ``families``: every strategy of all six families on the reference task, with bytes, accuracy, work and joules.

The run is that of the suite ``reference``: pixel settings chosen on other scenes, every setting on the same test
scenes, the exchange's messages counted. What is added: the work of both ends in MACs, what nothing else beats, joules
modelled with their bands, and the figures that the project set itself for this table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from heliograph.bench.families.figures import families_figures
from heliograph.bench.families.front import Placed, front
from heliograph.bench.families.joules import joules_table
from heliograph.bench.families.work import ModelWork, Work, reference_work
from heliograph.bench.metrics import ALL, B99_SHARE
from heliograph.bench.numbers import interval_text, number_text
from heliograph.bench.reference.figures import Findings
from heliograph.bench.reference.suite import ReferenceSuite
from heliograph.bench.results import SuiteResult, Table
from heliograph.bench.scores import Scores
from heliograph.strategies.selection import strategy_class

_MILLION = 1e6
_SHARES = (0.9, 0.95, B99_SHARE)
"""Of the uncompressed accuracy, at which every strategy's cheapest setting is shown."""


class FamiliesSuite(ReferenceSuite):
    """``heliograph bench --suite families``."""

    name = "families"

    def _finished(self, result: SuiteResult, found: Findings) -> SuiteResult:
        model = reference_work()
        work = {name: _work(model, name, settings) for name, settings in found.groups.items()}
        reached = {name: _reached(settings, found.uncompressed) for name, settings in found.groups.items()}
        tables = (
            _strategies_table(found, work, reached),
            _front_table(found.groups, work),
            *joules_table(result.rows, B99_SHARE * found.uncompressed.accuracy().value),
        )
        figures = families_figures(found.crossings, list(found.groups))
        return replace(result, tables=(*result.tables, *tables), figures=figures, notes=(*result.notes, *NOTES))


NOTES = (
    "MACs are those of networks: tower and projector, learned codecs, the language model's prefill of visual tokens "
    "and 32 of text; FLOPs are twice as many. Transforms, entropy coding and picture codecs are in the milliseconds "
    "alone.",
    "A strategy's device has the tower's work where it asked for visual tokens when it ran. Bytes at 99 % are read "
    "between settings.",
)


def _work(model: ModelWork, name: str, settings: Sequence[Scores]) -> Work:
    strategy = strategy_class(name)
    photos = [photo for one in settings for photo in one.outcome.photos.values()]
    asked = any(photo.encode_ms > photo.codec_ms for photo in photos)
    return model.of(strategy.kind, strategy.codec, tower_on_device=asked, strategy=name)


def _reached(settings: Sequence[Scores], uncompressed: Scores) -> dict[float, Scores | None]:
    """The setting of the fewest bytes that keeps each share of the uncompressed accuracy; None where none does."""
    whole = uncompressed.accuracy().value
    cheapest = sorted(settings, key=lambda one: one.payload.value)
    return {share: next((s for s in cheapest if s.accuracy().value >= share * whole), None) for share in _SHARES}


def _strategies_table(
    found: Findings, work: Mapping[str, Work], reached: Mapping[str, Mapping[float, Scores | None]]
) -> Table:
    """Every strategy: family, source, bytes at each share, work of both ends."""
    ranked = sorted(found.groups, key=lambda name: _bytes(reached[name]))
    body = tuple(_strategy_line(found, name, work[name], reached[name]) for name in ranked)
    shares = [f"bytes at {100 * share:.0f} %" for share in _SHARES[:-1]]
    head = ("strategy", "family", "source", *shares, "bytes at 99 % [95 % interval]", "best accuracy %")
    return Table(
        "Strategies by family", (*head, "device MMACs", "cloud MMACs", "prefill tokens", "encode ms", "decode ms"), body
    )


def _strategy_line(found: Findings, name: str, work: Work, reached: Mapping[float, Scores | None]) -> tuple[str, ...]:
    strategy, crossing = strategy_class(name), found.crossings[name]
    settings = found.groups[name]
    best = max(settings, key=lambda one: one.accuracy().value)
    shown = next((one for share in reversed(_SHARES) if (one := reached[share]) is not None), best)
    times = [shown.per_photo(ALL, lambda photo: photo.encode_ms), shown.per_photo(ALL, lambda photo: photo.decode_ms)]
    return (
        f"`{name}`",
        str(strategy.family),
        "" if strategy.paper is None else f"arXiv {strategy.paper}",
        *("" if (one := reached[share]) is None else number_text(one.payload.value) for share in _SHARES[:-1]),
        "" if crossing.value is None else interval_text(crossing.value, crossing.interval),
        f"{100 * best.accuracy().value:.1f}",
        f"{work.device_macs / _MILLION:,.1f}",
        f"{work.cloud_macs / _MILLION:,.1f}",
        str(work.prefill_tokens),
        *(f"{time.value:.1f}" for time in times),
    )


def _bytes(reached: Mapping[float, Scores | None]) -> tuple[float, ...]:
    """Fewest bytes at the highest share first; what never reaches it comes last."""
    return tuple(float("inf") if (one := reached[share]) is None else one.payload.value for share in reversed(_SHARES))


def _front_table(groups: Mapping[str, Sequence[Scores]], work: Mapping[str, Work]) -> Table:
    """Settings that no other beats in bytes, device's work and accuracy."""
    placed = [
        Placed(name, one.outcome.candidate.label, one.payload.value, work[name].device_macs, one.accuracy().value)
        for name, settings in groups.items()
        for one in settings
    ]
    body = tuple(
        (
            f"`{one.strategy}`",
            one.setting,
            number_text(one.payload_bytes),
            f"{one.device_macs / _MILLION:,.1f}",
            f"{100 * one.accuracy:.1f}",
        )
        for one in front(placed)
    )
    head = ("strategy", "setting", "payload bytes", "device MMACs", "accuracy %")
    return Table("What no other setting beats in bytes, device's work and accuracy", head, body)

"""Suite ``families``: every strategy of all six families on the reference task, with bytes, accuracy, work and joules.

The run is that of the suite ``reference``: pixel settings chosen on other scenes, every setting on the same test
scenes, the exchange's messages counted. What is added: the work of both ends in MACs, what nothing else beats, joules
modelled with their bands, and the figures that the project set itself for this table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

from heliograph.bench.definitions import standard_links
from heliograph.bench.device.process import encoding_memory_mb
from heliograph.bench.families.figures import bottleneck_figure, coefficients_figure, families_figures
from heliograph.bench.families.front import Placed, front
from heliograph.bench.families.joules import joules_table
from heliograph.bench.families.plots import FRONT_TITLE, PICTURES
from heliograph.bench.families.prefill import measure_prefill
from heliograph.bench.families.work import ModelWork, Work, reference_work
from heliograph.bench.macs import FLOPS_PER_MAC
from heliograph.bench.metrics import ALL, B99_SHARE
from heliograph.bench.numbers import interval_text, number_text
from heliograph.bench.outcomes import Candidate
from heliograph.bench.reference.figures import Findings
from heliograph.bench.reference.suite import ReferenceSuite, Run
from heliograph.bench.results import SuiteResult, Table
from heliograph.bench.scores import Scores, time_at_accuracy
from heliograph.bench.tasks import scene_items
from heliograph.bench.tools import Bench
from heliograph.errors import DataMissingError
from heliograph.strategies.selection import strategy_class
from heliograph.training.progress import Progress

_MILLION = 1e6
JPEG_PHOTOS = 16
"""Of each folder of photos, whose coefficients' tokens are held against those of their pixels."""

_SHARES = (0.9, 0.95, B99_SHARE)
"""Of the uncompressed accuracy, at which every strategy's cheapest setting is shown."""


class FamiliesSuite(ReferenceSuite):
    """``heliograph bench --suite families``."""

    name = "families"

    def _run_tests(self, run: Run, bench: Bench, candidates: Sequence[Candidate], progress: Progress) -> SuiteResult:
        result = super()._run_tests(run, bench, candidates, progress)
        items = list(scene_items(run.plan.seed_start, run.plan.scenes, descriptions=False, limit=run.limit))
        found = measure_prefill(bench, items, reference_work().prefill, progress)
        figures = [*result.figures, found.figure]
        notes = [*result.notes]
        try:
            figures.append(coefficients_figure(bench.model, JPEG_PHOTOS if run.limit is None else 1))
        except DataMissingError as missing:
            notes.append(f"Tokens of coefficients are not held against those of pixels: {missing.text}")
        tables = (*result.tables, found.table)
        return replace(result, tables=tables, figures=tuple(figures), notes=tuple(notes), pictures=PICTURES)

    def _finished(self, run: Run, result: SuiteResult, found: Findings) -> SuiteResult:
        model = reference_work()
        memory = {name: encoding_memory_mb(run.bundle_folder, name) for name in found.groups}
        reached = {name: _reached(settings, found.uncompressed) for name, settings in found.groups.items()}
        work = {name: _work(model, _shown(settings, reached[name])) for name, settings in found.groups.items()}
        tables = (
            _strategies_table(found, work, reached, memory),
            _times_table(found),
            _front_table(found.groups, model),
            *joules_table(result.rows, B99_SHARE * found.uncompressed.accuracy().value),
        )
        macs = {name: one.device_macs for name, one in work.items()}
        figures = (
            *families_figures(found.crossings, list(found.groups)),
            bottleneck_figure(found.groups, found.uncompressed, macs, model.tower),
        )
        return replace(result, tables=(*result.tables, *tables), figures=figures, notes=(*result.notes, *NOTES))


NOTES = (
    "MACs are those of networks: tower and projector, learned codecs, the language model's prefill of visual tokens "
    "and 32 of text; FLOPs are twice as many. Transforms, entropy coding and picture codecs are in the milliseconds "
    "alone.",
    "A device works what the strategy had it run: the tower for visual tokens, its first attention, the language model "
    "for where a question looks or for a description, what is left of the tower's blocks at the setting that is shown. "
    "Tokens of an answer or a description behind the first pass are not counted at either end, nor is the reader of "
    "`read`. Bytes at 99 % are read between settings.",
)


def _work(model: ModelWork, one: Scores) -> Work:
    """The work of one setting of a strategy."""
    name, setting = one.outcome.candidate.strategy, one.outcome.candidate.setting
    strategy = strategy_class(name)
    units = strategy().tower_units(setting, model.visual_tokens, model.shape.blocks)
    return model.of(strategy.kind, strategy.codec, asked=one.outcome.asked, strategy=name, units=units)


def _reached(settings: Sequence[Scores], uncompressed: Scores) -> dict[float, Scores | None]:
    """The setting of the fewest bytes that keeps each share of the uncompressed accuracy; None where none does."""
    whole = uncompressed.accuracy().value
    cheapest = sorted(settings, key=lambda one: one.payload.value)
    return {share: next((s for s in cheapest if s.accuracy().value >= share * whole), None) for share in _SHARES}


def _shown(settings: Sequence[Scores], reached: Mapping[float, Scores | None]) -> Scores:
    """The setting whose times and work stand in the table: the cheapest at the highest share that is reached."""
    best = max(settings, key=lambda one: one.accuracy().value)
    return next((one for share in reversed(_SHARES) if (one := reached[share]) is not None), best)


def _strategies_table(
    found: Findings,
    work: Mapping[str, Work],
    reached: Mapping[str, Mapping[float, Scores | None]],
    memory: Mapping[str, float],
) -> Table:
    """Every strategy: family, source, bytes at each share, work of both ends, memory of a device."""
    ranked = sorted(found.groups, key=lambda name: _bytes(reached[name]))
    body = tuple((*_strategy_line(found, name, work[name], reached[name]), f"{memory[name]:.0f}") for name in ranked)
    shares = [f"bytes at {100 * share:.0f} %" for share in _SHARES[:-1]]
    head = ("strategy", "family", "source", *shares, "bytes at 99 % [95 % interval]", "best accuracy %")
    both_ends = (
        "device MMACs (MFLOPs)",
        "cloud MMACs (MFLOPs)",
        "prefill tokens",
        "encode ms",
        "decode ms",
        "device peak MB",
    )
    return Table("Strategies by family", (*head, *both_ends), body)


def _strategy_line(found: Findings, name: str, work: Work, reached: Mapping[float, Scores | None]) -> tuple[str, ...]:
    strategy, crossing = strategy_class(name), found.crossings[name]
    settings = found.groups[name]
    best = max(settings, key=lambda one: one.accuracy().value)
    shown = _shown(settings, reached)
    times = [shown.per_photo(ALL, lambda photo: photo.encode_ms), shown.per_photo(ALL, lambda photo: photo.decode_ms)]
    return (
        f"`{name}`",
        str(strategy.family),
        "" if strategy.paper is None else f"arXiv {strategy.paper}",
        *("" if (one := reached[share]) is None else number_text(one.payload.value) for share in _SHARES[:-1]),
        "" if crossing.value is None else interval_text(crossing.value, crossing.interval),
        f"{100 * best.accuracy().value:.1f}",
        _work_text(work.device_macs),
        _work_text(work.cloud_macs),
        str(work.prefill_tokens),
        *(f"{time.value:.1f}" for time in times),
    )


def _work_text(macs: int | None) -> str:
    """Millions of MACs, and of the FLOPs that these are."""
    return "not counted" if macs is None else f"{macs / _MILLION:,.1f} ({FLOPS_PER_MAC * macs / _MILLION:,.1f})"


def _times_table(found: Findings) -> Table:
    """Milliseconds to the final answer at 99 % on every link, the quickest on the narrowest first."""
    links = standard_links()
    whole = B99_SHARE * found.uncompressed.accuracy().value
    times = {
        name: [time_at_accuracy(settings, link, found.cloud, whole) for link in links]
        for name, settings in found.groups.items()
    }
    ranked = sorted(times, key=lambda name: [inf if one is None else one for one in times[name]])
    body = tuple((f"`{name}`", *("" if one is None else number_text(one) for one in times[name])) for name in ranked)
    head = ("strategy", *(f"{link.mbit:g} Mbit/s" for link in links))
    return Table("Milliseconds to the final answer at 99 % of the accuracy (modelled links)", head, body)


def _bytes(reached: Mapping[float, Scores | None]) -> tuple[float, ...]:
    """Fewest bytes at the highest share first; what never reaches it comes last."""
    return tuple(float("inf") if (one := reached[share]) is None else one.payload.value for share in reversed(_SHARES))


def _front_table(groups: Mapping[str, Sequence[Scores]], model: ModelWork) -> Table:
    """Settings that no other beats in bytes, device's work and accuracy, of those whose work is known."""
    worked = [(name, one, _work(model, one).device_macs) for name, settings in groups.items() for one in settings]
    placed = [
        Placed(name, one.outcome.candidate.label, one.payload.value, macs, one.accuracy().value)
        for name, one, macs in worked
        if macs is not None
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
    return Table(FRONT_TITLE, head, body)

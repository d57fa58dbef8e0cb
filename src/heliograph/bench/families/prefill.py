"""What fewer visual tokens save in the cloud: prefill by how many tokens the language model reads, and what it answers.

::

    uncompressed tokens --merged to k--> language model --> answers, against the truth and those from all tokens
    MACs of a prompt with k visual tokens and 32 of text / with all of them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.bench.bytes.judge import Judge
from heliograph.bench.bytes.rates import Rate
from heliograph.bench.device.macs_table import TEXT_POSITIONS
from heliograph.bench.macs import FLOPS_PER_MAC, Prefill
from heliograph.bench.numbers import interval_text
from heliograph.bench.results import Figure, Table
from heliograph.bench.scores import Mean, Scores, b99_of
from heliograph.bench.stats import percentile_interval
from heliograph.bench.tasks import Item
from heliograph.bench.tools import Bench
from heliograph.training.progress import Progress

LADDER = (4, 8, 12, 16, 20, 24, 28, 36, 48)
"""How many visual tokens the language model reads, beside all."""

_FIGURE = "prefill FLOPs at 99 % of the accuracy, fewest merged tokens / all tokens"
_MILLION = 1e6


@dataclass(frozen=True)
class PrefillFindings:
    """A table by number of tokens, and the figure that was set for it."""

    table: Table
    figure: Figure


def measure_prefill(bench: Bench, items: Sequence[Item], prefill: Prefill, progress: Progress) -> PrefillFindings:
    """Asks every question of the items with fewer and fewer visual tokens.

    Args:
        bench: both ends; its model is left as it was.
        items: photos with their short questions.
        prefill: the language model's work by positions.
        progress: told of every number of tokens.
    """
    photos = [bench.device.device.encode_tokens(one.photo) for one in items]
    judge = Judge(bench.model, items, photos)
    everything = bench.model.grid.tokens
    measured: list[tuple[int, Scores]] = []
    for count in (one for one in LADDER if one < everything):
        progress.say(f"{count} visual tokens in the language model")
        share = _macs(prefill, count) / _macs(prefill, everything)
        rate = Rate("merged", {"tokens": count}, np.full(len(items), share), np.stack([one.values for one in photos]))
        bench.model.merge_visual_tokens(count)
        try:
            measured.append((count, judge.scores(rate, bench.model.grid)))
        finally:
            bench.model.merge_visual_tokens(None)
    crossing = b99_of([one for _, one in measured], judge.uncompressed)
    rows = [_row(prefill, count, scores, everything) for count, scores in measured]
    rows.append(_row(prefill, everything, judge.uncompressed, everything))
    head = ("visual tokens", "prefill MMACs", "prefill MFLOPs", "of all tokens", "accuracy %", "agreement %")
    title = "Fewer visual tokens in the cloud's language model (uncompressed tokens, merged where they are alike)"
    return PrefillFindings(
        Table(title, head, tuple(rows)), Figure(_FIGURE, crossing.value, crossing.interval, 0.6, 0.35)
    )


def _macs(prefill: Prefill, visual_tokens: int) -> int:
    return prefill.macs(visual_tokens + TEXT_POSITIONS)


def _row(prefill: Prefill, count: int, scores: Scores, everything: int) -> tuple[str, ...]:
    macs = _macs(prefill, count)
    return (
        str(count),
        f"{macs / _MILLION:,.1f}",
        f"{FLOPS_PER_MAC * macs / _MILLION:,.1f}",
        f"{macs / _macs(prefill, everything):.2f}",
        _percent(scores.accuracy()),
        _percent(scores.agreement()),
    )


def _percent(share: Mean) -> str:
    return interval_text(100 * share.value, percentile_interval(100 * share.samples))

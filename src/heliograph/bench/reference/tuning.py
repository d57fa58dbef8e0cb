"""Gives every pixel codec its best settings: a sweep over size, quality and guidance on tuning photos, then its
frontier.

What is on the frontier there is reported on the test photos; nothing is chosen on the test photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from heliograph.bench.metrics import near_frontier
from heliograph.bench.outcomes import Candidate
from heliograph.bench.runner import Runner
from heliograph.bench.scores import Scores
from heliograph.bench.tasks import Item
from heliograph.bench.tools import Bench
from heliograph.strategies.base import Setting
from heliograph.strategies.selection import strategies_with, strategy_class
from heliograph.training.progress import Progress


class PixelSweep(Protocol):
    """What is swept: every size at every quality."""

    @property
    def pixel_sizes(self) -> Sequence[int]:
        """Sides in pixels."""

    @property
    def pixel_qualities(self) -> Sequence[int]:
        """Qualities in the scale of each strategy."""


def tuned_candidates(
    bench: Bench,
    plan: PixelSweep,
    items: Sequence[Item],
    progress: Progress,
    strategies: Sequence[str] | None = None,
    fixed: Setting | None = None,
    kept: Path | None = None,
) -> list[Candidate]:
    """The settings of pixel codecs that survive the tuning photos, cheapest first.

    Args:
        bench: both ends and the model.
        plan: sizes and qualities.
        items: the tuning photos.
        progress: shows it.
        strategies: names; None for every one that is tuned.
        fixed: knobs that are the same everywhere; None for none.
        kept: folder of what was measured before, see :class:`heliograph.bench.runner.Runner`.
    """
    names = strategies_with(tuned=True) if strategies is None else strategies
    swept = [
        Candidate(strategy, {"size": size, "quality": quality, **guidance, **(fixed or {})})
        for strategy in names
        for size in plan.pixel_sizes
        for quality in plan.pixel_qualities
        for guidance in strategy_class(strategy).guidance
    ]
    outcomes = Runner(bench, swept, kept=kept).run(items, len(items), progress, "tuning pixel codecs")
    best: list[Candidate] = []
    for strategy in names:
        found = [Scores(o, [i.image_id for i in items]) for o in outcomes if o.candidate.strategy == strategy]
        points = [(s.payload.value, s.accuracy().value) for s in found]
        chosen = near_frontier(points)
        best += [found[index].outcome.candidate for index in chosen]
    return best

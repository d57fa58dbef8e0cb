"""Gives every pixel codec its best settings: a sweep over size and quality on tuning photos, then its frontier.

What is on the frontier there is reported on the test photos; nothing is chosen on the test photos.
"""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.bench.definitions import ReferencePlan
from heliograph.bench.metrics import near_frontier
from heliograph.bench.runner import Candidate, Runner
from heliograph.bench.scores import Scores
from heliograph.bench.tasks import Item
from heliograph.bench.tools import Bench
from heliograph.strategies.selection import strategies_with
from heliograph.training.progress import Progress


def tuned_candidates(bench: Bench, plan: ReferencePlan, items: Sequence[Item], progress: Progress) -> list[Candidate]:
    """The settings of every pixel codec that survive the tuning photos, cheapest first."""
    swept = [
        Candidate(strategy, {"size": size, "quality": quality})
        for strategy in strategies_with(tuned=True)
        for size in plan.pixel_sizes
        for quality in plan.pixel_qualities
    ]
    outcomes = Runner(bench, swept).run(items, len(items), progress, "tuning pixel codecs")
    kept: list[Candidate] = []
    for strategy in strategies_with(tuned=True):
        found = [Scores(o, [i.image_id for i in items]) for o in outcomes if o.candidate.strategy == strategy]
        points = [(s.payload.value, s.accuracy().value) for s in found]
        chosen = near_frontier(points)
        kept += [found[index].outcome.candidate for index in chosen]
    return kept

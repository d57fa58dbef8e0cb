"""Pictures with detail where it matters, against the same files without: bytes at equal agreement.

``python -m heliograph.bench.reference.guided``; ``--guide question`` for one guide instead of each strategy's own.

Every strategy is swept over sizes, qualities and guidance on tuning scenes; what is on its frontier there is measured
on other scenes. A stream that was made for a question counts for that one. Each strategy's outcomes are kept in a file,
so that a stopped run goes on where it was. ``--published RESULTS.json`` measures nothing: the same table of a suite's
published settings, without intervals, for no answers are published.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heliograph.bench.metrics import ALL, cost_at
from heliograph.bench.opponents import BARE, bare_pictures
from heliograph.bench.outcomes import Candidate, Outcome, PhotoOutcome
from heliograph.bench.reference.tuning import tuned_candidates
from heliograph.bench.results import Row, SuiteResult
from heliograph.bench.runner import UNCOMPRESSED, Runner
from heliograph.bench.scores import Crossing, Scores, crossing_at, ratio_of
from heliograph.bench.stats import Interval
from heliograph.bench.tasks import Item, scene_items
from heliograph.bench.tools import Bench, open_bench
from heliograph.codec.bundle import Bundle
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.strategies.base import Family, Setting
from heliograph.strategies.selection import strategies_with, strategy_class
from heliograph.training.progress import Progress
from heliograph.vlm.model import VisionLanguageModel

LEVELS = (0.90, 0.95)
TUNING_START, TEST_START = 8_000_000, 8_140_000
_GUIDE = "guide"
_FOLDER = Path("runs/guided")


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        tuning_scenes, scenes: how many of each.
        pixel_sizes, pixel_qualities: swept, times the strategy's own guidance.
    """

    tuning_scenes: int = 24
    scenes: int = 60
    pixel_sizes: Sequence[int] = (64, 80, 96, 128)
    pixel_qualities: Sequence[int] = (10, 20, 35, 50)


@dataclass(frozen=True)
class Series:
    """A strategy, with some of its knobs fixed; ``name`` says both."""

    strategy: str
    fixed: Setting

    @property
    def name(self) -> str:
        """For people and files."""
        return " ".join([self.strategy, *map(str, self.fixed.values())])


def series_of(guide: str) -> list[Series]:
    """The bare codecs and every guided strategy; with ``guide`` those that take it, and no others."""
    guided = strategies_with(tuned=True, family=Family.GUIDED)
    if guide:
        return [Series(name, {_GUIDE: guide}) for name in guided if _GUIDE in strategy_class(name).default_setting]
    return [Series(name, {}) for name in (*bare_pictures(), *guided)]


def measured(bench: Bench, plan: Plan, series: Series, progress: Progress) -> list[Outcome]:
    """The uncompressed path, then the settings of one series that its tuning scenes leave, on other scenes."""
    tuning = list(scene_items(TUNING_START, plan.tuning_scenes, descriptions=False))
    kept = tuned_candidates(bench, plan, tuning, progress, [series.strategy], fixed=series.fixed)
    runner = Runner(bench, kept)
    outcomes = runner.run(_test_items(plan), plan.scenes, progress, series.name)
    return [runner.uncompressed, *outcomes]


def kept_outcomes(path: Path) -> list[Outcome]:
    """What :func:`keep` wrote."""
    found = []
    for one in json.loads(path.read_text(encoding="utf-8")):
        outcome = Outcome(Candidate(one["strategy"], one["setting"]))
        outcome.photos = {name: PhotoOutcome(payload, 0.0, 0.0) for name, payload in one["photos"].items()}
        for image_id, task, scores, agreements in one["answers"]:
            outcome.scores[image_id, task], outcome.agreements[image_id, task] = scores, agreements
        found.append(outcome)
    return found


def keep(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Payloads and answers of outcomes, without their times."""
    data = [
        {
            "strategy": one.candidate.strategy,
            "setting": one.candidate.setting,
            "photos": {name: photo.payload_bytes for name, photo in one.photos.items()},
            "answers": [[*key, scores, one.agreements[key]] for key, scores in one.scores.items()],
        }
        for one in outcomes
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(data), encoding="utf-8")
    draft.replace(path)


def crossings(outcomes: Sequence[Outcome]) -> list[Crossing]:
    """Mean payload bytes at each level of agreement; of a series' outcomes behind the uncompressed one."""
    image_ids = list(outcomes[0].photos)
    scores = [Scores(one, image_ids) for one in outcomes if one.candidate.strategy != UNCOMPRESSED]
    return [crossing_at([s.payload for s in scores], [s.agreement() for s in scores], level) for level in LEVELS]


def table(found: dict[str, list[Outcome]]) -> str:
    """A row a series: bytes at each level, and over those of the bare codec that is best there, as Markdown."""
    return _table({name: (len(outcomes) - 1, crossings(outcomes)) for name, outcomes in found.items()})


def published_table(rows: Sequence[Row]) -> str:
    """The same of a suite's published rows, without intervals."""
    every = {}
    for series in series_of(""):
        of_all = [one for one in rows if (one.strategy, one.task, one.link_mbit) == (series.name, ALL, None)]
        points = [
            (one.payload_bytes, one.agreement)
            for one in of_all
            if one.payload_bytes is not None and one.agreement is not None
        ]
        reached = [Crossing(cost_at(points, level), np.full(1, np.nan)) for level in LEVELS]
        every[series.name] = len(points), reached
    return _table(every)


def _table(every: dict[str, tuple[int, list[Crossing]]]) -> str:
    """A row a series, of how many settings it has and what they reach."""
    lines = ["| | settings | " + " | ".join(f"bytes at {level:.2f} | / best bare" for level in LEVELS) + " |"]
    lines.append("| --- | --- |" + " --- | --- |" * len(LEVELS))
    for name, (settings, reached) in every.items():
        cells = []
        for place, crossing in enumerate(reached):
            bare = [one[place] for other, (_, one) in every.items() if other.endswith(BARE) and one[place].value]
            best = min(bare, key=lambda one: one.value or 0.0, default=None)
            ratio = None if best is None else ratio_of(crossing, best)
            cells += [_cell(crossing.value, crossing.interval, 0), _cell(*_parts(ratio), 2)]
        lines.append(f"| {name} | {settings} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _parts(crossing: Crossing | None) -> tuple[float | None, Interval | None]:
    return (None, None) if crossing is None else (crossing.value, crossing.interval)


def _cell(value: float | None, interval: Interval | None, digits: int) -> str:
    if value is None:
        return "never"
    around = "" if interval is None else f" [{interval[0]:,.{digits}f}, {interval[1]:,.{digits}f}]"
    return f"{value:,.{digits}f}{around}"


def _test_items(plan: Plan) -> Iterator[Item]:
    return scene_items(TEST_START, plan.scenes, descriptions=False)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guide", default="", help="guide of every strategy that takes it (default: its own)")
    parser.add_argument("--only", default="", metavar="NAME", help="one strategy alone")
    parser.add_argument("--scenes", type=int, default=Plan.scenes, help="test scenes (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=_FOLDER, help="where outcomes are kept (default: %(default)s)")
    parser.add_argument("--published", type=Path, metavar="JSON", help="a suite's results to read instead of measuring")
    arguments = parser.parse_args()
    if arguments.published is not None:
        print(published_table(SuiteResult.from_json(json.loads(arguments.published.read_text(encoding="utf-8"))).rows))
        return
    plan = Plan(scenes=arguments.scenes)
    bench = open_bench(VisionLanguageModel.load("reference"), Bundle.load(shipped_bundle_folder()))
    with Progress() as progress:
        for series in series_of(arguments.guide):
            path = arguments.out / f"{series.name}-{plan.scenes}.json"
            if not path.is_file() and arguments.only in ("", series.strategy):
                keep(path, measured(bench, plan, series, progress))
    paths = sorted(arguments.out.glob(f"*-{plan.scenes}.json"))
    print(table({path.stem.rpartition("-")[0]: kept_outcomes(path) for path in paths}))


if __name__ == "__main__":
    main()

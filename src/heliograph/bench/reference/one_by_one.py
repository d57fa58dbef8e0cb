"""A strategy at some settings on scenes of the reference: bytes, agreement, accuracy of every kind of question.

``python -m heliograph.bench.reference.one_by_one feature-video components=36,quality=40 klt level=25``

A strategy without a setting behind it is run at each setting of its own ladder. For trials beside the suite
``reference``, which runs everything that there is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from heliograph.bench.definitions import tasks
from heliograph.bench.metrics import ALL
from heliograph.bench.outcomes import Candidate, Outcome
from heliograph.bench.runner import Runner
from heliograph.bench.scores import Mean, Scores
from heliograph.bench.tasks import Item, scene_items
from heliograph.bench.tools import open_bench
from heliograph.codec.bundle import Bundle
from heliograph.reference.assets import shipped_bundle_folder, shipped_model_folder
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import parse_setting
from heliograph.training.progress import Progress
from heliograph.vlm.model import VisionLanguageModel

SCENES, SEED_START = 40, 8_160_000


def candidates_of(words: Sequence[str]) -> list[Candidate]:
    """Names of strategies, each with the settings that follow it.

    Raises:
        UnknownNameError: no such strategy.
        UsageError: a setting that the strategy before it has not, or one without a strategy.
    """
    found: list[Candidate] = []
    named: dict[str, list[str]] = {}
    name = ""
    for word in words:
        if "=" in word and name:
            named[name].append(word)
        else:
            name = word
            named.setdefault(name, [])
    for name, settings in named.items():
        strategy = STRATEGIES.load(name)()
        chosen = [strategy.complete_setting(parse_setting(one, strategy.default_setting)) for one in settings]
        found += [Candidate(name, one) for one in chosen or strategy.settings()]
    return found


def measured(
    candidates: Sequence[Candidate], items: Sequence[Item], progress: Progress
) -> tuple[Outcome, list[Outcome]]:
    """The uncompressed path, and every candidate, on the same scenes."""
    bench = open_bench(VisionLanguageModel.load(str(shipped_model_folder())), Bundle.load(shipped_bundle_folder()))
    runner = Runner(bench, candidates)
    outcomes = runner.run(items, len(items), progress, "scenes")
    return runner.uncompressed, outcomes


def table(uncompressed: Outcome, outcomes: Sequence[Outcome], image_ids: Sequence[str]) -> str:
    """A row a candidate as Markdown: payload bytes, processor time of the device and of restoring (but of programs of
    their own), agreement and accuracy over all tasks, accuracy of each task."""
    base = Scores(uncompressed, image_ids)
    names = [name for name in tasks() if name in base.task_names]
    lines = [
        "| strategy | setting | bytes | encode ms | decode ms | agreement | all | " + " | ".join(names) + " |",
        "| --- | --- |" + " ---: |" * (5 + len(names)),
    ]
    for scores in (base, *(Scores(one, image_ids) for one in outcomes)):
        candidate = scores.outcome.candidate
        cells = [candidate.strategy, candidate.label, _bytes(scores.payload)]
        times = (scores.per_photo(ALL, lambda p: p.encode_ms), scores.per_photo(ALL, lambda p: p.decode_ms))
        cells += [f"{one.value:.1f}" for one in times]
        cells += [_share(scores.agreement(ALL)), _share(scores.accuracy(ALL))]
        cells += [f"{scores.accuracy(name).value:.3f}" for name in names]
        lines.append("| " + " | ".join(cells) + " |")
    asked = ", ".join(f"{name} {base.questions(name)}" for name in names)
    return "\n".join([*lines, "", f"Questions: {asked}; {base.questions(ALL)} of them in the mean over tasks."])


def _bytes(mean: Mean) -> str:
    interval = mean.interval
    return f"{mean.value:.1f}" + (f" [{interval[0]:.1f}, {interval[1]:.1f}]" if interval else "")


def _share(mean: Mean) -> str:
    interval = mean.interval
    return f"{mean.value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="+", metavar="STRATEGY [SETTING ...]")
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--seed-start", type=int, default=SEED_START)
    arguments = parser.parse_args()
    items = list(scene_items(arguments.seed_start, arguments.scenes, descriptions=True))
    with Progress(quiet=True) as progress:
        uncompressed, outcomes = measured(candidates_of(arguments.words), items, progress)
    print(table(uncompressed, outcomes, [item.image_id for item in items]))


if __name__ == "__main__":
    main()

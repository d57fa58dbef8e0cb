"""Suite ``loop``: when what has arrived is enough.

Answers of test scenes are collected at every prefix of their streams, and stop policies are simulated on them
(:mod:`heliograph.bench.loop.policies`) with the shipped calibration, which was fitted on dev scenes. Then drafts are
verified beside answers made anew. Times of policies on links are :mod:`heliograph.bench.loop.times`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heliograph.bench.loop.curves import ACCURACY, AGREEMENT, BYTES, Curve, Questions, Stopped
from heliograph.bench.loop.figures import (
    auroc_figures,
    bytes_figures,
    policy_table,
    separation_table,
    shown_figures,
    stride_figures,
)
from heliograph.bench.loop.plots import PICTURES, UNCOMPRESSED_NOTE
from heliograph.bench.loop.policies import FIXED, POLICIES, simulate
from heliograph.bench.loop.verification import ANSWERS, measure_verification, verification_figures
from heliograph.bench.metrics import ALL, B99_SHARE, agrees, score
from heliograph.bench.results import Figure, Provenance, Row, SuiteResult
from heliograph.bench.stats import Interval, percentile_interval
from heliograph.bench.tasks import Item, scene_items
from heliograph.codec.bundle import Bundle
from heliograph.codec.calibration import COMBINED, Calibration
from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundleFault, BundlePart
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.training.calibration.collect import Judge, PrefixAnswers, collect, kept_or_collected
from heliograph.training.calibration.stopping import DraftTable
from heliograph.training.progress import Progress
from heliograph.vlm.checkpoint.fingerprint import model_fingerprint
from heliograph.vlm.checkpoint.loading import REFERENCE
from heliograph.vlm.model import VisionLanguageModel

SCENES, TEST_START = 320, 8_100_000
STRIDES = (1, 2, 4)
KEPT = Path("runs/loop")
"""Where collected answers are kept, so that a second run simulates alone."""

_QUESTIONS_PER_SCENE = 7
_TASK_ROWS = (FIXED, COMBINED)  # of the other policies only the mean over tasks is printed

NOTES = (
    "Policies are simulated on answers collected at every segment of the shipped meta stream; a policy stops at the "
    "first draft that it calls enough. Bytes, accuracy and agreement are means over tasks of each task's mean.",
    "Confidences and their settings (quality=Q) are the shipped calibration's, fitted on dev scenes; nothing is chosen "
    "on test scenes. combined-agrees stops by the chance that the draft is the uncompressed answer, every other "
    "confidence by the chance that the rest of the stream would not help. min-entropy-fixed is a bare threshold on the "
    "bits.",
    "oracle stops at the shortest prefix whose answer is that of the whole stream.",
    "AUROC is over drafts at every prefix, all prefixes together, tasks of the mean alone unless stated; small print "
    "cannot be read from any prefix, and its questions are recognised by their words.",
)


@dataclass(frozen=True)
class LoopData:
    """What every part of the suite starts from.

    Attributes:
        answers: of test scenes at every prefix.
        calibration: fitted on dev scenes.
        accuracy: of uncompressed tokens, mean over tasks.
    """

    answers: PrefixAnswers
    calibration: Calibration
    questions: Questions
    accuracy: float


class LoopSuite:
    """``heliograph bench --suite loop``."""

    name = "loop"

    def __init__(self, bundle_folder: Path | None = None, kept: Path = KEPT) -> None:
        self._bundle_folder, self._kept = bundle_folder, kept

    def run(self, *, limit: int | None = None, seed_start: int | None = None, quiet: bool = False) -> SuiteResult:
        """Runs it.

        Args:
            limit: use about so many questions, and as many verified answers.
            seed_start: the first scene's seed, in place of the test split's.
            quiet: show no progress.

        Raises:
            ModelUnavailableError, BundleDamagedError: the reference model or its bundle cannot be loaded, or the bundle
                holds no calibration.
        """
        provenance = Provenance.now()
        bundle = Bundle.load(self._bundle_folder or shipped_bundle_folder())
        if bundle.calibration is None:
            raise BundleDamagedError(BundlePart.CALIBRATION, BundleFault.UNNAMED)
        scenes = SCENES if limit is None else max(2, -(-limit // _QUESTIONS_PER_SCENE))
        start = TEST_START if seed_start is None else seed_start
        with Progress(quiet) as progress:
            progress.say("loading the model")
            model = VisionLanguageModel.load(REFERENCE)
            data = self._data(model, bundle, start, scenes, progress)
            progress.say("simulating stop policies")
            curves = {policy: _curve(policy, data) for policy in POLICIES}
            answers = ANSWERS if limit is None else limit
            advance = progress.bar(scenes, "scenes for verification")
            described = _counted(scene_items(start, scenes, descriptions=True), advance)
            verified = measure_verification(model, bundle.codec(bundle.preferred_codec), described, answers)
        return _result(self.name, provenance, data, curves, verification_figures(verified))

    def _data(
        self, model: VisionLanguageModel, bundle: Bundle, start: int, scenes: int, progress: Progress
    ) -> LoopData:
        kind = bundle.preferred_codec
        key = {
            "model": model_fingerprint(REFERENCE),
            "codec": [kind, bundle.hash.hex()],
            "pictures": scenes,
            "source": start,
        }

        def make() -> PrefixAnswers:
            items = _counted(
                scene_items(start, scenes, descriptions=False), progress.bar(scenes, "answers at prefixes")
            )
            return collect(model, bundle.codec(kind), items, Judge(score, agrees))

        self._kept.mkdir(parents=True, exist_ok=True)
        answers = kept_or_collected(self._kept, key, make, progress.say)
        questions = Questions(answers)
        assert bundle.calibration is not None  # seen before anything was done
        accuracy = questions.mean(answers.whole_right.astype(np.float64), questions.mean_tasks)[0]
        return LoopData(answers, bundle.calibration, questions, accuracy)


def _counted(items: Iterator[Item], advance: Callable[[int], None]) -> Iterator[Item]:
    for item in items:
        yield item
        advance(1)


def _curve(policy: str, data: LoopData, stride: int = 1) -> Curve:
    table = DraftTable.every(data.answers, stride, first=stride - 1)
    return Curve(simulate(policy, table, data.calibration), data.questions)


def _result(
    name: str, provenance: Provenance, data: LoopData, curves: Mapping[str, Curve], verification: tuple[Figure, ...]
) -> SuiteResult:
    table = DraftTable.every(data.answers)
    whole_right = data.answers.whole_right.astype(np.float64)
    _, samples = data.questions.mean(whole_right, data.questions.mean_tasks)
    strided = {stride: _curve(COMBINED, data, stride) for stride in STRIDES}
    figures = [
        *bytes_figures(curves, whole_right, data.questions),
        *stride_figures(strided, curves[FIXED], data.accuracy),
        *auroc_figures(table, data.calibration),
        *shown_figures(table, data.calibration),
        *verification,
    ]
    crossings = {policy: curve.sampled_bytes_at(ACCURACY, B99_SHARE * samples) for policy, curve in curves.items()}
    return SuiteResult(
        suite=name,
        provenance=provenance,
        rows=tuple(_rows(curves, data)),
        b99={policy: curve.bytes_at(ACCURACY, B99_SHARE * data.accuracy) for policy, curve in curves.items()},
        b99_ci={policy: percentile_interval(found) for policy, found in crossings.items()},
        figures=tuple(figures),
        notes=(*NOTES, f"{UNCOMPRESSED_NOTE}{data.accuracy:.4f}."),
        tables=(policy_table(curves, data.accuracy), separation_table(table, data.calibration)),
        pictures=PICTURES,
    )


def _rows(curves: Mapping[str, Curve], data: LoopData) -> Iterator[Row]:
    """Every policy and setting on "all"; of some policies each task too."""
    questions = data.questions
    for policy, curve in curves.items():
        means = [curve.values(kind) for kind in (ACCURACY, AGREEMENT, BYTES)]
        intervals = [curve.intervals(kind) for kind in (ACCURACY, AGREEMENT, BYTES)]
        count = questions.count(questions.mean_tasks)
        for place, stopped in enumerate(curve.stopped):
            yield _row(policy, stopped, ALL, count, [m[place] for m in means], [i[place] for i in intervals])
            if policy not in _TASK_ROWS:
                continue
            for task in questions.tasks:
                found = [questions.mean(one, (task,)) for one in (stopped.right, stopped.agrees, stopped.payload_bytes)]
                values, samples = [value for value, _ in found], [percentile_interval(one) for _, one in found]
                yield _row(policy, stopped, task, questions.count((task,)), values, samples)


def _row(
    policy: str, stopped: Stopped, task: str, count: int, values: list[float], intervals: list[Interval | None]
) -> Row:
    return Row(
        strategy=policy,
        setting=stopped.setting,
        task=task,
        questions=count,
        accuracy=values[0],
        accuracy_ci=intervals[0],
        agreement=values[1],
        agreement_ci=intervals[1],
        payload_bytes=values[2],
        payload_bytes_ci=intervals[2],
    )

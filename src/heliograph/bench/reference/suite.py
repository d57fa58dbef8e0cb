"""Suites ``reference`` and ``smoke``: every strategy and rate on the reference task.

One run: choose pixel settings on dev scenes, run every candidate on test scenes, model the times from measured work,
measure a sample over a real shaped websocket, and compute the figures that the project set itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from heliograph.bench.definitions import ReferencePlan, reference_plan, standard_links
from heliograph.bench.device.process import measure_device_process, peak_memory_mb
from heliograph.bench.metrics import ALL
from heliograph.bench.opponents import opponents_by_name
from heliograph.bench.outcomes import SURE_MARGIN, Candidate
from heliograph.bench.reference.figures import LEVEL_FIGURES, Findings, reference_figures
from heliograph.bench.reference.tuning import tuned_candidates
from heliograph.bench.report import unreached_note
from heliograph.bench.results import Provenance, Row, SuiteResult
from heliograph.bench.runner import SHORT_ANSWER_TOKENS, Runner
from heliograph.bench.scores import CloudWork, Scores, b99_of, rows_of
from heliograph.bench.semantic import SemanticConsistency
from heliograph.bench.socket_runs import measured_rows, opening_bytes
from heliograph.bench.tasks import EASY_VQA, Item, easy_vqa_items, scene_items
from heliograph.bench.timing import processor_s
from heliograph.bench.tools import Bench, open_bench, warmed_up
from heliograph.codec.bundle import Bundle
from heliograph.errors import DataMissingError
from heliograph.registry import STRATEGIES
from heliograph.serving.web.application import CloudApplication
from heliograph.serving.web.runner import BackgroundServer
from heliograph.strategies.selection import strategies_for, strategies_with
from heliograph.training.progress import Progress
from heliograph.vlm.model import VisionLanguageModel

ANSWER_SAMPLE = 24
FEW_QUESTIONS = 500
EASY_QUESTIONS_PER_PHOTO = 8
"""At least so many in easy-VQA; only the length of the progress bar depends on it."""


@dataclass(frozen=True)
class Run:
    """What stays as it is from the first line of a run to its result."""

    provenance: Provenance
    plan: ReferencePlan
    bundle_folder: Path
    limit: int | None
    kept: Path


class ReferenceSuite:
    """``heliograph bench --suite reference``."""

    name = "reference"

    def __init__(self, model: str = "reference", bundle_folder: Path | None = None, folder: Path | None = None) -> None:
        self._model_name = model
        self._bundle_folder = bundle_folder
        self._folder = folder or Path("runs") / "measured" / self.name

    def run(self, *, limit: int | None = None, seed_start: int | None = None, quiet: bool = False) -> SuiteResult:
        """Runs it; a run of the same commit that was stopped goes on with the next photos.

        Args:
            limit: stop after so many questions; opponents are tuned on all scenes that there are for it.
            seed_start: the first scene's seed, in place of the test split's.
            quiet: show no progress.

        Raises:
            ModelUnavailableError, BundleDamagedError: the reference model or its bundle cannot be loaded.
            DataMissingError: the folder ``benchmarks`` is not there.
            OutputUnwritableError: the disk refuses.
        """
        plan = reference_plan(self.name)
        if seed_start is not None:
            plan = replace(plan, seed_start=seed_start)
        run = Run(Provenance.now(), plan, self._bundle_folder or _shipped_bundle_folder(), limit, self._folder)
        with Progress(quiet) as progress:
            progress.say("loading the model and its bundle")
            model = VisionLanguageModel.load(self._model_name)
            bench = open_bench(model, Bundle.load(run.bundle_folder))
            tuning = list(scene_items(plan.tuning_seed_start, plan.tuning_scenes, descriptions=False))
            bench = warmed_up(bench, [tuning[0].photo])
            candidates = _candidates(bench, plan, tuning, progress, run.kept)
            return self._run_tests(run, bench, candidates, progress)

    def _run_tests(self, run: Run, bench: Bench, candidates: Sequence[Candidate], progress: Progress) -> SuiteResult:
        plan = run.plan
        runner = Runner(bench, candidates, plan.timed_questions, SemanticConsistency.load(), run.kept)
        notes = list(NOTES)
        scenes = scene_items(plan.seed_start, plan.scenes, descriptions=plan.descriptions, limit=run.limit)
        items = _Remembering(scenes, ANSWER_SAMPLE)
        runner.run(items, plan.scenes, progress, "scenes")
        image_ids = list(items.image_ids)
        if plan.easy_vqa_questions and run.limit is None:
            easy = _Remembering(easy_vqa_items(plan.easy_vqa_questions))
            try:
                runner.run(easy, plan.easy_vqa_questions // EASY_QUESTIONS_PER_PHOTO, progress, EASY_VQA)
            except DataMissingError as missing:
                notes.append(f"{EASY_VQA} left out: {missing.text}")
            image_ids += easy.image_ids
        uncompressed = Scores(runner.uncompressed, image_ids)
        scores = [Scores(outcome, image_ids) for outcome in runner.outcomes]
        with BackgroundServer(CloudApplication(bench.cloud)) as server:
            cloud = _cloud_work(bench, items.first, opening_bytes(server.url))
            measured = measured_rows(server.url, bench, plan, scores, uncompressed, items.first, progress)
        found = self._result(run, uncompressed, scores, cloud, measured, notes)
        return replace(found, consistency_floor=runner.consistency_floor)

    def _result(
        self,
        run: Run,
        uncompressed: Scores,
        scores: list[Scores],
        cloud: CloudWork,
        measured: Sequence[Row],
        notes: list[str],
    ) -> SuiteResult:
        links = standard_links()
        rows = [*rows_of(uncompressed, (), cloud), *(row for s in scores for row in rows_of(s, links, cloud))]
        groups: dict[str, list[Scores]] = {}
        for one in scores:
            groups.setdefault(one.outcome.candidate.strategy, []).append(one)
        crossings = {name: b99_of(settings, uncompressed) for name, settings in groups.items()}
        process = measure_device_process(run.bundle_folder)
        findings = Findings(uncompressed, groups, crossings, cloud, process, opponents_by_name())
        notes.append(f"Scenes with seeds from {run.plan.seed_start}; pixel settings chosen on other seeds.")
        notes.append(_work_note(cloud))
        if uncompressed.questions(ALL) < FEW_QUESTIONS:
            notes.append("Too few questions for the figures above to mean much: this run shows that everything works.")
        figures = reference_figures(findings)
        notes += unreached_note([one for one in figures if one.name.startswith(LEVEL_FIGURES)])
        result = SuiteResult(
            suite=self.name,
            provenance=run.provenance,
            rows=(*rows, *measured),
            b99={name: c.value for name, c in crossings.items()},
            b99_ci={name: c.interval for name, c in crossings.items()},
            figures=figures,
            notes=tuple(notes),
            peak_memory_mb={
                "device (import, bundle, klt and jpeg)": process.peak_memory_mb,
                "bench with the model": peak_memory_mb(),
            },
        )
        return self._finished(run, result, findings)

    def _finished(self, run: Run, result: SuiteResult, found: Findings) -> SuiteResult:
        """What a suite of other figures makes of the same run."""
        return result


class SmokeSuite(ReferenceSuite):
    """``heliograph bench --suite smoke``: the same, small enough for a minute."""

    name = "smoke"


NOTES = (
    '"all" is the mean over tasks of each task\'s accuracy, without small-print (only a crop can answer it), '
    "description (scored by the F1 of its words) and easy-vqa (another benchmark); these are in the table per task.",
    f"Sure answers are those whose uncompressed answer leads by a probability of {SURE_MARGIN:g} in the mean of its "
    "tokens: where the best two are next to equal, another answer says nothing about what was sent.",
    "The opponents of the headline figures are the bare pixel codecs, whose boilerplate does not travel; standard "
    "files and pictures with detail where the photo matters stand beside them.",
    "Times count from the question on an open connection; wire_bytes include opening the connection.",
    "encode_ms, decode_ms and the answer times inside modelled times are processor time on one core.",
)


class _Remembering:
    """Passes items on and remembers their names and the first of them."""

    def __init__(self, items: Iterable[Item], keep: int = 0) -> None:
        self._items, self._keep = items, keep
        self.image_ids: list[str] = []
        self.first: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        for item in self._items:
            self.image_ids.append(item.image_id)
            if len(self.first) < self._keep:
                self.first.append(item)
            yield item


def _work_note(cloud: CloudWork) -> str:
    return (
        f"Processor time of the cloud's model: {cloud.tokens_ms:.1f} ms for an answer from tokens, "
        f"{cloud.picture_ms:.1f} ms from a picture, {cloud.verify_ms:.1f} ms to verify a draft. "
        f"Opening a websocket costs {cloud.opening_bytes:.0f} wire bytes."
    )


def _shipped_bundle_folder() -> Path:
    from heliograph.reference.assets import shipped_bundle_folder  # only where no other bundle was given

    return shipped_bundle_folder()


def _candidates(
    bench: Bench, plan: ReferencePlan, tuning: Sequence[Item], progress: Progress, kept: Path
) -> list[Candidate]:
    """The tuned pixel codecs, and what the plan names, as far as the bundle has its codec."""
    runnable = strategies_for(bench.bundle.codec_kinds)
    wanted = [(name, setting) for name, settings in plan.fixed_settings.items() for setting in settings]
    fixed = [Candidate(name, setting) for name, setting in wanted if name in runnable]
    names = [name for name in plan.swept if name in runnable]
    swept = [Candidate(name, setting) for name in names for setting in STRATEGIES.load(name)().settings()]
    if bench.bundle.local_model_path is None:
        speaking = strategies_with(speaks=True)
        fixed, swept = ([c for c in some if c.strategy not in speaking] for some in (fixed, swept))
    return [*tuned_candidates(bench, plan, tuning, progress, kept=kept), *swept, *fixed]


def _cloud_work(bench: Bench, sample: Sequence[Item], opening: int) -> CloudWork:
    """Processor milliseconds of single answers and of verifying one; medians of a sample."""
    times: list[tuple[float, float, float]] = []
    for item in (item for item in sample if item.records):
        question = item.records[0].question
        tokens = bench.device.prepare(item.photo)
        picture = item.photo.resize((bench.model.input_size, bench.model.input_size))
        started = processor_s()
        answer = bench.model.answer(question, [tokens], max_new_tokens=SHORT_ANSWER_TOKENS)
        answered = processor_s()
        bench.model.verify_draft(question, [tokens], answer, max_new_tokens=SHORT_ANSWER_TOKENS)
        verified = processor_s()
        bench.model.answer(question, [bench.model.encode_image(picture)], max_new_tokens=SHORT_ANSWER_TOKENS)
        times.append((answered - started, verified - answered, processor_s() - verified))
    tokens_s, verify_s, picture_s = np.median(np.asarray(times), axis=0).tolist()
    return CloudWork(1000 * tokens_s, 1000 * picture_s, 1000 * verify_s, opening)

"""Suite ``planner``: the planner on replayed traces, beside every fixed way and oracles that know the future.

Twelve measured traces x devices of three speeds x three targets. Streams, answers and processor times are measured on
test scenes; when an answer would arrive is modelled.
"""

from __future__ import annotations

from pathlib import Path

from heliograph.bench.data import data_folder
from heliograph.bench.planner.cells import replay_all
from heliograph.bench.planner.measure import measure
from heliograph.bench.planner.plan import planner_plan
from heliograph.bench.planner.replay import candidates_of
from heliograph.bench.planner.report import SUITE, result_of
from heliograph.bench.results import Provenance, SuiteResult
from heliograph.bench.tasks import scene_items
from heliograph.bench.tools import open_bench, warmed_up
from heliograph.codec.bundle import Bundle
from heliograph.codec.manifest import CURVES
from heliograph.controllers.curves import Curves
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.training.progress import Progress
from heliograph.vlm.model import VisionLanguageModel


class PlannerSuite:
    """``heliograph bench --suite planner``."""

    name = SUITE

    def __init__(self, model: str = "reference", bundle_folder: Path | None = None) -> None:
        self._model_name = model
        self._bundle_folder = bundle_folder

    def run(self, *, limit: int | None = None, seed_start: int | None = None, quiet: bool = False) -> SuiteResult:
        """Runs it.

        Args:
            limit: stop after so many questions.
            seed_start: the first scene's seed, in place of the test split's.
            quiet: show no progress.

        Raises:
            ModelUnavailableError, BundleDamagedError: model, bundle or its curves cannot be loaded.
            DataMissingError: the folder ``benchmarks`` or the traces are not there.
        """
        plan, provenance = planner_plan(), Provenance.now()
        traces = sorted(data_folder("links").glob("*.txt"))
        bundle = Bundle.load(self._bundle_folder or shipped_bundle_folder())
        curves = Curves.load(bundle.file(CURVES)).own  # what the suite itself measures; it can replay nothing else
        with Progress(quiet) as progress:
            progress.say("loading the model and its bundle")
            bench = open_bench(VisionLanguageModel.load(self._model_name), bundle)
            start = plan.seed_start if seed_start is None else seed_start
            items = list(scene_items(start, plan.scenes, descriptions=False, limit=limit))
            bench = warmed_up(bench, [items[0].photo])
            candidates = candidates_of(measure(bench, plan, items, progress, "scenes"))
            replayed = replay_all(plan, curves, candidates, traces, progress)
        return result_of(replayed, curves, provenance, start)

"""Suite ``region``: stage 2 of arXiv 2512.16349 on the reference task, every policy on the same trials.

One run: choose on dev scenes where attention is read, how a crop travels and when to look; ask every question of the
test scenes from the first stage and with every kind of second look; play the policies on these answers.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from heliograph.bench.device.process import peak_memory_mb
from heliograph.bench.region.figures import (
    Plays,
    encodings_table,
    figures_of,
    hits_table,
    policies_table,
    prices_table,
    rows_of,
    settings_table,
)
from heliograph.bench.region.plan import RegionPlan, region_plan
from heliograph.bench.region.plots import PICTURES, ShownPhoto, draw_photos
from heliograph.bench.region.policies import Chance, Questions, Tuned, play, play_refined, tuned
from heliograph.bench.region.setting import Plate, chosen_setting, plates_of
from heliograph.bench.region.trials import (
    SMALL_PRINT,
    CropEncoding,
    CropTrial,
    Trial,
    Trials,
    cheapest_good,
    try_encodings,
)
from heliograph.bench.results import Provenance, SuiteResult
from heliograph.bench.tasks import scene_items
from heliograph.bench.tools import Bench, open_bench, warmed_up
from heliograph.codec.bundle import Bundle
from heliograph.codec.calibration import COMBINED
from heliograph.controllers.region.always import Always
from heliograph.controllers.region.find import holds
from heliograph.controllers.region.never import Never
from heliograph.controllers.region.random import Random
from heliograph.controllers.region.random_box import RandomBox
from heliograph.reference.render import render_plan
from heliograph.reference.scenes import plan_scene
from heliograph.training.calibration.fit import fit_curves
from heliograph.training.progress import Progress
from heliograph.vlm.attention import AttentionFinder
from heliograph.vlm.model import VisionLanguageModel

MIN_SCENES = 40
"""Dev scenes at least, however few questions were asked for: nothing can be fitted on fewer."""


class RegionSuite:
    """``heliograph bench --suite region``."""

    name = "region"

    def __init__(self, model: str = "reference", bundle_folder: Path | None = None) -> None:
        self._model_name = model
        self._bundle_folder = bundle_folder

    def run(self, *, limit: int | None = None, seed_start: int | None = None, quiet: bool = False) -> SuiteResult:
        """Runs it.

        Args:
            limit: stop after so many questions; the choices on dev scenes are then made on few as well.
            seed_start: the first scene's seed, in place of the test split's.
            quiet: show no progress.

        Raises:
            ModelUnavailableError, BundleDamagedError: the reference model or its bundle cannot be loaded.
            DataMissingError: the folder ``benchmarks`` is not there.
            CodecNotFittedError: too few dev scenes show small print.
        """
        provenance, plan = Provenance.now(), region_plan()
        plan = replace(plan, seed_start=plan.seed_start if seed_start is None else seed_start)
        if limit is not None:
            tuning, looks = min(MIN_SCENES, plan.tuning_scenes), min(2 * MIN_SCENES, plan.look_scenes)
            plan = replace(plan, look_scenes=looks, tuning_scenes=tuning, crop_plates=4)
        with Progress(quiet) as progress:
            progress.say("loading the model and its bundle")
            model = VisionLanguageModel.load(self._model_name)
            bench = open_bench(model, Bundle.load(self._bundle_folder or _shipped_bundle_folder()))
            run = _Run(bench, plan, progress)
            run.choose()
            return run.test(provenance, limit)


class _Run:
    """One run: what was chosen on dev scenes, then the test."""

    def __init__(self, bench: Bench, plan: RegionPlan, progress: Progress) -> None:
        self.bench, self.plan, self.progress = bench, plan, progress

    # ---- dev ---------------------------------------------------------------------------------------
    def choose(self) -> None:
        """Choose layer and heads, encoding of crops and thresholds, on dev scenes alone."""
        bench, plan, progress = self.bench, self.plan, self.progress
        self.best, self.tried = chosen_setting(bench.model, bench.bundle, plan, progress)
        warmed_up(bench, [render_plan(plan_scene(plan.look_seed_start)).image])
        self.region_finder = AttentionFinder(bench.model, self.best.setting)
        self.crop_trials, self.best_crop = self._choose_encoding()
        trials = self._trials(plan.tuning_seed_start, plan.tuning_scenes, None, "policies on dev")
        self.chance = _chance_of(bench, trials)
        self.tuned: Tuned = tuned(trials, self.chance)
        self.rate = float(play(self.tuned.calibrated, trials, self.chance).looked.mean())

    def _choose_encoding(self) -> tuple[list[CropTrial], CropTrial]:
        plan = self.plan
        encodings = [
            CropEncoding(strategy, setting) for strategy, settings in plan.crops.items() for setting in settings
        ]
        start = plan.tuning_seed_start
        plates: list[Plate] = []
        finder = Trials(self.bench, self.region_finder, encodings[0], plan.strategy, plan.first_bytes)
        for photo, record, region in plates_of(range(start, start + plan.tuning_scenes)):
            box = self.region_finder.find(record.question, finder.tokens_of(photo), photo.size).box
            if holds(box, region) and len(plates) < plan.crop_plates:
                plates.append((photo, record, box))
        tried = try_encodings(finder, self.bench, self.progress.over(encodings, "crop encodings on dev"), plates)
        return tried, cheapest_good(tried, plan.crop_slack)

    def _trials(self, seed_start: int, scenes: int, limit: int | None, text: str) -> list[Trial]:
        trials = Trials(
            self.bench, self.region_finder, self.best_crop.encoding, self.plan.strategy, self.plan.first_bytes
        )
        advance, made = self.progress.bar(scenes, text), []
        for item in scene_items(seed_start, scenes, descriptions=False, limit=limit):
            made += trials.of(item)
            advance(1)
        return made

    # ---- test --------------------------------------------------------------------------------------
    def test(self, provenance: Provenance, limit: int | None) -> SuiteResult:
        """All policies on the test scenes."""
        plan = self.plan
        found = Questions(self._trials(plan.seed_start, plan.scenes, limit, "test scenes"))
        plays = self._plays(found)
        shown = self._shown(found)
        return SuiteResult(
            suite=RegionSuite.name,
            provenance=provenance,
            rows=rows_of(found, plays.every),
            b99={},
            figures=figures_of(found, plays),
            notes=self._notes(found),
            tables=(
                policies_table(found, plays.every),
                hits_table(found),
                prices_table(found, self.tuned.calibrated, self.chance, round(self.best_crop.payload_bytes)),
                encodings_table(self.crop_trials, self.best_crop),
                settings_table(self.tried),
            ),
            peak_memory_mb={"bench with the model": peak_memory_mb()},
            pictures=PICTURES,
            drawings={"photos.png": lambda path: draw_photos(shown, path)},
        )

    def _plays(self, found: Questions) -> Plays:
        trials, chance, chosen = found.trials, self.chance, self.tuned
        calibrated = play(chosen.calibrated, trials, chance, setting=f"chance<{chosen.calibrated.most:g}")
        never, always = play(Never(), trials, chance), play(Always(), trials, chance)
        every = (
            never,
            always,
            play(RandomBox(), trials, chance),
            play(Random(self.rate), trials, chance, setting=f"rate={self.rate:.3f}"),
            play(chosen.threshold, trials, chance, setting=f"bits>{chosen.threshold.bits:g}"),
            calibrated,
            play_refined("refined_equal", "4 bits, a crop's bytes", trials, chosen.calibrated, chance),
            play_refined("refined_whole", "8 bits, whole box", trials, chosen.calibrated, chance),
        )
        return Plays(never, always, calibrated, every)

    def _shown(self, found: Questions) -> list[ShownPhoto]:
        """The first photos whose plate was found, and the first whose plate was missed."""
        small = [t for t in found.trials if t.record.task == SMALL_PRINT]
        missed = [t for t in small if not t.hit][:1]
        chosen = [*[t for t in small if t.hit][: self.plan.shown_photos - len(missed)], *missed]
        trials = Trials(
            self.bench, self.region_finder, self.best_crop.encoding, self.plan.strategy, self.plan.first_bytes
        )
        shown = []
        for trial in chosen:
            photo = render_plan(plan_scene(int(trial.record.image_id.removeprefix("scene-")))).image
            relative = self.region_finder.relative(trial.record.question, trials.tokens_of(photo))
            shown.append(ShownPhoto(photo, relative, trial))
        return shown

    def _notes(self, found: Questions) -> tuple[str, ...]:
        plan, setting = self.plan, self.best.setting
        return (
            f"First stage: {plan.strategy}, at most {plan.first_bytes} bytes a photo. Test scenes with seeds from "
            f"{plan.seed_start}; everything is chosen on dev scenes (seeds from {plan.tuning_seed_start} and "
            f"{plan.look_seed_start}).",
            '"all" is the share of all questions answered right, small print included.',
            f"Attention: layer {setting.layer} of {1 + max(t.setting.layer for t in self.tried)}, "
            f"{setting.prompt_rows} last prompt positions, generic prompt {setting.generic_question or 'none'!r}; on "
            f"dev {100 * (self.best.hit_rate or 0):.1f} % of boxes hold the plate.",
            f"Crops travel as {self.best_crop.encoding.strategy} ({self.best_crop.encoding.setting}).",
            "Chance that a first answer is right: "
            + ("combined, fitted on the tuning scenes." if self.bench.bundle.calibration is None else "the bundle's."),
            "The second answer is kept where its confidence (2 ** -mean min-entropy) is above the first one's.",
            "latent: where the calibrated policy looks, true tokens inside the box replace the restored ones and no "
            "crop is sent. The codecs' streams are one embedded codeword of the whole photo: further segments refine "
            "all of it, never a region alone, so these tokens are records of their own.",
            f"{found.count(None)} questions, {found.count(SMALL_PRINT)} about small print.",
        )


def _chance_of(bench: Bench, trials: list[Trial]) -> Chance:
    """The bundle's calibration where it has one; else a combination fitted on the dev trials."""
    calibration = bench.bundle.calibration
    if calibration is not None:
        return lambda signals: calibration.right(COMBINED, signals)
    curve = fit_curves([t.signals for t in trials], np.array([t.first.right > 0 for t in trials]))[COMBINED]
    return lambda signals: curve.chance(signals) or 0.0


def _shipped_bundle_folder() -> Path:
    from heliograph.reference.assets import shipped_bundle_folder  # only where no other bundle was given

    return shipped_bundle_folder()

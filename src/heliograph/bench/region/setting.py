"""Chooses where a bundle's model is to look, on scenes of the dev split, and puts it beside the codecs.

``python -m heliograph.bench.region.setting BUNDLE`` writes ``region.json`` into the bundle folder and names it in the
manifest; the hash that both ends compare stays. Prints everything that was tried.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from heliograph.bench.region.plan import RegionPlan, region_plan
from heliograph.bench.region.trials import SMALL_PRINT
from heliograph.boxes import PixelBox
from heliograph.codec.bundle import Bundle
from heliograph.codec.manifest import REGION
from heliograph.reference.questions import questions
from heliograph.reference.render import render_plan
from heliograph.reference.scenes import plan_scene
from heliograph.training.calibration.region_choice import Tried, choose_region_setting, collect_looks
from heliograph.training.progress import Progress
from heliograph.types import QuestionRecord
from heliograph.vlm.checkpoint.loading import REFERENCE
from heliograph.vlm.model import VisionLanguageModel

Plate = tuple[Image.Image, QuestionRecord, PixelBox]
"""A photo, a question about its small print, and where that is."""


def plates_of(seeds: range) -> Iterator[Plate]:
    """Every scene with small print."""
    for seed in seeds:
        plan = plan_scene(seed)
        for record in questions(plan):
            if record.task == SMALL_PRINT and record.box is not None:
                yield render_plan(plan).image, record, record.box


def chosen_setting(
    model: VisionLanguageModel, bundle: Bundle, plan: RegionPlan, progress: Progress
) -> tuple[Tried, list[Tried]]:
    """The best setting on the plan's dev scenes, and everything that was tried, best first.

    Raises:
        CodecNotFittedError: too few of the scenes show small print.
    """
    plates = list(plates_of(range(plan.look_seed_start, plan.look_seed_start + plan.look_scenes)))
    asked = ((photo, record.question, box) for photo, record, box in progress.over(plates, "attention on dev"))
    looks = collect_looks(model, bundle.codec(plan.strategy), asked, max_bytes=plan.first_bytes)
    progress.say("choosing layer and heads")
    return choose_region_setting(looks, least_share=plan.least_share)


def main(arguments: Sequence[str] | None = None) -> int:
    """Choose and install."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="bundle folder to store region.json in")
    given = parser.parse_args(arguments)
    bundle = Bundle.load(given.bundle)
    with Progress() as progress:
        best, tried = chosen_setting(VisionLanguageModel.load(REFERENCE), bundle, region_plan(), progress)
    for one in tried:
        print(_line(one))
    bundle.with_measured(REGION, best.setting.to_json())
    return 0


def _line(one: Tried) -> str:
    setting = one.setting
    kind = "exponents" if setting.own else "mean of heads"
    hits = "" if one.hit_rate is None else f"hits {100 * one.hit_rate:.1f} %, "
    return (
        f"{hits}contrast {one.contrast:.3f}: layer {setting.layer}, {kind}, {setting.prompt_rows} positions, "
        f"generic {setting.generic_question or 'none'!r}, floor {setting.floor:g}, windows {setting.windows}"
    )


if __name__ == "__main__":
    raise SystemExit(main())

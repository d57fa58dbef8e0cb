"""``heliograph calibrate``: how sure an answer from a prefix is, and when that is enough."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.cli.calibrate_text import levels_text, report_text
from heliograph.cli.command import EXIT_DONE, ArgumentError, Command, note, positive_int, say, whole_number
from heliograph.cli.files import make_folder
from heliograph.cli.serve import add_model_option
from heliograph.cli.text import printable
from heliograph.config import folder_or_hub_id

if TYPE_CHECKING:
    from heliograph.codec.bundle import Bundle
    from heliograph.codec.levels import LevelCurves
    from heliograph.training.calibration.collect import AskedPhoto, PrefixAnswers

SCENES, SEED_START = 400, 8_010_000
"""Scenes of the dev split, behind those that pixel settings are chosen on."""

REFERENCE = "reference"

_LEVEL_PHOTOS = 100
"""Of which answers are compared at every level, as they are few levels of few codecs."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_option(parser)
    parser.add_argument(
        "--codec",
        metavar="DIR",
        type=folder_or_hub_id,
        help="codec folder or bundle, whose preferred codec is judged (default: shipped)",
    )
    parser.add_argument(
        "--photos",
        metavar="PATH",
        type=Path,
        help="folder, .zip or .txt list of photos, for models that know no scenes",
    )
    parser.add_argument(
        "--scenes",
        "--most",
        dest="scenes",
        metavar="N",
        type=positive_int,
        default=SCENES,
        help=f"number of scenes, or of photos (default: {SCENES})",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=whole_number,
        default=SEED_START,
        help=f"seed of the first scene (default: {SEED_START})",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("runs/calibrate"), help="default: runs/calibrate"
    )
    parser.add_argument("--install", action="store_true", help="put calibration.json into the codec folder too")
    parser.add_argument(
        "--regions", action="store_true", help="with --install: also choose how regions are found (region.json)"
    )
    parser.add_argument(
        "--levels",
        action="store_true",
        help="measure nothing but how often answers agree at each level (levels.json)",
    )
    parser.add_argument(
        "--curves",
        action="store_true",
        help="with --install: also measure quality and cost of every strategy (curves.json)",
    )


def _run(arguments: argparse.Namespace) -> int:
    """Collect, fit, report.

    Raises:
        ArgumentError: neither photos nor the model that knows scenes, or scenes needed that are not there.
    """
    if (arguments.regions or arguments.curves) and (arguments.photos is not None or not arguments.install):
        raise ArgumentError("arguments --regions, --curves: need scenes (no --photos) and --install")
    from heliograph.vlm.checkpoint.fingerprint import model_fingerprint

    if arguments.photos is None and model_fingerprint(arguments.model) != model_fingerprint(REFERENCE):
        raise ArgumentError("argument --photos: only the reference model knows scenes; name photos for another one")
    out = make_folder(arguments.out)
    if arguments.levels:
        return _run_levels(arguments, out)
    from heliograph.bench.loop.confidence_plots import plot_confidences
    from heliograph.codec.bundle import Bundle
    from heliograph.codec.calibration import CALIBRATION
    from heliograph.reference.assets import shipped_bundle_folder
    from heliograph.training.calibration.fit import fit_calibration
    from heliograph.training.calibration.report import report
    from heliograph.vlm.codec_folder import check_fitted_on, public_name

    bundle = Bundle.from_pretrained(arguments.codec or shipped_bundle_folder())
    check_fitted_on(bundle, arguments.model)
    answers = _answers(arguments, bundle, out)
    found = report(answers)
    facts = {
        "model": public_name(arguments.model),
        "codec": bundle.preferred_codec,
        "photos": len(set(answers.photo.tolist())),
        "questions": len(answers),
        "seed": None if arguments.photos else arguments.seed,
    }
    calibration = fit_calibration(answers, facts)
    calibration.save(out / CALIBRATION)
    (out / "report.json").write_text(json.dumps({**facts, **found}, indent=1) + "\n", encoding="utf-8")
    files = [out / CALIBRATION, out / "report.json", *plot_confidences(answers, out)]
    if arguments.install:
        bundle = bundle.with_measured(CALIBRATION, calibration.to_json())
        files += [bundle.folder / CALIBRATION, *_installed_familiarity(arguments, bundle)]
        files += _installed_levels(arguments, bundle)
        files += _measured_too(arguments, bundle)
    names = [str(path) for path in files]
    say(arguments, "\n".join([report_text(found), *map(printable, names)]), {**facts, **found, "files": names})
    return EXIT_DONE


def _installed_familiarity(arguments: argparse.Namespace, bundle: Bundle) -> list[Path]:
    """What the codecs leave of the same photos, put into the folder; nothing where there are too few."""
    from heliograph.bench.tasks import scene_items
    from heliograph.codec.familiarity import FAMILIARITY
    from heliograph.training.calibration.photo_items import FramedModel, photo_items
    from heliograph.training.fitting.familiarity import PHOTOS, measured_ranges
    from heliograph.training.progress import Progress
    from heliograph.vlm.opening import open_model

    with Progress(arguments.json, printable) as progress:
        progress.say("measuring what the codecs leave of these photos")
        model = FramedModel(open_model(arguments.model), progress.say)
        most = min(PHOTOS, arguments.scenes)
        items: Iterator[AskedPhoto] = (
            scene_items(arguments.seed, most, descriptions=False)
            if arguments.photos is None
            else photo_items(arguments.photos, most)
        )
        tokens = [model.encode_images([item.photo])[0] for item in items]
        ranges = measured_ranges(bundle.codecs, tokens)
    if ranges is None:
        return []
    bundle.with_measured(FAMILIARITY, ranges.to_json())
    return [bundle.folder / FAMILIARITY]


def _run_levels(arguments: argparse.Namespace, out: Path) -> int:
    """Measure levels alone."""
    from heliograph.codec.bundle import Bundle
    from heliograph.codec.levels import LEVELS
    from heliograph.errors import CodecNotFittedError
    from heliograph.reference.assets import shipped_bundle_folder
    from heliograph.vlm.codec_folder import check_fitted_on

    bundle = Bundle.from_pretrained(arguments.codec or shipped_bundle_folder())
    check_fitted_on(bundle, arguments.model)
    found = _levels(arguments, bundle, arguments.scenes)
    if found is None:
        raise CodecNotFittedError().noted("Too few of these photos are of a grid that a codec with levels takes.")
    found.save(out / LEVELS)
    files = [out / LEVELS]
    if arguments.install:
        bundle.with_measured(LEVELS, found.to_json())
        files.append(bundle.folder / LEVELS)
    names = [str(path) for path in files]
    say(arguments, "\n".join([levels_text(found), *map(printable, names)]), {**found.to_json(), "files": names})
    return EXIT_DONE


def _installed_levels(arguments: argparse.Namespace, bundle: Bundle) -> list[Path]:
    """The same of the first photos, put into the folder; nothing where there are too few."""
    from heliograph.codec.levels import LEVELS
    from heliograph.training.fitting.levels import MIN_PHOTOS

    if arguments.scenes < MIN_PHOTOS:  # no model need be opened to say so
        return []
    found = _levels(arguments, bundle, min(_LEVEL_PHOTOS, arguments.scenes))
    if found is None:
        return []
    bundle.with_measured(LEVELS, found.to_json())
    return [bundle.folder / LEVELS]


def _levels(arguments: argparse.Namespace, bundle: Bundle, most: int) -> LevelCurves | None:
    """How often answers about photos agree at each level of the bundle's codecs; None where there are too few."""
    from heliograph.training.calibration.photo_items import FramedModel, photo_items
    from heliograph.training.fitting.fit_codec import SHORT_QUESTIONS, short_scene_material
    from heliograph.training.fitting.levels import measured_levels
    from heliograph.training.progress import Progress
    from heliograph.vlm.opening import open_model

    with Progress(arguments.json, printable) as progress:
        progress.say("loading the model")
        opened = open_model(arguments.model)
        model = FramedModel(opened, progress.say)
        if arguments.photos is None:
            pictures, asked = short_scene_material(arguments.seed, most)
        else:
            pictures = [item.photo for item in photo_items(arguments.photos, most)]
            asked = [SHORT_QUESTIONS] * len(pictures)
        tokens = [model.encode_images([picture])[0] for picture in pictures]
        progress.say("measuring how often answers agree at each level")
        return measured_levels(opened, bundle.codecs, tokens, asked)


def _measured_too(arguments: argparse.Namespace, bundle: Bundle) -> list[Path]:
    """What else the options ask for, measured on scenes and put into the folder."""
    from heliograph.bench.planner.curves import calibrated
    from heliograph.bench.planner.plan import planner_plan
    from heliograph.bench.region.plan import region_plan
    from heliograph.bench.region.setting import chosen_setting
    from heliograph.codec.manifest import CURVES, REGION
    from heliograph.training.progress import Progress
    from heliograph.vlm.model import VisionLanguageModel

    written = []
    with Progress(arguments.json, printable) as progress:
        if arguments.regions:
            best, _ = chosen_setting(VisionLanguageModel.load(arguments.model), bundle, region_plan(), progress)
            bundle.with_measured(REGION, best.setting.to_json())
            written.append(bundle.folder / REGION)
        if arguments.curves:
            curves = calibrated(bundle, arguments.model, planner_plan(), progress)
            bundle.with_measured(CURVES, curves.to_json())
            written.append(bundle.folder / CURVES)
    return written


def _answers(arguments: argparse.Namespace, bundle: Bundle, out: Path) -> PrefixAnswers:
    """Collected, or read where the same were collected into this folder before."""
    from heliograph.training.calibration.collect import kept_or_collected
    from heliograph.vlm.checkpoint.fingerprint import model_fingerprint

    key = {
        "model": model_fingerprint(arguments.model),
        "codec": [bundle.preferred_codec, bundle.hash.hex()],
        "pictures": arguments.scenes,
        "source": str(arguments.photos.resolve()) if arguments.photos else arguments.seed,
    }
    return kept_or_collected(
        out, key, lambda: _collected(arguments, bundle), lambda line: note(arguments, printable(line))
    )


def _collected(arguments: argparse.Namespace, bundle: Bundle) -> PrefixAnswers:
    """Answers on scenes with the reference model, on photos with any."""
    from heliograph.bench.metrics import agrees, score
    from heliograph.bench.tasks import scene_items
    from heliograph.training.calibration.collect import Judge, collect
    from heliograph.training.calibration.photo_items import FramedModel, photo_items, unknown_right
    from heliograph.training.progress import Progress
    from heliograph.vlm.opening import open_model

    codec = bundle.codec(bundle.preferred_codec)
    with Progress(arguments.json, printable) as progress:
        progress.say("loading the model")
        model = FramedModel(open_model(arguments.model), progress.say)
        if arguments.photos is None:
            scenes = scene_items(arguments.seed, arguments.scenes, descriptions=False)
            advance = progress.bar(arguments.scenes, "scenes")
            return collect(model, codec, _counted(scenes, advance), Judge(score, agrees))
        photos = photo_items(arguments.photos, arguments.scenes)
        advance = progress.bar(arguments.scenes, "photos")
        return collect(model, codec, _counted(photos, advance), Judge(unknown_right, agrees))


def _counted(items: Iterator[AskedPhoto], advance: Callable[[int], None]) -> Iterator[AskedPhoto]:
    for item in items:
        yield item
        advance(1)


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Ask questions about scenes of the dev split, or photos, from every prefix of their streams, fit the\n"
        "confidence of answers, and report how well it separates right from wrong ones. Writes\n"
        "calibration.json, which the cloud's stop policies read, report.json and pictures; the answers are kept, so\n"
        "that a second run only fits."
    ),
    examples=(
        "heliograph calibrate --out runs/calibrate",
        "heliograph calibrate --scenes 800 --codec bundle --install --regions --curves",
        "heliograph calibrate --levels --scenes 250 --codec bundle --install",
        "heliograph calibrate --vlm path/to/checkpoint --codec codec --photos photos --install",
    ),
)

"""``heliograph fit --codec meta``: from a frozen model of any family and pictures to a codec, without labels.

::

    its text can be packed: scenes or photos --batched teacher--> data, klt's channel transform --\\
    any other: photos on their usual grid --one photo at a time--> data, leading directions ------+--> MetaRun
    MetaRun --trained, stopped early or not--> error head --> codec folder
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import torch

from heliograph.errors import ShapeError, UsageError
from heliograph.reference.render import render_scene
from heliograph.reference.scenes import DEV_START
from heliograph.training.export.framing import Size
from heliograph.training.files import refusals_named
from heliograph.training.fitting.fit_codec import (
    FIT_SEEDS_START,
    cached_photos,
    channel_codec,
    encode_all,
    scene_questions,
)
from heliograph.training.meta.card import training_facts, write_card
from heliograph.training.meta.data import MetaData, gather
from heliograph.training.meta.devices import open_accelerator
from heliograph.training.meta.error_head import fit_error_head, judge
from heliograph.training.meta.export import export_meta, round_to_shipped
from heliograph.training.meta.general_data import photo_data
from heliograph.training.meta.general_teacher import GeneralTeacher
from heliograph.training.meta.importance import importance
from heliograph.training.meta.loop import MetaRecipe, MetaRun
from heliograph.training.meta.network import MetaSizes, TokenSpace
from heliograph.training.meta.photo_space import kept_space, photo_space
from heliograph.training.meta.start import token_space
from heliograph.training.meta.teacher import Teacher
from heliograph.types import Reporter, VisualTokens
from heliograph.vlm.codec_folder import public_name, save_codec
from heliograph.vlm.opening import open_model

if TYPE_CHECKING:
    from accelerate import Accelerator

Made = tuple[Sequence[VisualTokens], list[tuple[str, ...]]]


class Wanted(TypedDict):
    """What pictures, and from where."""

    photos: Path | None
    frames: Sequence[Size] | None
    pictures: int
    start: Path | None
    seed: int
    progress: Reporter


SCENES = 25_000
SEEDS_START = FIT_SEEDS_START + 10_000  # beyond what klt is fitted on, and still seeds of the training split
_ASKED = 5000  # pictures with questions, the first ones; tokens alone are made for the rest
_JUDGED, _UNSEEN_AFTER = 1000, 80_000  # scenes for the error head, and how far behind the first their seeds begin
_KLT_PICTURES = 1600
_RENDER_CHUNK = 25
_MAX_FEATURES = 96  # leading components of the channel transform; bounds the linear paths for large models
_MAX_JUDGED = 60  # photos for the error head of a model that answers one question at a time
_MAX_VALUES = 1 << 24  # of a tile's tokens, as the codec takes them
GENERAL_RECIPE = MetaRecipe(tokens_alone=0.7, asked_batch=4, questions=1, patience=5, report_pictures=8)
"""Recipe for models that answer one question at a time: tokens alone first, then answers, until held-out photos gain
nothing more. On the reference model asking has not paid in short runs (docs/experiments.md); of others nothing is
known."""


def train_meta(
    model_name: str,
    out: Path,
    *,
    photos: Path | None = None,
    frames: Sequence[Size] | None = None,
    pictures: int = SCENES,
    start: Path | None = None,
    minutes: float = 60.0,
    seed: int = 0,
    sizes: dict[str, int] | None = None,
    recipe: MetaRecipe | None = None,
    progress: Reporter = print,
) -> Path:
    """Train ``meta`` and write its codec folder into ``out``; a run that was stopped goes on where it was.

    Args:
        model_name: ``reference``, a folder or a hub id, of any family with a tap.
        out: codec folder; data and checkpoint are kept in its folder ``run``.
        photos: folder, zip or list of photos; None trains on generated scenes (for models of the reference's family).
        frames: (width, height) in pixels of the frames that will be exported, which photos are brought into; None for
            the model's usual ones. Of those, the one that most photos fall to is learned.
        pictures: how many scenes or photos at most.
        start: folder of a fitted ``klt`` codec, whose channel transform it starts from; None takes the shipped one
            for the reference model and fits one otherwise.
        minutes: of optimisation, earlier calls included.
        seed: of weights and batches, and of the first scene.
        sizes: what differs from :class:`MetaSizes`'s defaults.
        recipe: losses, patience, batches a step; None takes the defaults, which for a model beyond the quick path's
            family are :data:`GENERAL_RECIPE`.
        progress: receives a line per stage and at every report: bytes against token error and answers.

    Raises:
        DataMissingError: the folder holds no readable photo.
        CodecNotFittedError: fewer pictures than it needs; photos count where they lie on the grid most of them have.
        ShapeError: a photo has more values than a codec takes, or ``start`` was fitted for other tokens.
        EncoderNotExportableError: the model's processor changes photos of a frame's size.
        MissingExtraError: Accelerate is not installed.
        TokensNotFiniteError: the tower gives values that are not finite.
        UsageError: scenes for a model that takes photos of any size, or settings that it cannot be trained with; more
            than 80,000 scenes, or a seed above 9,000 with scenes: they would leave the training split.
        ModelUnavailableError, ModelUnsupportedError, BundleDamagedError: the model or ``start`` cannot be loaded.
        OutputUnwritableError: the disk refuses; what it took before stays and a later call goes on from there.
    """
    accelerator = open_accelerator()
    run, unseen = open_run(
        model_name,
        out,
        photos=photos,
        frames=frames,
        pictures=pictures,
        start=start,
        seed=seed,
        sizes=sizes,
        recipe=recipe,
        progress=progress,
        accelerator=accelerator,
    )
    run.run(minutes)
    if accelerator.is_main_process:
        source = {
            "model": public_name(model_name),
            "pictures": len(run.train) + len(run.dev),
            "source": "photos" if photos else f"scenes from seed {SEEDS_START + seed}",
        }
        _finish(run, unseen, out, model_name, source, seed, progress)
    accelerator.wait_for_everyone()
    return out


def _finish(
    run: MetaRun,
    unseen: MetaData,
    out: Path,
    model_name: str,
    source: dict[str, Any],
    seed: int,
    progress: Reporter,
) -> None:
    """Error head, networks, tables and card of a trained run."""
    run.move_to_cpu()
    space, teacher = run.space, run.teacher
    round_to_shipped(space, run.encoder, run.decoder)
    progress("learning what to expect of a prefix")
    head, trust = fit_error_head(judge(teacher, space, run.encoder, run.decoder, unseen, seed), seed)
    progress("exporting")
    with refusals_named():
        codec = export_meta(space, run.encoder, run.decoder, head, run.train, run.dev, out)
        write_card(out, training_facts(run, codec, source, trust))
        save_codec(out, codec, codec.grid, model_name)


def open_run(
    model_name: str,
    out: Path,
    *,
    photos: Path | None = None,
    frames: Sequence[Size] | None = None,
    pictures: int = SCENES,
    start: Path | None = None,
    seed: int = 0,
    sizes: dict[str, int] | None = None,
    recipe: MetaRecipe | None = None,
    progress: Reporter = print,
    accelerator: Accelerator | None = None,
) -> tuple[MetaRun, MetaData]:
    """The run in ``out``, new or as it was left, and pictures that the error head learns from; arguments as
    :func:`train_meta`. ``accelerator`` says where; None takes what the machine has."""
    accelerator = open_accelerator() if accelerator is None else accelerator
    reporter = progress if accelerator.is_main_process else _silence
    model = open_model(model_name, str(accelerator.device))
    wanted: Wanted = {
        "photos": photos,
        "frames": frames,
        "pictures": pictures,
        "start": start,
        "seed": seed,
        "progress": reporter,
    }
    teacher: Teacher | GeneralTeacher
    with accelerator.main_process_first():  # the others find on disk what the first one has made
        if model.text is not None:
            recipe = recipe or MetaRecipe()
            teacher = Teacher(model)
            data, unseen, space = _quick_material(teacher, model_name, out, recipe, wanted)
        else:
            recipe = recipe or GENERAL_RECIPE
            teacher = GeneralTeacher(model)
            data, unseen, space = _general_material(teacher, out, recipe, accelerator.device, wanted)
    shape = MetaSizes(data.grid.rows, data.grid.columns, int(space.analysis.shape[1]), **(sizes or {}))
    run = MetaRun(teacher, data, space, shape, recipe, out / "run", seed, reporter, accelerator)
    return run, unseen


def _silence(line: str) -> None:
    """All processes but the first."""


def _quick_material(
    teacher: Teacher, model_name: str, out: Path, recipe: MetaRecipe, wanted: Wanted
) -> tuple[MetaData, MetaData, TokenSpace]:
    """Where many questions fit one sequence: pictures, those of the error head, and the channel transform."""
    photos, seed, progress = wanted["photos"], wanted["seed"], wanted["progress"]
    data, unseen = _gathered(teacher, photos, wanted["pictures"], seed, out, progress)
    token_sets = [VisualTokens(one.float().numpy(), data.grid) for one in data.tokens[:_KLT_PICTURES]]
    questions = [tuple(question for question, _ in picture) for picture in data.asked[:_KLT_PICTURES]]
    klt = channel_codec(model_name, teacher.model, token_sets, questions, wanted["start"], progress)
    space = token_space(klt, data.tokens, _MAX_FEATURES)
    if recipe.noticed_share:
        key = f"{model_name} {photos} {seed}"
        data = replace(data, noticed=importance(teacher, data, space, out / "run" / "noticed", key, progress))
    return data, unseen, space


def _general_material(
    teacher: GeneralTeacher, out: Path, recipe: MetaRecipe, device: torch.device, wanted: Wanted
) -> tuple[MetaData, MetaData, TokenSpace]:
    """Material for other models, from photos alone; the error head learns from photos that are only reported on."""
    if wanted["photos"] is None:
        raise UsageError().noted("the built-in scenes are for SmolVLM alone: name photos for this model (--photos).")
    if recipe.noticed_share or recipe.hidden_weight:
        raise UsageError().noted("noticed_share and hidden_weight must be 0 for a model of this family.")
    run = out / "run"
    photos, most, progress = wanted["photos"], wanted["pictures"], wanted["progress"]
    data = photo_data(teacher, photos, wanted["frames"], most, out / "tokens", run / "data", progress)
    if data.grid.rows * data.grid.columns * data.tokens.shape[2] > _MAX_VALUES:
        raise ShapeError().noted(
            f"{data.grid} of {data.tokens.shape[2]} numbers has over {_MAX_VALUES} values: photos must be smaller."
        )
    held = data.split()[1]

    def make() -> TokenSpace:
        return photo_space(teacher.gradient, data, device, wanted["start"], progress)

    return data, held.part(0, _MAX_JUDGED), kept_space(run / "space.pt", data.tokens, make)


def _gathered(
    teacher: Teacher, photos: Path | None, pictures: int, seed: int, out: Path, progress: Reporter
) -> tuple[MetaData, MetaData]:
    """All pictures' tokens, with questions and answers for the first ``_ASKED``; and pictures for the error head.

    Of photos the head gets those that training only reports on: there may be too few to keep more back.
    """
    model, cache = teacher.model, out / "run" / "data"
    if photos is not None:
        tokens, questions = cached_photos(model, photos, pictures, out / "tokens", progress)

        def material(first: int, count: int) -> Made:
            return tokens[first : first + count], questions[first : first + count]

        data = gather(teacher, material, len(tokens), cache, f"{model.name} {photos} {seed}", progress)
        return data, data.split()[1]
    if pictures > _UNSEEN_AFTER:  # scenes would come twice
        raise UsageError.of_argument("pictures", f"{_UNSEEN_AFTER} at most", pictures)
    last_seed = DEV_START - SEEDS_START - _UNSEEN_AFTER - _JUDGED
    if not 0 <= seed <= last_seed:  # scenes would come from the dev split
        raise UsageError.of_argument("seed", f"0 to {last_seed}", seed)
    asked = min(pictures, _ASKED)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as workers:

        def scenes(first: int, count: int) -> Made:
            made = list(workers.map(render_scene, range(first, first + count), chunksize=_RENDER_CHUNK))
            tokens = encode_all(model, [scene.image for scene in made])
            return tokens, [scene_questions(scene.plan) for scene in made]

        def with_questions(first: int, count: int) -> Made:
            return scenes(SEEDS_START + seed + first, count)

        def without_questions(first: int, count: int) -> Made:
            tokens, _ = scenes(SEEDS_START + seed + asked + first, count)
            return tokens, [()] * count

        def unseen(first: int, count: int) -> Made:
            return scenes(SEEDS_START + seed + _UNSEEN_AFTER + first, count)

        key = f"{model.name} scenes {seed}"
        data = gather(teacher, with_questions, asked, cache, key, progress)
        if pictures > asked:
            more = gather(teacher, without_questions, pictures - asked, cache, f"{key} after {asked}", progress)
            data = data.followed_by(more)
        judged = gather(teacher, unseen, max(2, min(_JUDGED, pictures // 4)), cache, f"{key} unseen", progress)
    return data, judged

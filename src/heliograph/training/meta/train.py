"""``heliograph train codec --kind meta``: from a frozen model and pictures to a codec, without labels."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from heliograph.errors import UsageError
from heliograph.reference.render import render_scene
from heliograph.reference.scenes import DEV_START
from heliograph.training.files import refusals_named
from heliograph.training.fit_codec import (
    FIT_SEEDS_START,
    cached_photos,
    channel_codec,
    encode_all,
    scene_questions,
)
from heliograph.training.meta.card import training_facts, write_card
from heliograph.training.meta.data import MetaData, gather
from heliograph.training.meta.error_head import fit_error_head, judge
from heliograph.training.meta.export import export_meta, round_to_shipped
from heliograph.training.meta.importance import importance
from heliograph.training.meta.loop import MetaRecipe, MetaRun
from heliograph.training.meta.network import MetaSizes
from heliograph.training.meta.start import token_space
from heliograph.training.meta.teacher import Teacher
from heliograph.types import VisualTokens
from heliograph.vlm.model import VisionLanguageModel

Progress = Callable[[str], None]
Made = tuple[list[VisualTokens], list[tuple[str, ...]]]

SCENES = 25_000
SEEDS_START = FIT_SEEDS_START + 10_000  # beyond what klt is fitted on, and still seeds of the training split
_ASKED = 5000  # pictures with questions, the first ones; tokens alone are made for the rest
_JUDGED, _UNSEEN_AFTER = 1000, 80_000  # scenes for the error head, and how far behind the first their seeds begin
_KLT_PICTURES = 1600
_RENDER_CHUNK = 25
_MOST_FEATURES = 96  # leading components of the channel transform; bounds the linear paths for large models


def train_meta(
    model_name: str,
    out: Path,
    *,
    photos: Path | None = None,
    pictures: int = SCENES,
    start: Path | None = None,
    minutes: float = 60.0,
    seed: int = 0,
    sizes: dict[str, int] | None = None,
    recipe: MetaRecipe | None = None,
    progress: Progress = print,
) -> Path:
    """Train ``meta`` and write its codec folder into ``out``; a run that was stopped goes on where it was.

    Args:
        model_name: ``reference``, a folder or a hub id.
        out: codec folder; data and checkpoint are kept in its folder ``run``.
        photos: folder, zip or list of photos; None trains on generated scenes (for the reference model).
        pictures: how many scenes or photos at most.
        start: folder of a fitted ``klt`` codec, whose channel transform it starts from; None takes the shipped one
            for the reference model and fits one otherwise.
        minutes: of optimisation, earlier calls included.
        seed: of weights and batches, and of the first scene.
        sizes: what differs from :class:`MetaSizes`'s defaults.
        recipe: losses; None for the defaults.
        progress: receives a line per stage and every five minutes.

    Raises:
        DataMissingError: the folder holds no readable photo.
        CodecNotFittedError: fewer pictures than it needs.
        UsageError: more than 80,000 scenes, or a seed above 9,000 with scenes: they would leave the training split.
        ModelUnavailableError, BundleDamagedError: the model or ``start`` cannot be loaded.
        OutputUnwritableError: the disk refuses; what it took before stays and a later call goes on from there.
    """
    run, unseen = open_run(
        model_name,
        out,
        photos=photos,
        pictures=pictures,
        start=start,
        seed=seed,
        sizes=sizes,
        recipe=recipe,
        progress=progress,
    )
    space, teacher = run.space, run.teacher
    run.run(minutes)
    round_to_shipped(space, run.encoder, run.decoder)
    progress("learning what to expect of a prefix")
    head, trust = fit_error_head(judge(teacher, space, run.encoder, run.decoder, unseen, seed), seed)
    progress("exporting")
    with refusals_named():
        codec = export_meta(space, run.encoder, run.decoder, head, run.train, run.dev, out)
    source = {
        "model": model_name,
        "pictures": len(run.train) + len(run.dev),
        "source": "photos" if photos else f"scenes from seed {SEEDS_START + seed}",
    }
    with refusals_named():
        write_card(out, training_facts(run, codec, source, trust))
    return out


def open_run(
    model_name: str,
    out: Path,
    *,
    photos: Path | None = None,
    pictures: int = SCENES,
    start: Path | None = None,
    seed: int = 0,
    sizes: dict[str, int] | None = None,
    recipe: MetaRecipe | None = None,
    progress: Progress = print,
) -> tuple[MetaRun, MetaData]:
    """The run in ``out``, new or as it was left, and pictures that it never sees; arguments as :func:`train_meta`."""
    model = VisionLanguageModel.load(model_name)
    teacher = Teacher(model)
    data, unseen = _gathered(teacher, photos, pictures, seed, out / "run" / "data", progress)
    token_sets = [VisualTokens(one.float().numpy(), data.grid) for one in data.tokens[:_KLT_PICTURES]]
    questions = [tuple(question for question, _ in picture) for picture in data.asked[:_KLT_PICTURES]]
    klt = channel_codec(model_name, model, token_sets, questions, start, progress)
    space = token_space(klt, data.tokens, _MOST_FEATURES)
    recipe = recipe or MetaRecipe()
    if recipe.noticed_share:
        key = f"{model_name} {photos} {seed}"
        data = replace(data, noticed=importance(teacher, data, space, out / "run" / "noticed", key, progress))
    shape = MetaSizes(data.grid.rows, data.grid.columns, int(space.analysis.shape[1]), **(sizes or {}))
    run = MetaRun(teacher, data, space, shape, recipe, out / "run", seed, progress)
    return run, unseen


def _gathered(
    teacher: Teacher, photos: Path | None, pictures: int, seed: int, cache: Path, progress: Progress
) -> tuple[MetaData, MetaData]:
    """All pictures' tokens, with questions and answers for the first ``_ASKED``; and pictures for the error head.

    Of photos the head gets those that training only reports on: there may be too few to keep more back.
    """
    model = teacher.model
    if photos is not None:
        tokens, questions = cached_photos(model, photos, pictures, cache / "tokens", progress)

        def material(first: int, count: int) -> Made:
            return tokens[first : first + count], questions[first : first + count]

        data = gather(teacher, material, len(tokens), cache, f"{model.name} {photos} {seed}", progress)
        return data, data.split()[1]
    if pictures > _UNSEEN_AFTER or not 0 <= seed <= DEV_START - SEEDS_START - _UNSEEN_AFTER - _JUDGED:
        raise UsageError  # scenes would come twice, or from the dev split
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

"""``heliograph fit``: ``klt`` for a frozen VLM, from photos or scenes, without labels.

::

    photos --tower, once--> token cache on disk --one pass--> moments, sample --closed form--> codec folder
                                 the same, kept back --every prefix--> figures of the model card, answers by level
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from PIL import Image

from heliograph.codec.familiarity import FAMILIARITY
from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.codec.levels import LEVELS
from heliograph.errors import CodecNotFittedError, UsageError
from heliograph.reference.scenes import ScenePlan
from heliograph.training.export.framing import Size, photo_cache
from heliograph.training.files import refusals_named
from heliograph.training.fitting.codec_card import write_fit_card
from heliograph.training.fitting.familiarity import measured_ranges
from heliograph.training.fitting.levels import MIN_PHOTOS, measured_levels
from heliograph.training.fitting.sensitivity import working_sensitivity
from heliograph.training.fitting.token_cache import CachedTokens
from heliograph.training.progress import Advance, stage
from heliograph.training.threads import threads_for
from heliograph.types import Grid, Reporter, VisualTokens
from heliograph.vlm.checkpoint.loading import REFERENCE
from heliograph.vlm.codec_folder import save_codec
from heliograph.vlm.contract import TorchModel
from heliograph.vlm.opening import open_model

FIT_SEEDS_START = 7_900_000  # training seeds that no shard of the reference model's training reaches
GENERIC_QUESTIONS = ("what is in the picture?", "describe the picture.", "what does the sign say?")
SHORT_QUESTIONS = (GENERIC_QUESTIONS[0], GENERIC_QUESTIONS[2])
"""Those whose answers are compared word for word: no descriptions."""

_ENCODE_BATCH = 32
_MIN_PICTURES = 8
PICTURES = 400
_KEPT_BACK, _KEPT_BACK_SHARE = 24, 10  # pictures that only report, one in ten at most
_UNSEEN, _UNSEEN_SHARE = 100, 4  # scenes whose answers are compared, one for every four that were fitted on at most

Questions = list[tuple[str, ...]]


def fit_codec(
    model_name: str,
    out: Path,
    *,
    photos: Path | None = None,
    sizes: Sequence[Size] | None = None,
    scenes: int = PICTURES,
    seed: int = 0,
    weighted: bool = True,
    progress: Reporter = print,
) -> Path:
    """Fit ``klt`` and save it into ``out``, with a model card.

    Args:
        model_name: ``reference``, a folder or a hub id.
        out: codec folder.
        photos: folder, zip or list of photos; None fits on generated scenes (for the reference model). Their tokens are
            kept in the folder ``tokens`` of ``out``, so that a run that was killed goes on.
        sizes: (width, height) in pixels of the frames that will be exported, which photos are brought into; None for
            the model's usual ones.
        scenes: how many scenes or photos at most.
        seed: shifts the scenes' seeds.
        weighted: weigh errors by the language model's sensitivity; else plain variance.
        progress: receives a line per stage.

    Raises:
        DataMissingError: the folder holds no readable photo.
        UsageError: no photos, and a model that does not have the scenes' fixed grid.
        CodecNotFittedError: fewer photos than the codec needs.
        ModelUnavailableError, ModelUnsupportedError: the model cannot be loaded.
        TokensNotFiniteError, OutputUnwritableError: see :func:`photo_cache`.
    """
    model = open_model(model_name)
    with threads_for(model):
        return _fitted(model, out, photos, sizes, scenes, seed, weighted, progress)


def _fitted(
    model: TorchModel,
    out: Path,
    photos: Path | None,
    sizes: Sequence[Size] | None,
    scenes: int,
    seed: int,
    weighted: bool,
    progress: Reporter,
) -> Path:
    material = fitting_tokens(model, photos, scenes, FIT_SEEDS_START + seed, out / "tokens", progress, sizes)
    if len(material) < _MIN_PICTURES:
        raise CodecNotFittedError().noted(f"{len(material)} photos are here, and at least {_MIN_PICTURES} are needed.")
    fitting, kept_back = material.split()
    sensitivity = working_sensitivity(model, fitting.tokens, fitting.asked, progress) if weighted else None
    codec = fit_klt(fitting.tokens, grids=fitting.grids, sensitivity=sensitivity, count=partial(stage, progress))
    unseen = (
        replace(kept_back, asked=[SHORT_QUESTIONS] * len(kept_back))
        if photos
        else unseen_scenes(model, FIT_SEEDS_START + seed + scenes, len(material))
    )
    if len(unseen) >= MIN_PHOTOS:
        progress("measuring how often answers agree at each level")
    levels = measured_levels(model, {codec.kind: codec}, unseen.tokens, unseen.asked)
    facts = {
        "pictures": len(fitting),
        "source": "photos" if photos else f"scenes from seed {FIT_SEEDS_START + seed}",
        "weighted": weighted,
        "seed": seed,
    }
    with refusals_named():
        write_fit_card(out, codec, model.name, facts, kept_back.tokens)
        saved = save_codec(out, codec, codec.grid, model.name)
        ranges = measured_ranges({codec.kind: codec}, kept_back.tokens)
        if ranges is not None:
            saved = saved.with_measured(FAMILIARITY, ranges.to_json())
        if levels is not None:
            saved.with_measured(LEVELS, levels.to_json())
    return out


@dataclass(frozen=True)
class Material:
    """What a codec is fitted on.

    Attributes:
        tokens: of each picture; read from disk as they are asked for where they come from photos.
        asked: questions about each.
        grids: of each.
    """

    tokens: Sequence[VisualTokens]
    asked: Questions
    grids: list[Grid]

    def __len__(self) -> int:
        return len(self.tokens)

    def split(self) -> tuple[Material, Material]:
        """Pictures to fit on, and the last ones, kept back to report on; none are kept back of a handful."""
        kept = min(_KEPT_BACK, len(self) // _KEPT_BACK_SHARE)
        border = len(self) - kept
        parts = (slice(None, border), slice(border, None))
        first, last = (Material(self.tokens[part], self.asked[part], self.grids[part]) for part in parts)
        return first, last


def fitting_tokens(
    model: TorchModel,
    photos: Path | None,
    most: int,
    first_seed: int,
    cache: Path,
    progress: Reporter,
    sizes: Sequence[Size] | None = None,
) -> Material:
    """Tokens of photos, see :func:`cached_photos`, or where there are none of scenes with seeds from ``first_seed``.

    Raises:
        UsageError: no photos, and a model that does not have the scenes' fixed grid.
    """
    if photos:
        tokens, asked = cached_photos(model, photos, most, cache, progress, sizes)
        return Material(tokens, asked, tokens.grids)
    if model.input_size is None:
        raise UsageError().noted(
            "the built-in scenes do not fit a model that takes photos of any size: name photos (--photos)."
        )
    pictures, asked = scene_material(first_seed, most)
    made = encode_all(model, pictures, stage(progress, len(pictures), "encoding pictures"))
    return Material(made, asked, [one.grid for one in made])


def unseen_scenes(model: TorchModel, first_seed: int, fitted: int) -> Material:
    """Scenes with seeds from ``first_seed``, fewer where only a few were fitted on."""
    pictures, asked = short_scene_material(first_seed, min(_UNSEEN, fitted // _UNSEEN_SHARE))
    made = encode_all(model, pictures)
    return Material(made, asked, [one.grid for one in made])


def short_scene_material(first: int, count: int) -> tuple[list[Image.Image], Questions]:
    """Scenes with seeds from ``first``, and the questions about each that have short answers."""
    from heliograph.reference.render import render_scene

    made = [render_scene(first + i) for i in range(count)]
    return [scene.image for scene in made], [scene_questions(scene.plan, descriptions=False) for scene in made]


def cached_photos(
    model: TorchModel,
    source: Path,
    most: int,
    cache: Path,
    progress: Reporter,
    sizes: Sequence[Size] | None = None,
) -> tuple[CachedTokens, Questions]:
    """Visual tokens of at most so many photos, kept in ``cache``, each with the generic questions.

    Raises:
        DataMissingError, FileUnreadableError, TokensNotFiniteError, OutputUnwritableError: see :func:`photo_cache`.
    """
    tokens = photo_cache(model, source, most, cache, progress, sizes).tokens(most)
    return tokens, [GENERIC_QUESTIONS] * len(tokens)


def encode_all(
    model: TorchModel, pictures: Sequence[Image.Image], advance: Advance = lambda steps: None
) -> list[VisualTokens]:
    """Visual tokens of all pictures, in batches; each batch is counted."""
    found: list[VisualTokens] = []
    for start in range(0, len(pictures), _ENCODE_BATCH):
        batch = pictures[start : start + _ENCODE_BATCH]
        found += model.encode_images(batch)
        advance(len(batch))
    return found


def scene_material(first: int, count: int) -> tuple[list[Image.Image], Questions]:
    """Scenes with seeds from ``first``, and the questions about each (not those that only a crop can answer)."""
    from heliograph.reference.render import render_scene

    made = [render_scene(first + i) for i in range(count)]
    return [scene.image for scene in made], [scene_questions(scene.plan) for scene in made]


def scene_questions(plan: ScenePlan, *, descriptions: bool = True) -> tuple[str, ...]:
    """Questions about a scene, but for those that only a crop can answer; with or without those for a description."""
    from heliograph.reference.questions import questions

    left_out = ("small-print",) if descriptions else ("small-print", "description")
    return tuple(record.question for record in questions(plan) if record.task not in left_out)


def channel_codec(
    model_name: str,
    model: TorchModel,
    tokens: Sequence[VisualTokens],
    asked: Sequence[Sequence[str]],
    start: Path | None,
    progress: Reporter,
) -> KltCodec:
    """The closed-form codec whose channel transform other kinds of codecs start from.

    Args:
        model_name: as the model was loaded.
        model: the frozen VLM.
        tokens, asked: of the pictures that it is fitted on where there is none yet.
        start: folder of a fitted one; None takes the shipped one for the reference model.
        progress: receives a line per stage.
    """
    if start is not None:
        return KltCodec.load(start)
    if model_name == REFERENCE:
        from heliograph.reference.assets import shipped_bundle_folder

        return KltCodec.load(shipped_bundle_folder())
    sensitivity = working_sensitivity(model, tokens, asked, progress)
    return fit_klt(tokens, sensitivity=sensitivity, modes=("none",), restore=False, count=partial(stage, progress))

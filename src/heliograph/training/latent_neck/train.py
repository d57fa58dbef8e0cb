"""``heliograph train strategy latent-neck`` and ``feature-adapt``: a picture codec first, frozen then, and what leads
its latents into the frozen tower."""

from __future__ import annotations

import platform
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from heliograph.codec.parts import Part, write_card
from heliograph.training.bottleneck.lessons import Material
from heliograph.training.bottleneck.network import BottleneckSizes
from heliograph.training.bottleneck.scenes import SceneCache, scene_model
from heliograph.training.files import refusals_named
from heliograph.training.latent_neck.codec import CODEC_RATE_WEIGHTS, CodecLesson, PictureCodec
from heliograph.training.latent_neck.export import export_neck
from heliograph.training.latent_neck.necks import Adapter, Neck, NeckLesson, examined_neck
from heliograph.training.meta.teacher import Teacher
from heliograph.training.ordered.loop import OrderedRun
from heliograph.types import Reporter
from heliograph.vlm.checkpoint.fingerprint import model_fingerprint
from heliograph.vlm.checkpoint.loading import REFERENCE

SCENES, MINUTES = 24_000, 24.0
CODEC_SHARE = 0.25
"""Of the minutes, for the picture codec."""

SIZES = BottleneckSizes(stem=32, middle=64, last=96, rates=len(CODEC_RATE_WEIGHTS))
_CODEC_RATES, _NECK_RATES = (2e-3, 2e-3), (1.5e-3, 6e-4)
_EXAMINED = 256


def train_neck(
    name: str,
    out: Path,
    *,
    model: str = REFERENCE,
    minutes: float = MINUTES,
    seed: int = 0,
    scenes: int = SCENES,
    sizes: BottleneckSizes = SIZES,
    kind: type[Neck | Adapter] = Neck,
    progress: Reporter = print,
) -> Part:
    """Train codec and neck on generated scenes and write both as a part.

    Args:
        name: of the strategy.
        out: folder of the part; the runs and the rendered scenes lie in its folder ``run``, from which a later call
            goes on. The folder ``run/codec`` of a finished part may be copied there: then both have one codec.
        model: whose tower is entered: ``reference`` or another checkpoint that knows the generated scenes.
        minutes: of optimisation of both, earlier calls included.
        seed: of weights and batches, and which scenes.
        scenes: how many.
        sizes: widths of the codec.
        kind: what leads into the tower.
        progress: receives a line at every report.

    Raises:
        ModelUnsupportedError: not such a model, or its tower cannot be entered.
        ModelUnavailableError: no such model.
        UsageError: the checkpoint in ``out`` is of another run, or there are not so many scenes.
        OutputUnwritableError: the disk refuses.
    """
    opened = scene_model(model)
    folder = out / "run"
    cache = SceneCache(folder / "scenes", scenes, seed, progress)
    pixels = cache.pixels()
    material = Material(Teacher(opened), pixels, cache.seeds)
    facts: dict[str, Any] = {"sizes": asdict(sizes), "scenes": scenes}
    torch.manual_seed(seed)
    codec = PictureCodec(sizes)
    pictures = CodecLesson(codec, pixels, material.held_out)
    if not (folder / "codec" / "checkpoint.pt").exists():
        codec.start(pictures.pixels(material.some()))
    options: dict[str, Any] = {"seed": seed, "progress": progress}
    coding = OrderedRun(pictures, folder / "codec", facts | {"strategy": "codec"}, rates=_CODEC_RATES, **options)
    coding.run(CODEC_SHARE * minutes)
    torch.manual_seed(seed)
    neck = kind(codec, opened.torch_model.model.vision_model)
    lesson = NeckLesson(neck, codec, material)
    leading = OrderedRun(lesson, folder / "neck", facts | {"strategy": name}, rates=_NECK_RATES, **options)
    leading.run((1 - CODEC_SHARE) * minutes)
    with refusals_named():
        files, figures = export_neck(neck, codec, material, opened.grid, out)
        figures |= _figures(neck, codec, pictures, material)
        card = {
            "strategy": name,
            "seed": seed,
            "data": f"{scenes} generated scenes from seed {cache.first}",
            "minutes": round((coding.state.seconds + leading.state.seconds) / 60, 1),
            "steps": [coding.state.step, leading.state.step],
            "machine": f"{platform.machine()}, {torch.get_num_threads()} thread(s)",
            "rate_weights": list(CODEC_RATE_WEIGHTS),
            "sizes": asdict(sizes),
            "figures": figures,
        }
        return write_card(out, files, card, model_fingerprint(model))


def _figures(neck: Neck | Adapter, codec: PictureCodec, pictures: CodecLesson, material: Material) -> dict[str, Any]:
    """Figures of held-out scenes: the codec's pixels, tokens by the neck, and by the tower of its own pictures."""
    reached = examined_neck(neck, codec, material, _EXAMINED)
    redrawn = examined_neck(None, codec, material, _EXAMINED)
    return {
        "held_out_scenes": min(_EXAMINED, material.held_out),
        "picture_db": [round(decibel, 2) for _, decibel in pictures.examined(_EXAMINED)],
        "relative_error": [round(error, 4) for error, _ in reached],
        "answer_tokens_alike": [round(alike, 4) for _, alike in reached],
        "relative_error_of_pictures": [round(error, 4) for error, _ in redrawn],
        "answer_tokens_alike_of_pictures": [round(alike, 4) for _, alike in redrawn],
    }


train_adapter = partial(train_neck, kind=Adapter)
"""The same for ``feature-adapt``."""

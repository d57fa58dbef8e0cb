"""``heliograph train strategy frankensplit`` and ``entropic-student``."""

from __future__ import annotations

import platform
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch

from heliograph.codec.parts import Part, write_card
from heliograph.training.bottleneck.export import export_bottleneck
from heliograph.training.bottleneck.lessons import RATE_WEIGHTS, BottleneckLesson, Material, StagedLesson, examined
from heliograph.training.bottleneck.network import Bottleneck, BottleneckSizes
from heliograph.training.bottleneck.scenes import SceneCache, scene_model
from heliograph.training.bottleneck.start import start_from_patches
from heliograph.training.files import refusals_named
from heliograph.training.meta.teacher import Teacher
from heliograph.training.ordered.loop import OrderedRun
from heliograph.types import Reporter
from heliograph.vlm.checkpoint.fingerprint import model_fingerprint
from heliograph.vlm.checkpoint.loading import REFERENCE

SCENES = 24_000
MINUTES = 14.0
_PEAK_RATES = (1.5e-3, 6e-4)
_EXAMINED = 256


def train_part(
    name: str,
    out: Path,
    *,
    model: str = REFERENCE,
    minutes: float = MINUTES,
    seed: int = 0,
    scenes: int = SCENES,
    sizes: BottleneckSizes | None = None,
    lesson: type[BottleneckLesson] = BottleneckLesson,
    progress: Reporter = print,
) -> Part:
    """Train a bottleneck on generated scenes and write it as a part.

    Args:
        name: of the strategy.
        out: folder of the part; the run and its rendered scenes lie in its folder ``run``, from which a later call goes
            on.
        model: whose tokens are made: ``reference`` or another checkpoint that knows the generated scenes.
        minutes: of optimisation, earlier calls included.
        seed: of weights and batches, and which scenes.
        scenes: how many.
        sizes: widths; None for the usual ones.
        lesson: how it is learned.
        progress: receives a line at every report.

    Raises:
        ModelUnsupportedError: not such a model, or its tower cannot be copied from.
        ModelUnavailableError: no such model.
        UsageError: the checkpoint in ``out`` is of another run, or there are not so many scenes.
        OutputUnwritableError: the disk refuses.
    """
    opened = scene_model(model)
    sizes = sizes or BottleneckSizes(rates=len(RATE_WEIGHTS))
    cache = SceneCache(out / "run" / "scenes", scenes, seed, progress)
    torch.manual_seed(seed)
    bottleneck = Bottleneck(opened.torch_model, sizes)
    material = Material(Teacher(opened), cache.pixels(), cache.seeds)
    if not (out / "run" / "checkpoint.pt").exists():
        start_from_patches(bottleneck, opened.torch_model, material.pixels(material.some()), material.variance, seed)
    facts = {"strategy": name, "sizes": asdict(sizes), "scenes": scenes}
    run = OrderedRun(lesson(bottleneck, material), out / "run", facts, rates=_PEAK_RATES, seed=seed, progress=progress)
    run.run(minutes)
    with refusals_named():
        files, figures = export_bottleneck(bottleneck, material, opened.grid, out)
        reached = examined(bottleneck, material, _EXAMINED)
        figures |= {
            "held_out_scenes": min(_EXAMINED, material.held_out),
            "relative_error": [round(error, 4) for _, error, _ in reached],
            "answer_tokens_alike": [round(alike, 4) for _, _, alike in reached],
        }
        card = {
            "strategy": name,
            "seed": seed,
            "data": f"{scenes} generated scenes from seed {cache.first}",
            "minutes": round(run.state.seconds / 60, 1),
            "steps": run.state.step,
            "machine": f"{platform.machine()}, {torch.get_num_threads()} thread(s)",
            "rate_weights": list(RATE_WEIGHTS),
            "sizes": asdict(sizes),
            "figures": figures,
        }
        return write_card(out, files, card, model_fingerprint(model))


train_in_stages = partial(train_part, lesson=StagedLesson)
"""The same in the two stages of ``entropic-student``."""

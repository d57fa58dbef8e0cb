"""Scenes as the reference model sees them, rendered once and kept as uint8: a training reads each many times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.errors import ModelUnsupportedError, UsageError
from heliograph.reference.render import render_plan
from heliograph.reference.scenes import DEV_START, plan_scene
from heliograph.training.files import refusals_named, replacing
from heliograph.training.progress import stage
from heliograph.training.reference.scene_shards import MODEL_SIDE, to_model_size
from heliograph.types import Reporter
from heliograph.vlm.model import VisionLanguageModel
from heliograph.vlm.opening import open_model

SEEDS_START = 6_500_000
"""Of the training split; neither the reference model nor a codec of its bundle was fitted on scenes from there."""

SHARD_SCENES = 500
_MAX_SCENES = 500_000

Bytes = npt.NDArray[np.uint8]


class SceneCache:
    """Rendered scenes in a folder, in files of 500; what is there is not rendered again.

    Args:
        folder: made if absent.
        scenes: how many.
        seed: shifts the first scene, in files.
        progress: counts scenes as they are rendered.

    Raises:
        UsageError: more scenes than the training split has from there.
        OutputUnwritableError: the disk refuses.
    """

    def __init__(self, folder: Path, scenes: int, seed: int, progress: Reporter) -> None:
        first = SEEDS_START + seed * SHARD_SCENES
        if not 1 <= scenes <= _MAX_SCENES or not SEEDS_START <= first <= DEV_START - scenes - SHARD_SCENES:
            raise UsageError.of_argument("scenes", "so few that their seeds stay in the training split", scenes)
        self.first, self._scenes = first, scenes
        self._folder, self._progress = folder, progress

    def __len__(self) -> int:
        return self._scenes

    @property
    def seeds(self) -> range:
        """Seeds of the scenes."""
        return range(self.first, self.first + self._scenes)

    def pixels(self) -> Bytes:
        """(scenes, 128, 128, 3) uint8."""
        advance = stage(self._progress, self._scenes, "rendering scenes")
        with refusals_named():
            self._folder.mkdir(parents=True, exist_ok=True)
            shards = []
            for first in range(self.first, self.first + self._scenes, SHARD_SCENES):
                count = min(SHARD_SCENES, self.first + self._scenes - first)
                shards.append(_shard(self._folder, first, count))
                advance(count)
        return np.concatenate(shards)


def _shard(folder: Path, first: int, count: int) -> Bytes:
    path = folder / (f"pixels-{first}.npy" if count == SHARD_SCENES else f"pixels-{first}-{count}.npy")
    if path.exists():
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.uint8)
    views = [to_model_size(render_plan(plan_scene(seed)).image) for seed in range(first, first + count)]
    made: Bytes = np.stack(views)  # (count, 128, 128, 3)
    assert made.shape[1:] == (MODEL_SIDE, MODEL_SIDE, 3)
    with replacing(path) as partial, partial.open("wb") as file:
        np.save(file, made)
    return made


def scene_model(name: str) -> VisionLanguageModel:
    """The model whose parts are trained on generated scenes.

    Args:
        name: ``reference`` or another checkpoint that knows the scenes.

    Raises:
        ModelUnsupportedError: it reads pictures of another size, or several of a photo.
        ModelUnavailableError: no such model.
    """
    opened = open_model(name)
    if not isinstance(opened, VisionLanguageModel) or opened.input_size != MODEL_SIDE:
        raise ModelUnsupportedError().noted(
            f"such parts are trained on generated scenes of {MODEL_SIDE}x{MODEL_SIDE} pixels, which this model does "
            "not read."
        )
    return opened

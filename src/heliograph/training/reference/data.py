"""Training batches for the reference model, held in memory as uint8 pixels and int16 labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heliograph.errors import DataMissingError
from heliograph.reference.easy_vqa import load_easy_vqa
from heliograph.reference.labels import IGNORE, character_cells
from heliograph.reference.scenes import plan_scene
from heliograph.training.reference.scene_shards import degrade, to_model_size
from heliograph.training.reference.tower import EASY_COLOURS, EASY_SHAPES
from heliograph.types import QuestionRecord

LABELS = ("shape", "colour", "row", "column", "centre", "characters", "local_characters")


class SceneStore:
    """All rendered shards of a folder.

    Attributes:
        seeds: (n,) scene seeds.
        views: (n, 3, 128, 128, 3) uint8, clean view first.
        crops: (n, 128, 128, 3) uint8; ``crop_is_small_print`` (n,) says what they show.
    """

    def __init__(self, folder: Path, *, most_shards: int | None = None) -> None:
        paths = sorted(folder.glob("scenes-*[0-9].npz"))[:most_shards]
        if not paths:
            raise DataMissingError().noted(
                f"{folder}: there are no scenes-*.npz in it; make them with heliograph train reference."
            )
        shards = [np.load(path, allow_pickle=False) for path in paths]
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        for key in shards[0].files:
            self._arrays[key] = np.concatenate([shard[key] for shard in shards])
        cells = [character_cells(plan_scene(int(seed))) for seed in self._arrays["seeds"]]
        self._arrays["view_local_characters"] = np.stack(cells)
        self._arrays["crop_local_characters"] = np.full_like(self._arrays["view_local_characters"], IGNORE)
        self.seeds: npt.NDArray[np.int64] = self._arrays["seeds"]
        self.views: npt.NDArray[np.uint8] = self._arrays["views"]
        self.crops: npt.NDArray[np.uint8] = self._arrays["crops"]
        self.crop_is_small_print: npt.NDArray[np.bool_] = self._arrays["crop_is_small_print"]

    def __len__(self) -> int:
        return len(self.seeds)

    def labels(self, kind: str, index: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        """Dense labels of scenes ``index``; ``kind`` is ``view`` or ``crop``. (B, N) or (B, 3, N) int64."""
        return {name: torch.from_numpy(self._arrays[f"{kind}_{name}"][index].astype(np.int64)) for name in LABELS}

    def tower_batch(self, rng: np.random.Generator, views: int, crops: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Pixels (views + crops, 128, 128, 3) uint8 of random scenes, and their labels."""
        a = rng.integers(0, len(self), views)
        b = rng.integers(0, len(self), crops)
        pixels = np.concatenate([self.views[a, rng.integers(0, self.views.shape[1], views)], self.crops[b]])
        of_views, of_crops = self.labels("view", a), self.labels("crop", b)
        return torch.from_numpy(pixels), {name: torch.cat([of_views[name], of_crops[name]]) for name in LABELS}


@dataclass(frozen=True)
class EasyStore:
    """easy-VQA's training split, enlarged to the model's input.

    Attributes:
        pixels: (2n, 128, 128, 3) uint8: every picture clean, then every picture through a lossy codec.
        shape, colour: (2n,) int64 indices into EASY_SHAPES and EASY_COLOURS.
        records: per picture (length n) its questions.
    """

    pixels: npt.NDArray[np.uint8]
    shape: npt.NDArray[np.int64]
    colour: npt.NDArray[np.int64]
    records: tuple[tuple[QuestionRecord, ...], ...]

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels (B, 128, 128, 3) uint8, shape (B,), colour (B,)."""
        i = rng.integers(0, len(self.pixels), size)
        return torch.from_numpy(self.pixels[i]), torch.from_numpy(self.shape[i]), torch.from_numpy(self.colour[i])


def load_easy_store(seed: int) -> EasyStore | None:
    """easy-VQA train, or None where the data folder is absent: the reference task stands without it."""
    try:
        data = load_easy_vqa("train")
    except DataMissingError:
        return None
    by_image: dict[str, list[QuestionRecord]] = {image_id: [] for image_id in data.images}
    for record in data.records:
        by_image[record.image_id].append(record)
    rng = np.random.Generator(np.random.PCG64(seed))
    kept = {image_id: records for image_id, records in by_image.items() if _facts(records) is not None}
    facts = np.asarray([_facts(records) for records in kept.values()], np.int64)  # (n, 2)
    clean = [to_model_size(data.images[image_id]) for image_id in kept]
    lossy = [to_model_size(degrade(data.images[image_id], rng, smallest=40)) for image_id in kept]
    return EasyStore(
        pixels=np.stack(clean + lossy),
        shape=np.tile(facts[:, 0], 2),
        colour=np.tile(facts[:, 1], 2),
        records=tuple(tuple(records) for records in kept.values()),
    )


def _facts(records: list[QuestionRecord]) -> tuple[int, int] | None:
    """(shape, colour) indices of a picture, as its own questions tell them; None where they do not."""
    shape = colour = None
    for record in records:
        answer = record.answer
        if answer == "yes" and " not " not in record.question and " no " not in record.question:
            words = record.question.rstrip("?").split()
            shape = next((w for w in words if w in EASY_SHAPES), shape)
            colour = next((w for w in words if w in EASY_COLOURS), colour)
        elif answer in EASY_SHAPES:
            shape = answer
        elif answer in EASY_COLOURS:
            colour = answer
    if shape is None or colour is None:
        return None
    return EASY_SHAPES.index(shape), EASY_COLOURS.index(colour)

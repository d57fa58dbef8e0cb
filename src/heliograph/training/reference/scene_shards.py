"""Pre-rendered training pictures for the reference model: scenes as the model will see them, with dense labels.

Rendering costs more than a training step, so it is done once. Each scene is kept as one clean view and
two views that went through a lossy codec at a random size and quality: real VLMs have seen millions of
JPEGs, and a tower that has not would make the pixel strategies lose for an unfair reason.
"""

from __future__ import annotations

import io
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.boxes import PixelBox
from heliograph.reference.labels import DenseLabels, dense_labels
from heliograph.reference.questions import crop_box
from heliograph.reference.render import Scene, render_plan
from heliograph.reference.scenes import DEV_START, SCENE_SIZE, plan_scene
from heliograph.training.files import replacing

MODEL_SIDE = 128
SHARD_SCENES = 500
LOSSY_VIEWS = 2
_FORMATS = ("JPEG", "JPEG", "WEBP", "WEBP", "AVIF", "RESIZE")

Bytes = npt.NDArray[np.uint8]


def to_model_size(image: Image.Image) -> Bytes:
    """(128, 128, 3) uint8 as the reference model's image processor makes it from a square photo."""
    if image.size != (MODEL_SIDE, MODEL_SIDE):
        image = image.resize((MODEL_SIDE, MODEL_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image.convert("RGB"), np.uint8)


def degrade(image: Image.Image, rng: np.random.Generator, *, smallest: int = 56) -> Image.Image:
    """The photo after a round trip through a random codec at a random size and quality."""
    kind = _FORMATS[int(rng.integers(len(_FORMATS)))]
    largest = min(image.width, 320 if kind == "AVIF" else 384)
    side = round(smallest * (largest / smallest) ** float(rng.random() ** 1.5))
    small = image.resize((side, side), Image.Resampling.LANCZOS)
    if kind == "RESIZE":
        return small
    buffer = io.BytesIO()
    quality = int(rng.integers(8, 96))
    options: dict[str, Any] = {"JPEG": {}, "WEBP": {"method": 2}, "AVIF": {"speed": 9, "max_threads": 1}}[kind]
    small.save(buffer, kind, quality=quality, **options)
    buffer.seek(0)
    return Image.open(buffer).convert("RGB")


def shard_seeds(index: int) -> range:
    """Scene seeds of shard ``index``; training seeds only."""
    seeds = range(index * SHARD_SCENES, (index + 1) * SHARD_SCENES)
    if seeds.stop > DEV_START:
        raise ValueError("training shards end before the dev split")
    return seeds


def render_shard(index: int, folder: Path) -> Path:
    """Render shard ``index`` into ``folder`` unless it is there; returns its path.

    The file holds ``seeds`` (n,), ``views`` (n, 3, 128, 128, 3) uint8, ``crops`` (n, 128, 128, 3) uint8,
    ``crop_is_small_print`` (n,) bool, and each dense label for views and crops (n, ...) int16.
    """
    path = folder / f"scenes-{index:05d}.npz"
    if path.exists():
        return path
    return render_rows(shard_seeds(index), path)


def render_rows(seeds: range, path: Path) -> Path:
    """Render the scenes of ``seeds`` into the file ``path``, atomically."""
    rows = [_render_row(seed) for seed in seeds]
    arrays = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        np.savez(partial, allow_pickle=False, **arrays)
    return path


def _render_row(seed: int) -> dict[str, npt.NDArray[Any]]:
    scene = render_plan(plan_scene(seed))
    rng = np.random.Generator(np.random.PCG64((seed, 77)))
    views = [to_model_size(scene.image)]
    views += [to_model_size(degrade(scene.image, rng)) for _ in range(LOSSY_VIEWS)]
    window, is_small_print = _choose_window(scene, rng)
    crop = scene.image.crop(window)
    if rng.random() < 0.5:
        crop = degrade(crop, rng, smallest=72)
    row: dict[str, npt.NDArray[Any]] = {
        "seeds": np.asarray(seed),
        "views": np.stack(views),
        "crops": to_model_size(crop),
        "crop_is_small_print": np.asarray(is_small_print),
    }
    row |= _named("view", dense_labels(scene.plan, scene.owners))
    row |= _named("crop", dense_labels(scene.plan, scene.owners, window=window))
    return row


def _named(prefix: str, labels: DenseLabels) -> dict[str, npt.NDArray[Any]]:
    return {f"{prefix}_{field.name}": getattr(labels, field.name) for field in fields(labels)}


def _choose_window(scene: Scene, rng: np.random.Generator) -> tuple[PixelBox, bool]:
    """The small print's surroundings, off-centre by chance, where there is one; else anywhere."""
    side = int(rng.choice([128, 128, 128, 160, 192]))
    for plate in scene.plan.plates:
        if not plate.large:
            shift = rng.integers(-24, 25, 2)
            left, top, right, bottom = plate.box
            x, y = int(shift[0]), int(shift[1])
            moved = PixelBox(left + x, top + y, right + x, bottom + y)
            return crop_box(moved, SCENE_SIZE, side), True
    left, top = (int(v) for v in rng.integers(0, SCENE_SIZE - side + 1, 2))
    return PixelBox(left, top, left + side, top + side), False

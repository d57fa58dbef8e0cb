"""Photos with their questions, from the scenes generator and from easy-VQA."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from heliograph.reference.easy_vqa import TASK as EASY_VQA
from heliograph.reference.easy_vqa import load_easy_vqa
from heliograph.reference.questions import questions
from heliograph.reference.render import render_scene
from heliograph.types import QuestionRecord

DESCRIPTION = "description"


@dataclass(frozen=True)
class Item:
    """One photo (RGB) and the questions about it."""

    image_id: str
    photo: Image.Image
    records: tuple[QuestionRecord, ...]


def scene_items(seed_start: int, count: int, *, descriptions: bool, limit: int | None = None) -> Iterator[Item]:
    """Scenes of ``count`` seeds, rendered when they are reached.

    Args:
        seed_start: the first seed.
        count: how many scenes.
        descriptions: whether to ask for descriptions of the scene too.
        limit: stop after so many questions.
    """
    asked = 0
    for seed in range(seed_start, seed_start + count):
        if limit is not None and asked >= limit:
            return
        scene = render_scene(seed)
        records = tuple(r for r in questions(scene.plan) if descriptions or r.task != DESCRIPTION)
        if limit is not None:
            records = records[: limit - asked]
        asked += len(records)
        yield Item(f"scene-{seed}", scene.image, records)


def easy_vqa_items(count: int) -> Iterator[Item]:
    """The first photos of easy-VQA's test split, until they hold ``count`` questions.

    Raises:
        DataMissingError: the data folder is not there.
    """
    if count <= 0:
        return
    split = load_easy_vqa("test")
    by_image: dict[str, list[QuestionRecord]] = {}
    for record in split.records:
        by_image.setdefault(record.image_id, []).append(record)
    asked = 0
    for image_id, records in by_image.items():
        if asked >= count:
            return
        kept = tuple(records[: count - asked])
        asked += len(kept)
        yield Item(image_id, split.images[image_id], kept)


__all__ = ["DESCRIPTION", "EASY_VQA", "Item", "easy_vqa_items", "scene_items"]

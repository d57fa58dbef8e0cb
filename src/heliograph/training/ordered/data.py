"""Scenes that the ordered strategies learn from: those of the learned codec's own training, made in one process."""

from __future__ import annotations

from pathlib import Path

from heliograph.errors import UsageError
from heliograph.reference.scenes import DEV_START
from heliograph.training.fitting.fit_codec import encode_all, scene_material
from heliograph.training.meta.data import MetaData, gather
from heliograph.training.meta.teacher import Teacher
from heliograph.training.meta.train import SEEDS_START, Made
from heliograph.types import Reporter

PICTURES, ASKED = 12_000, 3_000


def scene_data(
    teacher: Teacher, cache: Path, progress: Reporter, *, pictures: int = PICTURES, asked: int = ASKED, seed: int = 0
) -> MetaData:
    """Tokens of scenes, the first ``asked`` of them with questions and the frozen model's own answers.

    Args:
        teacher: the frozen model.
        cache: folder of chunks that are not made again.
        progress: receives a line per chunk.
        pictures, asked: how many scenes, and how many of them are asked about.
        seed: of the first scene, from where the learned codec's training begins.

    Raises:
        UsageError: scenes would leave the training split.
    """
    if not 0 <= seed <= DEV_START - SEEDS_START - pictures:
        raise UsageError.of_argument("seed", f"0 to {DEV_START - SEEDS_START - pictures}", seed)

    def with_questions(first: int, count: int) -> Made:
        images, questions = scene_material(SEEDS_START + seed + first, count)
        return encode_all(teacher.model, images), questions

    def without_questions(first: int, count: int) -> Made:
        images, _ = scene_material(SEEDS_START + seed + asked + first, count)
        return encode_all(teacher.model, images), [()] * count

    key = f"{teacher.model.name} ordered scenes {seed} {asked}"
    data = gather(teacher, with_questions, min(asked, pictures), cache, key, progress)
    if pictures <= asked:
        return data
    return data.followed_by(gather(teacher, without_questions, pictures - asked, cache, f"{key} more", progress))

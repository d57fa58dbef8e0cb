"""``heliograph train field`` from folders of photos to two alignment files and their card.

::

    parts --> LLaVA without alignment --> what its encoder makes of photos ┐
    photos --> the teacher's boxes, the encoder's classes, captions -------┴--> FieldRun --> figures --> card
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from heliograph.errors import DataMissingError
from heliograph.training.field.alignment import CAPTIONS_FILE, OPEN_FILE
from heliograph.training.field.card import card_text
from heliograph.training.field.cells import Encoder, Looked
from heliograph.training.field.checkpoint import build_model, build_processor, language_model, read_vision
from heliograph.training.field.figures import FieldFigures, measure
from heliograph.training.field.judging import CHOICES, Judged
from heliograph.training.field.parts import CLASS_NAMES, MODEL_PARTS, find_parts
from heliograph.training.field.photos import TEST, TRAINING, Photo, captioned_photos, plain_photos
from heliograph.training.field.questions import Known
from heliograph.training.field.teacher import things_of
from heliograph.training.field.training import CHECKPOINT, FieldRun, LearntFrom
from heliograph.training.files import refusals_named
from heliograph.training.progress import stage
from heliograph.types import Reporter
from heliograph.vlm.efficientnet_lite import TowerConfig

FACTS, CARD = "training.json", "README.md"
_PREFIX_SECONDS = 240.0


def train_field(
    out: Path,
    captioned: Path,
    plain: Path,
    *,
    minutes: float,
    seed: int = 0,
    rank: int = 8,
    resume: bool = True,
    progress: Reporter = print,
) -> Path:
    """Train what joins the halves of the field model.

    Args:
        out: folder; a later call goes on from what it holds.
        captioned: folder of photos with captions, see :mod:`heliograph.training.field.photos`; a part is held out.
        plain: folder of photos of open licences.
        minutes: of optimisation; preparing photos and judging come on top.
        seed: of everything drawn.
        rank: of the additions to the language model.
        resume: go on from a checkpoint in ``out``; what was made of photos is kept either way.
        progress: receives lines and counts photos.

    Returns:
        ``out``, with two alignment files, ``training.json`` and a card for people.

    Raises:
        ModelUnavailableError: a part is missing or another one.
        MissingExtraError: OpenCV is not installed.
        DataMissingError: a folder holds no photos, or too few with captions.
        OutputUnwritableError: the disk refuses.
    """
    with refusals_named():
        out.mkdir(parents=True, exist_ok=True)
        if not resume:
            (out / CHECKPOINT).unlink(missing_ok=True)
    people, streets = captioned_photos(captioned), plain_photos(plain)
    held = [place for place, photo in enumerate(people) if photo.share == TEST]
    if len(held) < CHOICES:
        step = (
            f"Of these {len(people)} photos {len(held)} are held out, and {CHOICES} are needed to judge by: add photos."
        )
        raise DataMissingError().about(captioned, step)
    material = _Material(out, progress)
    known, looked = material.of(people, "captioned")
    plainly = LearntFrom(*_pair(material.of(streets, "plain")))
    learnt = [place for place, photo in enumerate(people) if photo.share == TRAINING]
    run = FieldRun(
        material.model,
        material.tokenizer,
        plainly,
        LearntFrom([known[place] for place in learnt], looked.cells[learnt]),
        out,
        seed=seed,
        rank=rank,
        progress=progress,
    )
    run.run(minutes)
    progress("judging on photos that were held out")
    test = Judged([known[place] for place in held], looked.cells[held, 0])
    mean = looked.cells[learnt, 0].float().mean(0, keepdim=True)
    found = measure(run.reader, test, [known[place] for place in learnt], mean, _PREFIX_SECONDS, seed)
    facts = _facts(run, found, {"captioned": len(learnt), "plain": len(streets)})
    with refusals_named():
        (out / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        (out / CARD).write_text(card_text(facts), encoding="utf-8")
    return out


class _Material:
    """Model and teacher, and what they make of photos, kept in a folder.

    Args:
        out: the folder.
        progress: counts photos.
    """

    def __init__(self, out: Path, progress: Reporter) -> None:
        language_file, vision_file = find_parts(MODEL_PARTS)
        (names,) = find_parts((CLASS_NAMES,))
        self._out, self._progress = out, progress
        self._names = [line.split(",")[0].strip() for line in names.read_text(encoding="utf-8").splitlines()]
        progress("reading the language model")
        language, tokenizer = language_model(language_file)
        vision, tower = read_vision(vision_file), TowerConfig()
        processor = build_processor(tokenizer, tower.image_size, tower.grid)
        self.tokenizer: Any = processor.tokenizer
        self.model = build_model(language, vision.tower, processor.image_token_id, tower)
        self._encoder = Encoder(self.model, processor, vision.classifier)

    def of(self, photos: list[Photo], name: str) -> tuple[list[Known], Looked]:
        """What is known of photos, and what the encoder makes of them."""
        paths = [one.path for one in photos]
        things = things_of(
            paths, self._out / f"{name}-things.json", stage(self._progress, len(paths), "asking the teacher")
        )
        looked = self._encoder.look_at(
            paths, self._out / f"{name}-cells.npz", stage(self._progress, len(paths), "encoding photos")
        )
        known = [
            Known(photo, seen, (self._names[int(number)], float(chance)))
            for photo, seen, number, chance in zip(photos, things, looked.classes, looked.chances, strict=True)
        ]
        return known, looked


def _pair(made: tuple[list[Known], Looked]) -> tuple[list[Known], torch.Tensor]:
    return made[0], made[1].cells


def _facts(run: FieldRun, found: FieldFigures, photos: dict[str, int]) -> dict[str, Any]:
    return {
        **asdict(run.state),
        "files": [OPEN_FILE, CAPTIONS_FILE],
        "photos": photos,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "held_out": found.as_json(),
    }

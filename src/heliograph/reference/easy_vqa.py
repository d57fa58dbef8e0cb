"""easy-VQA (https://github.com/vzhou842/easy-VQA, MIT): a small benchmark that nobody here wrote.

64x64 pictures of one coloured shape, questions with 13 answers. Read in place from the data folder.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from heliograph.config import DATA_VARIABLE
from heliograph.errors import DataMissingError
from heliograph.types import QuestionRecord

TASK = "easy-vqa"


@dataclass(frozen=True)
class EasyVqa:
    """One split: pictures by ``image_id`` and the questions about them."""

    images: dict[str, Image.Image]
    records: tuple[QuestionRecord, ...]


def data_folder() -> Path:
    """The folder of third-party data: ``$HELIOGRAPH_DATA``, else ``shared/data`` beside the checkout."""
    chosen = os.environ.get(DATA_VARIABLE)
    return Path(chosen) if chosen else Path(__file__).parents[4] / "shared" / "data"


def load_easy_vqa(split: str, folder: Path | None = None) -> EasyVqa:
    """Load ``train`` or ``test``.

    Raises:
        DataMissingError: the folder is not there; callers that can go on skip with that reason.
    """
    root = (folder or data_folder()) / "easy-vqa"
    try:
        entries = json.loads((root / f"{split}-questions.json").read_text())
        archive = zipfile.ZipFile(root / f"{split}-images.zip")
    except OSError as error:
        raise DataMissingError().noted(
            f"{root}: {split}-questions.json and {split}-images.zip of easy-VQA belong there."
        ) from error
    images: dict[str, Image.Image] = {}
    with archive:
        for name in archive.namelist():
            if name.endswith(".png"):
                images[_image_id(split, Path(name).stem)] = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
    records = tuple(QuestionRecord(_image_id(split, str(n)), TASK, question, answer) for question, answer, n in entries)
    return EasyVqa(images, records)


def _image_id(split: str, number: str) -> str:
    return f"easy-vqa-{split}-{number}"

"""Photos without labels as what calibration is collected on: the questions that codecs are fitted with, for any model.

The right answers are unknown; what can be calibrated is the chance of the answer from uncompressed tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from heliograph.errors import DataMissingError
from heliograph.training.export.framing import FramedEncoder, frames_of
from heliograph.training.fitting.fit_codec import GENERIC_QUESTIONS
from heliograph.training.fitting.photo_sources import photo_files, readable_photo
from heliograph.types import QuestionRecord, Reporter
from heliograph.vlm.contract import TorchModel

_MIN_SIDE = 16


@dataclass(frozen=True)
class PhotoItem:
    """A photo (RGB) with generic questions about it."""

    photo: Image.Image
    records: tuple[QuestionRecord, ...]


def photo_items(source: Path, most: int) -> Iterator[PhotoItem]:
    """The first photos of a folder, zip or list; files that are none are skipped.

    Raises:
        DataMissingError: no readable photo of at least 16 pixels a side.
        FileUnreadableError: see :func:`heliograph.training.fitting.photo_sources.photo_files`.
    """
    given = 0
    for name, content in photo_files(source):
        if given >= most:
            return
        photo = readable_photo(content)
        if photo is None or min(photo.size) < _MIN_SIDE:
            continue
        given += 1
        yield PhotoItem(
            photo, tuple(QuestionRecord(name, f"photo-{i}", q, "") for i, q in enumerate(GENERIC_QUESTIONS))
        )
    if not given:
        raise DataMissingError().noted(f"{source}: no photo of at least {_MIN_SIDE} pixels a side can be read in it.")


def unknown_right(record: QuestionRecord, answer: str) -> float:
    """NaN: nobody knows the right answer."""
    return math.nan


class FramedModel:
    """A model of any family that sees photos in the frames that its device will send.

    Args:
        model: as it was opened.
        progress: receives a line where it has no such frames.
    """

    def __init__(self, model: TorchModel, progress: Reporter) -> None:
        encoder = FramedEncoder(model, frames_of(model, None, progress))
        self.encode_images, self.answer_many = encoder.encode_images, model.answer_many

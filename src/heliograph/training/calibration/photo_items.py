"""Photos without labels as what calibration is collected on: the questions that codecs are fitted with, for any model.

The right answers are unknown; what can be calibrated is the chance of the answer from uncompressed tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from heliograph.errors import DataMissingError
from heliograph.training.calibration.collect import AnsweringModel
from heliograph.training.fit_codec import GENERIC_QUESTIONS
from heliograph.training.framing import FramedEncoder, frames_of
from heliograph.training.photo_sources import photo_files, readable_photo
from heliograph.types import Answer, QuestionRecord, VisualTokens
from heliograph.vlm.model import VisionLanguageModel
from heliograph.vlm.opening import AnyModel

_LEAST_SIDE = 16


@dataclass(frozen=True)
class PhotoItem:
    """A photo (RGB) with generic questions about it."""

    photo: Image.Image
    records: tuple[QuestionRecord, ...]


def photo_items(source: Path, most: int) -> Iterator[PhotoItem]:
    """The first photos of a folder, zip or list; files that are none are skipped.

    Raises:
        DataMissingError: no readable photo of at least 16 pixels a side.
        FileUnreadableError: see :func:`heliograph.training.photo_sources.photo_files`.
    """
    given = 0
    for name, content in photo_files(source):
        if given >= most:
            return
        photo = readable_photo(content)
        if photo is None or min(photo.size) < _LEAST_SIDE:
            continue
        given += 1
        yield PhotoItem(
            photo, tuple(QuestionRecord(name, f"photo-{i}", q, "") for i, q in enumerate(GENERIC_QUESTIONS))
        )
    if not given:
        raise DataMissingError


def unknown_right(record: QuestionRecord, answer: str) -> float:
    """NaN: nobody knows the right answer."""
    return math.nan


class OneByOne:
    """A model of any family, photos in the frames that its device will send."""

    def __init__(self, model: AnyModel, progress: Callable[[str], None]) -> None:
        self._model = model
        self._encoder = FramedEncoder(model, frames_of(model, None, progress))

    def encode_images(self, photos: Sequence[Image.Image]) -> list[VisualTokens]:
        """Uncompressed tokens of each photo."""
        return [self._encoder.encode_image(photo) for photo in photos]

    def answer_many(
        self, asked: Sequence[tuple[str, Sequence[VisualTokens]]], *, max_new_tokens: int = 64
    ) -> list[Answer]:
        """One call of the model for each question."""
        return [self._model.answer(question, images, max_new_tokens=max_new_tokens) for question, images in asked]


def answering_model(model: AnyModel, progress: Callable[[str], None]) -> AnsweringModel:
    """The model as calibration asks it: in batches where it can."""
    return model if isinstance(model, VisionLanguageModel) else OneByOne(model, progress)

"""The parity report of an export: how near the device's tokens come to the model's, and what that costs in answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from heliograph.edge.encoder import open_encoder
from heliograph.edge.photo import load_photo
from heliograph.edge.preprocess_frames import FramePreprocessor, open_preprocessor
from heliograph.errors import DataMissingError, HeliographError
from heliograph.reference.render import render_scene
from heliograph.training.encoder_export import EncoderExport
from heliograph.training.fit_codec import FIT_SEEDS_START, GENERIC_QUESTIONS
from heliograph.training.photo_sources import photo_files
from heliograph.vlm.opening import AnyModel

PARITY = "parity.json"
FLOAT32 = "float32"
MAX_ERROR, MAX_MEAN_ERROR_INT8 = 1e-3, 0.1
"""Largest difference of tokens over the largest token value in float32; mean difference over mean size in int8."""

_PHOTOS, _ASKED = 16, 6
_ANSWER_TOKENS = 16


@dataclass(frozen=True)
class Parity:
    """The report.

    Attributes:
        encoder: ``float32``, or the method of quantising.
        photos: how many were encoded both ways.
        mean_error: mean difference of tokens over their mean size.
        max_error: largest difference over the largest token value.
        answers: how many questions were asked both ways.
        agreement: share of them with the same answer.
        passed: whether the errors are within their limits; agreement is reported, not judged.
    """

    encoder: str
    photos: int
    mean_error: float
    max_error: float
    answers: int
    agreement: float
    passed: bool

    @property
    def text(self) -> str:
        """In one line."""
        return (
            f"{self.encoder} encoder: tokens differ by {self.mean_error:.2e} of their size on average, "
            f"{self.max_error:.2e} at most; {self.agreement:.0%} of {self.answers} answers agree"
        )

    def write(self, path: Path) -> Path:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        return path


def sample_photos(source: Path | None) -> list[Image.Image]:
    """The first readable photos of a source, or generated scenes.

    Raises:
        DataMissingError: no readable photo there.
    """
    if source is None:
        return [render_scene(FIT_SEEDS_START - 1 - number).image for number in range(_PHOTOS)]
    found = list(islice(_readable(source), _PHOTOS))
    if len(found) < 2:
        raise DataMissingError  # calibration and measurement need one each
    return found


def _readable(source: Path) -> Iterator[Image.Image]:
    for _, data in photo_files(source):
        with suppress(HeliographError):
            yield load_photo(data)


def measure_parity(model: AnyModel, encoder: EncoderExport, photos: Sequence[Image.Image], method: str) -> Parity:
    """Encode photos both ways, and ask about a few of them both ways.

    Args:
        model: whose encoder was exported.
        encoder: the export.
        photos: of any size; each is brought into its frame for both.
        method: of the encoder, for the report.
    """
    preprocessor = open_preprocessor(encoder.preprocessing)
    device = open_encoder(encoder.files[0].parent.joinpath, preprocessor, encoder.grid, encoder.hidden_size)
    mean, largest, same = [], [], []
    for number, photo in enumerate(photos):
        framed = photo
        if isinstance(preprocessor, FramePreprocessor):
            size = preprocessor.frames[preprocessor.nearest(*photo.size)].size
            framed = photo.convert("RGB").resize(size, preprocessor.resample)
        own, found = model.encode_image(framed), device(photo)
        difference, values = np.abs(found.values - own.values), np.abs(own.values)
        mean.append(float(difference.mean() / values.mean()))
        largest.append(float(difference.max() / values.max()))
        for question in GENERIC_QUESTIONS if number < _ASKED else ():
            answers = [model.answer(question, [one], max_new_tokens=_ANSWER_TOKENS).text for one in (own, found)]
            same.append(answers[0] == answers[1])
    error, worst = float(np.mean(mean)), max(largest)
    passed = worst <= MAX_ERROR if method == FLOAT32 else error <= MAX_MEAN_ERROR_INT8
    return Parity(method, len(photos), error, worst, len(same), float(np.mean(same)), passed)

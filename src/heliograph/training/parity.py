"""The parity report of an export: how near the device's tokens come to the model's, and what that costs in answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from heliograph.codec.base import Codec
from heliograph.edge.encoder import open_encoder
from heliograph.edge.preprocess_frames import FramePreprocessor, open_preprocessor
from heliograph.errors import DataMissingError
from heliograph.reference.render import render_scene
from heliograph.training.encoder_export import EncoderExport
from heliograph.training.fit_codec import FIT_SEEDS_START, GENERIC_QUESTIONS, scene_questions
from heliograph.training.parity_answers import AnswerRow, compare_answers
from heliograph.training.photo_sources import photo_files, readable_photo
from heliograph.vlm.opening import AnyModel

PARITY = "parity.json"
FLOAT32 = "float32"
MAX_ERROR, MAX_MEAN_ERROR_INT8 = 1e-3, 0.1
"""Largest difference of tokens over the largest token value in float32; mean difference over mean size in int8."""

_PHOTOS, _ASKED = 16, 6


@dataclass(frozen=True)
class Parity:
    """The report.

    Attributes:
        encoder: ``float32``, or the method of quantising.
        photos: how many were encoded both ways.
        mean_error: mean difference of tokens over their mean size.
        max_error: largest difference over the largest token value.
        answers: how many questions were asked both ways.
        rows: what it costs in answers, uncompressed and through each codec.
        passed: whether the errors are within their limits; answers are reported, not judged.
    """

    encoder: str
    photos: int
    mean_error: float
    max_error: float
    answers: int
    rows: tuple[AnswerRow, ...]
    passed: bool

    @property
    def text(self) -> str:
        """The errors in a line, then a line for each way of sending."""
        return "\n".join(
            [
                f"{self.encoder} encoder: tokens differ by {self.mean_error:.2e} of their size on average, "
                f"{self.max_error:.2e} at most; {self.answers} answers compared",
                *(row.text for row in self.rows),
            ]
        )

    def write(self, path: Path) -> Path:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        return path


@dataclass(frozen=True)
class Sample:
    """A photo, and what is asked about it both ways; nothing, where that would take too long."""

    photo: Image.Image
    questions: tuple[str, ...]


def sample_photos(source: Path | None) -> list[Sample]:
    """The first readable photos of a source with general questions about a few, or generated scenes with their own.

    Raises:
        DataMissingError: no readable photo there.
    """
    if source is None:
        scenes = [render_scene(FIT_SEEDS_START - 1 - number) for number in range(_PHOTOS)]
        return [Sample(scene.image, scene_questions(scene.plan)) for scene in scenes]
    found = list(islice(_readable(source), _PHOTOS))
    if len(found) < 2:
        raise DataMissingError  # calibration and measurement need one each
    return [Sample(photo, GENERIC_QUESTIONS if n < _ASKED else ()) for n, photo in enumerate(found)]


def _readable(source: Path) -> Iterator[Image.Image]:
    for _, data in photo_files(source):
        photo = readable_photo(data)
        if photo is not None:
            yield photo


def measure_parity(
    model: AnyModel, encoder: EncoderExport, samples: Sequence[Sample], method: str, codecs: Sequence[Codec]
) -> Parity:
    """Encode photos both ways, and ask about them both ways.

    Args:
        model: whose encoder was exported.
        encoder: the export.
        samples: photos of any size, each brought into its frame for both; one of them with questions.
        method: of the encoder, for the report.
        codecs: of the bundle.
    """
    preprocessor = open_preprocessor(encoder.preprocessing)
    device = open_encoder(encoder.files[0].parent.joinpath, preprocessor, encoder.grid, encoder.hidden_size)
    own, found = [], []
    for sample in samples:
        framed = sample.photo
        if isinstance(preprocessor, FramePreprocessor):
            size = preprocessor.frames[preprocessor.nearest(*framed.size)].size
            framed = framed.convert("RGB").resize(size, preprocessor.resample)
        own.append(model.encode_image(framed))
        found.append(device(sample.photo))
    differences = [np.abs(f.values - o.values) for f, o in zip(found, own, strict=True)]
    values = [np.abs(one.values) for one in own]
    error = float(np.mean([d.mean() / v.mean() for d, v in zip(differences, values, strict=True)]))
    worst = max(float(d.max() / v.max()) for d, v in zip(differences, values, strict=True))
    passed = worst <= MAX_ERROR if method == FLOAT32 else error <= MAX_MEAN_ERROR_INT8
    asked = [sample.questions for sample in samples]
    rows = compare_answers(model, own, found, asked, codecs) if passed else []
    return Parity(method, len(samples), error, worst, sum(map(len, asked)), tuple(rows), passed)

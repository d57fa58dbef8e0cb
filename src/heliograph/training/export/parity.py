"""The parity report of an export: how near the device's tokens come to the model's, and what that costs in answers."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from heliograph.codec.base import Codec
from heliograph.edge.encoder import open_encoder
from heliograph.edge.preprocessing.frames import FramePreprocessor, open_preprocessor
from heliograph.edge.processor import ANY, this_processor
from heliograph.errors import DataMissingError
from heliograph.reference.render import render_scene
from heliograph.training.export.encoder_export import EncoderExport
from heliograph.training.export.int8_emulation import emulate
from heliograph.training.export.onnx_convolutions import MAX_MEAN_ERROR_INT8
from heliograph.training.export.parity_answers import AnswerRow, compare_answers
from heliograph.training.fitting.fit_codec import FIT_SEEDS_START, GENERIC_QUESTIONS, scene_questions
from heliograph.training.fitting.photo_sources import photo_files, readable_photo
from heliograph.types import Reporter, VisualTokens
from heliograph.vlm.contract import TorchModel

FLOAT32 = "float32"
MAX_ERROR = 1e-3
"""Largest difference of tokens over the largest token value, in float32; :data:`MAX_MEAN_ERROR_INT8` is for int8."""

_PHOTOS, _ASKED = 16, 6
_SATURATED = 2  # photos of which saturation is emulated, which takes long


@dataclass(frozen=True)
class Parity:
    """The report.

    Attributes:
        encoder: ``float32``, or the method of quantising.
        photos: how many were encoded both ways.
        mean_error: mean difference of tokens over their mean size, on the processors that the encoder was made for.
        max_error: largest difference over the largest token value, on the same.
        profile: which processors those are; None in float32.
        mean_error_with_vnni, mean_error_without_vnni: the mean difference on x86 of either kind; Arm is as with VNNI.
            What the exporting machine is, is measured; the other kind is emulated, product by product. None in float32.
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
    profile: str | None = None
    mean_error_with_vnni: float | None = None
    mean_error_without_vnni: float | None = None

    @property
    def text(self) -> str:
        """The errors in a line, then a line for each way of sending."""
        return "\n".join(
            [
                f"{self.encoder} encoder: tokens differ by {self.mean_error:.2e} of their size on average, "
                f"{self.max_error:.2e} at most; {self.answers} answers compared",
                *self._processors,
                *(row.text for row in self.rows),
            ]
        )

    @property
    def _processors(self) -> list[str]:
        if self.mean_error_with_vnni is None or self.mean_error_without_vnni is None:
            return []
        found = (
            f"{self.mean_error_with_vnni:.2e} with VNNI or on Arm, {self.mean_error_without_vnni:.2e} on x86 without"
        )
        return [f"made for {self.profile}: on average {found}"]

    def write(self, path: Path) -> Path:
        """Write the report as JSON.

        Raises:
            ValueError: a number is not finite, which no report that passed holds.
        """
        path.write_text(json.dumps(asdict(self), indent=1, allow_nan=False) + "\n", encoding="utf-8")
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
        raise DataMissingError().noted(
            f"{source}: {len(found)} of its photos can be read; calibration and measurement need one each."
        )
    return [Sample(photo, GENERIC_QUESTIONS if n < _ASKED else ()) for n, photo in enumerate(found)]


def _readable(source: Path) -> Iterator[Image.Image]:
    for _, data in photo_files(source):
        photo = readable_photo(data)
        if photo is not None:
            yield photo


def measure_parity(
    model: TorchModel,
    encoder: EncoderExport,
    samples: Sequence[Sample],
    method: str,
    codecs: Sequence[Codec],
    profile: str = ANY,
    progress: Reporter = lambda line: None,
) -> Parity:
    """Encode photos both ways, and ask about them both ways.

    Args:
        model: whose encoder was exported.
        encoder: the export.
        samples: photos of any size, each brought into its frame for both; one of them with questions.
        method: of the encoder, for the report.
        codecs: of the bundle.
        profile: processors that an encoder in eight bits was made for.
        progress: counts the answers that are compared.
    """
    own = [model.encode_image(one) for one in _framed(encoder, samples)]
    here = _device_tokens(encoder, samples)
    asked = [sample.questions for sample in samples]
    if method == FLOAT32:
        error, worst = _errors(own, here)
        passed = worst <= MAX_ERROR and math.isfinite(error)
        rows = compare_answers(model, own, here, asked, codecs, progress) if passed else []
        return Parity(method, len(samples), error, worst, sum(map(len, asked)), tuple(rows), passed)
    with_vnni, without = _on_both_kinds(encoder, samples, here, profile)
    found = here if len(with_vnni) < len(samples) else with_vnni
    error, worst = _errors(own, found)
    both = [_errors(own, tokens)[0] for tokens in (with_vnni, without)]
    passed = error <= MAX_MEAN_ERROR_INT8 and all(map(math.isfinite, (worst, *both)))
    rows = compare_answers(model, own, found, asked, codecs, progress) if passed else []
    return Parity(method, len(samples), error, worst, sum(map(len, asked)), tuple(rows), passed, profile, *both)


def _on_both_kinds(
    encoder: EncoderExport, samples: Sequence[Sample], here: Sequence[VisualTokens], profile: str
) -> tuple[Sequence[VisualTokens], Sequence[VisualTokens]]:
    """Tokens with and without VNNI: those of this machine, and those of the other kind, of the first photos at least.

    Weights for every processor saturate nowhere, so that both kinds make the same.
    """
    if profile == ANY:
        return here, here
    if this_processor().saturates:
        return _emulated_tokens(encoder, samples, saturating=False), here
    return here, _emulated_tokens(encoder, samples[:_SATURATED], saturating=True)


def _emulated_tokens(encoder: EncoderExport, samples: Sequence[Sample], *, saturating: bool) -> Sequence[VisualTokens]:
    """What a processor of one kind makes of photos."""
    with tempfile.TemporaryDirectory() as scratch:
        graphs = [path for path in encoder.files if path.suffix == ".onnx"]
        for path in graphs:
            emulate(path, Path(scratch) / path.name, saturating=saturating)
        files = tuple(Path(scratch) / path.name for path in graphs)
        return _device_tokens(replace(encoder, files=files), samples)


def _device_tokens(encoder: EncoderExport, samples: Sequence[Sample]) -> list[VisualTokens]:
    """What a device makes of photos."""
    preprocessor = open_preprocessor(encoder.preprocessing)
    device = open_encoder(encoder.files[0].parent.joinpath, preprocessor, encoder.grid, encoder.hidden_size)
    return [device(sample.photo) for sample in samples]


def _framed(encoder: EncoderExport, samples: Sequence[Sample]) -> Iterator[Image.Image]:
    """Photos as the device's frames have them."""
    preprocessor = open_preprocessor(encoder.preprocessing)
    for sample in samples:
        framed = sample.photo
        if isinstance(preprocessor, FramePreprocessor):
            size = preprocessor.frames[preprocessor.nearest(*framed.size)].size
            framed = framed.convert("RGB").resize(size, preprocessor.resample)
        yield framed


def _errors(own: Sequence[VisualTokens], found: Sequence[VisualTokens]) -> tuple[float, float]:
    """Mean difference over mean size, and largest difference over largest value, of as many as were found; NaN or
    infinite where a token of any photo is, or where a photo's own tokens are all zero."""
    pairs = [(np.abs(f.values - o.values), np.abs(o.values)) for f, o in zip(found, own, strict=False)]
    with np.errstate(all="ignore"):
        error = float(np.mean([d.mean() / v.mean() for d, v in pairs]))
        return error, float(np.max([d.max() / v.max() for d, v in pairs]))

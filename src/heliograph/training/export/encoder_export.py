"""A model's vision encoder for devices: graphs, weights and preprocessing, compared with the model before they count.

One square frame for the Idefics3 family as ever; for every other family one frame per size, read off the model's own
processor (:mod:`heliograph.training.export.pixel_reading`) and traced from its own tower
(:mod:`heliograph.training.export.encoder_graph`)::

    photo at a frame's size --own processor, own tower--> tokens ┐
                            --device: tables, ONNX Runtime--> tokens ┴--> largest and mean relative difference
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from heliograph.edge.encoder import open_encoder
from heliograph.edge.preprocessing.checks import MAX_SIDE
from heliograph.edge.preprocessing.frames import (
    MAX_FRAMES,
    MAX_TABLES,
    Frame,
    FramePreprocessor,
    Source,
    open_preprocessor,
)
from heliograph.edge.preprocessing.square import Preprocessor
from heliograph.errors import EncoderNotExportableError, HeliographError, UsageError
from heliograph.reference.render import render_scene
from heliograph.training.export.encoder_graph import FeatureGraph, trace_encoder, weights_of
from heliograph.training.export.encoder_weights import store_weights
from heliograph.training.export.frame_sizes import OwnProcessor, default_frames
from heliograph.training.export.onnx_graphs import trace_square
from heliograph.training.export.pixel_reading import PixelReading
from heliograph.training.progress import stage
from heliograph.types import FloatArray, Grid, Reporter
from heliograph.vlm.causes import reason_of
from heliograph.vlm.contract import TorchModel

MAX_ERROR = 1e-3
"""Largest relative difference of tokens that an export may have."""

MAX_PIXEL_ERROR = 1e-6
WEIGHTS = "encoder.safetensors"

_SCENE = 6_999_999
_OWN_FILE_BYTES = 1_500_000_000  # an ONNX file holds less than 2 GB
_Size = tuple[int, int]


@dataclass(frozen=True)
class FrameParity:
    """How near the device comes to the model in one frame, over a scene and noise.

    Attributes:
        size: (width, height) in pixels.
        tokens: N.
        pixel_error: largest difference of preprocessed pixels; 0 is bit for bit.
        max_error: largest difference of tokens, over the largest token value.
        mean_error: mean difference, over the mean size of token values.
    """

    size: _Size
    tokens: int
    pixel_error: float
    max_error: float
    mean_error: float


@dataclass(frozen=True)
class EncoderExport:
    """What was written.

    Attributes:
        preprocessing: JSON values for the bundle's ``preprocessing.json``.
        files: that the bundle must hold under their own names, ``encoder.onnx`` first.
        grid: of the first frame.
        hidden_size: D.
        parity: of each frame.
    """

    preprocessing: dict[str, Any]
    files: tuple[Path, ...]
    grid: Grid
    hidden_size: int
    parity: tuple[FrameParity, ...]


def export_frames(
    model: TorchModel,
    out: Path,
    sizes: Sequence[_Size] | None = None,
    progress: Reporter = lambda line: None,
) -> EncoderExport:
    """Write the encoder's files and compare them with the model.

    Args:
        model: in float32 on the CPU.
        out: folder, made if absent.
        sizes: (width, height) of each frame in pixels; :func:`default_frames` where there are none. The first one is
            what the codec's headers leave out.
        progress: counts the frames.

    Raises:
        UsageError: a size is out of range, or there are too many; or the model is not in float32.
        EncoderNotExportableError: the model's processor changes a photo of such a size, its tower cannot be traced, or
            what was written does not do what the model does.
        OSError: the disk refuses.
    """
    wanted = None if sizes is None else tuple(dict.fromkeys(sizes))
    if wanted is not None and not _allowed(wanted):
        raise UsageError().noted(
            f"sizes must be 1 to {MAX_FRAMES}, each side 1 to {MAX_SIDE} pixels, not {_shown(wanted)}."
        )
    if next(model.torch_model.parameters()).dtype != torch.float32:
        raise UsageError().noted("an encoder is exported from a model in float32: load it with dtype float32.")
    out.mkdir(parents=True, exist_ok=True)
    if model.input_size is not None and wanted not in (None, default_frames(model)):
        only = _shown(default_frames(model))
        raise UsageError().noted(f"sizes must be {only} for this model, which takes no other, not {_shown(wanted)}.")
    square, own = model.square_encoder(), OwnProcessor(model)
    if square is None:
        made = _several(model, own, out, wanted or own.usual_sizes(), progress)
    else:
        made = _one_square(model, square, own, out, progress)
    if not all(one.max_error <= MAX_ERROR and one.pixel_error <= MAX_PIXEL_ERROR for one in made.parity):
        worst, pixels = (max(getattr(one, name) for one in made.parity) for name in ("max_error", "pixel_error"))
        raise EncoderNotExportableError().noted(
            f"device and model differ by {worst:.1e} in tokens and {pixels:.1e} in pixels; {MAX_ERROR:.0e} and "
            f"{MAX_PIXEL_ERROR:.0e} are allowed."
        )
    return made


def _allowed(sizes: Sequence[_Size]) -> bool:
    return 1 <= len(sizes) <= MAX_FRAMES and all(1 <= side <= MAX_SIDE for size in sizes for side in size)


def _shown(sizes: Sequence[_Size]) -> str:
    """``640x480 and 480x640``, for people."""
    return " and ".join(f"{width}x{height}" for width, height in sizes) or "none"


# ---- one square frame ----------------------------------------------------------------------------------
def _one_square(
    model: TorchModel, square: nn.Module, own: OwnProcessor, out: Path, progress: Reporter
) -> EncoderExport:
    advance = stage(progress, 1, "tracing the encoder")
    path = out / "encoder.onnx"
    size = default_frames(model)[0]
    weights = weights_of(square)
    if sum(value.nbytes for value in weights.values()) > _OWN_FILE_BYTES:
        trace_encoder(square, [torch.zeros(1, 3, *size)], path)
        store_weights([path], weights, out / WEIGHTS)
        files: tuple[Path, ...] = (path, out / WEIGHTS)
    else:
        trace_square(square, path, size[0])
        files = (path,)
    advance(1)
    preprocessing: dict[str, Any] = json.loads(model.processor.image_processor.to_json_string())
    export = EncoderExport(preprocessing, files, model.grid, model.hidden_size, ())
    preprocessor = Preprocessor.from_config(preprocessing)
    photos = [*_photos(size), *_photos((2 * size[0] + 1, size[1]))]
    error = max(_largest(preprocessor(photo), own.arguments(photo)["pixel_values"]) for photo in photos)
    return replace(export, parity=(_parity(model, out, export, size, error),))


# ---- several frames ------------------------------------------------------------------------------------
def _several(
    model: TorchModel, own: OwnProcessor, out: Path, sizes: Sequence[_Size], progress: Reporter
) -> EncoderExport:
    advance = stage(progress, len(sizes), "tracing the encoder")
    readings = [own.read(size) for size in sizes]
    tables, frames, paths = _Tables(), [], []
    weights: dict[str, torch.Tensor] = {}
    for number, (size, reading) in enumerate(zip(sizes, readings, strict=True)):
        name = f"encoder-{number}.onnx" if number else "encoder.onnx"
        frames.append(Frame(own.grid(size), tables.shared(reading), name))
        paths.append(out / name)
        weights |= _traced(own, reading, paths[-1])
        advance(1)
    if len(tables.all) > MAX_TABLES:
        raise EncoderNotExportableError().noted(
            f"its processor reads pixels in {len(tables.all)} ways; {MAX_TABLES} are allowed: name fewer sizes "
            "(--size)."
        )
    store_weights(paths, weights, out / WEIGHTS)
    preprocessor = FramePreprocessor(frames, own.resample, np.stack(tables.all))
    export = EncoderExport(preprocessor.to_config(), (*paths, out / WEIGHTS), frames[0].grid, model.hidden_size, ())
    parity = [
        _parity(model, out, export, size, _pixel_error(own, preprocessor, reading, size))
        for size, reading in zip(sizes, readings, strict=True)
    ]
    return replace(export, parity=tuple(parity))


class _Tables:
    """Tables of levels of all frames, each once."""

    def __init__(self) -> None:
        self.all: list[FloatArray] = []

    def shared(self, reading: PixelReading) -> tuple[Source, ...]:
        """A frame's sources with their tables' places among all."""
        return tuple(replace(one, table=self._place(reading.tables[one.table])) for one in reading.sources)

    def _place(self, table: FloatArray) -> int:
        for place, known in enumerate(self.all):
            if np.array_equal(known, table):
                return place
        self.all.append(table)
        return len(self.all) - 1


def _traced(own: OwnProcessor, reading: PixelReading, path: Path) -> Mapping[str, torch.Tensor]:
    """Write one frame's graph; its weights."""
    graph = FeatureGraph(own.owner, reading.constants, reading.layouts)
    pictures = [torch.rand(1, 3, one.height, one.width) for one in reading.sources]
    try:
        trace_encoder(graph, pictures, path)
    except HeliographError:
        raise
    except Exception as error:  # foreign code in a foreign exporter
        raise EncoderNotExportableError().noted(f"its vision tower cannot be traced: {reason_of(error)}.") from error
    return weights_of(graph)


def _pixel_error(own: OwnProcessor, preprocessor: FramePreprocessor, reading: PixelReading, size: _Size) -> float:
    """Largest difference between the device's pixels and the processor's."""
    worst = 0.0
    for photo in _photos(size):
        expected = own.arguments(photo)
        pictures = [torch.from_numpy(one) for one in preprocessor(photo).sources]
        for name, layout in reading.layouts.items():
            worst = max(worst, _largest(layout(pictures).numpy(), expected[name]))
    return worst


# ---- parity --------------------------------------------------------------------------------------------
def _photos(size: _Size) -> list[Image.Image]:
    """A scene and noise."""
    noise = np.random.default_rng(_SCENE).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return [render_scene(_SCENE).image.resize(size, Image.Resampling.BICUBIC), Image.fromarray(noise)]


def _largest(found: Any, expected: torch.Tensor) -> float:
    return float(np.abs(np.asarray(found) - expected.numpy().reshape(np.shape(found))).max())


def _parity(model: TorchModel, out: Path, made: EncoderExport, size: _Size, pixel_error: float) -> FrameParity:
    """The device's way against the model's, on photos of a frame's size."""
    preprocessor = open_preprocessor(json.loads(json.dumps(made.preprocessing)))
    device = open_encoder(out.joinpath, preprocessor, made.grid, made.hidden_size)
    largest, mean, tokens = [], [], 0
    for photo in _photos(size):
        expected, found = model.encode_image(photo), device(photo)
        if found.grid != expected.grid:
            raise EncoderNotExportableError().noted(
                f"device and model make other grids of a photo of {size[0]}x{size[1]} pixels."
            )
        difference, values = np.abs(found.values - expected.values), np.abs(expected.values)
        largest.append(float(difference.max() / values.max()))
        mean.append(float(difference.mean() / values.mean()))
        tokens = len(values)
    return FrameParity(size, tokens, pixel_error, max(largest), max(mean))

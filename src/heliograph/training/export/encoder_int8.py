"""An exported encoder in eight bits: every frame's graph, with weights that frames share stored once."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from heliograph.edge.preprocessing.frames import FramePreprocessor, open_preprocessor
from heliograph.edge.processor import ANY
from heliograph.errors import EncoderNotExportableError
from heliograph.training.export.encoder_export import WEIGHTS, EncoderExport
from heliograph.training.export.onnx_files import load_whole
from heliograph.training.export.onnx_quantise import LEVELS_OF_PROFILE, METHODS, quantise_encoder
from heliograph.training.export.onnx_weights import share_weights
from heliograph.training.progress import stage
from heliograph.types import FloatArray, Reporter


def encoder_in_int8(
    encoder: EncoderExport, out: Path, photos: Sequence[Image.Image], progress: Reporter, profile: str = ANY
) -> tuple[EncoderExport, str]:
    """Quantise every graph of an export.

    Args:
        encoder: in float32.
        out: folder, made if absent.
        photos: for calibration, at least two.
        progress: receives a line per method and graph, and counts them.
        profile: of :data:`heliograph.edge.processor.PROFILES`, the devices that it is for.

    Returns:
        The export of the quantised graphs, and the method of the first.

    Raises:
        UsageError: fewer than two photos.
        EncoderNotExportableError: a graph of more than two gigabytes.
    """
    out.mkdir(parents=True, exist_ok=True)
    preprocessor = open_preprocessor(encoder.preprocessing)
    graphs = [path for path in encoder.files if path.suffix == ".onnx"]
    methods: list[str] = []
    tried = methods_for(graphs)
    advance = stage(progress, len(graphs) * len(tried), "quantising the encoder")
    for number, path in enumerate(graphs):
        if isinstance(preprocessor, FramePreprocessor):
            given = [_in_frame(preprocessor, number, photo) for photo in photos]
        else:
            given = [(preprocessor(photo),) for photo in photos]
        calibration = [dict(zip(_inputs(path), sources, strict=True)) for sources in given]
        with tempfile.TemporaryDirectory() as scratch:
            whole = _with_its_weights(path, Path(scratch) / path.name)
            made = quantise_encoder(
                whole,
                out / path.name,
                calibration,
                levels=LEVELS_OF_PROFILE[profile],
                methods=tried,
                progress=progress,
                advance=advance,
            )
        progress(f"{path.name}: {made.method}, {made.latency_ratio:.2f} of the float32 graph's time")
        methods.append(made.method)
    paths = [out / path.name for path in graphs]
    files = tuple(paths)
    if len(paths) > 1:
        share_weights(paths, out / WEIGHTS)
        files = (*paths, out / WEIGHTS)
    return replace(encoder, files=files), methods[0]


def methods_for(graphs: Sequence[Path]) -> Sequence[str]:
    """Methods to try: smoothing makes every frame's weights different, so several frames do without it."""
    return METHODS if len(graphs) == 1 else [name for name in METHODS if not name.startswith("smoothed")]


def _in_frame(preprocessor: FramePreprocessor, number: int, photo: Image.Image) -> tuple[FloatArray, ...]:
    """The photo as one frame takes it, whichever frame is nearest to it."""
    frame = preprocessor.frames[number]
    only = FramePreprocessor([frame], preprocessor.resample, preprocessor.tables)
    return tuple(np.ascontiguousarray(source) for source in only(photo).sources)


def _with_its_weights(path: Path, alone: Path) -> Path:
    """A graph in one file, whatever file its weights were in.

    Raises:
        EncoderNotExportableError: more than the two gigabytes that an ONNX file holds.
    """
    try:
        onnx.save(load_whole(path), str(alone))
    except ValueError as error:  # protobuf's own limit
        raise EncoderNotExportableError().noted(
            f"{path.name} with its weights is over the 2 GB that one ONNX file holds: leave out --int8."
        ) from error
    return alone


def _inputs(path: Path) -> list[str]:
    """Names of a graph's inputs, in order."""
    model = onnx.load(str(path), load_external_data=False)
    weights = {weight.name for weight in model.graph.initializer}
    return [given.name for given in model.graph.input if given.name not in weights]

"""``heliograph export``: the folder that a device needs, from a model and a codec, checked before it is done.

The parity check runs the exported graph in ONNX Runtime beside the torch model on the same pixels: an export
that does not do what the model does is refused, not shipped.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.codec.base import Codec
from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.codec.klt import KltCodec
from heliograph.edge.encoder import TokenEncoder
from heliograph.edge.preprocess import Preprocessor
from heliograph.errors import BundleDamagedError, ModelUnsupportedError, ShapeError
from heliograph.reference.render import render_scene
from heliograph.training.fit_codec import FIT_SEEDS_START, fit_codec
from heliograph.training.onnx_graphs import export_encoder, export_language_model, prompt_pieces
from heliograph.vlm.model import VisionLanguageModel

MAX_RELATIVE_ERROR = 1e-3
_PARITY_SEED = FIT_SEEDS_START - 1

Progress = Callable[[str], None]


def export_bundle(model_name: str, out: Path, *, codec: Path | None = None, progress: Progress = print) -> Bundle:
    """Write the bundle of a model.

    Args:
        model_name: ``reference``, a folder or a hub id.
        out: bundle folder.
        codec: folder of a fitted codec; None fits ``klt`` on generated scenes.
        progress: receives a line per stage.

    Raises:
        ModelUnavailableError, ModelUnsupportedError: the model cannot be loaded, or has no exportable tower.
        ShapeError: the codec was fitted for other tokens.
        BundleDamagedError: the exported encoder does not do what the model does.
    """
    model = VisionLanguageModel.load(model_name)
    if model.torch_model.config.model_type != "idefics3":
        raise ModelUnsupportedError
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        loaded = KltCodec.load(codec or fit_codec(model_name, work / "codec", progress=progress))
        if loaded.hidden_size != model.hidden_size:
            raise ShapeError
        progress("tracing the networks")
        bundle = _assemble(model, loaded, work, out)
    progress("comparing torch and ONNX Runtime")
    error = encoder_parity(model, bundle)
    progress(f"largest relative difference of tokens: {error:.1e}")
    if not error <= MAX_RELATIVE_ERROR:
        raise BundleDamagedError
    return bundle


def _assemble(model: VisionLanguageModel, codec: Codec, work: Path, out: Path) -> Bundle:
    export_encoder(model.torch_model, work / "encoder.onnx", model.input_size)
    export_language_model(model.torch_model, work / "language_model.onnx")
    model.processor.tokenizer.backend_tokenizer.save(str(work / "tokenizer.json"))
    pieces = prompt_pieces(model.prompts, model.processor, model.torch_model, frozenset(model.decoder.end_ids))
    (work / "local_prompt.json").write_text(json.dumps(pieces, indent=1) + "\n", encoding="utf-8")
    extra = [work / name for name in ("language_model.onnx", "tokenizer.json", "local_prompt.json")]
    return write_bundle(
        out,
        codecs=[codec],
        grid=model.grid,
        hidden_size=model.hidden_size,
        preprocessing=_preprocessing(model.processor),
        encoder=work / "encoder.onnx",
        extra_files=extra,
    )


def _preprocessing(processor: Any) -> dict[str, Any]:
    """The image processor's configuration as plain JSON values."""
    loaded: dict[str, Any] = json.loads(processor.image_processor.to_json_string())
    return loaded


def encoder_parity(model: VisionLanguageModel, bundle: Bundle) -> float:
    """Largest difference between the device's tokens and the model's, over the largest token value."""
    photo = render_scene(_PARITY_SEED).image
    expected = model.encode_image(photo).values  # (N, D)
    encoder = TokenEncoder(bundle.encoder_path, bundle.grid, bundle.hidden_size)
    found = encoder(Preprocessor.from_config(bundle.preprocessing)(photo)).values
    return float(np.abs(found - expected).max() / np.abs(expected).max())

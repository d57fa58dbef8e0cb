"""``heliograph export``: the folder that a device needs, from a model and a codec, checked before it is done.

The parity check runs the exported graph in ONNX Runtime beside the torch model on the same pixels: an export
that does not do what the model does is refused, not shipped.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.codec.base import Codec
from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.edge.encoder import TokenEncoder
from heliograph.edge.preprocess import Preprocessor
from heliograph.errors import BundleDamagedError, ModelUnsupportedError, ShapeError, UsageError
from heliograph.reference.render import render_scene
from heliograph.registry import CODECS
from heliograph.training.fit_codec import FIT_SEEDS_START, fit_codec
from heliograph.training.onnx_graphs import export_encoder, export_language_model, prompt_pieces
from heliograph.vlm.model import VisionLanguageModel

MAX_RELATIVE_ERROR = 1e-3
_CARD = "README.md"
_PARITY_SEED = FIT_SEEDS_START - 1

Progress = Callable[[str], None]


def export_bundle(model_name: str, out: Path, *, codecs: Sequence[Path] = (), progress: Progress = print) -> Bundle:
    """Write the bundle of a model.

    Args:
        model_name: ``reference``, a folder or a hub id.
        out: bundle folder.
        codecs: folders of fitted codecs of different kinds; none fits ``klt`` on generated scenes.
        progress: receives a line per stage.

    Raises:
        ModelUnavailableError, ModelUnsupportedError: the model cannot be loaded, or has no exportable tower.
        ShapeError: a codec was fitted for other tokens.
        UsageError: two codecs of one kind.
        BundleDamagedError: a folder holds no codec, or the exported encoder does not do what the model does.
    """
    model = VisionLanguageModel.load(model_name)
    if model.torch_model.config.model_type != "idefics3":
        raise ModelUnsupportedError
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        folders = list(codecs) or [fit_codec(model_name, work, progress=progress)]
        loaded = [load_codec(folder) for folder in folders]
        if any(codec.hidden_size != model.hidden_size for codec in loaded):
            raise ShapeError
        if len({codec.kind for codec in loaded}) < len(loaded):
            raise UsageError
        progress("tracing the networks")
        cards = [_card(folder, codec, work) for folder, codec in zip(folders, loaded, strict=True)]
        bundle = _assemble(model, loaded, [card for card in cards if card is not None], work, out)
    progress("comparing torch and ONNX Runtime")
    error = encoder_parity(model, bundle)
    progress(f"largest relative difference of tokens: {error:.1e}")
    if not error <= MAX_RELATIVE_ERROR:
        raise BundleDamagedError
    return bundle


def load_codec(folder: Path) -> Codec:
    """The codec of whichever kind a folder holds.

    Raises:
        BundleDamagedError: none that this version knows, or a damaged one.
    """
    for kind in CODECS.names():
        made = CODECS.load(kind)
        if (folder / made.files[0]).is_file():
            codec: Codec = made.load(folder)
            return codec
    raise BundleDamagedError


def _card(folder: Path, codec: Codec, work: Path) -> Path | None:
    """The codec's model card under a name of its own; None where its folder has none."""
    if not (folder / _CARD).is_file():
        return None
    return Path(shutil.copyfile(folder / _CARD, work / f"{codec.kind}.{_CARD}"))


def _assemble(
    model: VisionLanguageModel, codecs: Sequence[Codec], cards: Sequence[Path], work: Path, out: Path
) -> Bundle:
    export_encoder(model.torch_model, work / "encoder.onnx", model.input_size)
    export_language_model(model.torch_model, work / "language_model.onnx")
    model.processor.tokenizer.backend_tokenizer.save(str(work / "tokenizer.json"))
    pieces = prompt_pieces(model.prompts, model.processor, model.torch_model, frozenset(model.decoder.end_ids))
    (work / "local_prompt.json").write_text(json.dumps(pieces, indent=1) + "\n", encoding="utf-8")
    extra = [work / name for name in ("language_model.onnx", "tokenizer.json", "local_prompt.json")]
    return write_bundle(
        out,
        codecs=codecs,
        grid=model.grid,
        hidden_size=model.hidden_size,
        preprocessing=_preprocessing(model.processor),
        encoder=work / "encoder.onnx",
        extra_files=[*extra, *cards],
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

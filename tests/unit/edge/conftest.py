"""A random-weight reference model and the two networks of its bundle, made by the real exporter."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class ExportedReference:
    """Torch model and, beside each other in ``folder``, encoder.onnx, language_model.onnx and the prompt's files."""

    vlm: Any
    folder: Path
    grid: Any
    hidden_size: int


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ExportedReference:
    from heliograph.reference.recipe import build_reference_model
    from heliograph.training.export.onnx_graphs import export_encoder, export_language_model, prompt_pieces
    from heliograph.vlm.model import VisionLanguageModel

    folder = tmp_path_factory.mktemp("exported")
    checkpoint = build_reference_model(folder / "checkpoint", seed=3)
    vlm = VisionLanguageModel.load(str(checkpoint))
    export_encoder(vlm.torch_model, folder / "encoder.onnx", vlm.input_size)
    export_language_model(vlm.torch_model, folder / "language_model.onnx")
    shutil.copy(checkpoint / "tokenizer.json", folder)
    pieces = prompt_pieces(vlm.prompts, vlm.processor, vlm.torch_model, vlm.decoder.end_ids)
    (folder / "local_prompt.json").write_text(json.dumps(pieces), encoding="utf-8")
    return ExportedReference(vlm, folder, vlm.grid, vlm.hidden_size)

"""``heliograph assemble field``: the folder of the field model from installed parts and our alignment.

::

    parts, checked --> LLaVA --> alignment merged --> OUT/model: config.json, model.safetensors (bfloat16), processor

Nothing is downloaded, and nothing of the parts is kept elsewhere.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch

from heliograph.training.field.alignment import load_alignment, merge
from heliograph.training.field.checkpoint import build_model, build_processor, language_model, read_vision
from heliograph.training.field.parts import MODEL_PARTS, find_parts
from heliograph.training.files import refusals_named
from heliograph.types import Reporter
from heliograph.vlm.efficientnet_lite import TowerConfig

MODEL = "model"


def assemble_field(out: Path, alignment: Path, progress: Reporter = print) -> Path:
    """Write the checkpoint.

    Args:
        out: folder, made if absent; a model that is there gives way when the new one is whole.
        alignment: file of :func:`heliograph.training.field.alignment.save_alignment`.
        progress: receives a line per stage.

    Returns:
        The checkpoint's folder, ``out/model``.

    Raises:
        ModelUnavailableError: a part is missing or another one, the alignment is, or the package ``gguf`` is.
        OutputUnwritableError: the disk refuses.
    """
    language_file, vision_file = find_parts(MODEL_PARTS)
    weights = load_alignment(alignment)
    progress("reading the language model")
    language, tokenizer = language_model(language_file)
    tower = TowerConfig(grid=round(len(weights["positions"]) ** 0.5))
    processor = build_processor(tokenizer, tower.image_size, tower.grid)
    model = build_model(language, read_vision(vision_file).tower, processor.image_token_id, tower)
    merge(model, weights)
    progress("writing the model")
    with refusals_named():
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".assembling-") as scratch:
            fresh = Path(scratch) / MODEL
            model.to(torch.bfloat16).save_pretrained(fresh)
            processor.save_pretrained(fresh)
            shutil.rmtree(out / MODEL, ignore_errors=True)
            fresh.rename(out / MODEL)
    return out / MODEL

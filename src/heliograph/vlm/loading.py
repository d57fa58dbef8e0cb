"""Load an unmodified vision-language model from the package, a folder or a hub id.

Weights come from safetensors only (no pickle), no code from the folder is run, and a checkpoint that leaves a
weight unset is refused instead of answering with random numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from heliograph.errors import ModelUnavailableError, ModelUnsupportedError
from heliograph.vlm.processors import load_processor
from heliograph.vlm.tap import find_owner

REFERENCE = "reference"


def load_pretrained(name: str, device: str = "cpu") -> tuple[Any, Any]:
    """``(model, processor)`` in evaluation mode, float32 on the CPU and bfloat16 on an accelerator.

    Args:
        name: ``reference`` for the model that ships with the package, a checkpoint folder, or a hub id.
        device: torch device name.

    Raises:
        ModelUnavailableError: nothing loadable there, or a checkpoint with missing weights.
        ModelUnsupportedError: a model without the image-feature tap.
    """
    source = _source(name)
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging

    logging.disable_progress_bar()
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    try:
        processor = load_processor(source)
        model, report = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as cause:  # a foreign folder can fail in any way inside the loaders
        raise ModelUnavailableError from cause
    if report["missing_keys"] or report["mismatched_keys"]:
        raise ModelUnavailableError
    find_owner(model)
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise ModelUnsupportedError
    return model.to(device).eval().requires_grad_(False), processor


def _source(name: str) -> str:
    if name == REFERENCE:
        from heliograph.reference.assets import shipped_model_folder

        folder = Path(shipped_model_folder())
        if not folder.is_dir():
            raise ModelUnavailableError
        return str(folder)
    return name

"""Load an unmodified vision-language model from the package, a folder or a hub id.

Weights come from safetensors only (no pickle), no code from the folder is run, and a checkpoint that leaves a
weight unset is refused instead of answering with random numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from heliograph.errors import HeliographError, ModelUnavailableError, ModelUnsupportedError
from heliograph.vlm.causes import reason_of
from heliograph.vlm.checkpoint.files import check_checkpoint
from heliograph.vlm.checkpoint.names import REFERENCE, ModelName, checkpoint_folder
from heliograph.vlm.checkpoint.processors import load_processor
from heliograph.vlm.checkpoint.template_guard import with_fixed_template
from heliograph.vlm.prompt import MAX_IMAGES_PER_QUESTION
from heliograph.vlm.tap import find_owner

__all__ = ["REFERENCE", "ModelName", "checkpoint_folder", "load_pretrained"]

log = logging.getLogger("heliograph.vlm")


def load_pretrained(name: str, device: str = "cpu") -> tuple[Any, Any]:
    """``(model, processor)`` in evaluation mode, float32 on the CPU and bfloat16 on an accelerator.

    Args:
        name: ``reference`` for the model that ships with the package, a checkpoint folder, or a hub id; see
            :class:`ModelName`.
        device: torch device name.

    Raises:
        ModelUnavailableError: nothing loadable there, a checkpoint with missing weights, or one whose files lead out of
            its folder.
        ModelUnsupportedError: a model without the image-feature tap, a chat template that takes too much or changes
            the question, or a model that never splits photos is asked not to.
    """
    named = ModelName.parse(name)
    found = named.locate()
    check_checkpoint(found.source, found.revision, offline=found.cached_only)
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging

    from heliograph.vlm.efficientnet_lite import register_tower

    logging.disable_progress_bar()
    register_tower()
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    try:
        processor = load_processor(found.source, found.revision, offline=found.cached_only)
        model, report = _with_fast_attention(
            AutoModelForImageTextToText.from_pretrained,
            found.source,
            revision=found.revision or "main",
            local_files_only=found.cached_only,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as cause:  # a foreign folder can fail in any way inside the loaders
        raise ModelUnavailableError().noted(f"{name!r}: {reason_of(cause)}") from cause
    if report["missing_keys"] or report["mismatched_keys"]:
        raise ModelUnavailableError().noted(
            f"{name!r}: weights are missing, or of other shapes than its config.json says."
        )
    with naming(name):
        find_owner(model)
        missing = [part for part in ("image_processor", "tokenizer") if not hasattr(processor, part)]
        if missing:
            raise ModelUnsupportedError().noted(f"its processor has no {' and no '.join(missing).replace('_', ' ')}.")
        if named.source != REFERENCE:
            with_fixed_template(processor, MAX_IMAGES_PER_QUESTION)
        if named.one_frame:
            _do_not_split(processor)
    if (model.generation_config.num_return_sequences or 1) > 1:
        log.warning("%r: its generation_config.json asks for several answers (num_return_sequences); one is made", name)
    return model.to(device).eval().requires_grad_(False), processor


def _with_fast_attention(load: Callable[..., Any], source: str, **options: Any) -> Any:
    """What a loader makes of a source, with PyTorch's fast attention where the family has it, else with its own; never
    with one that the checkpoint's own configuration asks for and that may not be installed."""
    try:
        return load(source, attn_implementation="sdpa", **options)
    except ValueError:  # how the library says that a family has none
        return load(source, attn_implementation="eager", **options)


@contextmanager
def naming(model: str) -> Iterator[None]:
    """Named errors from within tell the command line first which model they are about."""
    try:
        yield
    except HeliographError as error:
        error.__notes__ = [f"{model!r}: {reason_of(error)}."]
        raise


def _do_not_split(processor: Any) -> None:
    if not hasattr(processor.image_processor, "do_image_splitting"):
        raise ModelUnsupportedError().noted("#one-frame is for processors that split photos, and its own does not.")
    processor.image_processor.do_image_splitting = False

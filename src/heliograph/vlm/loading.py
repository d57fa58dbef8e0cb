"""Load an unmodified vision-language model from the package, a folder or a hub id.

Weights come from safetensors only (no pickle), no code from the folder is run, and a checkpoint that leaves a
weight unset is refused instead of answering with random numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from heliograph.errors import ModelUnavailableError, ModelUnsupportedError
from heliograph.vlm.checkpoint_files import check_checkpoint
from heliograph.vlm.processors import load_processor
from heliograph.vlm.prompt import MAX_IMAGES_PER_QUESTION
from heliograph.vlm.tap import find_owner
from heliograph.vlm.template_guard import with_fixed_template

REFERENCE = "reference"
ONE_FRAME = "one-frame"
_VARIANT_SIGN = "#"


@dataclass(frozen=True)
class ModelName:
    """What a model is called on the command line, taken apart: ``NAME[@REVISION][#one-frame]``.

    Attributes:
        source: ``reference``, a checkpoint folder or a hub id.
        revision: branch, tag or commit on the hub; None for the main one.
        one_frame: photos are not split into tiles, where the processor would.
    """

    source: str
    revision: str | None = None
    one_frame: bool = False

    @classmethod
    def parse(cls, name: str) -> Self:
        """The parts of a name; a folder's name is taken as it is, ``#one-frame`` behind it aside.

        Raises:
            ModelUnavailableError: a variant that is not known.
        """
        source, sign, variant = name.rpartition(_VARIANT_SIGN)
        if not sign or Path(name).exists():
            source, variant = name, ""
        if variant not in ("", ONE_FRAME):
            raise ModelUnavailableError
        if Path(source).exists():
            return cls(source, None, bool(variant))
        source, _, revision = source.partition("@")
        return cls(source, revision or None, bool(variant))

    @property
    def folder_or_id(self) -> str:
        """What the loaders take.

        Raises:
            ModelUnavailableError: the shipped model is not there.
        """
        if self.source != REFERENCE:
            return self.source
        from heliograph.reference.assets import shipped_model_folder

        folder = Path(shipped_model_folder())
        if not folder.is_dir():
            raise ModelUnavailableError
        return str(folder)


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
    source = named.folder_or_id
    check_checkpoint(source, named.revision)
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging

    logging.disable_progress_bar()
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    try:
        processor = load_processor(source, named.revision)
        model, report = _with_fast_attention(
            AutoModelForImageTextToText.from_pretrained,
            source,
            revision=named.revision or "main",
            dtype=dtype,
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
    if named.source != REFERENCE:
        with_fixed_template(processor, MAX_IMAGES_PER_QUESTION)
    if named.one_frame:
        _do_not_split(processor)
    return model.to(device).eval().requires_grad_(False), processor


def checkpoint_folder(name: str) -> Path:
    """Where the files of a checkpoint lie, downloaded if need be.

    Raises:
        ModelUnavailableError: there is no such checkpoint.
    """
    from transformers.utils import cached_file

    named = ModelName.parse(name)
    try:
        found = cached_file(named.folder_or_id, "config.json", revision=named.revision)
    except Exception as cause:  # network, name and permissions fail in many ways
        raise ModelUnavailableError from cause
    if found is None:
        raise ModelUnavailableError
    return Path(found).parent


def _with_fast_attention(load: Callable[..., Any], source: str, **options: Any) -> Any:
    """What a loader makes of a source, with PyTorch's fast attention where the family has it, else with its own; never
    with one that the checkpoint's own configuration asks for and that may not be installed."""
    try:
        return load(source, attn_implementation="sdpa", **options)
    except ValueError:  # how the library says that a family has none
        return load(source, attn_implementation="eager", **options)


def _do_not_split(processor: Any) -> None:
    if not hasattr(processor.image_processor, "do_image_splitting"):
        raise ModelUnsupportedError
    processor.image_processor.do_image_splitting = False

"""The fingerprint of weights: a codec or a cache of tokens belongs to one checkpoint, whatever its folder is called."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from heliograph.errors import ModelUnavailableError
from heliograph.vlm.causes import reason_of
from heliograph.vlm.checkpoint.files import check_folder
from heliograph.vlm.checkpoint.loading import ModelName, checkpoint_folder

_PIECE = 1 << 22  # values hashed at a time, so that no second copy of a large weight is made


@lru_cache(maxsize=8)
def model_fingerprint(name: str) -> str:
    """64 hexadecimal digits of a checkpoint: SHA-256 over names, shapes, dtypes and values of its stored tensors.

    How they are shared out among files does not matter, nor in which precision the model is run later. One frame per
    photo makes other tokens, so it has a fingerprint of its own.

    Args:
        name: as :class:`heliograph.vlm.checkpoint.loading.ModelName` takes it.

    Raises:
        ModelUnavailableError: no safetensors there, damaged ones, or files that lead out of the checkpoint.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    folder = checkpoint_folder(name)
    check_folder(folder)
    files = sorted(folder.glob("*.safetensors"))
    digest = hashlib.sha256()
    try:
        held: dict[str, Path] = {}
        for path in files:
            with safe_open(path, framework="pt") as opened:
                held |= dict.fromkeys(opened.keys(), path)
        for tensor_name, path in sorted(held.items()):
            with safe_open(path, framework="pt") as opened:
                tensor: Any = opened.get_tensor(tensor_name)
            digest.update(f"{tensor_name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
            for piece in torch.split(tensor.reshape(-1), _PIECE):
                digest.update(piece.contiguous().view(torch.uint8).numpy().tobytes())
    except (OSError, SafetensorError) as error:
        raise ModelUnavailableError().noted(
            f"{folder}: a .safetensors file cannot be read: {reason_of(error)}."
        ) from error
    if not held:
        raise ModelUnavailableError().noted(f"{folder}: no .safetensors file holds a weight.")
    if ModelName.parse(name).one_frame:
        digest.update(b"one frame")
    return digest.hexdigest()

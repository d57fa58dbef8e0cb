"""Which weights these are: a codec or a cache of tokens belongs to one set of them, whatever their folder is called."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

_PIECE = 1 << 22  # values hashed at a time, so that no second copy of a large weight is made


def fingerprint(model: nn.Module) -> str:
    """64 hexadecimal digits: SHA-256 over names, shapes, dtypes and values of all parameters and stored buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        flat = tensor.detach().reshape(-1)
        for piece in torch.split(flat, _PIECE):
            digest.update(piece.contiguous().cpu().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

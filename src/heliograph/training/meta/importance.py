"""What a language model notices of each picture: how far each feature moves the margins of its own answers.

Mean squared error spends bytes on walls and sky. Here each feature of each training picture gets a weight: the squared
gradient of the answers' margins (first minus second logit) with respect to it, at the uncompressed tokens. Margins, and
not probabilities, because the gradient of a sure answer's probability vanishes. One backward pass with random signs
on all answer tokens gives an unbiased sketch of the sum of their squared gradients (Hutchinson's trick), so that the
price per picture does not grow with its questions. On held-out pictures an error so weighted predicts which answers
change far better than the plain one (docs/experiments.md); training with it costs nothing per step, where asking the
model costs four times the rest.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from heliograph.training.files import replacing
from heliograph.training.meta.data import MetaData
from heliograph.training.meta.network import TokenSpace
from heliograph.training.meta.teacher import OwnAnswer, Teacher
from heliograph.types import Reporter

_SKETCHES = 4
_BATCH = 10
_CHUNK = 250


def importance(
    teacher: Teacher, data: MetaData, space: TokenSpace, cache: Path, key: str, progress: Reporter
) -> Tensor:
    """Root mean squared gradient of the answers' margins in every feature; chunks on disk are not made again.

    Args:
        teacher: the frozen model.
        data: pictures with the model's own answers.
        space: tokens to features.
        cache: folder for the chunks.
        key: names model and pictures; the channel transform is hashed into it.
        progress: receives a line per chunk made.

    Returns:
        (I, N, R) float16.
    """
    cache.mkdir(parents=True, exist_ok=True)
    named = key.encode() + np.ascontiguousarray(space.synthesis.numpy()).tobytes()
    name = hashlib.sha256(named).hexdigest()[:12]
    parts = []
    for start in range(0, len(data), _CHUNK):
        end = min(start + _CHUNK, len(data))
        path = cache / f"{name}-{start:06d}-{end - start}.npy"
        if not path.exists():
            found = _chunk(teacher, data, space, start, end)
            with replacing(path) as partial:
                np.save(partial, found)
            progress(f"what the model notices: {end} of {len(data)} pictures")
        parts.append(np.load(path))
    return torch.from_numpy(np.concatenate(parts))


def _chunk(
    teacher: Teacher, data: MetaData, space: TokenSpace, start: int, end: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    generator = torch.Generator().manual_seed(start)
    found = []
    for at in range(start, end, _BATCH):
        stop = min(at + _BATCH, end)
        squares = margin_gradients(teacher, data.asked[at:stop], data.tokens[at:stop].float(), space, generator)
        found.append(squares.sqrt().numpy().astype(np.float16))
    return np.concatenate(found)


def margin_gradients(
    teacher: Teacher, asked: list[list[OwnAnswer]], tokens: Tensor, space: TokenSpace, generator: torch.Generator
) -> Tensor:
    """(B, N, D) tokens to (B, N, R) estimates of the squared gradient of all answer margins, summed over answer tokens.

    A picture without questions gets zeros.
    """
    if not any(asked):
        return torch.zeros(len(tokens), tokens.shape[1], space.analysis.shape[1])
    batch = teacher.pack(asked)
    given = tokens.clone().requires_grad_(True)
    best = teacher.logits(batch, given).topk(2, dim=-1).values  # (A, 2)
    margins = (best[:, 0] - best[:, 1]) * batch.weights[batch.targets != -100].sqrt()  # (A,)
    total = torch.zeros(len(tokens), tokens.shape[1], space.analysis.shape[1])
    for sketch in range(_SKETCHES):
        signs = 2.0 * torch.randint(0, 2, margins.shape, generator=generator) - 1.0
        (gradient,) = torch.autograd.grad((signs * margins).sum(), given, retain_graph=sketch < _SKETCHES - 1)
        total += (gradient @ space.synthesis.T).square()  # (B, N, R)
    return total / _SKETCHES

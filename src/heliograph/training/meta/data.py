"""Tokens, questions and the model's own answers that the learned codec trains on; cached, because encoding is slow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from heliograph.errors import CodecNotFittedError
from heliograph.training.files import replacing
from heliograph.training.meta.teacher import OwnAnswer, Teacher
from heliograph.types import Grid, VisualTokens

Progress = Callable[[str], None]
Material = Callable[[int, int], tuple[list[VisualTokens], list[tuple[str, ...]]]]
"""(first, count) to tokens and questions of so many pictures."""

_CHUNK = 250
_DEV_SHARE, _MOST_DEV = 16, 320
_LEAST_PICTURES = 2


@dataclass(frozen=True)
class MetaData:
    """What is trained on.

    Attributes:
        tokens: (I, N, D) float16.
        asked: the questions of each picture with the model's own answers; may be empty.
        grid: of every picture.
        noticed: (I, N, R) float16 from :mod:`heliograph.training.meta.importance`; None weighs all features alike.
    """

    tokens: Tensor
    asked: list[list[OwnAnswer]]
    grid: Grid
    noticed: Tensor | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def split(self) -> tuple[MetaData, MetaData]:
        """Training pictures, and the first sixteenth (1 to 320) to report on."""
        at = min(max(1, len(self) // _DEV_SHARE), _MOST_DEV)
        return self._part(slice(at, None)), self._part(slice(None, at))

    def followed_by(self, more: MetaData) -> MetaData:
        """These pictures, then others of the same model."""
        return MetaData(torch.cat([self.tokens, more.tokens]), self.asked + more.asked, self.grid)

    def _part(self, which: slice) -> MetaData:
        noticed = None if self.noticed is None else self.noticed[which]
        return MetaData(self.tokens[which], self.asked[which], self.grid, noticed)


def gather(teacher: Teacher, material: Material, count: int, cache: Path, key: str, progress: Progress) -> MetaData:
    """Tokens and own answers of ``count`` pictures, chunk by chunk; chunks on disk are not made again.

    Args:
        teacher: the frozen model.
        material: makes pictures' tokens and questions.
        count: how many pictures.
        cache: folder for the chunks.
        key: names model and pictures; another key never reads these chunks.
        progress: receives a line per chunk made.

    Raises:
        CodecNotFittedError: fewer than two pictures, or pictures of different shapes.
    """
    cache.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(key.encode()).hexdigest()[:12]
    values: list[np.ndarray[tuple[int, ...], np.dtype[np.float16]]] = []
    asked: list[list[OwnAnswer]] = []
    grid = teacher.model.grid
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        path = cache / f"{name}-{start:06d}-{size}.npz"
        if not path.exists():
            _write(path, *_make(teacher, material, start, size))
            progress(f"{min(start + _CHUNK, count)} of {count} pictures")
        with np.load(path) as saved:
            if len(saved["tokens"]):
                values.append(saved["tokens"])
            asked += _unpacked(str(saved["asked"]))
    if len(asked) < _LEAST_PICTURES or any(part.shape[1:] != values[0].shape[1:] for part in values):
        raise CodecNotFittedError
    return MetaData(torch.from_numpy(np.concatenate(values)), asked, grid)


def _make(
    teacher: Teacher, material: Material, start: int, size: int
) -> tuple[list[VisualTokens], list[list[OwnAnswer]]]:
    tokens, questions = material(start, size)
    return tokens, teacher.own_answers(tokens, questions)


def _write(path: Path, tokens: Sequence[VisualTokens], asked: Sequence[Sequence[OwnAnswer]]) -> None:
    stacked = np.stack([one.values for one in tokens]).astype(np.float16) if tokens else np.zeros((0, 1, 1), np.float16)
    with replacing(path) as partial:
        np.savez(partial, tokens=stacked, asked=np.asarray(json.dumps(asked)))


def _unpacked(text: str) -> list[list[OwnAnswer]]:
    return [[(question, tuple(ids)) for question, ids in picture] for picture in json.loads(text)]

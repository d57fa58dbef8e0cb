"""Tokens, questions and the model's own answers that the learned codec trains on; cached, because encoding is slow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heliograph.errors import CodecNotFittedError
from heliograph.training.files import replacing
from heliograph.training.meta.teacher import OwnAnswer, Teacher
from heliograph.types import Grid, Reporter, VisualTokens

Material = Callable[[int, int], tuple[Sequence[VisualTokens], list[tuple[str, ...]]]]
"""(first, count) to tokens and questions of so many pictures."""

_CHUNK = 250
_DEV_SHARE, _MAX_DEV = 16, 320
_MIN_PICTURES = 2
_MAX_AT_ONCE = 1 << 26

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MetaData:
    """What is trained on.

    Attributes:
        tokens: (tiles, N, D) float16, the tiles of one picture after another; may be mapped from disk.
        asked: the questions of each picture with the model's own answers; may be empty.
        grid: of a picture, the usual one where tiles or photo sizes differ; rows x columns = N for all.
        noticed: (tiles, N, R) float16 from :mod:`heliograph.training.meta.importance`; None weighs all features alike.
        grids: each picture's own, with its tiles and its photo's size; None where all are ``grid`` with one tile.
    """

    tokens: Tensor
    asked: list[list[OwnAnswer]]
    grid: Grid
    noticed: Tensor | None = None
    grids: tuple[Grid, ...] | None = None

    def __len__(self) -> int:
        return len(self.asked)

    @cached_property
    def tile_counts(self) -> Rows:
        """(I,) tiles of each picture."""
        if self.grids is None:
            return np.ones(len(self), np.int64)
        return np.asarray([grid.tiles for grid in self.grids], np.int64)

    @cached_property
    def _first_rows(self) -> Rows:
        """(I + 1,) where each picture's tiles begin."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.tile_counts)])

    def rows_of(self, pictures: Rows) -> Rows:
        """Rows of ``tokens`` that are the tiles of these pictures, in their order."""
        parts = [np.arange(self._first_rows[i], self._first_rows[i + 1]) for i in pictures]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def grid_of(self, picture: int) -> Grid:
        """One picture's own grid."""
        return self.grid if self.grids is None else self.grids[picture]

    def grids_of(self, pictures: Rows) -> list[Grid]:
        """The grid of each of these pictures."""
        return [self.grid_of(int(picture)) for picture in pictures]

    def picture(self, picture: int) -> VisualTokens:
        """All tokens of one picture, float32."""
        values = self.tokens[self._first_rows[picture] : self._first_rows[picture + 1]].float()  # (T, N, D)
        return VisualTokens(values.flatten(0, 1).numpy(), self.grid_of(picture))

    def split(self) -> tuple[MetaData, MetaData]:
        """Training pictures, and the first sixteenth (1 to 320) to report on."""
        at = min(max(1, len(self) // _DEV_SHARE), _MAX_DEV)
        return self.part(at, len(self)), self.part(0, at)

    def followed_by(self, more: MetaData) -> MetaData:
        """These pictures followed by others of the same model."""
        grids = None
        if self.grids is not None or more.grids is not None:
            grids = tuple(data.grid_of(i) for data in (self, more) for i in range(len(data)))
        return MetaData(torch.cat([self.tokens, more.tokens]), self.asked + more.asked, self.grid, None, grids)

    def part(self, start: int, end: int) -> MetaData:
        """Pictures ``start`` to ``end``."""
        rows = slice(int(self._first_rows[start]), int(self._first_rows[min(end, len(self))]))
        noticed = None if self.noticed is None else self.noticed[rows]
        grids = None if self.grids is None else self.grids[start:end]
        return MetaData(self.tokens[rows], self.asked[start:end], self.grid, noticed, grids)


def pictures_at_once(values: int, most: int = 256) -> int:
    """How many pictures or tiles of so many values each are worked on together: at most ``most``, and 256 MB."""
    return max(1, min(most, _MAX_AT_ONCE // max(values, 1)))


def gather(teacher: Teacher, material: Material, count: int, cache: Path, key: str, progress: Reporter) -> MetaData:
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
    if len(asked) < _MIN_PICTURES or any(part.shape[1:] != values[0].shape[1:] for part in values):
        raise CodecNotFittedError
    return MetaData(torch.from_numpy(np.concatenate(values)), asked, grid)


def _make(
    teacher: Teacher, material: Material, start: int, size: int
) -> tuple[Sequence[VisualTokens], list[list[OwnAnswer]]]:
    tokens, questions = material(start, size)
    return tokens, teacher.own_answers(tokens, questions)


def _write(path: Path, tokens: Sequence[VisualTokens], asked: Sequence[Sequence[OwnAnswer]]) -> None:
    stacked = np.stack([one.values for one in tokens]).astype(np.float16) if tokens else np.zeros((0, 1, 1), np.float16)
    with replacing(path) as partial:
        np.savez(partial, tokens=stacked, asked=np.asarray(json.dumps(asked)))


def _unpacked(text: str) -> list[list[OwnAnswer]]:
    return [[(question, tuple(ids)) for question, ids in picture] for picture in json.loads(text)]

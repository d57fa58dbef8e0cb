"""How a model's pixel tensor is filled from pictures: every number of it is a copy of one of theirs, or a constant.

::

    sources (1, 3, h, w) ... --end to end--> (M,) ++ constants (K,) --index (E,)--> reshaped as the processor makes it

Where the copies are regular (patches in any order, tiles, repeated frames) no index is kept: the same is done by a
reshape and a transpose, which cost an encoder nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heliograph.types import FloatArray

Index = npt.NDArray[np.int64]

_MAX_RUNS = 64


@dataclass(frozen=True)
class PixelLayout:
    """See the module.

    Attributes:
        shape: of the pixel tensor.
        sources: places of the pictures among the graph's inputs.
        sizes: numbers in each of them.
        index: (E,) places in these pictures end to end, with the constants behind them.
        constants: (K,) float32.
    """

    shape: tuple[int, ...]
    sources: tuple[int, ...]
    sizes: tuple[int, ...]
    index: Index
    constants: FloatArray

    def __call__(self, pictures: Sequence[Tensor]) -> Tensor:
        """The pixel tensor, of all the graph's inputs."""
        flat = [pictures[place].reshape(-1) for place in self.sources]
        regular = self._regular()
        if regular is not None:
            parts = [_rearranged(flat[place], axes) for place, axes in regular]
            return (torch.cat(parts) if len(parts) > 1 else parts[0]).reshape(self.shape)
        pool = torch.cat([*flat, torch.from_numpy(self.constants)])
        return pool.index_select(0, torch.from_numpy(self.index.astype(np.int32))).reshape(self.shape)

    def _regular(self) -> list[tuple[int, list[tuple[int, int]]]] | None:
        """Source and axes of each stretch; None where an index is needed."""
        ends = np.cumsum(self.sizes)
        owners = np.searchsorted(ends, self.index, side="right")
        borders = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(owners)]
        if len(borders) > _MAX_RUNS or owners.max() >= len(self.sizes):
            return None
        stretches = []
        for begin, end in pairwise(borders):
            place = int(owners[begin])
            axes = regular_axes(self.index[begin:end] - (ends[place] - self.sizes[place]), self.sizes[place])
            if axes is None:
                return None
            stretches.append((place, axes))
        return stretches


def regular_axes(index: Index, size: int) -> list[tuple[int, int]] | None:
    """(count, stride) of each axis, outermost first, of an index that visits all of ``size`` numbers in a regular way.

    A stride of 0 repeats. None where there are no such axes.
    """
    axes: list[tuple[int, int]] = []
    if index[0] != 0:
        return None
    rest = index
    while rest.size > 1:
        stride = int(rest[1] - rest[0])
        breaks = np.flatnonzero(np.diff(rest) != stride)
        count = int(breaks[0]) + 1 if breaks.size else rest.size
        if rest.size % count or stride < 0:
            return None
        rows = rest.reshape(-1, count)
        if (rows != rows[:, :1] + stride * np.arange(count)).any():
            return None
        axes.insert(0, (count, stride))
        rest = rows[:, 0]
    return axes if _cover(axes, size) else None


def _cover(axes: Sequence[tuple[int, int]], size: int) -> bool:
    """Whether the axes that move are those of an array of ``size`` numbers, in some order."""
    whole = size
    for count, stride in sorted((axis for axis in axes if axis[1]), key=lambda axis: -axis[1]):
        if count * stride != whole:
            return False
        whole = stride
    return whole == 1


def _rearranged(flat: Tensor, axes: Sequence[tuple[int, int]]) -> Tensor:
    moving = sorted((axis for axis in axes if axis[1]), key=lambda axis: -axis[1])
    order = [moving.index(axis) for axis in axes if axis[1]]
    cells = flat.reshape([count for count, _ in moving]).permute(order)
    for place, (_, stride) in enumerate(axes):
        if not stride:
            cells = cells.unsqueeze(place)
    return cells.expand([count for count, _ in axes]).reshape(-1)

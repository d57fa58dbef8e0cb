"""What is known of the coefficients of one component, and what that lets one expect of the rest; whole numbers alone.

A component has two fields: the 63 alternating frequencies of every block, and the wavelet of the blocks' means. A cell
is one coefficient. *known* is the lower end of its magnitude, 0 while it is below the plane that was coded last.

Neighbours are compared as amplitudes, levels times steps, doubled: twice the middle of what is known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from heliograph.strategies.compressed_domain.coefficients import BLOCK, LARGEST_AMPLITUDE
from heliograph.strategies.compressed_domain.wavelet import octaves
from heliograph.types import FloatArray

Whole = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Window = tuple[int, int, int, int]
"""Top, bottom, left and right of a part of a plane."""

GROUPS = ((1,), (2,), (3,), (4,), (5, 6), (7, 8), (9, 10, 11, 12, 13, 14))
"""Sums of vertical and horizontal frequency that are coded together."""

PARTS = 2
"""Blocks are coded like the fields of a chess board, so that half of them know their neighbours."""

BLOCK_FEATURES, MEAN_FEATURES = 11, 7

_EDGE = 2  # frequencies of nothing before the first one, so that no place needs a test
_MEANS_RANGE = 16
"""So many times larger than a mean a wavelet coefficient may be."""

_SMALLEST_PICTURE = (16, 24, 44, 86, 171, 342, 684, 1368, 2736, 5472)
_DETAILS = (17, 25, 47, 91, 181, 362, 724, 1448, 2896)
"""The root of what a wavelet coefficient of one changes in the squares of all means, in sixteenths, by octaves."""

_LOW_FIRST = 7, 8
"""A group of frequencies matters so much less than the one below it; towers see coarse structure better than fine."""

_MIDDLE = 13 / 32
"""Where in its interval a magnitude is thought to lie."""


class Field(ABC):
    """The cells of one field.

    Attributes:
        shape: (rows, columns) of blocks.
        bands: how many groups of cells are coded one after the other.
        known: (cells,) int64.
        negative: (cells,) bool.
        plane: (cells,) int64, the plane that was coded last of those of which something is known.
    """

    def __init__(self, shape: tuple[int, int], cells: int, bands: int) -> None:
        self.shape, self.bands = shape, bands
        self.known = np.zeros(cells, dtype=np.int64)
        self.negative = np.zeros(cells, dtype=np.bool_)
        self.plane = np.zeros(cells, dtype=np.int64)

    @abstractmethod
    def cells(self, band: int, part: int) -> Whole:
        """(n,) indices of the cells of a band's part; none where a band has fewer parts."""

    @abstractmethod
    def seen(self, band: int, part: int, others: Sequence[Field]) -> Whole:
        """(features, n) int64: doubled amplitudes around each of these cells.

        Args:
            band, part: whose cells.
            others: for chroma, fields of the same kind of the other chroma and of luma.
        """

    @abstractmethod
    def steps(self, cells: Whole) -> Whole:
        """(n,) int64 steps of cells."""

    @abstractmethod
    def refresh(self, cells: Whole) -> None:
        """Take in what has become known of cells."""

    @abstractmethod
    def worth(self, band: int) -> int:
        """What an error of one step of a band matters, in sixteenths of an amplitude."""

    @abstractmethod
    def planes(self, band: int) -> int:
        """Bit planes that a band can have."""

    def amplitudes(self, cells: Whole) -> Whole:
        """(n,) twice the middle of what is known; 0 for cells of which nothing is."""
        known = self.known[cells]
        return np.where(known > 0, (2 * known + (1 << self.plane[cells])) * self.steps(cells), 0)

    def middles(self) -> FloatArray:
        """(cells,) float32 levels with signs: the middle of what is known."""
        width = (1 << self.plane) - 1
        found = np.where(self.known > 0, self.known + _MIDDLE * width, 0)
        return np.where(self.negative, -found, found).astype(np.float32)


class Blocks(Field):
    """Alternating frequencies.

    Args:
        rows, columns: of blocks.
        steps: (8, 8) int64.
    """

    def __init__(self, rows: int, columns: int, steps: Whole) -> None:
        super().__init__((rows, columns), BLOCK * BLOCK * rows * columns, len(GROUPS))
        self._blocks = rows * columns
        self._steps = steps.reshape(-1)
        side = BLOCK + _EDGE + 1
        self.sizes = np.zeros((side, side, rows + 2, columns + 2), dtype=np.int64)
        self._block_sizes = np.zeros((1, rows + 2, columns + 2), dtype=np.int64)
        places = np.arange(self.sizes.size).reshape(self.sizes.shape)[_EDGE:-1, _EDGE:-1, 1:-1, 1:-1]
        self._places = places.reshape(-1)  # of each cell in ``sizes``
        self._frequencies = [_frequencies(group) for group in GROUPS]
        board = (np.add.outer(np.arange(rows), np.arange(columns)) & 1).reshape(-1)
        self._parts = [np.flatnonzero(board == part) for part in range(PARTS)]

    def cells(self, band: int, part: int) -> Whole:
        """See :meth:`Field.cells`."""
        u, v = self._frequencies[band]
        return ((u * BLOCK + v)[:, None] * self._blocks + self._parts[part]).reshape(-1)

    def steps(self, cells: Whole) -> Whole:
        """See :meth:`Field.steps`."""
        return self._steps[cells // self._blocks]

    def worth(self, band: int) -> int:
        """See :meth:`Field.worth`."""
        u, v = self._frequencies[band]
        amplitude = int(16 * self._steps[u * BLOCK + v].sum()) // len(u)
        less, unit = _LOW_FIRST
        return max(1, int(amplitude * less**band // unit**band))

    def planes(self, band: int) -> int:
        """See :meth:`Field.planes`."""
        u, v = self._frequencies[band]
        return (LARGEST_AMPLITUDE // int(self._steps[u * BLOCK + v].min())).bit_length()

    def refresh(self, cells: Whole) -> None:
        """See :meth:`Field.refresh`."""
        places, sizes = self._places[cells], self.sizes.reshape(-1)
        now = self.amplitudes(cells)
        grown = np.bincount(cells % self._blocks, weights=now - sizes[places], minlength=self._blocks)
        self._block_sizes[0, 1:-1, 1:-1] += grown.astype(np.int64).reshape(self.shape)  # of whole numbers below 2**53
        sizes[places] = now

    def seen(self, band: int, part: int, others: Sequence[Field]) -> Whole:
        """See :meth:`Field.seen`: neighbouring blocks and frequencies, the block as a whole, the band, other components
        and a one."""
        u, v = (axis + _EDGE for axis in self._frequencies[band])
        chosen, sizes = self._parts[part], self.sizes
        own = sizes[u, v]  # (f, R + 2, C + 2)
        block = self._block_sizes

        def among(planes: Whole) -> Whole:
            """(f, R, C) to the part's blocks, (f, n / f)."""
            return planes.reshape(len(planes), -1)[:, chosen]

        def here(planes: Whole) -> Whole:
            return among(planes[:, 1:-1, 1:-1])

        found = [
            among(_cross(own)),
            among(_corners(own)),
            here(sizes[u - 1, v] + sizes[u, v - 1]),
            here(sizes[u - 1, v - 1] + sizes[u - 2, v] + sizes[u, v - 2]),
            here(sizes[u + 1, v] + sizes[u, v + 1]),
            here(block),
            among(_cross(block)),
            (own.sum(axis=(1, 2)) // self._blocks)[:, None],
            *(among(_onto(other.sizes[u, v, 1:-1, 1:-1], self.shape)) for other in others if isinstance(other, Blocks)),
        ]
        seen = np.zeros((BLOCK_FEATURES, len(u), len(chosen)), dtype=np.int64)
        for place, one in enumerate(found):
            seen[place] = one
        seen[-1] = 1
        return seen.reshape(BLOCK_FEATURES, -1)


class Means(Field):
    """The wavelet of the blocks' means: the smallest picture, then the details of one octave after another.

    Args:
        rows, columns: of blocks.
        step: of the means.
    """

    def __init__(self, rows: int, columns: int, step: int) -> None:
        self._sides = octaves(rows, columns)
        super().__init__((rows, columns), rows * columns, len(self._sides))
        self._step = step
        self.sizes = np.zeros((rows, columns), dtype=np.int64)
        places = np.arange(rows * columns).reshape(rows, columns)
        self._windows = [self._windows_of(band) for band in range(self.bands)]
        self._cells = [
            np.concatenate([places[_slices(window)].reshape(-1) for window in windows]) for windows in self._windows
        ]

    def octave(self, band: int) -> int:
        """Which octave's details a band is, 1 for the finest; of the smallest picture how often it was halved."""
        return self.bands - max(band, 1)

    def cells(self, band: int, part: int) -> Whole:
        """See :meth:`Field.cells`."""
        return self._cells[band] if part == 0 else self._cells[band][:0]

    def steps(self, cells: Whole) -> Whole:
        """See :meth:`Field.steps`."""
        return np.full(len(cells), self._step, dtype=np.int64)

    def worth(self, band: int) -> int:
        """See :meth:`Field.worth`."""
        octave = self.octave(band)
        return self._step * (_DETAILS[octave - 1] if band else _SMALLEST_PICTURE[octave])

    def planes(self, band: int) -> int:
        """See :meth:`Field.planes`."""
        return (_MEANS_RANGE * LARGEST_AMPLITUDE // self._step).bit_length()

    def refresh(self, cells: Whole) -> None:
        """See :meth:`Field.refresh`."""
        self.sizes.reshape(-1)[cells] = self.amplitudes(cells)

    def seen(self, band: int, part: int, others: Sequence[Field]) -> Whole:
        """See :meth:`Field.seen`: neighbours, the octave above, other directions, the band, the other chroma, a one."""
        return np.concatenate([self._seen_in(window, band, others) for window in self._windows[band]], axis=1)

    def _seen_in(self, window: Window, band: int, others: Sequence[Field]) -> Whole:
        top, bottom, left, right = window
        own = self.sizes[_slices(window)]
        padded = np.zeros((1, own.shape[0] + 2, own.shape[1] + 2), dtype=np.int64)
        padded[0, 1:-1, 1:-1] = own
        seen = np.zeros((MEAN_FEATURES, *own.shape), dtype=np.int64)
        seen[0], seen[1] = _cross(padded)[0], _corners(padded)[0]
        if band > 1:
            seen[2] = self.sizes[np.ix_(np.arange(top, bottom) // 2, np.arange(left, right) // 2)]
        for other in self._windows[band]:
            if other != window:
                seen[3] += _cut(self.sizes[_slices(other)][None], own.shape)[0]
        seen[4] = int(own.sum()) // max(own.size, 1)
        if others and isinstance(others[0], Means):
            seen[5] = others[0].sizes[_slices(window)]
        seen[6] = 1
        return seen.reshape(MEAN_FEATURES, -1)

    def _windows_of(self, band: int) -> list[Window]:
        octave = self.octave(band)
        rows, columns = self._sides[octave]
        if band == 0:
            return [(0, rows, 0, columns)]
        below, beside = self._sides[octave - 1]
        return [(0, rows, columns, beside), (rows, below, 0, columns), (rows, below, columns, beside)]


def _slices(window: Window) -> tuple[slice, slice]:
    top, bottom, left, right = window
    return slice(top, bottom), slice(left, right)


def _frequencies(group: Sequence[int]) -> tuple[Whole, Whole]:
    """Vertical and horizontal frequencies with these sums, row by row."""
    u, v = np.divmod(np.arange(BLOCK * BLOCK), BLOCK)
    wanted = np.isin(u + v, group)
    return u[wanted], v[wanted]


def _cross(padded: Whole) -> Whole:
    """Sums of the four neighbours: (k, R + 2, C + 2) to (k, R, C)."""
    return padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]


def _corners(padded: Whole) -> Whole:
    """Sums of the four neighbours across corners."""
    return padded[:, :-2, :-2] + padded[:, :-2, 2:] + padded[:, 2:, :-2] + padded[:, 2:, 2:]


def _onto(planes: Whole, shape: tuple[int, int]) -> Whole:
    """(k, R', C') of another component brought to (k, R, C): sums of 2 x 2 where it has blocks for chroma's halves."""
    if planes.shape[1] > shape[0] or planes.shape[2] > shape[1]:
        even = _cut(planes, (planes.shape[1] + planes.shape[1] % 2, planes.shape[2] + planes.shape[2] % 2))
        planes = even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    return _cut(planes, shape)


def _cut(planes: Whole, shape: tuple[int, int]) -> Whole:
    """(k, R', C') to (k, R, C), with zeros where there is nothing."""
    if planes.shape[1:] == shape:
        return planes
    found = np.zeros((len(planes), *shape), dtype=np.int64)
    rows, columns = min(shape[0], planes.shape[1]), min(shape[1], planes.shape[2])
    found[:, :rows, :columns] = planes[:, :rows, :columns]
    return found

"""The reversible 5/3 wavelet of JPEG 2000 (ITU-T T.800, annex F) on a small plane of whole numbers.

The means of blocks are a picture of a sixty-fourth of the pixels. Its wavelet coefficients come in octaves, so that few
of them show the photo in small.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Whole = npt.NDArray[np.int64]

_SMALLEST = 4
"""A plane whose sides are this long at most is not divided any more."""


def octaves(rows: int, columns: int) -> list[tuple[int, int]]:
    """Sides of the plane, of what is left after one octave, after two ... down to the smallest."""
    sides = [(rows, columns)]
    while max(sides[-1]) > _SMALLEST:
        sides.append((-(-sides[-1][0] // 2), -(-sides[-1][1] // 2)))
    return sides


def analysed(plane: Whole) -> Whole:
    """(R, C) int64: means of each octave at the upper left, details beside and below."""
    out = plane.astype(np.int64)
    for rows, columns in octaves(*plane.shape)[:-1]:
        out[:rows, :columns] = _split(_split(out[:rows, :columns], 0), 1)
    return out


def synthesised(plane: Whole) -> Whole:
    """The inverse of :func:`analysed`."""
    out = plane.astype(np.int64)
    for rows, columns in reversed(octaves(*plane.shape)[:-1]):
        out[:rows, :columns] = _joined(_joined(out[:rows, :columns], 1), 0)
    return out


def _split(values: Whole, axis: int) -> Whole:
    """Means, then details, along one axis; ends are mirrored."""
    x = np.moveaxis(values, axis, 0)
    if len(x) == 1:
        return values
    even, odd = x[0::2], x[1::2]
    details = odd - ((even[: len(odd)] + _next(even, len(odd))) >> 1)
    means = even + ((_previous(details, len(even)) + _own(details, len(even)) + 2) >> 2)
    return np.moveaxis(np.concatenate([means, details]), 0, axis)


def _joined(values: Whole, axis: int) -> Whole:
    """The inverse of :func:`_split`."""
    x = np.moveaxis(values, axis, 0)
    if len(x) == 1:
        return values
    middle = -(-len(x) // 2)
    means, details = x[:middle], x[middle:]
    even = means - ((_previous(details, middle) + _own(details, middle) + 2) >> 2)
    odd = details + ((even[: len(details)] + _next(even, len(details))) >> 1)
    out = np.empty_like(x)
    out[0::2], out[1::2] = even, odd
    return np.moveaxis(out, 0, axis)


def _next(even: Whole, count: int) -> Whole:
    """The even value behind each odd one; the last one before it where there is none."""
    return even[np.minimum(np.arange(1, count + 1), len(even) - 1)]


def _previous(details: Whole, count: int) -> Whole:
    """The detail before each even value; the one behind it where there is none."""
    return details[np.maximum(np.arange(count) - 1, 0)]


def _own(details: Whole, count: int) -> Whole:
    """The detail behind each even value; the one before it where there is none."""
    return details[np.minimum(np.arange(count), len(details) - 1)]

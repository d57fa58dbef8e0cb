"""What a fit is asked for, looked at before the photos are; and how it compares two candidates, in numbers by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heliograph.codec.fit import _saving
from heliograph.codec.klt import KltCodec
from heliograph.errors import CodecNotFittedError, ShapeError

WITHIN = [
    {"finest_retained": 0.5},
    {"finest_retained": 0.9999},
    {"max_components": 1},
    {"modes": ("none",)},
    {"modes": ("learned", "dct", "none")},
]
BEYOND = [
    {"finest_retained": 0.4999},
    {"finest_retained": 0.99991},
    {"finest_retained": 1.5},
    {"finest_retained": float("nan")},
    {"max_components": 0},
    {"modes": ()},
    {"modes": ("none", "wavelet")},
]


@pytest.mark.parametrize("arguments", WITHIN)
def test_arguments_within(arguments: dict[str, Any]) -> None:
    with pytest.raises(CodecNotFittedError):  # no photos at all
        KltCodec.fit([], **arguments)


@pytest.mark.parametrize("arguments", BEYOND)
def test_arguments_beyond(arguments: dict[str, Any]) -> None:
    with pytest.raises(ShapeError):
        KltCodec.fit([], **arguments)


FAR = 1e9
# (distortion, bytes) of two candidates at several cuts, the most distortion that counts, share of bytes saved
SAVINGS = [
    ([(8, 10), (4, 20), (2, 40)], [(8, 5), (4, 10), (2, 20)], FAR, 0.5),
    ([(8, 10), (4, 20), (2, 40)], [(2, 20), (8, 5), (4, 10)], FAR, 0.5),  # in any order
    ([(8, 10), (4, 20), (2, 40)], [(8, 10), (4, 10), (2, 20)], FAR, 1 - 2 ** (-2 / 3)),
    ([(8, 10), (4, 20), (2, 40)], [(8, 10), (4, 10), (2, 20)], 4, 0.5),
    ([(8, 10), (4, 20), (2, 40)], [(8, 10), (4, 10), (2, 20)], 3.9, 0.5),
    ([(4, 20)], [(8, 5), (2, 20)], FAR, 0.5),  # half way in the logarithm: ten bytes
    ([(8, 10), (2, 40)], [(8, 20), (2, 80)], FAR, -1.0),  # twice the bytes
    ([(16, 1), (4, 20), (1, 99)], [(8, 5), (2, 20)], FAR, 0.5),  # of what both reach
    ([(16, 10), (8, 20)], [(4, 10), (2, 20)], FAR, 1.0),  # always better
    ([(4, 10), (2, 20)], [(16, 10), (8, 20)], FAR, -1.0),  # never as good
    ([(16, 10), (3, 20)], [(4, 10), (3.5, 20)], FAR, -1.0),  # nothing in common, and not always better
]


@pytest.mark.parametrize(("before", "after", "most", "share"), SAVINGS)
def test_savings_by_hand(
    before: list[tuple[float, float]], after: list[tuple[float, float]], most: float, share: float
) -> None:
    assert _saving(np.array(before, float), np.array(after, float), most) == pytest.approx(share)

"""What a fit is asked for, looked at before the photos are; and how it compares two candidates, in numbers by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from heliograph.codec.fitting.fit import _saving, fit_klt
from heliograph.errors import CodecNotFittedError, ShapeError
from heliograph.types import VisualTokens

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
        fit_klt([], **arguments)


@pytest.mark.parametrize("arguments", BEYOND)
def test_arguments_beyond(arguments: dict[str, Any]) -> None:
    with pytest.raises(ShapeError):
        fit_klt([], **arguments)


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


def test_the_dct_mode_transforms_by_the_orthonormal_dct(make_tokens: Callable[..., VisualTokens]) -> None:
    """DCT-II over rows times DCT-II over columns, from the formula: position (r, c) to frequency (u, v)."""
    rows, columns = 4, 5

    def basis(size: int) -> np.ndarray:
        cosines = [[np.cos(np.pi * (2 * x + 1) * u / (2 * size)) for x in range(size)] for u in range(size)]
        scale = [np.sqrt((1 if u == 0 else 2) / size) for u in range(size)]
        return np.array(cosines) * np.array(scale)[:, None]

    codec = fit_klt([make_tokens(seed) for seed in range(16)], modes=("dct",), restore=False)
    assert codec.transform.mode == "dct"
    np.testing.assert_allclose(codec.transform.grid_forward, np.kron(basis(rows), basis(columns)), atol=1e-6)
    np.testing.assert_allclose(codec.transform.grid_inverse, codec.transform.grid_forward.T, atol=1e-6)

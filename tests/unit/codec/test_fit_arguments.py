"""Bounds of what a fit is asked for: the arguments are looked at before the photos are."""

from __future__ import annotations

from typing import Any

import pytest

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

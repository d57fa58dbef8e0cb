"""Which passes look at the surroundings of a coefficient: those with a weight for any of their three features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heliograph.codec.klt import KltCodec
from heliograph.codec.plane_plan import PlaneModel


@pytest.mark.parametrize(
    ("weights", "looks"),
    [
        ((256, 0, 0, 0), False),
        ((0, 0, 0, 0), False),
        ((256, 1, 0, 0), True),
        ((256, 0, -1, 0), True),
        ((256, 0, 0, 1), True),
    ],
)
def test_a_pass_without_weights_goes_by_scales_alone(
    codec: KltCodec, weights: tuple[int, int, int, int], looks: bool
) -> None:
    every = codec.tables.weights
    for plane in range(codec.tables.planes):
        for part in range(2):
            other = np.broadcast_to([256, 0, 0, 0] if looks else [256, 9, 9, 9], every.shape).copy()
            other[plane, part] = weights
            model = PlaneModel(replace(codec.tables, weights=other), codec.model_for(codec.grid).layout)
            mixes = model.plan(plane).mixes
            assert (mixes[part] is not None) is looks
            assert (mixes[1 - part] is not None) is not looks

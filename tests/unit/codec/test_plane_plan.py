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


@pytest.mark.parametrize(("scale_bin", "entry"), [(-128, 0), (-65, 0), (0, 32), (62, 63), (64, 63), (255, 63)])
def test_scales_beyond_the_tables_take_their_ends(codec: KltCodec, scale_bin: int, entry: int) -> None:
    """Entry scale_bin / 2 + 32 of 64 in plane 0, rounded down; means in 1/1024 of the threshold, in sixteenths."""
    layout = codec.model_for(codec.grid).layout
    tables = replace(codec.tables, quiet_mean=np.arange(64) * 16, offset=np.stack([np.arange(64)] * 2))
    model = PlaneModel(tables, replace(layout, scale_bin=np.full_like(layout.scale_bin, scale_bin)))
    assert set(model.quiet(0).reshape(-1).tolist()) == {max(entry * 16 * 16 // 1024, 1)}
    assert set(model.offsets(0).reshape(-1).tolist()) == {entry * 16 // 64}

"""A shape that does not fit is named beside the one that is expected."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from heliograph.codec.fitting.fit import fit_klt
from heliograph.controllers.region.find import checked_map, relative_map
from heliograph.errors import ShapeError
from heliograph.types import Grid, VisualTokens
from heliograph.vlm.image_features import layout_of, output_with
from heliograph.vlm.photo_layouts import check_pixels, photo_size

GRID = Grid(2, 3)
TOKENS = [VisualTokens(np.ones((6, 4), np.float32), GRID)]

CALLS: list[tuple[Callable[[], object], str]] = [
    (lambda: checked_map(np.ones(3)), "a map has two axes and 1 to 65536 cells; this one is (3,)."),
    (lambda: checked_map(np.full((2, 2), -1.0)), "a map's values must be finite and not negative."),
    (
        lambda: relative_map(np.ones((2, 3)), np.ones((3, 2)), 0.1),
        "own and generic must have one shape, not (2, 3) and (3, 2).",
    ),
    (lambda: check_pixels((4096, 2048)), "a photo of 4096x2048 pixels has over 4194304 of them."),
    (lambda: photo_size(GRID), "a grid for this model must state its photo's size in pixels."),
    (
        lambda: output_with(torch.ones(5, 4), layout_of(torch.ones(6, 4))),
        "the output has tokens of shape (6, 4), not (5, 4).",
    ),
    (
        lambda: fit_klt(TOKENS, finest_retained=0.2),
        "finest_retained must be 0.5 to 0.9999, not 0.2.",
    ),
    (lambda: fit_klt(TOKENS, max_components=0), "max_components must be 1 or more, not 0."),
]


@pytest.mark.parametrize(("call", "note"), CALLS, ids=[note[:50] for _, note in CALLS])
def test_the_note_names_both_shapes(call: Callable[[], object], note: str) -> None:
    with pytest.raises(ShapeError) as caught:
        call()
    assert caught.value.__notes__ == [note]
    assert str(caught.value) == ShapeError.text

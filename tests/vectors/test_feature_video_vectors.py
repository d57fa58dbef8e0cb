"""Golden vectors of ``feature-video``: streams that were written once restore the same tokens for ever.

Their pictures are what libaom 3.14 made; another encoder may write others, which these decoders read as well.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.registry import STRATEGIES
from heliograph.types import EncodedImage
from integer_codec import integer_codec

# header, joined segments, four times the sum of each channel's tokens in whole numbers
VECTORS = {
    "3 components, shared": ("c003", "a91c6400ee45f84956722a2bc4cf2401a41f48ca88", [-207, 9, -27, 0]),
    "tokens, minmax": ("88", "d5afcca2d2a800881cb010486fd3a046256663473c4ab6e234", [-170, 23, -57, 9]),
}


@pytest.mark.parametrize("name", VECTORS)
def test_a_stream_restores_its_tokens(name: str) -> None:
    header, body, sums = VECTORS[name]
    codec = integer_codec()
    tools: Any = SimpleNamespace(codec=lambda kind: codec, check_grid=lambda grid: None)
    encoded = EncodedImage("feature-video", bytes.fromhex(header), (bytes.fromhex(body),))
    values = STRATEGIES.load("feature-video")().restore(encoded, tools).tokens.values
    assert np.rint(4 * values.sum(axis=0)).astype(int).tolist() == sums

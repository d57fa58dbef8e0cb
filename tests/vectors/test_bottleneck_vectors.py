"""Golden vectors of bottlenecks and necks: integers and the bytes that they have for ever."""

from __future__ import annotations

import numpy as np
import pytest

from bottleneck_part import CHANNELS, IDENTITY, bottleneck_part, small_tables
from heliograph.codec.channel_tables import encode_channels
from heliograph.registry import STRATEGIES
from heliograph.types import EncodedImage
from strategy_tools import GRID, WIDTH, Tools

VECTORS: dict[int, str] = {
    0: (
        "22ae0a7a1091d972bfc58e3e87a6d5086cd11b04ba780ac4ef6942179fcb1d285c64ee7fbab9fe2643bf460fac"
        "256d11c7fa76ead08d40d6"
    ),
    3: (
        "49426d48b418ad8f8ad1966d091f53cacac9046d55134ca185c6b110f8d3330fedab78f176e3df7df4382e137a"
        "ddddeea2dfb1f6cbf5cd457b04a3d08d95a6d31ea0919f24c74ee0254a62177a0ae92748bcf851cec0c9d2fc05"
        "cebfdde8de99a08024e9b68e841b3b1a676ee7"
    ),
}


def integers(rate: int) -> np.ndarray:
    """(3, 64): a sawtooth in each channel."""
    steps = np.arange(CHANNELS * 64).reshape(CHANNELS, 64)
    return (steps * (3 + rate)) % (2 * rate + 5) - rate - 2


@pytest.mark.parametrize("rate", VECTORS)
@pytest.mark.parametrize("name", ["frankensplit", "entropic-student", "latent-neck", "feature-adapt"])
def test_integers_have_these_bytes_and_the_bytes_these_integers(name: str, rate: int) -> None:
    assert encode_channels(integers(rate), small_tables(), rate).hex() == VECTORS[rate]
    stream = EncodedImage(name, IDENTITY + bytes([rate]), (bytes.fromhex(VECTORS[rate]),))
    values = STRATEGIES.load(name)().restore(stream, Tools()).tokens.values
    assert np.array_equal(values[:, :CHANNELS].T, integers(rate))
    assert bottleneck_part(name, GRID, WIDTH).identity == IDENTITY

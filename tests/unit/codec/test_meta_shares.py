"""What the learned codec says of a prefix in numbers: shares of whole latents, and between them tile by tile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heliograph.codec.header import pack_header
from heliograph.codec.meta import SHARE_ONE, MetaCodec
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.types import Grid


@pytest.mark.parametrize(
    ("tiles", "known", "share"),
    [
        (1, 0, 0),
        (1, 1, 10),
        (1, 5, 250),
        (1, 56, 31360),
        (3, 0, 0),
        (3, 1, 10 / 3),  # one tile of three has its first latent
        (3, 15, 250),
        (3, 17, 250 + (360 - 250) * 2 / 3),  # five everywhere, a sixth in two of three
        (3, 167, 30250 + (31360 - 30250) * 2 / 3),
        (3, 168, 31360),
    ],
)
def test_a_share_lies_between_those_of_whole_latents(
    tiles: int, known: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """k latents everywhere restore 10 k^2 of 65,536."""
    shipped = MetaCodec.load(shipped_bundle_folder())
    retained = 10 * np.arange(shipped.tables.latents.latents + 1) ** 2
    codec = MetaCodec(replace(shipped.tables, retained=retained), shipped_bundle_folder())
    monkeypatch.setattr(codec, "decode_integers", lambda grid, segments: (None, known))
    grid = Grid(codec.grid.rows, codec.grid.columns, tiles)
    found = codec.retained_energy(pack_header(grid, codec.grid), ())
    assert found == pytest.approx(share / SHARE_ONE)

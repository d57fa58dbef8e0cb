"""Golden vectors of ``tokens-1d``: headers and codewords of integer codes. A change here is a wire-format change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from code_part import small_part
from heliograph.registry import STRATEGIES
from heliograph.types import EncodedImage, Grid, VisualTokens

WIDTH = 4
VECTORS = {
    # (tiles, codes): header, codeword
    (1, 0): ("510c80", "35b0a1dc"),
    (1, 2): ("510c80", "35b0"),
    (3, 0): ("510c810204037d", "349bdd80ccfc7556325f4c59"),
}


def tools(tiles: int) -> Any:
    grid = Grid(2, 4, tiles)
    values = np.arange(grid.tokens * WIDTH, dtype=np.float32).reshape(grid.tokens, WIDTH) % 7
    return SimpleNamespace(
        part=lambda name: small_part(Grid(2, 4), WIDTH),
        encode_tokens=lambda photo: VisualTokens(values, grid),
        check_grid=lambda stated: None,
        grid=grid,
    )


@pytest.mark.parametrize(("tiles", "codes"), VECTORS)
def test_header_and_codeword(tiles: int, codes: int) -> None:
    header, codeword = VECTORS[tiles, codes]
    strategy = STRATEGIES.load("tokens-1d")()
    made = strategy.encode(None, tools(tiles), {"codes": codes})
    assert (made.header.hex(), b"".join(made.segments).hex()) == (header, codeword)
    read = EncodedImage("tokens-1d", bytes.fromhex(header), (bytes.fromhex(codeword),))
    told = strategy.restore(read, tools(tiles)).tokens.values.reshape(tiles, 8, WIDTH)[:, :6, 0]
    exact = np.abs(tools(tiles).encode_tokens(None).values.reshape(tiles, 8, WIDTH)).sum(axis=2)[:, :6]
    wanted = (exact.astype(int) + np.arange(6)) % 32 + 1
    assert np.array_equal(told[:, : codes or 6], wanted[:, : codes or 6])
    assert np.all((told == wanted) | (told == 0))

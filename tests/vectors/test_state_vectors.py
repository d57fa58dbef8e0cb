"""Golden vectors of ``split-k``: headers and codewords of states of whole numbers. A change is a wire-format change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.registry import STRATEGIES
from heliograph.types import EncodedImage, Grid, VisualTokens

_PLACES = np.arange(45)
STATES = (
    ((_PLACES * 37 % 23 - 11) * np.where(_PLACES % 5 == 2, 4, 1) * (_PLACES % 3 > 0)).reshape(9, 5).astype(np.float32)
)
GREY = np.tile(np.array([1, -2, 0, 3, 0.5], np.float32), (9, 1))
TOWER = SimpleNamespace(states=lambda photo, block: STATES * block + GREY, grey_states=lambda block: GREY)
READER = SimpleNamespace(
    patches=(3, 3),
    grey_states=lambda block: GREY[None],
    tokens_behind=lambda block, states: VisualTokens(states[0], Grid(3, 3)),
)
TOOLS: Any = SimpleNamespace(tower=TOWER, input_size=48, patch_reader=lambda size: READER)
# (block, level): header, codeword
VECTORS = {
    (1, 24): ("01182f", "746bb6727cd4d5ce696f2588fe3be08902430856972c05bb1dd2fe9e3ae5ccee4df7b107"),
    (2, 24): (
        "02182f",
        "7e8d76ec1b9cab72b2eaac07745b95b6d7e8e5753b8e0c1e9495b9df853f4b21777892f2bd5ba1c325956499a144918dc0993be33f3aa0c315",
    ),
    (7, 30): (
        "071e2f",
        "7f46bb75963519921352df8f2c47a8337bd47dd846989399a873e996fa7c5d27c1f9ad34edc6378a29e150ed8d8adce1cc7e6da8c38f8d381a0ac9bdadfd30bc",
    ),
    (1, 12): (
        "010c2f",
        "7fffcfc0d3e9a9bc6a64bbeff69f80cc9bf4f949f1ee3c71519b506275cdeed094ca1d6bc8ffe24df51b7b79d928544106070d7a7062e1569cfd3c06d106efce641b8f965cc052e01ec7566601461ba93a6e055fe4",
    ),
}


@pytest.mark.parametrize(("block", "level"), VECTORS)
def test_header_and_codeword(block: int, level: int) -> None:
    header, codeword = VECTORS[block, level]
    encoded = STRATEGIES.load("split-k")().encode(None, TOOLS, {"block": block, "level": level})
    assert (encoded.header.hex(), b"".join(encoded.segments).hex()) == (header, codeword)
    read = EncodedImage("split-k", bytes.fromhex(header), (bytes.fromhex(codeword),))
    found = STRATEGIES.load("split-k")().restore(read, TOOLS).tokens.values
    assert np.abs(found - STATES * block - GREY).max() <= 2 ** (level / 4) / 128

"""Golden vectors of ``read`` and ``caption``: streams of version 1 of the text coder and of the templates, to the byte.

Other tables, templates or weights are another version, with a number of its own.
"""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.registry import STRATEGIES
from heliograph.strategies.semantic.lines import PlacedText, encode_lines
from heliograph.strategies.semantic.templates import knowledge_base
from heliograph.strategies.semantic.text_model import text_model
from heliograph.types import EncodedImage

NO_TOOLS: Any = None

LINES = {
    "f4b3f45a49dce4c8": [PlacedText("OPEN", 3, 0), PlacedText("K47", 2, 8)],
    "6d0d3b63eed0980408f9b458548ffc90": [PlacedText("Café No. 5 NO PARKING", 1, 4)],
    "00": [],
}
CAPTIONS = {
    "05753370": "a red star top left, a sign K52 top center.",
    "ff8b7a": "an orange moon bottom right.",
    "70fe5f414840956ee42a329a6d": "a dog middle center.",
}


@pytest.mark.parametrize("codeword", LINES)
def test_lines(codeword: str) -> None:
    assert encode_lines(LINES[codeword], text_model(1))[0].hex() == codeword
    text = STRATEGIES.load("read")().restore(EncodedImage("read", b"\x01", (bytes.fromhex(codeword),)), NO_TOOLS).text
    assert text == ("\n".join(map(str, LINES[codeword])) or "There is no text in it.")


@pytest.mark.parametrize("codeword", CAPTIONS)
def test_captions(codeword: str) -> None:
    base = knowledge_base(1)
    parts = base.parts(CAPTIONS[codeword])
    assert parts is not None
    assert base.encode(parts, text_model(1))[0].hex() == codeword
    encoded = EncodedImage("caption", b"\x01", (bytes.fromhex(codeword),))
    assert STRATEGIES.load("caption")().restore(encoded, NO_TOOLS).text == CAPTIONS[codeword]

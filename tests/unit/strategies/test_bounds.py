"""Knobs that are bounds are never exceeded: bytes with the header, pixels of the longest edge, bytes of a token."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.codec.base import Codec
from heliograph.codec.bundle import Bundle
from heliograph.errors import UsageError
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Setting
from heliograph.types import EncodedImage, VisualTokens

HEADER = 2  # of a photo on the bundle's grid that is unlike the fitted ones, docs/bitstream.md


class Tools:
    """The shipped bundle's codecs, and tokens like noise: the worst that they can be given."""

    input_size = 64

    def __init__(self) -> None:
        self.bundle = Bundle.from_pretrained(shipped_bundle_folder())

    def codec(self, kind: str) -> Codec:
        return self.bundle.codec(kind)

    def encode_tokens(self, photo: Image.Image) -> VisualTokens:
        grid = self.bundle.grid
        values = np.random.default_rng(7).normal(size=(grid.tokens, self.bundle.hidden_size))
        return VisualTokens(values.astype(np.float32), grid)


@pytest.fixture(scope="module")
def tools() -> Tools:
    return Tools()


def encoded(strategy: str, tools: Any, setting: Setting, size: tuple[int, int] = (8, 8)) -> EncodedImage:
    photo = Image.effect_noise(size, 80).convert("RGB")
    made: EncodedImage = STRATEGIES.load(strategy)().encode(photo, tools, setting)
    return made


@pytest.mark.parametrize("strategy", ["klt", "meta"])
def test_max_bytes_holds_with_the_header(strategy: str, tools: Tools) -> None:
    whole = encoded(strategy, tools, {"max_bytes": 0}).payload_bytes
    for limit in (*range(HEADER + 1, 40), 100, 999, whole - 1, whole, whole + 1):
        size = encoded(strategy, tools, {"max_bytes": limit}).payload_bytes
        assert size == min(limit, whole), limit


@pytest.mark.parametrize(("strategy", "limit", "least"), [("klt", 1, 2), ("klt", 2, 3), ("meta", 1, 3), ("meta", 2, 3)])
def test_a_bound_without_room_for_more_than_the_header_is_refused(
    strategy: str, limit: int, least: int, tools: Tools
) -> None:
    """Of one byte ``klt`` has none to spare to say that the photo is strange."""
    with pytest.raises(UsageError) as caught:
        encoded(strategy, tools, {"max_bytes": limit})
    wanted = f"a bound of {limit} shows nothing: with its header the least takes {least} bytes of this photo"
    assert wanted in "".join(caught.value.__notes__)


@pytest.mark.parametrize("strategy", ["jpeg", "webp", "avif"])
@pytest.mark.parametrize("photo", [(97, 31), (31, 97), (33, 33), (1, 90), (7, 5)])
@pytest.mark.parametrize("size", [1, 2, 31, 33, 96, 500])
def test_no_edge_is_longer_than_size(strategy: str, photo: tuple[int, int], size: int, tools: Tools) -> None:
    made = encoded(strategy, tools, {"size": size, "quality": 10}, photo)
    picture = STRATEGIES.load(strategy)().restore(made, tools).image
    assert max(picture.size) == min(size, max(photo))

"""The learned codec leaves photos that it has not learned to ``klt``, where there is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from heliograph.codec.fallback import written_by
from heliograph.codec.header import pack_header
from heliograph.errors import CodecMissingError
from heliograph.registry import STRATEGIES
from heliograph.types import EncodedImage, VisualTokens
from strategy_tools import GRID, WIDTH, RoundingCodec, Tools, photo


class WatchfulCodec(RoundingCodec):
    """Finds every photo strange, and restores nothing of it."""

    def encode_watchfully(self, tokens: VisualTokens, **limits: int | None) -> tuple[EncodedImage, bool]:
        return self.encode(tokens, **limits), True

    def decode(self, header: bytes, segments: Any) -> VisualTokens:
        return VisualTokens(np.zeros((GRID.tokens, WIDTH), np.float32), GRID)


class HeaderCodec(RoundingCodec):
    """The same with a header that can be marked."""

    def encode(self, tokens: VisualTokens, *, max_bytes: int | None = None, **asked: None) -> EncodedImage:
        room = ((max_bytes or 2048) - 1) // 2 * 2  # whole values beside the header
        return replace(super().encode(tokens, max_bytes=room, **asked), header=pack_header(GRID, GRID, small=1))


class FallbackTools(Tools):
    kinds = ("meta", "klt")

    def codec(self, kind: str) -> Any:
        if kind not in self.kinds:
            raise CodecMissingError
        return WatchfulCodec() if kind == "meta" else HeaderCodec()


def test_meta_leaves_strange_photos_to_klt_where_there_is_one() -> None:
    strategy = STRATEGIES.load("meta")()
    encoded = strategy.encode(photo(), FallbackTools(), {"max_bytes": 1024})
    assert encoded.strategy == "meta"
    restored = strategy.restore(encoded, FallbackTools()).tokens
    expected = Tools().encode_tokens(photo()).values
    assert restored is not None
    assert np.allclose(restored.values.ravel()[:500], expected.ravel()[:500], atol=0.01)
    alone = FallbackTools()
    object.__setattr__(alone, "kinds", ("meta",))
    assert strategy.encode(photo(), alone, {"max_bytes": 1024}).header == b"h"


def test_meta_leaves_photos_on_a_grid_that_it_has_not_learned_to_klt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WatchfulCodec, "takes", lambda self, grid: False)
    monkeypatch.setattr(WatchfulCodec, "encode", lambda *given, **named: pytest.fail("it must not be asked"))
    strategy = STRATEGIES.load("meta")()
    encoded = strategy.encode(photo(), FallbackTools(), {"max_bytes": 256})
    assert encoded.payload_bytes <= 256
    assert written_by(encoded)[0] == "klt"
    alone = FallbackTools()
    object.__setattr__(alone, "kinds", ("meta",))
    with pytest.raises(CodecMissingError):
        strategy.encode(photo(), alone, {"max_bytes": 256})

"""The bit that leaves a photo to klt: set and taken off without a trace, refused where it makes no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.codec.fallback import nearer_stream, written_by
from heliograph.codec.header import marked_as_fallback, pack_header, parse_header, unmarked
from heliograph.errors import StreamDamagedError
from heliograph.types import EncodedImage, Grid, VisualTokens

GRID = Grid(2, 2)
TOKENS = VisualTokens(np.arange(8, dtype=np.float32).reshape(4, 2) + 1, GRID)


@given(st.integers(0, 255), st.integers(1, 200), st.integers(1, 80), st.integers(0, 5000))
def test_a_mark_comes_off_without_a_trace(extra: int, rows: int, columns: int, width: int) -> None:
    header = pack_header(Grid(rows, columns, 1, width, width), GRID, small=extra % 8, extra=extra)
    marked = marked_as_fallback(header)
    assert len(marked) == len(header)
    assert unmarked(marked) == header
    assert unmarked(header) is None
    with pytest.raises(StreamDamagedError):
        parse_header(marked, GRID)  # no codec takes it for its own


def test_damaged_headers_carry_no_mark() -> None:
    """Sizes have a checksum; a header without them travels in a frame that has one."""
    marked = bytearray(marked_as_fallback(pack_header(Grid(3, 5, 2), GRID, small=2, extra=9)))
    for place in range(1, len(marked)):
        for bit in range(8):
            flipped = bytes(marked[:place]) + bytes((marked[place] ^ 1 << bit,)) + bytes(marked[place + 1 :])
            assert unmarked(flipped) is None
    assert unmarked(b"") is None
    assert unmarked(b"\xc4") is None  # ends before its extra byte
    assert unmarked(b"\x04\x09\x4a") is None  # of version 0


def test_only_meta_can_be_written_by_another() -> None:
    header = pack_header(GRID, GRID, small=3)
    assert written_by(EncodedImage("meta", header, ())) == ("meta", header)
    assert written_by(EncodedImage("meta", marked_as_fallback(header), ())) == ("klt", header)
    assert written_by(EncodedImage("klt", marked_as_fallback(header), ())) == ("klt", marked_as_fallback(header))
    assert written_by(EncodedImage("jpeg", b"", (b"x",))) == ("jpeg", b"")


class ScalingCodec:
    """Restores the tokens times a factor."""

    fitted = None

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.asked: list[int | None] = []

    def encode(self, tokens: VisualTokens, *, max_bytes: int | None = None, fineness: int | None = 7) -> EncodedImage:
        self.asked.append(max_bytes)
        header = pack_header(GRID, GRID, small=7 if fineness is None else fineness)
        return EncodedImage("klt", header, (b"abc",), (0.5,), predicted_agreement=(0.25,))

    def decode(self, header: bytes, segments: Any) -> VisualTokens:
        parse_header(header, GRID)  # as real codecs do: a marked header is none of theirs
        return VisualTokens(TOKENS.values * self.factor, GRID)


@pytest.mark.parametrize(("learned", "closed", "falls"), [(0.5, 0.9, True), (0.9, 0.5, False), (0.52, 0.5, False)])
def test_the_nearer_stream_is_sent(learned: float, closed: float, falls: bool) -> None:
    codecs = {"meta": ScalingCodec(learned), "klt": ScalingCodec(closed)}
    sent = EncodedImage("meta", pack_header(GRID, GRID), (b"0123456789",))
    found = nearer_stream(sent, TOKENS, lambda kind: codecs[kind])  # type: ignore[arg-type, return-value]
    assert codecs["klt"].asked == [sent.payload_bytes]  # as many bytes
    assert (found != sent) is falls
    if falls:
        assert written_by(found) == ("klt", pack_header(GRID, GRID, small=7))
        assert (found.strategy, found.segments, found.predicted_quality) == ("meta", (b"abc",), (0.5,))
        assert found.predicted_agreement == (0.25,)
        planned = nearer_stream(sent, TOKENS, lambda kind: codecs[kind], 3)  # type: ignore[arg-type, return-value]
        assert written_by(planned) == ("klt", pack_header(GRID, GRID, small=3))

"""What slightly different tokens cost in answers: rows for every way of sending, B99 where it is reached."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heliograph.errors import ShapeError
from heliograph.training.export.parity_answers import AnswerRow, compare_answers
from heliograph.types import Answer, EncodedImage, Grid, VisualTokens

GRID = Grid(2, 2)
ASKED = [("what?", "where?"), (), ("who?",)]


class SignModel:
    """Says the signs of the first channel."""

    def answer_many(self, asked: list[tuple[str, list[VisualTokens]]], *, max_new_tokens: int) -> list[Answer]:
        return [Answer(str((images[0].values[:, 0] > 0).tolist()), 1.0, 0.0) for _, images in asked]


class RowCodec:
    """As many rows of tokens as there are 32 bytes; the rest come back as -1."""

    kind = "rows"

    def encode(self, tokens: VisualTokens, *, max_bytes: int | None = None) -> EncodedImage:
        rows = GRID.tokens if max_bytes is None else min(GRID.tokens, max_bytes // 32)
        data = [tokens.values[row].astype("<f4").tobytes().ljust(32) for row in range(rows)]
        return EncodedImage(self.kind, b"", tuple(data))

    def decode(self, header: bytes, segments: Any) -> VisualTokens:
        values = np.full((GRID.tokens, 2), -1, np.float32)
        for row, segment in enumerate(segments):
            values[row] = np.frombuffer(segment[:8], "<f4")
        return VisualTokens(values, GRID)


class OtherGrid(RowCodec):
    kind = "other"

    def encode(self, tokens: VisualTokens, *, max_bytes: int | None = None) -> EncodedImage:
        raise ShapeError


def tokens(*signs: int) -> VisualTokens:
    return VisualTokens(np.asarray([[sign, 0] for sign in signs], np.float32), GRID)


def rows(device: list[VisualTokens]) -> list[AnswerRow]:
    own = [tokens(1, 1, -1, -1), tokens(1, 1, 1, 1), tokens(1, -1, -1, -1)]
    model: Any = SignModel()
    codecs: list[Any] = [OtherGrid(), RowCodec()]
    return compare_answers(model, own, device, ASKED, codecs)


def test_equal_tokens_cost_nothing_and_b99_is_the_least_rate_that_keeps_answers() -> None:
    found = rows([tokens(1, 1, -1, -1), tokens(1, 1, 1, 1), tokens(1, -1, -1, -1)])
    assert [row.sent for row in found] == ["uncompressed", "rows, whole stream", "rows, B99"]
    assert all(row.own == 1 and row.device == 1 for row in found)
    assert [row.payload_bytes for row in found] == [None, 128, 64]  # nothing is asked about the photo that needs more


def test_what_a_device_gets_wrong_is_counted_by_question() -> None:
    found = rows([tokens(-1, 1, -1, -1), tokens(1, 1, 1, 1), tokens(1, -1, -1, -1)])
    assert [row.device for row in found] == pytest.approx([1 / 3] * 3)
    assert found[0].text == "uncompressed: 100.0% of answers kept, by a device's tokens 33.3%"


def test_b99_is_measured_by_what_the_whole_stream_keeps() -> None:
    class Noise(RowCodec):
        def decode(self, header: bytes, segments: Any) -> VisualTokens:
            return tokens(-1, -1, -1, -1)

    own = [tokens(1, 1, -1, -1)]
    model: Any = SignModel()
    noise: Any = Noise()
    found = compare_answers(model, own, own, [("what?",)], [noise])
    assert [row.own for row in found] == [1, 0, 0]  # none of none: the least rate is as good as all
    assert found[2].payload_bytes == 32

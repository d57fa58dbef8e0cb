"""What slightly different tokens cost in answers: rows for every way of sending, B99 where it is reached."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from heliograph.errors import ShapeError
from heliograph.training.export import parity_answers
from heliograph.training.export.parity_answers import AnswerRow, compare_answers
from heliograph.types import Answer, EncodedImage, Grid, VisualTokens

GRID = Grid(2, 2)
ASKED = [("what?", "where?"), (), ("who?",)]


class SignModel:
    """Says the signs of the first channel."""

    batches = True

    def answer_many(self, asked: list[tuple[str, list[VisualTokens]]], *, max_new_tokens: int) -> list[Answer]:
        return [Answer(str((images[0].values[:, 0] > 0).tolist()), 1.0, 0.0) for _, images in asked]


class OneByOne:
    """Says a letter for every row, upper case where the first channel is positive, up to the first zero."""

    batches = False
    end_ids = frozenset([0])
    torch_model = SimpleNamespace(device="cpu")

    def __init__(self) -> None:
        self.processor = SimpleNamespace(tokenizer=SimpleNamespace(decode=self._text))
        self.said_whole = 0

    def answer_many(self, asked: list[tuple[str, list[VisualTokens]]], *, max_new_tokens: int) -> list[Answer]:
        return [self.answer(question, images, max_new_tokens=max_new_tokens) for question, images in asked]

    def answer(self, question: str, images: list[VisualTokens], *, max_new_tokens: int) -> Answer:
        self.said_whole += 1
        content = [token for token in self._ids(images[0].values) if token not in self.end_ids]
        return Answer(self._text(content), 1.0, 0.0, tuple(content))

    def answer_logits(self, question: str, values: torch.Tensor, grid: Grid, ids: list[int]) -> torch.Tensor:
        wanted = [*self._ids(values.numpy()), *[0] * len(ids)][: len(ids)]
        return torch.nn.functional.one_hot(torch.tensor(wanted), 9).float()

    def _ids(self, values: np.ndarray) -> list[int]:
        signs = values[:, 0].tolist()
        signs = signs[: signs.index(0)] if 0 in signs else signs
        return [2 * place + (1 if sign > 0 else 2) for place, sign in enumerate(signs)] + [0]

    def _text(self, ids: list[int], **_: Any) -> str:
        return "".join(" AaBbCcDd"[one] for one in ids)


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


@pytest.mark.parametrize(
    ("device", "kept"),
    [((1, 1, -1, -1), 1), ((-1, 1, -1, -1), 0), ((1, 1, -1, 1), 0), ((1, 1, -1, 0), 0), ((0, 1, -1, -1), 0)],
)
def test_a_pass_over_the_wanted_answer_tells_whether_it_is_said(
    device: tuple[int, ...], kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of answers that end sooner; and nothing is said to its end to find out that it begins otherwise."""
    monkeypatch.setattr(parity_answers, "_says_likeliest", lambda model: True)
    model: Any = OneByOne()
    found = compare_answers(model, [tokens(1, 1, -1, -1)], [tokens(*device)], [("what?", "who?")], [])
    assert found[0].device == kept
    assert model.said_whole == 2


def test_answers_that_end_later_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity_answers, "_says_likeliest", lambda model: True)
    model: Any = OneByOne()
    found = compare_answers(model, [tokens(1, 1, 0, 0)], [tokens(1, 1, -1, 0)], [("what?",)], [])
    assert found[0].device == 0

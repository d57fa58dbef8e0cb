"""How rows of a batch are grouped, padded, and leave it, with a decoder that says what a test wants."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from heliograph.vlm.batching import _batches, _bias, _finish, _left_padded, _shared_head
from heliograph.vlm.decoding import Step
from heliograph.vlm.prompt import FrameInputs, Prompt

END, VOCABULARY = 0, 10


class Cache:
    def __init__(self) -> None:
        self.chosen: list[list[int]] = []

    def batch_select_indices(self, rows: Tensor) -> None:
        self.chosen.append(rows.tolist())


class Scripted:
    """Says each row's words in turn; a row is known by the first word that it said."""

    end_ids, device, dtype = frozenset({END}), "cpu", torch.float32

    def __init__(self, *said: list[int]) -> None:
        self.said = said
        self.passes: list[dict[str, Any]] = []
        self.places = dict[int, int]()

    def logits(self, words: list[int]) -> Tensor:
        return torch.nn.functional.one_hot(torch.tensor(words), VOCABULARY).float() * 9

    def first(self) -> Tensor:
        return self.logits([row[0] for row in self.said])

    def extend(self, ids: Tensor, cache: Any, bias: Tensor, positions: Tensor) -> Tensor:
        self.passes.append({"ids": ids.tolist(), "bias": bias[:, 0, 0].tolist(), "positions": positions.tolist()})
        following = {row[i]: row[i + 1] for row in self.said for i in range(len(row) - 1)}
        return self.logits([following[one] for one in ids[:, 0].tolist()])


def finished(decoder: Scripted, limit: int) -> tuple[list[list[int]], Cache]:
    rows, cache = len(decoder.said), Cache()
    steps: list[list[Step]] = [[] for _ in range(rows)]
    column_bias = torch.zeros(rows, 3) - torch.arange(rows)[:, None]
    positions = torch.tensor([5 + row for row in range(rows)])
    _finish(decoder, decoder.first(), cache, column_bias, positions, steps, [None] * rows, limit)  # type: ignore[arg-type]
    return [[step.token_id for step in row] for row in steps], cache


def test_rows_leave_when_they_have_ended() -> None:
    decoder = Scripted([1, END], [2, 3, 4, END], [5, 6, END])
    said, cache = finished(decoder, 9)
    assert said == [[1, END], [2, 3, 4, END], [5, 6, END]]
    assert [one["ids"] for one in decoder.passes] == [[[1], [2], [5]], [[3], [6]], [[4]]]
    assert [one["positions"] for one in decoder.passes] == [[[5], [6], [7]], [[7], [8]], [[8]]]
    assert [one["bias"] for one in decoder.passes] == [
        [[0, 0, 0, 0], [-1, -1, -1, 0], [-2, -2, -2, 0]],
        [[-1, -1, -1, 0, 0], [-2, -2, -2, 0, 0]],
        [[-1, -1, -1, 0, 0, 0]],
    ]
    assert cache.chosen == [[1, 2], [0]]  # the cache is touched where a row has ended alone


@pytest.mark.parametrize(("limit", "passes"), [(1, 0), (2, 1), (3, 2), (4, 3)])
def test_no_pass_is_made_for_nothing(limit: int, passes: int) -> None:
    decoder = Scripted([1, 2, 3, 4, 5])
    assert finished(decoder, limit)[0] == [[1, 2, 3, 4, 5][:limit]]
    assert len(decoder.passes) == passes
    ended = Scripted([END], [END])
    finished(ended, 9)
    assert not ended.passes


def test_heads_and_photos_stay_together() -> None:
    one, other = object(), object()
    prompts = [Prompt(head, (9,)) for head in ((1, 2), (1,), (1, 2), (1, 2), (1,))]
    images: list[tuple[Any, ...]] = [(one,), (other,), (other,), (one,), (other,)]
    assert list(_batches(prompts, images)) == [[0, 3, 2], [1, 4]]


def test_a_batch_has_at_most_128_rows() -> None:
    prompts, photo = [Prompt((1,), (2,))] * 257, object()
    assert [len(rows) for rows in _batches(prompts, [(photo,)] * 257)] == [128, 128, 1]


def test_tails_are_padded_on_the_left() -> None:
    ids, padding = _left_padded([(7,), (1, 2, 3), (4, 5)])
    assert ids.tolist() == [[0, 0, 7], [1, 2, 3], [0, 4, 5]]
    assert padding.tolist() == [2, 0, 1]


def test_what_is_not_allowed_has_the_most_negative_number() -> None:
    decoder: Any = SimpleNamespace(dtype=torch.bfloat16, device="cpu")
    bias = _bias(torch.tensor([[True, False]]), decoder)
    assert bias.dtype == torch.bfloat16
    assert bias.tolist() == [[0.0, torch.finfo(torch.bfloat16).min]]


def test_photos_that_several_rows_share_pass_once() -> None:
    one, other = torch.full((1, 1), 1.0), torch.full((1, 1), 2.0)
    seen: list[Any] = []
    cache = Cache()

    def prefill(ids: Tensor, frames: FrameInputs, features: list[Any]) -> Any:
        seen.append((ids.tolist(), frames.pixel_values.flatten().tolist(), features))
        return None, cache

    def inputs(shown: Any) -> Any:
        return FrameInputs(shown[0], shown[0]), [f"{shown[0].item():.0f}"]

    decoder: Any = SimpleNamespace(prefill=prefill, device="cpu")
    assert _shared_head(decoder, (7, 8), [(one,), (one,), (other,), (one,)], inputs) is cache
    assert seen == [([[7, 8], [7, 8]], [1.0, 2.0], ["1", "2"])]
    assert cache.chosen == [[0, 0, 1, 0]]

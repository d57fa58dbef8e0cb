"""Questions that join and leave a batch get the answers that they get alone, whatever stands beside them."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.errors import (
    AnsweringFailedError,
    QuestionEmptyError,
    QuestionTooLongError,
    ShapeError,
    StreamDamagedError,
    UsageError,
)
from heliograph.types import Answer, VisualTokens
from heliograph.vlm.continuous.engine import ContinuousBatch
from heliograph.vlm.contract import BatchRequest, EndedRequest
from heliograph.vlm.model import VisionLanguageModel

ROOMY = 1 << 16


@pytest.fixture
def batch(vlm: VisionLanguageModel) -> ContinuousBatch:
    return opened(vlm)


def opened(vlm: VisionLanguageModel, capacity: int = ROOMY, **options: int) -> ContinuousBatch:
    made = vlm.open_batch(capacity, **options)
    assert isinstance(made, ContinuousBatch), vlm.one_at_a_time
    return made


def finished(batch: ContinuousBatch, requests: Sequence[BatchRequest] = ()) -> dict[BatchRequest, EndedRequest]:
    """All that end, of those that are here and of these."""
    for one in requests:
        batch.admit(one)
    ended: dict[BatchRequest, EndedRequest] = {}
    while len(batch):
        ended |= {one.request: one for one in batch.step()}
    return ended


class Alone:
    """Answers one by one, each asked once."""

    def __init__(self, vlm: VisionLanguageModel) -> None:
        self._vlm = vlm
        self.known: dict[Any, Answer] = {}

    def answer(self, request: BatchRequest) -> Answer:
        key = request.question, tuple(id(image) for image in request.images), request.max_new_tokens
        if key not in self.known:
            self.known[key] = self._vlm.answer(request.question, request.images, max_new_tokens=request.max_new_tokens)
        return self.known[key]

    def check(self, ended: EndedRequest) -> None:
        assert ended.verified is not None, ended.error
        found, wanted = ended.verified.answer, self.answer(ended.request)
        assert (found.text, found.token_ids) == (wanted.text, wanted.token_ids)
        assert found.confidence == pytest.approx(wanted.confidence, abs=1e-3)
        assert found.token_bits == pytest.approx(wanted.token_bits, abs=5e-3)
        if ended.request.draft is not None:
            assert ended.verified.kept_tokens == common_prefix(ended.request.draft.token_ids, wanted.token_ids)


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = zip(first, second, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def a_draft(rng: random.Random, truth: Answer, other: Answer) -> Answer | None:
    """Right, partly right, another photo's, too long, of no vocabulary; or none."""
    ids = truth.token_ids
    cut = rng.randrange(len(ids) + 1)
    drafts = [
        None,
        ids,
        ids[:cut],
        (*ids[:cut], rng.randrange(640), *ids[cut + 1 :]),
        (*ids, *ids, *ids, *ids),
        other.token_ids,
        (*ids[:cut], 10**9),
    ]
    chosen = rng.choice(drafts)
    return None if chosen is None else replace(truth, token_ids=tuple(chosen))


def test_mixed_requests_in_random_order_with_drops(
    vlm: VisionLanguageModel, photos: list[Image.Image], tokens: list[VisualTokens], questions: Sequence[str]
) -> None:
    """200 requests: tokens and photos, none to three images, drafts of all kinds, four limits, every fifth dropped."""
    rng = random.Random(20)
    alone = Alone(vlm)
    shown: list[list[Any]] = [
        [],
        *([one] for one in tokens),
        [photos[0]],
        tokens[:2],
        [tokens[1], photos[2]],
        tokens[:3],
    ]
    batch = opened(vlm, capacity=12 * 256, prefill_tokens=200)
    waiting: list[BatchRequest] = []
    for _ in range(200):
        one = BatchRequest(rng.choice(questions[:5]), rng.choice(shown), None, rng.choice((1, 4, 11)))
        truth = alone.answer(one)
        waiting.append(replace(one, draft=a_draft(rng, truth, rng.choice(list(alone.known.values())))))
    here: list[BatchRequest] = []
    dropped, most = 0, 0
    checked = 0
    while waiting or here:
        for _ in range(rng.randrange(7)):
            if waiting and batch.fits(waiting[-1]):
                here.append(waiting.pop())
                batch.admit(here[-1])
        if here and rng.random() < 0.35:
            gone = here.pop(rng.randrange(len(here)))
            assert batch.drop(gone)
            assert not batch.drop(gone)
            dropped += 1
        most = max(most, len(batch))
        for ended in batch.step():
            here.remove(ended.request)
            alone.check(ended)
            checked += 1
        assert len(batch) == len(here)
        assert batch.held_tokens == sum(batch.cost(one) for one in here) <= batch.capacity_tokens
        assert batch.cache_positions <= 2 * batch.capacity_tokens + batch.shared_tokens
    assert checked + dropped == 200
    assert dropped > 12
    assert most > 8
    assert batch.held_tokens == 0


def test_merged_tokens_are_read_side_by_side(
    vlm: VisionLanguageModel, tokens: list[VisualTokens], photos: list[Image.Image], questions: Sequence[str]
) -> None:
    images: list[list[Any]] = [[tokens[0]], [tokens[1]], tokens[:2], [photos[0]], []]
    requests = [BatchRequest(question, shown, None, 8) for question in questions[:4] for shown in images]
    batch = opened(vlm)
    whole = finished(batch, requests)
    vlm.merge_visual_tokens(20)
    try:
        alone = Alone(vlm)
        drafted = [replace(one, draft=end.verified.answer) for one, end in whole.items() if end.verified is not None]
        assert len(drafted) == len(requests)
        ended = finished(batch, drafted)
        for one in ended.values():
            alone.check(one)
        changed = [one for one in drafted if alone.answer(one).token_ids != one.draft.token_ids]  # type: ignore[union-attr]
        assert changed, "merging would prove nothing"
    finally:
        vlm.merge_visual_tokens(None)


def damaged(tokens: VisualTokens, change: Callable[[np.ndarray], np.ndarray]) -> VisualTokens:
    return VisualTokens(change(tokens.values.copy()), tokens.grid)


def with_nan(values: np.ndarray) -> np.ndarray:
    values[3, 5] = np.nan
    return values


def test_what_fails_fails_alone(
    vlm: VisionLanguageModel, batch: ContinuousBatch, tokens: list[VisualTokens], questions: Sequence[str]
) -> None:
    good = [BatchRequest(question, [one], None, 8) for one in tokens[:2] for question in questions[:3]]
    bad: dict[BatchRequest, type[Exception]] = {
        BatchRequest("", [tokens[0]]): QuestionEmptyError,
        BatchRequest("\U0001f600" * 2000, [tokens[0]]): QuestionTooLongError,
        BatchRequest("7?", tokens[:1] * 9): UsageError,
        BatchRequest("7?", tokens[:1], None, 0): UsageError,
        BatchRequest("7?", [damaged(tokens[0], lambda values: values[:63])]): ShapeError,
        BatchRequest("7?", [damaged(tokens[0], with_nan)]): StreamDamagedError,
    }
    order = [*good[:2], *bad, *good[2:]]
    assert all(batch.cost(one) == 0 for one in list(bad)[:4])
    ended = finished(batch, order)
    assert {one: type(ended[one].error) for one in bad} == bad
    alone = Alone(vlm)
    for one in good:
        alone.check(ended[one])
    assert batch.held_tokens == 0


def test_logits_that_are_none_end_one_row(
    vlm: VisionLanguageModel, batch: ContinuousBatch, tokens: list[VisualTokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last row's logits are infinite in the second pass; its slot harms nobody."""
    requests = [BatchRequest("Describe the picture in many words.", [one], None, 12) for one in tokens[:4]]
    alone = Alone(vlm)
    run, passes = batch._forward.run, list[int]()

    def spoilt(plan: Any, readings: Any, kept: Any) -> torch.Tensor:
        logits = run(plan, readings, kept)
        passes.append(len(readings))
        if len(passes) == 2:
            logits[-1] = torch.inf
            row = readings[-1].row
            row.arena.data[:, :, row.slot] = torch.nan
        return logits

    monkeypatch.setattr(batch._forward, "run", spoilt)
    ended = list(finished(batch, requests).values())
    failed = [one for one in ended if one.verified is None]
    assert [type(one.error) for one in failed] == [AnsweringFailedError]
    for one in ended:
        if one not in failed:
            alone.check(one)
    for one in finished(batch, [BatchRequest(one.question, one.images, None, 11) for one in requests]).values():
        alone.check(one)


def test_a_pass_that_fails_is_made_row_by_row(
    vlm: VisionLanguageModel, batch: ContinuousBatch, tokens: list[VisualTokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [BatchRequest("7?", [one], None, 6) for one in tokens[:3]]
    run, hated = batch._forward.run, requests[1]

    def picky(plan: Any, readings: Any, kept: Any) -> torch.Tensor:
        if any(one.row.request is hated for one in readings):
            raise RuntimeError("out of memory")
        return run(plan, readings, kept)

    monkeypatch.setattr(batch._forward, "run", picky)
    ended = finished(batch, requests)
    assert isinstance(ended[hated].error, AnsweringFailedError)
    for one in (requests[0], requests[2]):
        Alone(vlm).check(ended[one])


def test_the_door(batch: ContinuousBatch, vlm: VisionLanguageModel, tokens: list[VisualTokens]) -> None:
    small = opened(vlm, capacity=300)
    first, second, third = (BatchRequest(f"{i}?", tokens[:1], None, 4) for i in range(3))
    assert small.cost(first) == 128
    for one in (first, second):
        assert small.fits(one)
        small.admit(one)
    assert not small.fits(third)
    with pytest.raises(UsageError):
        small.admit(third)
    with pytest.raises(UsageError):
        small.admit(first)
    assert small.drop(first)
    assert small.fits(third)
    small.drop(second)
    long = BatchRequest("7?", tokens[:5], None, 4)
    assert small.cost(long) > small.capacity_tokens
    assert small.fits(long), "a request that is too large for any company is answered alone"
    Alone(vlm).check(finished(small, [long])[long])
    for wrong in ({"capacity_tokens": 0}, {"capacity_tokens": 1, "prefill_tokens": 0}):
        with pytest.raises(UsageError):
            vlm.open_batch(**wrong)


def test_memory_grows_and_shrinks(vlm: VisionLanguageModel, tokens: list[VisualTokens]) -> None:
    batch = opened(vlm, shared_tokens=0)
    finished(batch, [BatchRequest("7?", [tokens[0]], None, 2)])
    least = batch.cache_positions
    requests = [BatchRequest("7?", [tokens[i % 6]], None, 2 + i % 3) for i in range(40)]
    for one in requests:
        batch.admit(one)
    batch.step()
    assert batch.cache_positions >= 8 * least
    finished(batch)
    for _ in range(60):
        finished(batch, [BatchRequest("7?", [tokens[0]], None, 2)])
    assert batch.cache_positions <= 2 * least
    finished(batch, [BatchRequest("7?", tokens * 1, None, 200)])
    assert batch.cache_positions <= 2 * least, "a large arena is not kept for nobody"


def test_heads_are_read_once_and_forgotten(vlm: VisionLanguageModel, tokens: list[VisualTokens]) -> None:
    batch = opened(vlm, shared_tokens=150)
    prompt = vlm.prompts.build("7?", 1)

    def read(*shown: VisualTokens) -> int:
        before = batch.read_tokens
        finished(batch, [BatchRequest("7?", [one], None, 1) for one in shown])
        return batch.read_tokens - before

    head, tail = len(prompt.head), len(prompt.tail)
    assert read(tokens[0], tokens[0], tokens[0]) == head + 3 * tail  # lent within a pass
    assert read(tokens[0]) == tail  # kept from one to the next
    assert read(VisualTokens(tokens[0].values.copy(), tokens[0].grid)) == tail  # by what they hold
    assert read(damaged(tokens[0], lambda values: values + 1e-3)) == head + tail
    assert read(tokens[1]) == head + tail
    assert batch.shared_tokens == 2 * head <= 150
    assert read(tokens[2]) == head + tail
    assert read(tokens[2]) == tail
    assert read(tokens[0]) == head + tail  # the one that was used least recently had to go
    vlm.forget_questions()
    assert batch.shared_tokens == 0
    assert read(tokens[2]) == head + tail
    short = VisualTokens(tokens[3].values.copy(), tokens[3].grid)
    assert read(short) == head + tail
    del short
    gc.collect()
    assert batch.shared_tokens == head, "kept no longer than anybody holds the photo"


def test_running_rows_are_not_kept_waiting(vlm: VisionLanguageModel, tokens: list[VisualTokens]) -> None:
    """Prompts of ten questions come in portions of the bound; the row that runs says a token in every step."""
    batch = opened(vlm, prefill_tokens=170, shared_tokens=0)
    run, sizes = batch._forward.run, list[int]()
    first = BatchRequest(
        "Describe the picture in many words, please, and say all there is to say.", tokens[:1], None, 14
    )
    assert len(vlm.answer(first.question, first.images, max_new_tokens=14).token_ids) >= 5
    batch.admit(first)
    batch.step()
    for i in range(10):
        batch.admit(BatchRequest("7?", [tokens[i % 6]], None, 2))
    row: Any = batch._rows[first]
    batch._forward.run = lambda plan, readings, kept: sizes.append(plan.tokens) or run(plan, readings, kept)  # type: ignore[method-assign, func-returns-value]
    try:
        for said in range(2, 5):
            batch.step()
            assert len(row.walk.steps) == said
    finally:
        batch._forward.run = run  # type: ignore[method-assign]
    assert max(sizes) <= 170 + 11
    assert len(sizes) == 3
    assert sum(sizes) > 3 * 150


def test_rules_of_a_generation_config_hold_for_each_row(
    vlm: VisionLanguageModel, tokens: list[VisualTokens], questions: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {one: vlm.answer(one, tokens[:1], max_new_tokens=8) for one in questions}
    said = [token for answer in before.values() for token in answer.token_ids[:1]]
    for name, value in (("suppress_tokens", said), ("repetition_penalty", 1.6), ("min_new_tokens", 4)):
        monkeypatch.setattr(vlm.torch_model.generation_config, name, value)
    alone = Alone(vlm)
    ended = finished(opened(vlm), [BatchRequest(one, tokens[:1], before[one], 8) for one in questions])
    for one in ended.values():
        alone.check(one)
    assert any(alone.answer(one).token_ids != before[one.question].token_ids for one in ended)

"""Slots, packed passes and shared heads by themselves, on small numbers."""

from __future__ import annotations

import gc
import random
import threading
from typing import Any

import pytest
import torch
from torch import Tensor

from heliograph.vlm.continuous.passes import Part, PassCache, PassPlan
from heliograph.vlm.continuous.shared_heads import ComputedHead, SharedHeads
from heliograph.vlm.continuous.slots import CacheShape, SlotArena, SlotOwner, columns_for
from heliograph.vlm.contract import BatchRequest
from heliograph.vlm.model import VisionLanguageModel

LAYERS, HEADS, QUERY_HEADS, WIDTH = 2, 2, 6, 4
SHAPE = CacheShape(LAYERS, HEADS, WIDTH, torch.float32, "cpu")


@pytest.mark.parametrize(("positions", "columns"), [(1, 128), (128, 128), (129, 256), (1000, 1024)])
def test_a_row_gets_the_smallest_arena_that_holds_it(positions: int, columns: int) -> None:
    assert columns_for(positions) == columns


def test_rows_keep_what_they_hold_whoever_comes_and_goes() -> None:
    rng, arena = random.Random(3), SlotArena[SlotOwner](SHAPE, 8)
    held: dict[SlotOwner, Tensor] = {}
    most = 0
    for _ in range(300):
        if rng.random() < 0.5 or not held:
            row = SlotOwner()
            arena.take(row)
            held[row] = torch.randn(LAYERS, 2, HEADS, rng.randrange(1, 9), WIDTH)
            arena.fill(row, held[row])
        else:
            gone = rng.sample(list(held), rng.randrange(1, 1 + min(4, len(held))))
            arena.release(gone, gone[:1])
            for one in gone:
                del held[one]
        most = max(most, arena.slots)
        assert sorted(row.slot for row in held) == list(range(len(held)))
        assert arena.rows == sorted(held, key=lambda row: row.slot)
        for row, wanted in held.items():
            assert torch.equal(arena.head_of(row, row.length), wanted)
    assert most >= 8
    arena.release(list(held))
    arena.wipe_rest()
    assert (arena.slots, float(arena.data.abs().sum())) == (1, 0.0)


def alone(query: Tensor, keys: Tensor, values: Tensor, start: int, weights: Tensor | None) -> Tensor:
    """(T, H, d) of one row: query (H, T, d), keys and values (heads, P, d), position t sees start + t + 1 columns."""
    keys, values = (one.repeat_interleave(QUERY_HEADS // HEADS, dim=0) for one in (keys, values))
    scores = query @ keys.transpose(1, 2) / WIDTH**0.5  # (H, T, P)
    if weights is not None:
        scores[:, :, : len(weights)] += weights
    hidden = torch.arange(keys.shape[1]) > start + torch.arange(query.shape[1])[:, None]
    return (scores.masked_fill(hidden, -torch.inf).softmax(-1) @ values).transpose(0, 1)


@pytest.mark.parametrize("seed", range(12))
def test_each_row_attends_to_its_own_columns(seed: int) -> None:
    """Rows of many lengths in two arenas, with one new position and several, weights, and heads that are lent."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    arenas = [SlotArena[SlotOwner](SHAPE, 16), SlotArena[SlotOwner](SHAPE, 32)]
    parts: list[Part] = []
    for _ in range(rng.randrange(1, 10)):
        arena, row = rng.choice(arenas), SlotOwner()
        arena.take(row)
        before = rng.choice((0, 1, 5))
        if before:
            arena.fill(row, torch.randn(LAYERS, 2, HEADS, before, WIDTH))
        weights = torch.randn(3) if before != 1 and rng.random() < 0.3 else None
        part = Part(row, arena, rng.choice((1, 1, 1, 2, 5, 7)) if before else rng.choice((4, 7)), weights)
        lenders = [one for one in parts if one.lender is None and not one.row.length]
        if not before and lenders and rng.random() < 0.7:
            part.lender, part.lent = rng.choice(lenders), 3
        parts.append(part)
    plan = PassPlan(rng.sample(parts, len(parts)), torch.float32, "cpu", watchful=True)
    cache = PassCache(plan)
    assert plan.tokens == sum(part.count for part in parts)
    query, keys, values = (torch.randn(1, n, plan.tokens, WIDTH) for n in (QUERY_HEADS, HEADS, HEADS))
    for layer in range(LAYERS):
        past = {part: part.arena.data[layer, :, part.row.slot, :, : part.row.length].clone() for part in parts}
        cache.update(keys, values, layer)
        found = plan.attend(layer, query, WIDTH**-0.5)[0]  # (T, H, d)
        for part in parts:
            own = slice(part.first, part.first + part.count)
            lent = slice(part.lender.first, part.lender.first + part.lent) if part.lender else slice(0, 0)
            columns = [
                torch.cat((past[part][i], new[0][:, lent], new[0][:, own]), 1) for i, new in enumerate((keys, values))
            ]
            wanted = alone(query[0][:, own], columns[0], columns[1], part.start, part.weights)
            torch.testing.assert_close(found[own], wanted, rtol=1e-4, atol=1e-5)
            held = part.arena.data[layer, 0, part.row.slot, :, : part.end]
            assert torch.equal(held, columns[0])


class Photo:
    """Something that can be let go of."""


def a_head(length: int) -> ComputedHead:
    return ComputedHead(torch.zeros(1, 2, 1, length, 1))


def test_heads_go_by_age_by_size_and_with_their_images() -> None:
    heads, photos = SharedHeads(10), [Photo() for _ in range(4)]
    heads.keep(b"0", [photos[0]], a_head(4))
    heads.keep(b"1", [photos[1], photos[2]], a_head(4))
    assert heads.find(b"0", [photos[0]]) is not None
    heads.keep(b"2", [photos[3]], a_head(5))
    assert (b"0" in heads, b"1" in heads, b"2" in heads, heads.held_tokens) == (True, False, True, 9)
    heads.keep(b"3", [photos[1]], a_head(11))
    assert b"3" not in heads
    twin = Photo()
    assert heads.find(b"2", [twin]) is not None
    del photos[3]
    gc.collect()
    assert b"2" in heads, "somebody else holds the same"
    del twin
    gc.collect()
    assert b"2" not in heads
    heads.forget()
    assert (len(heads), heads.held_tokens) == (0, 0)


def test_forgetting_while_a_step_is_made_waits_for_nobody(vlm: VisionLanguageModel, tokens: list[Any]) -> None:
    batch: Any = vlm.open_batch(4000)
    run, during = batch._forward.run, list[int]()

    def forgetful(plan: Any, readings: Any, kept: Any) -> Tensor:
        other = threading.Thread(target=vlm.forget_questions)
        other.start()
        other.join(timeout=30)
        assert not other.is_alive()
        during.append(len(batch._arenas))
        return run(plan, readings, kept)

    batch._forward.run = forgetful
    try:
        request = BatchRequest("7?", tokens[:1], None, 1)
        batch.admit(request)
        (ended,) = batch.step()
    finally:
        batch._forward.run = run
    assert ended.verified.answer.token_ids == vlm.answer("7?", tokens[:1], max_new_tokens=1).token_ids
    assert during == [1]
    assert (batch.shared_tokens, batch.cache_positions) == (0, 0)

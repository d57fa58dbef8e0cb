"""Many answers at once: one pass per image set, then the questions of a batch side by side.

Layout of one batch of B rows over P cached positions (chat opening and image tokens)::

    keys    [ head of the row's images: P ][ padding ][ question tail: T - padding ][ generated ... ]
    bias    [            0                ][  -inf   ][ causal                     ][ 0             ]

Rows leave the batch when they have ended, so a long description does not drag short answers along.

Beside :mod:`heliograph.vlm.continuous`, which questions can join at any step, this is for those who know all questions
from the beginning, such as suites and fitting: on one processor it takes .78 to 1.02 of that one's time for the same
answers (``python -m heliograph.bench.scale.batching`` measures both), as its keys lie in one block that never moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from heliograph.vlm.decoding import Decoder, Feature, Step, next_steps
from heliograph.vlm.generation_rules import RowRules
from heliograph.vlm.prompt import FrameInputs, Prompt, merge_frames

MAX_ROWS = 128
"""Rows per batch: beyond this the cache no longer fits a processor's and speed falls."""

Inputs = Callable[[Sequence[Any]], tuple[FrameInputs, Sequence[Feature]]]


def answer_batch(
    decoder: Decoder, prompts: Sequence[Prompt], images: Sequence[tuple[Any, ...]], inputs: Inputs, limit: int
) -> list[list[Step]]:
    """Greedy steps per prompt, in order.

    Args:
        decoder: the model's forward passes.
        prompts: one per row; prompts with equally many images have the same head.
        images: per row, its images; rows with the same objects share one pass over them.
        inputs: makes pixel inputs and features of one row's images.
        limit: most tokens per answer.
    """
    steps: list[list[Step]] = [[] for _ in prompts]
    for rows in _batches(prompts, images):
        _run(decoder, [prompts[r] for r in rows], [images[r] for r in rows], inputs, [steps[r] for r in rows], limit)
    return steps


def _batches(prompts: Sequence[Prompt], images: Sequence[tuple[Any, ...]]) -> Iterator[list[int]]:
    """Row numbers per batch: equal heads together, rows of the same images next to each other."""
    order: dict[tuple[int, ...], dict[tuple[int, ...], list[int]]] = {}
    for row, (prompt, shown) in enumerate(zip(prompts, images, strict=True)):
        order.setdefault(prompt.head, {}).setdefault(_identity(shown), []).append(row)
    for sharing in order.values():
        rows = [row for group in sharing.values() for row in group]
        yield from (rows[start : start + MAX_ROWS] for start in range(0, len(rows), MAX_ROWS))


def _identity(images: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(id(image) for image in images)


def _run(
    decoder: Decoder,
    prompts: list[Prompt],
    images: list[tuple[Any, ...]],
    inputs: Inputs,
    steps: list[list[Step]],
    limit: int,
) -> None:
    """Fill ``steps`` for one batch."""
    cache = _shared_head(decoder, prompts[0].head, images, inputs)
    ids, padding = _left_padded([prompt.tail for prompt in prompts])
    cached, before, longest = cache.get_seq_length(), len(prompts[0].head), ids.shape[1]
    columns = torch.arange(longest)
    shown = columns >= padding[:, None]  # (B, T): not padding
    causal = columns <= columns[:, None]  # (T, T)
    tail_bias = _bias(causal & shown[:, None, :], decoder)  # (B, T, T)
    bias = torch.nn.functional.pad(tail_bias, (cached, 0)).unsqueeze(1)
    positions = (before + columns - padding[:, None]).clamp(min=0)
    logits = decoder.extend(ids, cache, bias, positions.to(decoder.device))
    column_bias = torch.nn.functional.pad(_bias(shown, decoder), (cached, 0))  # (B, P + T)
    rules = [decoder.rules.row(prompt.head + prompt.tail, limit) for prompt in prompts]
    _finish(decoder, logits, cache, column_bias, before + longest - padding, steps, rules, limit)


def _shared_head(
    decoder: Decoder, head: tuple[int, ...], images: list[tuple[Any, ...]], inputs: Inputs
) -> DynamicCache:
    """The cache of the head, computed once per distinct image set and repeated for its rows."""
    sets: dict[tuple[int, ...], int] = {}
    distinct: list[tuple[Any, ...]] = []
    for shown in images:
        if sets.setdefault(_identity(shown), len(distinct)) == len(distinct):
            distinct.append(shown)
    made = [inputs(shown) for shown in distinct]
    frames = merge_frames([frame for frame, _ in made])
    features = [feature for _, row in made for feature in row]
    _, cache = decoder.prefill(torch.tensor([head]).expand(len(distinct), -1), frames, features)
    owners = torch.tensor([sets[_identity(shown)] for shown in images], device=decoder.device)
    cache.batch_select_indices(owners)
    return cache


def _finish(
    decoder: Decoder,
    logits: Tensor,
    cache: DynamicCache,
    column_bias: Tensor,
    positions: Tensor,
    steps: list[list[Step]],
    rules: list[RowRules | None],
    limit: int,
) -> None:
    """Decode all rows to their ends; ``positions`` (B,) is where each row's next token stands."""
    rows = list(range(len(steps)))
    for made in range(limit):
        found = next_steps(logits, [rules[row] for row in rows])
        for row, step in zip(rows, found, strict=True):
            steps[row].append(step)
        ids = [step.token_id for step in found]
        going = [i for i, token in enumerate(ids) if token not in decoder.end_ids]
        if not going or made + 1 == limit:
            return
        if len(going) < len(rows):
            pick = torch.tensor(going)
            cache.batch_select_indices(pick.to(decoder.device))
            column_bias, positions = column_bias[pick.to(decoder.device)], positions[pick]
            rows, ids = [rows[i] for i in going], [ids[i] for i in going]
        column_bias = torch.nn.functional.pad(column_bias, (0, 1))
        bias = column_bias[:, None, None, :]
        logits = decoder.extend(torch.tensor(ids)[:, None], cache, bias, positions[:, None].to(decoder.device))
        positions = positions + 1


def _left_padded(tails: list[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """Ids (B, T) int64 padded on the left with 0, and the padding per row (B,)."""
    longest = max(len(tail) for tail in tails)
    rows = [[0] * (longest - len(tail)) + list(tail) for tail in tails]
    return torch.tensor(rows), torch.tensor([longest - len(tail) for tail in tails])


def _bias(allowed: Tensor, decoder: Decoder) -> Tensor:
    """0 where attention is allowed, the most negative number elsewhere (never -inf: a padding row has no key left)."""
    bias = torch.zeros(allowed.shape, dtype=decoder.dtype)
    return bias.masked_fill_(~allowed, torch.finfo(decoder.dtype).min).to(decoder.device)

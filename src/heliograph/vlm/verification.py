"""Draft verification: one pass over prompt and draft tells how much of the draft greedy decoding would say again.

Speculative decoding with the previous answer as the draft model: position i of the pass gives the token that greedy
decoding would choose after the draft's first i tokens, so the longest agreeing prefix is kept. What follows the first
change is generated again on the same cache, and there too the rest of the draft is tried before every new token: a
refined picture often changes a word in the middle and nothing after it. The result equals greedy decoding from scratch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import torch
from torch import Tensor
from transformers import DynamicCache

from heliograph.vlm.decoding import Decoder, Feature, Step, best_steps, steps_of
from heliograph.vlm.generation_rules import RowRules
from heliograph.vlm.prompt import FrameInputs, Prompt

_TRIED = 16  # tokens of the draft's rest in one pass; a wrong guess costs little beside the pass itself


def verify_steps(
    decoder: Decoder,
    prompt: Prompt,
    frames: FrameInputs,
    features: Sequence[Feature],
    draft: Sequence[int],
    limit: int,
) -> tuple[list[Step], int]:
    """Greedy steps (end token included when reached) and the number of draft tokens kept.

    Args:
        decoder: the model's forward passes.
        prompt: head and tail ids.
        frames: pixel inputs of one prompt.
        features: per image, tokens (N, D), fewer that stand for them, or None.
        draft: ids of the draft answer, without end token; may be empty.
        limit: most tokens of the answer.
    """
    guess = list(takewhile(lambda token: token not in decoder.end_ids, draft[:limit]))
    ids = torch.tensor([list(prompt.head + prompt.tail) + guess])
    logits, cache = decoder.prefill(ids, frames, features, keep=len(guess) + 1)
    rules = decoder.rules.row(prompt.head + prompt.tail, limit)
    chosen = _chosen(logits[0], guess, rules)
    kept = _agreement(guess, [step.token_id for step in chosen])
    steps = chosen[:kept]
    if kept == limit:
        return steps, kept
    if len(guess) > kept:
        cache.crop(kept - len(guess))
    _continue(decoder, steps, chosen[kept], cache, _Rest(guess, kept), rules, limit)
    return steps, kept


class _Rest:
    """What of the draft may still come.

    Args:
        draft: its ids.
        place: of the token that was another one.
    """

    def __init__(self, draft: Sequence[int], place: int) -> None:
        self._draft, self._place, self._came_true = draft, place, True

    def after(self, token: int) -> Sequence[int]:
        """At most so many ids as are tried at once: what follows if ``token`` stands in the place of another one; where
        the last try failed, what followed it at its nearest place in the draft."""
        places = [] if self._came_true else [i for i, drafted in enumerate(self._draft) if drafted == token]
        self._place = 1 + min(places, key=lambda i: abs(i - self._place), default=self._place)
        return self._draft[self._place : self._place + _TRIED]

    def agreed(self, count: int) -> None:
        """Note that so many of them came true."""
        self._place += count
        self._came_true = count > 0


def _continue(
    decoder: Decoder,
    steps: list[Step],
    newest: Step,
    cache: DynamicCache,
    rest: _Rest,
    rules: RowRules | None,
    limit: int,
) -> None:
    """Add greedy steps from ``newest`` on, which is not in the cache yet, to the end token or the limit."""
    while True:
        steps.append(newest)
        if newest.token_id in decoder.end_ids or len(steps) == limit:
            return
        guess = list(rest.after(newest.token_id)[: limit - len(steps) - 1])
        logits = decoder.extend_all(torch.tensor([[newest.token_id, *guess]]), cache)
        chosen = _chosen(logits[0], guess, rules)
        agreed = _agreement(guess, [step.token_id for step in chosen])
        steps.extend(chosen[:agreed])
        rest.agreed(agreed)
        if len(guess) > agreed:
            cache.crop(agreed - len(guess))
        newest = chosen[agreed]


def _chosen(logits: Tensor, guess: Sequence[int], rules: RowRules | None) -> list[Step]:
    """What greedy decoding says after each of the guessed tokens, from ``logits`` (1 + guess, V); with rules, which
    depend on what was said, no further than to the first token that is another one."""
    if rules is None:
        return best_steps(logits)
    chosen: list[int] = []
    for place, own in enumerate(logits):
        chosen.append(rules.choose(own))
        if place < len(guess) and chosen[place] != guess[place]:
            break
    return steps_of(logits[: len(chosen)], chosen)


def _agreement(guess: Sequence[int], chosen: Sequence[int]) -> int:
    for position, (guessed, now) in enumerate(zip(guess, chosen, strict=False)):
        if guessed != now:
            return position
    return len(guess)

"""Draft verification: one pass over prompt and draft tells how much of the draft greedy decoding would say again.

Speculative decoding with the previous answer as the draft model: position i of the pass gives the token that greedy
decoding would choose after the draft's first i tokens, so the longest agreeing prefix is kept and only what follows
the first change is generated. The result equals greedy decoding from scratch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from heliograph.vlm.decoding import Decoder, Step, best_steps
from heliograph.vlm.prompt import FrameInputs, Prompt


def verify_steps(
    decoder: Decoder,
    prompt: Prompt,
    frames: FrameInputs,
    features: Sequence[Tensor | None],
    draft: Sequence[int],
    limit: int,
) -> tuple[list[Step], int]:
    """Greedy steps (end token included when reached) and the number of draft tokens kept.

    Args:
        decoder: the model's forward passes.
        prompt: head and tail ids.
        frames: pixel inputs of one prompt.
        features: per image, tokens (N, D) or None.
        draft: ids of the draft answer, without end token; may be empty.
        limit: most tokens of the answer.
    """
    guess = list(draft[:limit])
    ids = torch.tensor([list(prompt.head + prompt.tail) + guess])
    logits, cache = decoder.prefill(ids, frames, features, keep=len(guess) + 1)
    chosen, bits = best_steps(logits[0])
    kept = _agreement(guess, chosen)
    steps = [Step(token, bit) for token, bit in zip(chosen[:kept], bits[:kept], strict=True)]
    if kept == limit:
        return steps, kept
    if len(guess) > kept:
        cache.crop(kept - len(guess))
    steps.extend(decoder.greedy(logits[0, kept], cache, limit - kept))
    return steps, kept


def _agreement(guess: Sequence[int], chosen: Sequence[int]) -> int:
    for position, (said, now) in enumerate(zip(guess, chosen, strict=False)):
        if said != now:
            return position
    return len(guess)

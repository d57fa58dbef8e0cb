"""Greedy decoding on the model's own ``forward`` and key-value cache, one row at a time.

``generate`` spends more time on set-up than a small model spends on a short answer; this loop gives the same ids as
``generate(do_sample=False)`` of a model whose generation config changes no logits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from heliograph.types import Answer
from heliograph.vlm.frame_tap import feed_image_features
from heliograph.vlm.prompt import FrameInputs

_NATS_PER_BIT = math.log(2.0)


@dataclass(frozen=True)
class Step:
    """One generated token and how sure the model was of it.

    Attributes:
        token_id: the most likely one.
        bits: its min-entropy, -log2 max p.
        entropy_bits: Shannon entropy of all tokens' probabilities.
        margin: largest probability less the second largest.
    """

    token_id: int
    bits: float
    entropy_bits: float
    margin: float


class Decoder:
    """Forward passes with cache for one model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.device = model.device
        self.dtype = model.dtype
        end = model.generation_config.eos_token_id
        self.end_ids: frozenset[int] = frozenset([end] if isinstance(end, int) else end or ())

    def prefill(
        self, ids: Tensor, frames: FrameInputs, features: Sequence[Tensor | None], keep: int = 1
    ) -> tuple[Tensor, DynamicCache]:
        """First pass over prompts of equal length, with images.

        Args:
            ids: (B, L) int64.
            frames: pixel inputs for B prompts.
            features: per frame, batch-major, restored tokens (N, D) or None for its own pixels.
            keep: how many last positions give logits.

        Returns:
            Logits (B, keep, V) and the filled cache.
        """
        cache = DynamicCache(config=self._model.config.get_text_config())
        with feed_image_features(self._model, features):
            made = self._model(
                input_ids=ids.to(self.device),
                pixel_values=frames.pixel_values.to(self.device, self.dtype),
                pixel_attention_mask=frames.pixel_attention_mask.to(self.device),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=keep,
            )
        return made.logits, cache

    def extend(
        self, ids: Tensor, cache: DynamicCache, bias: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        """One more pass over (B, L) new ids; logits (B, V) of the last position.

        Args:
            ids: (B, L) int64.
            cache: grows by L positions.
            bias: (B, 1, L, cached + L) added to attention scores; None for plain causal attention.
            positions: (B, L) int64; None to count on from the cache.
        """
        return self._extend(ids, cache, 1, bias, positions)[:, -1]

    def extend_all(self, ids: Tensor, cache: DynamicCache) -> Tensor:
        """One more pass over (B, L) new ids; logits (B, L, V) of every position."""
        return self._extend(ids, cache, ids.shape[1])

    def _extend(
        self, ids: Tensor, cache: DynamicCache, keep: int, bias: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        made = self._model(
            input_ids=ids.to(self.device),
            attention_mask=bias,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        logits: Tensor = made.logits
        return logits

    def greedy(self, logits: Tensor, cache: DynamicCache, limit: int) -> Iterator[Step]:
        """At most ``limit`` greedy steps of one row from ``logits`` (V,); the end token is given, then it stops."""
        for made in range(limit):
            step = best_step(logits)
            yield step
            if step.token_id in self.end_ids or made + 1 == limit:
                return
            logits = self.extend(torch.tensor([[step.token_id]]), cache)[0]


def best_step(logits: Tensor) -> Step:
    """The most likely token of ``logits`` (V,) with its min-entropy."""
    return best_steps(logits.unsqueeze(0))[0]


def best_steps(logits: Tensor) -> list[Step]:
    """Per row of ``logits`` (B, V): the most likely token with its min-entropy, entropy and margin."""
    log_p = torch.log_softmax(logits.float(), dim=-1)  # (B, V)
    top, ids = log_p.max(dim=-1)  # of equal ones the first, as in generate; topk does not promise that
    p = log_p.exp()
    best_two = p.topk(min(2, p.shape[-1]), dim=-1).values  # (B, 2)
    margin = best_two[:, 0] - best_two[:, 1:].sum(dim=-1)
    entropy = -torch.xlogy(p, p).sum(dim=-1)
    columns = (ids, top / -_NATS_PER_BIT, entropy / _NATS_PER_BIT, margin)
    return [Step(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def to_answer(steps: Iterable[Step], end_ids: frozenset[int], text: str) -> Answer:
    """An answer with its confidence: 2 ** -(mean min-entropy over the answer's tokens), arXiv 2512.16349.

    The end token is no part of the answer; of an empty answer it is all there is, so there it counts.
    """
    every = list(steps)
    said = [step for step in every if step.token_id not in end_ids]
    counted = said or every
    token_bits = tuple(max(0.0, step.bits) for step in counted)  # rounding may leave a certain token at -0.0
    mean_bits = _mean(token_bits, 0.0)
    return Answer(
        text,
        2.0**-mean_bits,
        mean_bits,
        tuple(step.token_id for step in said),
        _mean([max(0.0, step.entropy_bits) for step in counted], 0.0),
        _mean([step.margin for step in counted], 1.0),
        token_bits,
    )


def _mean(values: Sequence[float], of_nothing: float) -> float:
    return sum(values) / len(values) if values else of_nothing

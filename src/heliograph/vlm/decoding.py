"""Greedy decoding on the model's own ``forward`` and key-value cache, one row at a time.

``generate`` spends more time on set-up than a small model spends on a short answer; this loop gives the same ids as
``generate(do_sample=False)``, with what the model's generation config does to the logits
(:mod:`heliograph.vlm.generation_rules`).

How sure the model was is read from its own logits, before any such rule: the probability that it gave to the token that
was said. A token that a rule forced is not certain because of that, and one that stands in for a forbidden one is
rightly doubted. Logits that are not finite say nothing, and nothing is made of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from heliograph.errors import AnsweringFailedError
from heliograph.types import LARGEST_LOGIT, Answer, confidence_of
from heliograph.vlm.checkpoint.weights import WeightCheck
from heliograph.vlm.frame_tap import feed_image_features
from heliograph.vlm.generation_rules import GenerationRules, RowRules
from heliograph.vlm.merged_tokens import MergedCache, MergedTokens, merged_prompt, weighted_bias
from heliograph.vlm.prompt import FrameInputs

_NATS_PER_BIT = math.log(2.0)
_LOWEST_LOG = -1e4
_BLOCK = 1 << 18  # logits

Feature = Tensor | MergedTokens | None
"""Tokens (N, D) of a frame, fewer that stand for them, or its own pixels."""


@dataclass(frozen=True)
class Step:
    """One generated token and how sure the model was of it.

    Attributes:
        token_id: the one that was said, the most likely one unless a rule forbids it.
        bits: -log2 of its probability; of the most likely token, its min-entropy.
        entropy_bits: Shannon entropy of all tokens' probabilities.
        margin: its probability less the largest of the others, below 0 where the model would have said another.
    """

    token_id: int
    bits: float
    entropy_bits: float
    margin: float

    @property
    def numbers(self) -> tuple[float, float, float]:
        """All but the token."""
        return self.bits, self.entropy_bits, self.margin


class Decoder:
    """Forward passes with cache for one model.

    Raises:
        ModelUnsupportedError: its generation config takes ``generate`` itself.
        AnsweringFailedError: (by every pass) logits that say nothing, or a checkpoint with damaged weights.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.rules = GenerationRules(model)
        _ = self.rules.plain  # whether this model is one for these loops shows when it is opened
        self.device = model.device
        self.dtype = model.dtype
        end = model.generation_config.eos_token_id
        self.end_ids: frozenset[int] = frozenset([end] if isinstance(end, int) else end or ())
        self.weights = WeightCheck(model)

    def prefill(
        self, ids: Tensor, frames: FrameInputs, features: Sequence[Feature], keep: int = 1
    ) -> tuple[Tensor, DynamicCache]:
        """First pass over prompts of equal length, with images.

        Args:
            ids: (B, L) int64.
            frames: pixel inputs for B prompts.
            features: per frame, batch-major, restored tokens (N, D) or None for its own pixels; or merged ones of
                every frame, as many of each.
            keep: how many last positions give logits.

        Returns:
            Logits (B, keep, V) and the filled cache.
        """
        merged = [one for one in features if isinstance(one, MergedTokens)]
        if merged:
            return self._merged_prefill(ids, frames, merged, keep)
        cache = DynamicCache(config=self._model.config.get_text_config())
        whole = [one for one in features if not isinstance(one, MergedTokens)]
        return self._with_images(ids, frames, whole, keep, past_key_values=cache, use_cache=True), cache

    def _merged_prefill(
        self, ids: Tensor, frames: FrameInputs, merged: Sequence[MergedTokens], keep: int
    ) -> tuple[Tensor, DynamicCache]:
        prompt = merged_prompt(ids, merged, self._model.config.image_token_id)
        weights = prompt.weights.to(self.device)
        cache = MergedCache(prompt.left_out, weights, config=self._model.config.get_text_config())
        caching = {
            "attention_mask": weighted_bias(weights, prompt.ids.shape[1], self.dtype),
            "position_ids": prompt.positions.to(self.device),
            "past_key_values": cache,
            "use_cache": True,
        }
        values = [one.values.to(self.device, self.dtype) for one in merged]
        return self._with_images(prompt.ids, frames, values, keep, **caching), cache

    def teacher_forced(self, ids: Tensor, frames: FrameInputs, features: Sequence[Tensor | None], count: int) -> Tensor:
        """Logits (B, count, V) that the model gives at each of the last ``count`` ids, which follow the prompt; nothing
        is cached, and gradients flow into the features.

        Args:
            ids: (B, L) int64.
            frames, features: as in :meth:`prefill`.
            count: 0 for a pass over the prompt alone.
        """
        return self._with_images(ids, frames, features, count + 1, use_cache=False)[:, :-1]

    def _with_images(
        self, ids: Tensor, frames: FrameInputs, features: Sequence[Tensor | None], keep: int, **caching: Any
    ) -> Tensor:
        """Logits of a first pass; without frames it is one over words alone."""
        self.weights.require()
        if frames.pixel_values.shape[1]:
            caching["pixel_values"] = frames.pixel_values.to(self.device, self.dtype)
            caching["pixel_attention_mask"] = frames.pixel_attention_mask.to(self.device)
        with feed_image_features(self._model, features):
            made = self._model(input_ids=ids.to(self.device), logits_to_keep=keep, **caching)
        return finite(made.logits)

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
        if isinstance(cache, MergedCache):
            bias, positions = _beside_merged(cache, ids.shape[1], bias, positions, self.dtype)
        made = self._model(
            input_ids=ids.to(self.device),
            attention_mask=bias,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        return finite(made.logits)

    def greedy(self, logits: Tensor, cache: DynamicCache, limit: int, rules: RowRules | None = None) -> Iterator[Step]:
        """Yield at most ``limit`` greedy steps of one row from ``logits`` (V,), up to and with the end token.

        Args:
            logits: of the prompt's last position.
            cache: of the prompt.
            limit: most tokens.
            rules: of this row; None where nothing changes the logits.
        """
        for made in range(limit):
            step = next_steps(logits[None], [rules])[0]
            yield step
            if step.token_id in self.end_ids or made + 1 == limit:
                return
            logits = self.extend(torch.tensor([[step.token_id]]), cache)[0]


def _beside_merged(
    cache: MergedCache, new: int, bias: Tensor | None, positions: Tensor | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Bias (B, 1, L, cached + L) and positions (B, L) of ``new`` = L columns; those given are completed."""
    cached = cache.get_seq_length()
    weights = torch.nn.functional.pad(cache.weights, (0, cached + new - cache.weights.shape[1]))  # (B, cached + L)
    if positions is None:
        first = cached + cache.left_out
        positions = torch.arange(first, first + new, device=weights.device).expand(len(weights), -1)
    if bias is None:
        return weighted_bias(weights, new, dtype), positions
    return (bias + weights.to(dtype)[:, None, None, :]).clamp(min=torch.finfo(dtype).min), positions


def finite(logits: Tensor) -> Tensor:
    """The same logits.

    Raises:
        AnsweringFailedError: one of them is infinite or NaN, or larger than any that tells a probability.
    """
    low, high = logits.aminmax()  # NaN where there is one
    if not bool(torch.isfinite(low) & (high < LARGEST_LOGIT)):
        raise AnsweringFailedError
    return logits


def finite_rows(logits: Tensor) -> list[bool]:
    """Whether :func:`finite` would let each row of ``logits`` (B, V) pass."""
    ends = (end.tolist() for end in logits.aminmax(dim=-1))  # NaN where there is one
    return [math.isfinite(low) and high < LARGEST_LOGIT for low, high in zip(*ends, strict=True)]


def next_steps(logits: Tensor, rules: Sequence[RowRules | None]) -> list[Step]:
    """The next step of each row, from ``logits`` (B, V) and the rules of each; of one model, all have rules or none."""
    chosen = [row.choose(own) for row, own in zip(rules, logits, strict=True) if row is not None]
    return steps_of(logits, chosen) if chosen else best_steps(logits)


def best_steps(logits: Tensor) -> list[Step]:
    """Per row of ``logits`` (B, V): the most likely token with its min-entropy, entropy and margin."""
    return _steps(logits, None)


def steps_of(logits: Tensor, chosen: Sequence[int]) -> list[Step]:
    """Per row of ``logits`` (B, V): the chosen token, with how likely it was."""
    return _steps(logits, torch.tensor(list(chosen), device=logits.device))


def _steps(logits: Tensor, chosen: Tensor | None) -> list[Step]:
    """In blocks of rows that stay in a processor's cache from one operation to the next."""
    rows = max(1, _BLOCK // logits.shape[-1])
    return [
        step
        for start in range(0, len(logits), rows)
        for step in _steps_of_block(
            logits[start : start + rows], None if chosen is None else chosen[start : start + rows]
        )
    ]


def _steps_of_block(logits: Tensor, chosen: Tensor | None) -> list[Step]:
    log_p = torch.log_softmax(logits.float(), dim=-1)  # (B, V)
    top, ids = log_p.max(dim=-1)  # of equal ones the first, as in generate; topk does not promise that
    p = log_p.exp()
    best_two = p.topk(min(2, p.shape[-1]), dim=-1).values  # (B, 2)
    margin = best_two[:, 0] - best_two[:, 1:].sum(dim=-1)
    if chosen is not None:
        own = log_p.gather(1, chosen[:, None])[:, 0]
        margin = torch.where(chosen == ids, margin, own.exp() - best_two[:, 0])
        top, ids = own, chosen
    # A forbidden token has the logarithm -inf and adds nothing; float32's p is 0 long before the clamp (xlogy is slow).
    entropy = -(p * log_p.clamp_min(_LOWEST_LOG)).sum(dim=-1)
    columns = (ids, top / -_NATS_PER_BIT, entropy / _NATS_PER_BIT, margin)
    return [Step(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def to_answer(steps: Iterable[Step], end_ids: frozenset[int], text: str) -> Answer:
    """An answer with its confidence (:func:`heliograph.types.confidence_of`), from the mean min-entropy of its tokens.

    The end token is no part of the answer; of an answer without tokens it is all there is, so its bits count there.

    Raises:
        AnsweringFailedError: no step, or a number in one that is not finite.
    """
    every = list(steps)
    if not every or not all(math.isfinite(number) for step in every for number in step.numbers):
        raise AnsweringFailedError
    content = [step for step in every if step.token_id not in end_ids]
    counted = content or every
    token_bits = tuple(max(0.0, step.bits) for step in counted)  # rounding may leave a certain token at -0.0
    mean_bits = _mean(token_bits)
    return Answer(
        text,
        confidence_of(text, mean_bits),
        mean_bits,
        tuple(step.token_id for step in content),
        _mean([max(0.0, step.entropy_bits) for step in counted]),
        _mean([step.margin for step in counted]),
        token_bits,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def generated_ids(out: Any) -> tuple[list[int], Tensor]:
    """Generated ids, and the logits (T, V) at each, from what ``generate`` returns.

    With beams every step has a row for each, and the answer went along one path through them.
    """
    path = getattr(out, "beam_indices", None)
    if path is None:
        logits = torch.cat([one[:1] for one in out.logits])
        return out.sequences[0, -len(logits) :].tolist(), logits
    rows = [row for row in path[0].tolist() if row >= 0]
    logits = torch.stack([out.logits[step][row] for step, row in enumerate(rows)])
    start = out.sequences.shape[1] - path.shape[1]
    return out.sequences[0, start : start + len(rows)].tolist(), logits

"""What the frozen language model notices: distance of its answers from tokens restored and uncompressed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from heliograph.training.packing import PackedBatch


def answer_logits(model: Any, batch: PackedBatch, visual: Tensor) -> Tensor:
    """(answers, V) logits wherever the batch has a target; (B * N, D) visual tokens."""
    text = model.model.text_model
    embeds = text.get_input_embeddings()(batch.ids)  # (B, T, D)
    places = (batch.ids == model.config.image_token_id).unsqueeze(-1)
    embeds = embeds.masked_scatter(places, visual.to(embeds.dtype))
    hidden = text(
        inputs_embeds=embeds, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
    ).last_hidden_state
    logits: Tensor = model.lm_head(hidden[batch.targets != -100].float())
    return logits


def answer_distance(taught: Tensor, learnt: Tensor, weights: Tensor, temperature: float = 1.0) -> Tensor:
    """Weighted mean Kullback-Leibler divergence of (answers, V) logits, in nats."""
    wanted = torch.log_softmax(taught / temperature, dim=-1)
    found = torch.log_softmax(learnt / temperature, dim=-1)
    divergence = (wanted.exp() * (wanted - found)).sum(-1)
    return (divergence * weights).sum() / weights.sum()

"""The vision half of the Idefics3 family as one module, for photos that are one whole square frame."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class SquareEncoder(nn.Module):
    """Pixels (1, 3, S, S) float32 -> visual tokens (1, N, D) float32: tower and projector, which share their weights.

    Args:
        model: an Idefics3 or SmolVLM model of transformers.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.tower, self.connector = model.model.vision_model, model.model.connector

    def forward(self, pixel_values: Tensor) -> Tensor:
        """One whole square frame."""
        embeddings = self.tower.embeddings
        # A whole frame has its patches at places 0, 1, 2 ...; the model's own bucketing does not trace.
        patches = embeddings.patch_embedding(pixel_values).flatten(2).transpose(1, 2)  # (1, P, width)
        placed = patches + embeddings.position_embedding.weight
        hidden = self.tower.post_layernorm(self.tower.encoder(inputs_embeds=placed).last_hidden_state)
        tokens: Tensor = self.connector(hidden)
        return tokens

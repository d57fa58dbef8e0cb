"""The network that says which visual tokens go, and a frozen tower that runs with soft decisions of it.

::

    states (B, P, d) --LayerNorm, d -> d, GELU--> local half | global half, mean over what is kept --MLP--> log P(keep)
    decision = hard Gumbel-softmax x earlier decision; attention: exp(a - max) x decision of the key, 1 on the diagonal

After DynamicViT (arXiv 2106.02034). Decisions are of whole visual tokens: a token's patches share the mean of their
scores.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_SMALL = 1e-6


class Predictor(nn.Module):
    """Log-probabilities that patches stay.

    Args:
        width: d.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.local = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU())
        sizes = (width, width // 2, width // 4, 2)
        self.last = nn.Sequential(
            nn.Linear(sizes[0], sizes[1]),
            nn.GELU(),
            nn.Linear(sizes[1], sizes[2]),
            nn.GELU(),
            nn.Linear(sizes[2], sizes[3]),
        )

    def forward(self, states: Tensor, kept: Tensor | None = None) -> Tensor:
        """(B, P, 2) log-probabilities, of staying and of going.

        Args:
            states: (B, P, d).
            kept: (B, P) 1 for what has not gone; None where nothing is there that has.
        """
        here = self.local(states)  # (B, P, d)
        half = here.shape[-1] // 2
        weight = torch.ones_like(states[..., :1]) if kept is None else kept[..., None]
        whole = (here[..., half:] * weight).sum(1, keepdim=True) / (weight.sum(1, keepdim=True) + _SMALL)
        joined = torch.cat([here[..., :half], whole.expand(-1, here.shape[1], -1)], -1)  # (B, P, d)
        return functional.log_softmax(self.last(joined), -1)


class Scores(nn.Module):
    """What a device runs: states (1, P, d) of what is left to (1, P) log-probabilities of staying."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, states: Tensor) -> Tensor:
        """See the class."""
        made: Tensor = self.predictor(states)[..., 0]
        return made


class DecidedTower:
    """The tower of an Idefics3 model, frozen, with predictors before some of its blocks.

    Args:
        model: frozen.
        stages: blocks that a predictor stands before, rising.
        patches: (N, s * s) places of the patches of each token.
    """

    def __init__(self, model: Any, stages: tuple[int, ...], patches: Tensor) -> None:
        self.vision, self.connector = model.model.vision_model, model.model.connector
        self.stages, self.patches = stages, patches
        width = int(self.vision.config.hidden_size)
        self.predictors = nn.ModuleList(Predictor(width) for _ in stages)

    def embedded(self, pixels: Tensor) -> Tensor:
        """(B, P, d) of pixels (B, 3, S, S) from -1 to 1."""
        side = pixels.shape[-1] // self.vision.embeddings.patch_size
        mask = torch.ones(len(pixels), side, side, dtype=torch.bool)
        made: Tensor = self.vision.embeddings(pixel_values=pixels, patch_attention_mask=mask)
        return made

    def tokens(self, hidden: Tensor) -> Tensor:
        """(B, N, D) of states behind the last block."""
        made: Tensor = self.connector(self.vision.post_layernorm(hidden))
        return made

    def whole(self, pixels: Tensor) -> Tensor:
        """(B, N, D): the tower as it is."""
        hidden = self.embedded(pixels)
        for block in self.vision.encoder.layers:
            hidden = block(hidden, None)
        return self.tokens(hidden)

    def decided(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Tokens (B, N, D), and the decision (B, N) of each stage, 1 for what stays."""
        hidden = self.embedded(pixels)
        kept = torch.ones(len(pixels), len(self.patches))  # (B, N)
        decisions = []
        for number, block in enumerate(self.vision.encoder.layers):
            if number in self.stages:
                scores = self.predictors[self.stages.index(number)](hidden, self._spread(kept))
                units = scores[:, self.patches].mean(2)  # (B, N, 2)
                kept = functional.gumbel_softmax(units, hard=True)[..., 0] * kept
                decisions.append(kept)
            hidden = _block(block, hidden, self._spread(kept))
        return self.tokens(hidden), decisions

    def _spread(self, kept: Tensor) -> Tensor:
        """(B, N) to (B, P)."""
        spread = torch.zeros(len(kept), self.patches.numel())
        index = self.patches.flatten().expand(len(kept), -1)
        return spread.scatter(1, index, kept.repeat_interleave(self.patches.shape[1], 1))


def _block(block: Any, hidden: Tensor, kept: Tensor) -> Tensor:
    """One block with what has gone out of sight, but for itself."""
    attention, normed = block.self_attn, block.layer_norm1(hidden)
    shape = (*hidden.shape[:2], attention.num_heads, -1)
    query, key, value = (
        project(normed).view(shape).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )  # (B, H, P, d / H)
    scores = query @ key.transpose(2, 3) * attention.scale  # (B, H, P, P)
    count = hidden.shape[1]
    own = torch.eye(count)
    seen = kept[:, None, None] * (1 - own) + own  # (B, 1, P, P)
    weights = (scores - scores.amax(-1, keepdim=True)).exp() * seen
    weights = (weights + _SMALL / count) / (weights.sum(-1, keepdim=True) + _SMALL)
    mixed = (weights @ value).transpose(1, 2).flatten(2)
    hidden = hidden + attention.out_proj(mixed)
    made: Tensor = hidden + block.mlp(block.layer_norm2(hidden))
    return made

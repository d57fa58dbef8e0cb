"""The three stages of training the reference model, each a loss over a random batch.

``tower``: dense labels. ``language``: tower frozen, its tokens cached, questions packed per picture.
``joint``: everything, gently (a learning rate above 1e-4 destroys the tower).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.training.reference.data import EasyStore, SceneStore
from heliograph.training.reference.tower import DenseHeads, tower_tokens

TOWER_VIEWS, TOWER_CROPS, TOWER_EASY = 44, 14, 6


class Phase(Protocol):
    """One stage: what learns, how fast, and from what."""

    name: str
    peak_rate: float

    def modules(self) -> tuple[nn.Module, ...]:
        """The modules that this stage changes."""

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        """Scalar loss of one random batch; ``progress`` runs from 0 to 1 over the stage."""

    def report(self) -> dict[str, float]:
        """Figures on held-out scenes."""


class TowerPhase:
    """Stage one: vision tower and projector against dense labels."""

    name = "tower"
    peak_rate = 1.2e-3

    def __init__(self, model: Any, heads: DenseHeads, scenes: SceneStore, held_out: SceneStore, easy: EasyStore | None):
        self.model, self.heads, self.scenes, self.held_out, self.easy = model, heads, scenes, held_out, easy

    def modules(self) -> tuple[nn.Module, ...]:
        """Tower, projector and the dense heads."""
        return self.model.model.vision_model, self.model.model.connector, self.heads

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        """Dense cross-entropies, plus pooled ones on easy-VQA."""
        pixels, labels = self.scenes.tower_batch(rng, TOWER_VIEWS, TOWER_CROPS)
        if self.easy is None:
            return self.heads.loss(batch_tokens(self.model, pixels), labels)
        more, shape, colour = self.easy.batch(rng, TOWER_EASY)
        tokens = batch_tokens(self.model, torch.cat([pixels, more]))  # (B, 64, D)
        dense = self.heads.loss(tokens[: len(pixels)], labels)
        return dense + 0.2 * self.heads.easy_loss(tokens[len(pixels) :], shape, colour)

    def report(self) -> dict[str, float]:
        """Share of right tokens on held-out clean views, per label; characters on crops beside."""
        index = np.arange(min(len(self.held_out), 200))
        with torch.no_grad():
            views = batch_tokens(self.model, torch.from_numpy(self.held_out.views[index, 0]))
            crops = batch_tokens(self.model, torch.from_numpy(self.held_out.crops[index]))
            found = self.heads.accuracy(views, self.held_out.labels("view", index))
            found["crop_characters"] = self.heads.accuracy(crops, self.held_out.labels("crop", index))["characters"]
        return found


def batch_tokens(model: Any, pixels: Tensor) -> Tensor:
    """(B, 128, 128, 3) uint8 -> (B, 64, D) float32, matrix products in bfloat16 (five times faster here)."""
    with torch.autocast(pixels.device.type, dtype=torch.bfloat16):
        return tower_tokens(model, pixels).float()

"""MACs of a part of a tower of plain blocks, from its shape: what is left when units go, and what a cut leaves over."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from heliograph.reference.assets import shipped_model_folder
from heliograph.strategies.towers import BlockUnits


@dataclass(frozen=True)
class TowerShape:
    """A tower of plain blocks whose units are its patches.

    Attributes:
        patches, patch_values: P, and numbers in a patch of pixels.
        width, inner: d, and the width within an MLP.
        blocks: L.
        hidden_size: D.
    """

    patches: int
    patch_values: int
    width: int
    inner: int
    blocks: int
    hidden_size: int

    @property
    def embedding(self) -> int:
        """MACs of the first layer."""
        return self.patches * self.patch_values * self.width

    @property
    def first_attention(self) -> int:
        """MACs up to the scores of the first block: queries and keys, and every query with every key."""
        return self.embedding + 2 * self.patches * self.width**2 + self.patches**2 * self.width

    @property
    def projector(self) -> int:
        """MACs behind the last block."""
        return self.patches * self.width * self.hidden_size

    def block(self, units: BlockUnits) -> int:
        """MACs of one block: projections, scores and their sum, MLP, and the predictor before it (d to d, d to d/2 to
        d/4 to 2)."""
        width = self.width
        attention = units.attention * 4 * width**2 + 2 * units.attention**2 * width
        scored = width**2 + width * (width // 2) + (width // 2) * (width // 4) + 2 * (width // 4)
        return attention + units.mlp * 2 * width * self.inner + units.scored * scored

    def macs(self, units: Sequence[BlockUnits]) -> int:
        """What a device runs; the projector where it runs the last block."""
        whole = self.embedding + sum(map(self.block, units))
        return whole + (self.projector if units[-1].mlp else 0)

    def left_over(self, units: Sequence[BlockUnits]) -> int:
        """What a cloud runs: the blocks that the device does not, and the projector behind them."""
        if units[-1].mlp:
            return 0
        rest = sum(not one.mlp for one in units)
        return rest * self.block(BlockUnits(self.patches, self.patches)) + self.projector


def reference_shape() -> TowerShape:
    """The reference model's tower."""
    config = json.loads((shipped_model_folder() / "config.json").read_text(encoding="utf-8"))
    vision = config["vision_config"]
    side, patch = int(vision["image_size"]), int(vision["patch_size"])
    return TowerShape(
        patches=(side // patch) ** 2,
        patch_values=3 * patch**2,
        width=int(vision["hidden_size"]),
        inner=int(vision["intermediate_size"]),
        blocks=int(vision["num_hidden_layers"]),
        hidden_size=int(config["text_config"]["hidden_size"]),
    )

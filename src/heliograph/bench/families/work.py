"""Work of both ends for each way of sending: MACs of networks on the device and in the cloud, and prefill.

::

    tokens      device: tower (+ the codec's encoder) ==> cloud: (the codec's decoder +) prefill of N visual tokens
    pictures    device: none                          ==> cloud: tower + prefill
    local       device: tower + prefill               ==> nothing
    within      device: what is left of the blocks    ==> cloud: the rest of the tower + prefill (``split-k``, ``tome``)

A codec's closed form (transform, entropy coding) has no network and is in the milliseconds alone, as are a picture
codec's. What a strategy asks of the device is what it asked for when it ran, not what its name promises.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heliograph.bench.device.macs_table import TEXT_POSITIONS, Network, reference_networks
from heliograph.bench.macs import Prefill
from heliograph.reference.assets import shipped_model_folder
from heliograph.strategies.base import Kind
from heliograph.strategies.towers import BlockUnits

_ENCODER, _DECODER = "encoder (device)", "decoder (cloud)"


@dataclass(frozen=True)
class Work:
    """MACs of one photo and one question.

    Attributes:
        device_macs, cloud_macs: of networks at either end, the prefill among those of whoever answers.
        prefill_tokens: positions that the language model reads, visual and text.
    """

    device_macs: int
    cloud_macs: int
    prefill_tokens: int


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


@dataclass(frozen=True)
class ModelWork:
    """What a model's parts cost.

    Attributes:
        tower: MACs of tower and projector.
        prefill: of the language model.
        visual_tokens: N.
        encoders, decoders: MACs of learned codecs' networks, by codec.
    """

    tower: int
    prefill: Prefill
    visual_tokens: int
    encoders: Mapping[str, int]
    decoders: Mapping[str, int]
    shape: TowerShape

    def of(self, kind: Kind, codec: str, *, tower_on_device: bool, units: Sequence[BlockUnits] | None = None) -> Work:
        """The work of one way of sending.

        Args:
            kind: what the cloud's model answers from.
            codec: that the strategy cannot do without; empty for none.
            tower_on_device: whether the strategy asked the device for visual tokens.
            units: what the device runs of each block, where that is neither all nor nothing.
        """
        positions = self.visual_tokens + TEXT_POSITIONS
        answering = self.prefill.macs(positions)
        device = self.tower if tower_on_device else 0
        if kind is Kind.LOCAL:
            return Work(device + answering, 0, positions)
        if units is not None:
            device = self.shape.macs(units)
        device += self.encoders.get(codec, 0)
        cloud = self.decoders.get(codec, 0) + (0 if tower_on_device else self.tower)
        if units is not None:
            cloud = self.decoders.get(codec, 0) + self.shape.left_over(units)
        return Work(device, cloud + answering, positions)


def reference_work() -> ModelWork:
    """The work of the reference model's parts and of the networks of its shipped bundle."""
    networks, language = reference_networks()
    return ModelWork(
        tower=networks[0].macs,
        prefill=language.prefill,
        visual_tokens=language.visual_tokens,
        encoders=_of_codecs(networks, _ENCODER),
        decoders=_of_codecs(networks, _DECODER),
        shape=_shape(),
    )


def _shape() -> TowerShape:
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


def _of_codecs(networks: list[Network], end: str) -> dict[str, int]:
    """MACs by codec, of parts called after their codec and their end."""
    return {one.part.split("`")[1]: one.macs for one in networks if one.part.endswith(end)}

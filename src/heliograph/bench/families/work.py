"""Work of both ends for each way of sending: MACs of networks on the device and in the cloud, and prefill.

::

    tokens      device: tower (+ the codec's encoder) ==> cloud: (the codec's decoder +) prefill of N visual tokens
    bottleneck  device: the part's encoder            ==> cloud: the part's decoder + prefill
    neck        device: the part's encoder            ==> cloud: the part's neck + the rest of the tower + prefill
    pictures    device: none, or what guides them     ==> cloud: tower + prefill
    words       device: tower + prefill, or a reader  ==> cloud: tower + prefill (of the words' drawing)
    local       device: tower + prefill               ==> nothing
    within      device: what is left of the blocks    ==> cloud: the rest of the tower + prefill (``split-k``, ``tome``)

A codec's closed form (transform, entropy coding) has no network and is in the milliseconds alone, as are a picture
codec's. What a strategy asks of the device is what it asked for when it ran, not what its name promises. What each
token of an answer or a description takes behind the prefill is not counted at either end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.bench.device.macs_table import TEXT_POSITIONS, Network, reference_networks
from heliograph.bench.families.tower_shape import TowerShape, reference_shape
from heliograph.bench.macs import Prefill
from heliograph.bench.onnx_macs import count_onnx
from heliograph.bench.outcomes import Asked
from heliograph.codec.bundle import Bundle
from heliograph.codec.onnx_session import load_network, open_session
from heliograph.codec.parts import PARTS, FindPart
from heliograph.controllers.region.find import RegionSetting
from heliograph.edge.local.prompt import LocalPrompt
from heliograph.edge.sight import SOFTMAX
from heliograph.errors import PartMissingError
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.strategies.base import Kind
from heliograph.strategies.part_latents import ENCODER, ENTERED_BEHIND, BottleneckPart, BottleneckStrategy
from heliograph.strategies.selection import strategies_with, strategy_class
from heliograph.strategies.towers import BlockUnits

_ON_DEVICE, _IN_CLOUD = ("encoder", "adapter"), ("decoder", "side")
"""Names of networks of parts, by the end that runs them."""

_OF_TOKENS = {"tokens", "codes", "known", "share", "words"}
"""Inputs of networks that work on what the tower made."""

_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}
_ENCODER, _DECODER = "encoder (device)", "decoder (cloud)"


@dataclass(frozen=True)
class Work:
    """MACs of one photo and one question.

    Attributes:
        device_macs, cloud_macs: of networks at either end, the prefill among those of whoever answers; None of a
            device that runs a text reader, whose products depend on the photo and are not counted.
        prefill_tokens: positions that the language model reads, visual and text.
    """

    device_macs: int | None
    cloud_macs: int
    prefill_tokens: int


@dataclass(frozen=True)
class ModelWork:
    """What a model's parts cost.

    Attributes:
        tower: MACs of tower and projector.
        prefill: of the language model.
        visual_tokens: N.
        encoders, decoders: MACs of learned codecs' networks, by codec.
        shape: of the tower.
        question_map: MACs of the device's language model up to the attention that tells where a question looks.
        parts: MACs of a strategy's own networks on the device and in the cloud, by strategy.
        in_the_towers_place: strategies whose networks do what the tower would.
    """

    tower: int
    prefill: Prefill
    visual_tokens: int
    encoders: Mapping[str, int]
    decoders: Mapping[str, int]
    shape: TowerShape
    question_map: int = 0
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    in_the_towers_place: frozenset[str] = frozenset()

    def of(
        self,
        kind: Kind,
        codec: str,
        *,
        asked: Collection[Asked],
        strategy: str = "",
        units: Sequence[BlockUnits] | None = None,
    ) -> Work:
        """The work of one way of sending.

        Args:
            kind: what the cloud's model answers from.
            codec: that the strategy cannot do without; empty for none.
            asked: which of the device's networks it had run.
            strategy: its name, by which it may have networks of its own.
            units: what the device runs of each block, where that is neither all nor nothing.
        """
        positions = self.visual_tokens + TEXT_POSITIONS
        answering = self.prefill.macs(positions)
        part_device, part_cloud = self.parts.get(strategy, (0, 0))
        if strategy in self.in_the_towers_place:
            return Work(part_device, part_cloud + answering, positions)
        if kind is Kind.LOCAL:
            return Work(self.tower + answering, 0, positions)
        if Asked.READER in asked:
            return Work(None, self.tower + answering, positions)
        device = self._on_device(asked)
        cloud = 0 if kind is Kind.TOKENS and Asked.TOWER in asked else self.tower
        if units is not None:
            device, cloud = self.shape.macs(units), self.shape.left_over(units)
        device += self.encoders.get(codec, 0) + part_device
        cloud += self.decoders.get(codec, 0) + part_cloud
        return Work(device, cloud + answering, positions)

    def _on_device(self, asked: Collection[Asked]) -> int:
        """MACs of the device's own networks, as far as they were run."""
        whole = {Asked.TOWER, Asked.DESCRIPTION} & set(asked)
        found = self.tower if whole else 0
        if Asked.FIRST_ATTENTION in asked and not whole:
            found += self.shape.first_attention
        if Asked.DESCRIPTION in asked:
            found += self.prefill.macs(self.visual_tokens + TEXT_POSITIONS)
        return found + (self.question_map if Asked.QUESTION_MAP in asked else 0)


def reference_work() -> ModelWork:
    """The work of the reference model's parts and of the networks of its shipped bundle."""
    networks, language = reference_networks()
    bundle = Bundle.load(shipped_bundle_folder())
    shape = reference_shape()
    instead = bottleneck_macs(bundle.part, shape)
    return ModelWork(
        tower=networks[0].macs,
        prefill=language.prefill,
        visual_tokens=language.visual_tokens,
        encoders=_of_codecs(networks, _ENCODER),
        decoders=_of_codecs(networks, _DECODER),
        shape=shape,
        question_map=question_map_macs(bundle, language.visual_tokens),
        parts=_of_parts() | instead,
        in_the_towers_place=frozenset(instead),
    )


def question_map_macs(bundle: Bundle, visual_tokens: int) -> int:
    """MACs of a device's language model up to the attention that tells where a question looks, for the question and,
    where the bundle says so, for one that asks for nothing in particular; 0 for a bundle without a language model."""
    if bundle.local_model_path is None:
        return 0
    network = load_network(bundle.local_model_path)
    attention = network.made_by(SOFTMAX)
    setting = RegionSetting.of(bundle) or RegionSetting(layer=len(attention) // 2)
    placeholder = LocalPrompt.load(bundle.local_model_path.parent).pieces.image_token_id
    ids = [[placeholder] * visual_tokens + [placeholder + 1] * TEXT_POSITIONS]
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "attention.onnx"
        path.write_bytes(network.cut([attention[setting.layer]]))
        layers, heads, _, head_size = next(
            one.shape for one in open_session(path).get_inputs() if one.name == "past_keys"
        )
        past = np.zeros((layers, heads, 0, head_size), np.float32)
        given: dict[str, npt.NDArray[Any]] = {
            "input_ids": np.asarray(ids, np.int64),
            "image_features": np.zeros((visual_tokens, bundle.hidden_size), np.float32),
            "past_keys": past,
            "past_values": past,
        }
        return count_onnx(path, given).macs * (2 if setting.generic_question else 1)


def bottlenecks() -> tuple[str, ...]:
    """Names of the strategies whose parts are in the tower's place."""
    return tuple(name for name in strategies_with() if issubclass(strategy_class(name), BottleneckStrategy))


def bottleneck_macs(find: FindPart, shape: TowerShape) -> dict[str, tuple[int, int]]:
    """MACs of the networks of every bottleneck whose part is there, on the device and in the cloud.

    Args:
        find: gives a part.
        shape: of the tower, whose last blocks the cloud runs where a bottleneck ends in its middle.
    """
    found = {}
    for name in bottlenecks():
        try:
            part = find(name)
        except PartMissingError:
            continue
        halves = BottleneckPart.of(part)
        pixels = np.zeros((1, 3, halves.side, halves.side), np.float32)
        latents = np.zeros((1, halves.tables.channels, halves.rows, halves.columns), np.float32)
        device = count_onnx(part.folder / f"{ENCODER}.onnx", {"pixels": pixels}).macs
        given: dict[str, np.ndarray[Any, Any]] = {"latents": latents, "rate": np.zeros(1, np.int64)}
        strategy: Any = strategy_class(name)
        cloud = count_onnx(part.folder / f"{strategy.cloud_network}.onnx", given).macs
        if strategy.enters_tower:
            stood_for = [BlockUnits(1, 1)] * ENTERED_BEHIND
            cloud += shape.left_over([*stood_for, *[BlockUnits(0, 0)] * (shape.blocks - ENTERED_BEHIND)])
        found[name] = device, cloud
    return found


def _of_parts() -> dict[str, tuple[int, int]]:
    """MACs of the shipped parts' networks for one tile, on the device and in the cloud."""
    found: dict[str, list[int]] = {}
    for path in sorted((shipped_bundle_folder().parent / PARTS).glob("*/*.onnx")):
        given = _one_tile(path)
        if path.stem in (*_ON_DEVICE, *_IN_CLOUD) and given.keys() <= _OF_TOKENS:
            count = count_onnx(path, given).macs
            found.setdefault(path.parent.name, [0, 0])[path.stem in _IN_CLOUD] += count
    return {name: (device, cloud) for name, (device, cloud) in found.items()}


def _one_tile(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Inputs of a network, ones of its own shapes, for one tile."""
    session = open_session(path)
    return {
        one.name: np.ones([side if isinstance(side, int) else 1 for side in one.shape], _TYPES[one.type])
        for one in session.get_inputs()
    }


def _of_codecs(networks: list[Network], end: str) -> dict[str, int]:
    """MACs by codec, of parts called after their codec and their end."""
    return {one.part.split("`")[1]: one.macs for one in networks if one.part.endswith(end)}

"""A trained bottleneck as a part: the device's network, the cloud's, gains, and tables counted on training scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.codec.channel_tables import MAX_REACH, ChannelTables, Int, fit_channel_tables
from heliograph.codec.storage import write_arrays
from heliograph.strategies.part_latents import DECODER, ENCODER
from heliograph.training.bottleneck.lessons import Material
from heliograph.training.bottleneck.network import Bottleneck, DeviceEncoder
from heliograph.training.export.onnx_graphs import trace
from heliograph.training.export.onnx_weights import eight_bit
from heliograph.types import Grid

_COUNTED = 2048
_CHUNK = 64
TABLES = "tables"


class Coding(Protocol):
    """What makes integers of pixels."""

    log_gain: nn.Parameter
    encoder: DeviceEncoder


class CloudHalf(nn.Module):
    """Integers (B, C, h, w) float32 at rates (B,) int64 to tokens (B, N, D)."""

    def __init__(self, bottleneck: Bottleneck) -> None:
        super().__init__()
        self.bottleneck = bottleneck

    def forward(self, latents: Tensor, rate: Tensor) -> Tensor:
        """See the class."""
        tokens: Tensor = self.bottleneck.blocks(latents, rate)[1]
        return tokens


@torch.no_grad()
def export_bottleneck(
    bottleneck: Bottleneck, material: Material, grid: Grid, folder: Path
) -> tuple[list[str], dict[str, Any]]:
    """Write networks and tables into a part's folder; weights are rounded as they ship, in the network too.

    Returns:
        Names of the files, and figures: mean bytes of held-out scenes at every rate by the tables.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _round(bottleneck)
    tables = counted_tables(bottleneck, material)
    pixels = material.pixels(np.arange(1))
    latents = bottleneck.encoder(pixels)
    trace(bottleneck.encoder, (pixels,), folder / f"{ENCODER}.onnx", input_names=["pixels"], output_names=["latents"])
    names = {"input_names": ["latents", "rate"], "output_names": ["tokens"]}
    trace(CloudHalf(bottleneck), (latents, torch.tensor([1])), folder / f"{DECODER}.onnx", **names)
    tokens = bottleneck.blocks(latents, torch.tensor([1]))[1]
    facts = {
        "grid": [grid.rows, grid.columns, grid.tiles, grid.photo_width, grid.photo_height],
        "hidden_size": int(tokens.shape[2]),
        "side": int(pixels.shape[2]),
        "rows": int(latents.shape[2]),
        "columns": int(latents.shape[3]),
    }
    gains = bottleneck.log_gain.exp().numpy()
    write_arrays(folder, TABLES, facts, {"borders": tables.borders.astype(np.int32), "gains": gains})
    files = [f"{ENCODER}.onnx", f"{DECODER}.onnx", f"{TABLES}.safetensors"]
    return files, {"held_out_bytes": held_out_bytes(bottleneck, material, tables)}


def _round(bottleneck: Bottleneck) -> None:
    """Weights as they ship: half precision, and 255 levels a row where they were copied of the tower."""
    bottleneck.requires_grad_(False)
    bottleneck.half().float()
    for layer in [*bottleneck.tail.modules(), *bottleneck.connector.modules()]:
        if isinstance(layer, nn.Linear):
            layer.weight.copy_(torch.from_numpy(eight_bit(layer.weight.numpy(), 0)))


def counted_tables(codec: Coding, material: Material) -> ChannelTables:
    """Tables of the integers of training scenes."""
    last = min(material.held_out + _COUNTED, material.scenes)
    integers = _integers(codec, material, range(material.held_out, last))
    reach = min(max(int(np.abs(one).max()) for one in integers) + 1, MAX_REACH)
    return fit_channel_tables([np.clip(one, -reach, reach) for one in integers], reach)


def held_out_bytes(codec: Coding, material: Material, tables: ChannelTables) -> list[float]:
    """Mean bytes of held-out scenes at every rate, by the tables."""
    integers = [
        np.clip(one, -tables.reach, tables.reach) for one in _integers(codec, material, range(material.held_out))
    ]
    sizes = [np.mean([tables.bits(one, rate) / 8 for one in integers[rate]]) for rate in range(tables.rates)]
    return [round(float(size), 1) for size in sizes]


@torch.no_grad()
def _integers(codec: Coding, material: Material, places: range) -> list[Int]:
    """(I, C, P) at each rate."""
    parts = []
    for first in range(places.start, places.stop, _CHUNK):
        chosen = np.arange(first, min(first + _CHUNK, places.stop))
        parts.append(codec.encoder(material.pixels(chosen)).flatten(2))
    latents = torch.cat(parts)  # (I, C, P)
    gains = codec.log_gain.exp()
    return [(latents * gain[:, None]).round().numpy().astype(np.int64) for gain in gains]

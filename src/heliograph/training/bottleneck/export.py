"""A trained bottleneck as a part: the device's network, the cloud's, gains, and tables counted on training scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.codec.channel_tables import MAX_REACH, ChannelTables, Int, fit_channel_tables
from heliograph.codec.storage import write_arrays
from heliograph.strategies.split.bottleneck import DECODER, ENCODER
from heliograph.training.bottleneck.lessons import Material
from heliograph.training.bottleneck.network import Bottleneck
from heliograph.training.export.onnx_graphs import trace
from heliograph.training.export.onnx_weights import eight_bit
from heliograph.types import Grid

_COUNTED = 2048
_CHUNK = 64
TABLES = "tables"


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
    last = min(material.held_out + _COUNTED, material.scenes)
    tables = _counted(bottleneck, material, range(material.held_out, last))
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
    held_out = _integers(bottleneck, material, range(material.held_out))
    held_out = [np.clip(one, -tables.reach, tables.reach) for one in held_out]
    sizes = [np.mean([tables.bits(one, rate) / 8 for one in held_out[rate]]) for rate in range(tables.rates)]
    return [f"{ENCODER}.onnx", f"{DECODER}.onnx", f"{TABLES}.safetensors"], {
        "held_out_bytes": [round(float(size), 1) for size in sizes]
    }


def _round(bottleneck: Bottleneck) -> None:
    """Weights as they ship: half precision, and 255 levels a row where they were copied of the tower."""
    bottleneck.requires_grad_(False)
    bottleneck.half().float()
    for layer in [*bottleneck.tail.modules(), *bottleneck.connector.modules()]:
        if isinstance(layer, nn.Linear):
            layer.weight.copy_(torch.from_numpy(eight_bit(layer.weight.numpy(), 0)))


def _counted(bottleneck: Bottleneck, material: Material, places: range) -> ChannelTables:
    integers = _integers(bottleneck, material, places)
    reach = min(max(int(np.abs(one).max()) for one in integers) + 1, MAX_REACH)
    return fit_channel_tables([np.clip(one, -reach, reach) for one in integers], reach)


def _integers(bottleneck: Bottleneck, material: Material, places: range) -> list[Int]:
    """(I, C, P) at each rate."""
    parts = []
    for first in range(places.start, places.stop, _CHUNK):
        chosen = np.arange(first, min(first + _CHUNK, places.stop))
        parts.append(bottleneck.encoder(material.pixels(chosen)).flatten(2))
    latents = torch.cat(parts)  # (I, C, P)
    gains = bottleneck.log_gain.exp()
    return [(latents * gain[:, None]).round().numpy().astype(np.int64) for gain in gains]

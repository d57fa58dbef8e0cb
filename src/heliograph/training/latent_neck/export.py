"""A trained codec and neck as a part: both ends' networks, gains, and tables counted on training scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.codec.storage import write_arrays
from heliograph.strategies.part_latents import ENCODER, NECK
from heliograph.training.bottleneck.export import TABLES, counted_tables, held_out_bytes
from heliograph.training.bottleneck.lessons import Material
from heliograph.training.export.onnx_graphs import trace
from heliograph.training.export.onnx_weights import eight_bit
from heliograph.training.latent_neck.codec import PictureCodec
from heliograph.training.latent_neck.necks import Adapter, Neck
from heliograph.types import Grid


class CloudNeck(nn.Module):
    """Integers (B, C, h, w) float32 at rates (B,) int64 to states (B, P, W)."""

    def __init__(self, neck: Neck | Adapter, codec: PictureCodec) -> None:
        super().__init__()
        self.neck, self.log_gain = neck, codec.log_gain

    def forward(self, latents: Tensor, rate: Tensor) -> Tensor:
        """See the class."""
        states: Tensor = self.neck(latents / self.log_gain[rate].exp()[..., None, None], rate)
        return states


@torch.no_grad()
def export_neck(
    neck: Neck | Adapter, codec: PictureCodec, material: Material, grid: Grid, folder: Path
) -> tuple[list[str], dict[str, Any]]:
    """Write networks and tables into a part's folder; weights are rounded as they ship, in the networks too.

    Returns:
        Names of the files, and figures: mean bytes of held-out scenes at every rate by the tables.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _round(neck, codec)
    tables = counted_tables(codec, material)
    pixels = material.pixels(np.arange(1))
    latents = codec.encoder(pixels)
    states = neck(latents, torch.tensor([1]))  # (1, P, W)
    trace(codec.encoder, (pixels,), folder / f"{ENCODER}.onnx", input_names=["pixels"], output_names=["latents"])
    names = {"input_names": ["latents", "rate"], "output_names": ["states"]}
    trace(CloudNeck(neck, codec), (latents, torch.tensor([1])), folder / f"{NECK}.onnx", **names)
    facts = {
        "grid": [grid.rows, grid.columns, grid.tiles, grid.photo_width, grid.photo_height],
        "hidden_size": int(states.shape[2]),
        "side": int(pixels.shape[2]),
        "rows": int(latents.shape[2]),
        "columns": int(latents.shape[3]),
    }
    gains = codec.log_gain.exp().numpy()
    write_arrays(folder, TABLES, facts, {"borders": tables.borders.astype(np.int32), "gains": gains})
    files = [f"{ENCODER}.onnx", f"{NECK}.onnx", f"{TABLES}.safetensors"]
    return files, {"held_out_bytes": held_out_bytes(codec, material, tables)}


def _round(neck: Neck | Adapter, codec: PictureCodec) -> None:
    """Weights as they ship: half precision, and 255 levels a row where they were copied of the tower."""
    for one in (neck, codec):
        one.requires_grad_(False)
        one.half().float()
    for layer in neck.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.copy_(torch.from_numpy(eight_bit(layer.weight.numpy(), 0)))

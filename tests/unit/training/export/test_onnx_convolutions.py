"""A convolutional encoder in eight bits: which layers, and how near to the float32 one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from heliograph.training.export.onnx_convolutions import is_convolutional
from heliograph.training.export.onnx_graphs import trace
from heliograph.training.export.onnx_quantise import LEVELS, SAFE_LEVELS, quantise_encoder

LAYERS, CHANNELS, SIDE, WIDTH = 10, 24, 16, 32


class Convolutional(nn.Module):
    """Tokens (1, P, WIDTH) of pictures (1, 3, SIDE, SIDE) through convolutions with clipped results."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        torch.manual_seed(3)
        sizes = [3, *[CHANNELS] * layers]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes))
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight)
        self.out = nn.Linear(CHANNELS, WIDTH)

    def forward(self, pixels: Tensor) -> Tensor:
        for layer in self.layers:
            pixels = nn.functional.relu6(layer(pixels))
        made: Tensor = self.out(nn.functional.avg_pool2d(pixels, 4).flatten(2).transpose(1, 2))
        return made


def traced(path: Path, layers: int = LAYERS) -> Path:
    trace(Convolutional(layers).eval(), (torch.zeros(1, 3, SIDE, SIDE),), path, input_names=["pixels"])
    return path


def pictures() -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.uniform(-1, 1, (1, 3, SIDE, SIDE)).astype(np.float32) for _ in range(8)]


def weights_by_type(path: Path) -> dict[str, list[Any]]:
    """Filters of convolutions, by their type."""
    found: dict[str, list[Any]] = {}
    for stored in onnx.load(str(path)).graph.initializer:
        values = numpy_helper.to_array(stored)
        if values.ndim == 4:
            found.setdefault(str(values.dtype), []).append(values)
    return found


@pytest.mark.parametrize(("levels", "largest"), [(SAFE_LEVELS, 64), (LEVELS, 128)])
def test_all_convolutions_but_the_first_are_in_eight_bits(tmp_path, levels, largest) -> None:
    made = quantise_encoder(traced(tmp_path / "a.onnx"), tmp_path / "b.onnx", pictures(), levels=levels)
    assert made.method.endswith(", convolutions too")
    filters = weights_by_type(tmp_path / "b.onnx")
    assert [one.shape for one in filters["float32"]] == [(CHANNELS, 3, 3, 3)]
    assert [one.shape for one in filters["int8"]] == [(CHANNELS, CHANNELS, 3, 3)] * (LAYERS - 1)
    peaks = [int(np.abs(one.astype(int)).max()) for one in filters["int8"]]
    assert largest - 2 <= max(peaks) <= largest
    assert made.mean_error < 0.1
    assert made.file_bytes < 0.45 * (tmp_path / "a.onnx").stat().st_size


def test_the_error_is_that_of_the_whole(tmp_path) -> None:
    """Products alone do better, and what is reported is not theirs."""
    made = quantise_encoder(traced(tmp_path / "a.onnx"), tmp_path / "b.onnx", pictures())
    assert made.mean_error > 2 * min(made.errors.values())


def test_a_few_convolutions_stay_as_they_are(tmp_path) -> None:
    path = traced(tmp_path / "a.onnx", 4)
    assert not is_convolutional(path)
    made = quantise_encoder(path, tmp_path / "b.onnx", pictures())
    assert "convolutions" not in made.method
    assert set(weights_by_type(tmp_path / "b.onnx")) == {"float32"}

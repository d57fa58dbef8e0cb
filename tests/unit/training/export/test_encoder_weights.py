"""Weights beside the graphs: each once, as small as loses nothing, or as eight bits where that is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from heliograph.codec.onnx_session import open_session
from heliograph.errors import BundleDamagedError
from heliograph.training.export.encoder_graph import trace_encoder, weights_of
from heliograph.training.export.encoder_weights import store_weights

SIZE = 48


class Layers(nn.Module):
    """A matrix, a smaller one, and a table that only the shape of the input decides."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.tied = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, SIZE, bias=False)
        self.tied.weight = self.first.weight
        self.small, self.unused = nn.Linear(SIZE, 3), nn.Linear(SIZE, SIZE)
        for weight in self.parameters():
            scale = 2.0**20 if dtype == torch.bfloat16 else 1.0  # beyond float16
            weight.data = (weight.data * scale).to(dtype).float()
        self.table = torch.linspace(0, 1, SIZE * SIZE).reshape(SIZE, SIZE)

    def forward(self, picture: Tensor) -> Tensor:
        return torch.as_tensor(self.small(self.tied(self.first(picture[0, 0])) @ self.table)[None])


def written(folder: Path, dtype: torch.dtype) -> tuple[Layers, list[Path], Path]:
    layers = Layers(dtype)
    paths = [folder / "encoder.onnx", folder / "encoder-1.onnx"]
    for rows, path in zip((2, 5), paths, strict=True):
        trace_encoder(layers, [torch.zeros(1, 1, rows, SIZE)], path)
    store_weights(paths, weights_of(layers), folder / "encoder.safetensors")
    return layers, paths, folder / "encoder.safetensors"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_two_graphs_share_weights_without_loss(tmp_path: Path, dtype: torch.dtype) -> None:
    layers, paths, weights = written(tmp_path, dtype)
    kept = load_file(weights)
    assert [value.dtype for name, value in kept.items() if name.startswith("first.weight")] == [dtype]
    assert len([name for name in kept if name.startswith("constant.")]) == 1
    assert not any(name.startswith(("unused", "tied")) for name in kept)
    for rows, path in zip((2, 5), paths, strict=True):
        assert path.stat().st_size < 4000
        picture = torch.rand(1, 1, rows, SIZE)
        session = open_session(path)
        assert [one.name for one in session.get_inputs()] == ["pixels"]
        with torch.no_grad():
            expected = layers(picture).numpy()
        found = session.run(None, {"pixels": picture.numpy()})[0]
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_cut_weights_file_is_refused(tmp_path: Path) -> None:
    _, paths, weights = written(tmp_path, torch.float32)
    onnx.checker.check_model(str(paths[0]))
    weights.write_bytes(weights.read_bytes()[:-200])
    with pytest.raises(BundleDamagedError):
        open_session(paths[0])


def test_the_module_is_as_before(tmp_path: Path) -> None:
    layers, _, _ = written(tmp_path, torch.float32)
    assert isinstance(layers.first.weight, nn.Parameter)
    assert layers.tied.weight is layers.first.weight
    assert sum(1 for _ in layers.parameters()) == 6

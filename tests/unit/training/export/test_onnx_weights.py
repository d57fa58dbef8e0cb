"""Weights shrink only where nothing is lost, and a graph finds its weights in a safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from heliograph.codec.onnx_session import open_session
from heliograph.errors import BundleDamagedError
from heliograph.training.export.onnx_graphs import trace
from heliograph.training.export.onnx_weights import eight_bit, share_weights

SIZE = 48


def linear(kind: str) -> nn.Linear:
    torch.manual_seed(3)
    layer = nn.Linear(SIZE, SIZE, bias=False)
    values = layer.weight.detach().numpy()
    if kind == "float16":
        values = values.astype(np.float16).astype(np.float32)
    if kind.startswith("int8"):
        values = eight_bit(values, int(kind[-1]))
    layer.weight = nn.Parameter(torch.from_numpy(values.copy()))
    return layer


def exported(layer: nn.Module, path: Path) -> None:
    trace(layer, (torch.zeros(2, SIZE),), path, input_names=["x"], output_names=["y"])


def output(path: Path, x: Any) -> Any:
    return open_session(path).run(None, {"x": x})[0]


@pytest.mark.parametrize(("kind", "bytes_each"), [("float32", 4), ("float16", 2), ("int8 on 0", 1), ("int8 on 1", 1)])
def test_a_graph_is_small_and_computes_the_same(kind: str, bytes_each: int, tmp_path: Path) -> None:
    layer, path = linear(kind), tmp_path / "layer.onnx"
    exported(layer, path)
    overhead = 1200 + 4 * SIZE
    assert bytes_each * SIZE**2 < path.stat().st_size < bytes_each * SIZE**2 + overhead
    x = np.random.default_rng(1).normal(size=(2, SIZE)).astype(np.float32)
    with torch.no_grad():
        assert np.allclose(output(path, x), layer(torch.from_numpy(x)).numpy(), atol=1e-5)


def test_eight_bits_keep_every_entry_within_half_a_level() -> None:
    values = np.random.default_rng(2).normal(size=(5, 7)).astype(np.float32)
    values[2] = 0
    for axis in (0, 1):
        rounded = eight_bit(values, axis)
        step = np.abs(values).max(axis=1 - axis, keepdims=True) / 127
        assert (np.abs(rounded - values) <= 0.51 * step).all()
        assert np.array_equal(eight_bit(rounded, axis), rounded)


def test_graphs_share_one_safetensors_file(tmp_path: Path) -> None:
    layers = {"first": linear("float16"), "second": linear("int8 on 1")}
    paths = {name: tmp_path / f"{name}.onnx" for name in layers}
    x = np.random.default_rng(1).normal(size=(2, SIZE)).astype(np.float32)
    before = {}
    for name, layer in layers.items():
        exported(layer, paths[name])
        before[name] = output(paths[name], x)
    weights = tmp_path / "both.safetensors"
    share_weights(list(paths.values()), weights)
    assert {name.split("/")[0] for name in load_file(weights)} == set(layers)
    assert all(path.stat().st_size < 1500 for path in paths.values())
    for name in layers:
        assert np.array_equal(output(paths[name], x), before[name])
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BundleDamagedError):
        open_session(paths["second"])

"""How an exported graph stores its weights: as small as loses nothing, and as safetensors where that is wanted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, external_data_helper, helper, numpy_helper
from safetensors.numpy import save_file

Values = npt.NDArray[Any]

_MIN_VALUES = 256  # smaller ones stay as they are
_LEVELS = 127
_READABLE = 0o644  # as every other file of a codec; safetensors would keep it to its owner
_LENGTH_BYTES = 8  # a safetensors file begins with the length of its header


def compact_weights(path: Path) -> None:
    """Store float32 weights of a graph as scaled int8, else as float16, wherever that loses nothing.

    Checkpoints ship as float16 and :func:`eight_bit` makes int8, so on those it never does: fewer bytes, the same
    numbers bit for bit. The nodes that restore float32 have constant inputs only; ONNX Runtime runs them once, when
    the graph is loaded.
    """
    graph = onnx.load(str(path))
    nodes: list[Any] = []
    kept: list[Any] = []
    for weight in graph.graph.initializer:
        stored, restoring = _stored(weight.name, numpy_helper.to_array(weight))
        kept += stored or [weight]
        nodes += restoring
    nodes += graph.graph.node
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(kept)
    graph.graph.node.extend(nodes)
    onnx.save(graph, str(path))


def _stored(name: str, values: Values) -> tuple[list[Any], list[Any]]:
    """Initializers and restoring nodes; nothing where only float32 does."""
    if values.dtype != np.float32 or values.size < _MIN_VALUES:
        return [], []
    for axis in range(values.ndim if values.ndim == 2 else 0):
        levels, scale = _levels(values, axis)
        if np.array_equal(levels * scale, values):
            tensors = [numpy_helper.from_array(levels.astype(np.int8), f"{name}.levels")]
            tensors.append(numpy_helper.from_array(scale, f"{name}.scale"))
            cast = helper.make_node("Cast", [f"{name}.levels"], [f"{name}.float"], to=TensorProto.FLOAT)
            return tensors, [cast, helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name])]
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if not np.array_equal(half.astype(np.float32), values):
        return [], []
    cast = helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT)
    return [numpy_helper.from_array(half, f"{name}.half")], [cast]


def _levels(values: Values, axis: int) -> tuple[Values, Values]:
    """Whole float32 levels in -127..127 and one float32 scale per entry of ``axis``, which keeps its place."""
    largest = np.abs(values).max(axis=1 - axis, keepdims=True)
    scale = np.where(largest > 0, largest / np.float32(_LEVELS), np.float32(1)).astype(np.float32)
    return np.rint(values / scale).astype(np.float32), scale


def eight_bit(values: Values, axis: int) -> Values:
    """(a, b) float32 rounded to 255 levels per entry of ``axis``, so that :func:`compact_weights` stores it as int8."""
    levels, scale = _levels(values, axis)
    return np.asarray(levels * scale, dtype=np.float32)


def share_weights(graphs: Sequence[Path], weights: Path) -> None:
    """Move the larger weights of several graphs into one safetensors file, which each names as its external data.

    Args:
        graphs: ONNX files; rewritten.
        weights: file to write, in the same folder. Its tensors are called ``<graph's stem>/<weight>`` after the first
            graph that has them.
    """
    loaded = {path: onnx.load(str(path)) for path in graphs}
    arrays: dict[str, Values] = {}
    first: dict[tuple[Any, ...], str] = {}  # equal weights are stored once
    names: dict[tuple[Path, str], str] = {}
    for path, graph in loaded.items():
        for weight in filter(_is_large, graph.graph.initializer):
            values = np.ascontiguousarray(numpy_helper.to_array(weight))
            name = first.setdefault((values.dtype, values.shape, values.tobytes()), f"{path.stem}/{weight.name}")
            arrays[name], names[path, weight.name] = values, name
    save_file(arrays, str(weights))
    weights.chmod(_READABLE)
    places = _places(weights)
    for path, graph in loaded.items():
        for weight in graph.graph.initializer:
            if _is_large(weight):
                begin, end = places[names[path, weight.name]]
                weight.raw_data = numpy_helper.to_array(weight).tobytes()  # it must be there to be given a place
                external_data_helper.set_external_data(weight, weights.name, offset=begin, length=end - begin)
                weight.ClearField("raw_data")
        path.write_bytes(graph.SerializeToString())


def _is_large(weight: Any) -> bool:
    return bool(np.prod(weight.dims) >= _MIN_VALUES)


def _places(weights: Path) -> dict[str, tuple[int, int]]:
    """(begin, end) of each tensor's bytes within a safetensors file."""
    data = weights.read_bytes()
    start = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
    header = json.loads(data[_LENGTH_BYTES:start])
    header.pop("__metadata__", None)
    return {
        name: (start + entry["data_offsets"][0], start + entry["data_offsets"][1]) for name, entry in header.items()
    }

"""Weights of several graphs in one safetensors file, each in the smallest form that loses nothing.

The graphs name their weights as external data: no ONNX file comes near the two gigabytes that its format can hold, and
the frames of one encoder cost one copy. Checkpoints in float16 or bfloat16 stay so on the disk; a graph's first nodes
make float32 of them, once, when ONNX Runtime opens it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import Tensor

_MIN_VALUES = 256  # smaller constants stay in the graph
_READABLE = 0o644
_LENGTH_BYTES = 8  # a safetensors file begins with the length of its header
_FLOAT_OF = ".float"
_TYPES = {
    torch.float32: TensorProto.FLOAT,
    torch.float64: TensorProto.DOUBLE,
    torch.float16: TensorProto.FLOAT16,
    torch.bfloat16: TensorProto.BFLOAT16,
    torch.int8: TensorProto.INT8,
    torch.uint8: TensorProto.UINT8,
    torch.int32: TensorProto.INT32,
    torch.int64: TensorProto.INT64,
    torch.bool: TensorProto.BOOL,
}


def store_weights(graphs: Sequence[Path], values: Mapping[str, Tensor], weights: Path) -> None:
    """Give graphs that take their weights as inputs those weights.

    Args:
        graphs: ONNX files; rewritten.
        values: weights by the inputs' names, float32; other inputs stay inputs.
        weights: safetensors file to write, in the same folder.

    Raises:
        OSError: the disk refuses.
    """
    loaded = {path: onnx.load(str(path)) for path in graphs}
    stored: dict[str, Tensor] = {}
    given: dict[Path, dict[str, str]] = {}
    for path, model in loaded.items():
        given[path] = _from_inputs(model.graph, values, stored) | _from_constants(model.graph, stored)
    save_file(_apart(stored), str(weights))
    weights.chmod(_READABLE)
    places = _places(weights)
    for path, model in loaded.items():
        for name, key in given[path].items():
            model.graph.initializer.append(_external(name, stored[key], weights.name, places[key]))
        path.write_bytes(model.SerializeToString())


def _from_inputs(graph: Any, values: Mapping[str, Tensor], stored: dict[str, Tensor]) -> dict[str, str]:
    """Initializers in place of a graph's inputs, and nodes that restore float32; stored names by initializers'."""
    names: dict[str, str] = {}
    nodes: list[Any] = []
    used = {name for node in graph.node for name in node.input}
    for name in [one.name for one in graph.input if one.name in values]:
        if name in used:
            parts, restoring = _parts(name, values[name].detach())
            stored.update({key: tensor for key, tensor in parts.items() if key not in stored})
            names.update({key: key for key in parts})
            nodes += restoring
    inputs = [one for one in graph.input if one.name not in values]
    nodes += graph.node
    del graph.input[:], graph.node[:]
    graph.input.extend(inputs)
    graph.node.extend(nodes)
    return names


def _parts(name: str, value: Tensor) -> tuple[dict[str, Tensor], list[Any]]:
    """What is stored of one weight, and how float32 is made of it."""
    if value.dtype == torch.float32 and value.numel() >= _MIN_VALUES:
        for smaller in (torch.float16, torch.bfloat16):
            halved = value.to(smaller)
            if torch.equal(halved.float(), value):
                cast = helper.make_node("Cast", [name + _FLOAT_OF], [name], to=TensorProto.FLOAT)
                return {name + _FLOAT_OF: halved}, [cast]
    return {name: value}, []


def _apart(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each in memory of its own, as safetensors wants it; copied only where it is not."""
    made: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in stored.items():
        alone = value.is_contiguous() and value.untyped_storage().nbytes() == value.nbytes
        made[name] = value if alone and value.data_ptr() not in seen else value.clone().contiguous()
        seen.add(made[name].data_ptr())
    return made


def _from_constants(graph: Any, stored: dict[str, Tensor]) -> dict[str, str]:
    """Larger constants as initializers; equal ones of several graphs are stored once. Stored names by theirs."""
    names: dict[str, str] = {}
    kept = []
    for node in graph.node:
        value = node.attribute[0].t if node.op_type == "Constant" and node.attribute[0].name == "value" else None
        array = numpy_helper.to_array(value) if value is not None else None
        if array is None or array.size < _MIN_VALUES:
            kept.append(node)
            continue
        digest = sha256(f"{array.dtype} {array.shape}".encode() + array.tobytes()).hexdigest()
        names[node.output[0]] = f"constant.{digest[:32]}"
        stored.setdefault(f"constant.{digest[:32]}", torch.from_numpy(array.copy()))
    del graph.node[:]
    graph.node.extend(kept)
    return names


def _external(name: str, value: Tensor, location: str, place: tuple[int, int]) -> Any:
    """A weight that lies in another file."""
    begin, end = place
    made = TensorProto(name=name, data_type=_TYPES[value.dtype], dims=list(value.shape))
    made.data_location = TensorProto.EXTERNAL
    for key, text in (("location", location), ("offset", str(begin)), ("length", str(end - begin))):
        made.external_data.add(key=key, value=text)
    return made


def _places(weights: Path) -> dict[str, tuple[int, int]]:
    """(begin, end) of each tensor's bytes within a safetensors file; only its header is read."""
    with weights.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    start = _LENGTH_BYTES + length
    return {
        name: (start + entry["data_offsets"][0], start + entry["data_offsets"][1]) for name, entry in header.items()
    }

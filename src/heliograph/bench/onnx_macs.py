"""Multiply-accumulates of an ONNX graph, such as a device's encoder, from the shapes of one run.

Shapes come from ONNX Runtime and not from inference, so that free axes and shapes that are computed are no matter. The
operators are those that products are made of, in float and in eight bits, ONNX Runtime's own among them; one that holds
products in a way that is not known here is refused rather than left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from heliograph.bench.macs import Count
from heliograph.errors import ModelUnsupportedError

Shape = tuple[int, ...]
_Counter = Callable[[list[Shape], Shape], int]

_QUIET = 3


def _product(factors: int, other: int) -> _Counter:
    """A matrix product whose factors are the inputs with these numbers: each value of the result takes as many MACs as
    the first factor has columns."""

    def macs(inputs: list[Shape], made: Shape) -> int:
        assert inputs[other]
        return math.prod(made) * inputs[factors][-1]

    return macs


def _convolution(weights: int) -> _Counter:
    """Each value of the result takes one filter: channels of a group times its extent."""
    return lambda inputs, made: math.prod(made) * math.prod(inputs[weights][1:])


def _transposed(inputs: list[Shape], made: Shape) -> int:
    """Each value that goes in is multiplied with one filter of every channel of its group that comes out."""
    return math.prod(inputs[0]) * math.prod(inputs[1][1:])


def _attention(inputs: list[Shape], made: Shape) -> int:
    """Scores and their sum: queries (B, P, D), keys (B, L, D) or (B, heads, L, D / heads), values likewise."""
    batch, positions, width = inputs[0]
    keys = inputs[1][-2]
    value_width = math.prod(inputs[2]) // (batch * keys)
    return batch * positions * keys * (width + value_width)


_COUNTERS: Mapping[str, _Counter] = {
    "MatMul": _product(0, 1),
    "MatMulInteger": _product(0, 1),
    "MatMulIntegerToFloat": _product(0, 1),
    "DynamicQuantizeMatMul": _product(0, 1),
    "QLinearMatMul": _product(0, 3),
    "Conv": _convolution(1),
    "FusedConv": _convolution(1),
    "ConvInteger": _convolution(1),
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed,
    "MultiHeadAttention": _attention,
}
_GEMM = "Gemm"
_UNKNOWN = frozenset(
    {
        *(
            "Attention",
            "QAttention",
            "GroupQueryAttention",
            "Einsum",
            "FusedMatMul",
            "MatMulNBits",
            "QGemm",
            "FusedGemm",
        ),
        *("RNN", "GRU", "LSTM", "DeformConv", "If", "Loop", "Scan"),
    }
)
"""Operators that hold products, by themselves or in a graph of their own, and are not counted here."""


def count_onnx(path: Path, given: Mapping[str, npt.NDArray[Any]]) -> Count:
    """MACs of one run of a graph.

    Args:
        path: of the graph.
        given: its inputs by name.

    Raises:
        ModelUnsupportedError: it holds an operator with products that is not counted here, or does not run on these
            inputs.
    """
    # Weights beside the graph are left to ONNX Runtime: onnx refuses files with hard links, as some installers make.
    model = onnx.load(str(path), load_external_data=False)
    nodes = [node for node in model.graph.node if node.op_type in _COUNTERS or node.op_type == _GEMM]
    if strange := sorted({node.op_type for node in model.graph.node} & _UNKNOWN):
        raise ModelUnsupportedError().noted(f"{path}: MACs of {strange[0]} are not known.")
    shapes = _shapes(model, path, {name for node in nodes for name in (*node.input, *node.output) if name}, given)
    found: dict[str, int] = {}
    for node in nodes:
        inputs = [shapes.get(name, ()) for name in node.input]
        macs = _gemm(node, inputs) if node.op_type == _GEMM else _COUNTERS[node.op_type](inputs, shapes[node.output[0]])
        found[node.op_type] = found.get(node.op_type, 0) + macs
    return Count(sum(found.values()), found)


def _gemm(node: onnx.NodeProto, inputs: list[Shape]) -> int:
    """(M, K) times (K, N), each of them turned where the node says so."""
    turned = {one.name: one.i for one in node.attribute}
    rows, inner = inputs[0][::-1] if turned.get("transA") else inputs[0]
    columns = inputs[1][0] if turned.get("transB") else inputs[1][1]
    return rows * inner * columns


def _shapes(
    model: onnx.ModelProto, path: Path, names: set[str], given: Mapping[str, npt.NDArray[Any]]
) -> dict[str, Shape]:
    """Shapes of the named values: of stored ones as they are, of the others from a run that gives them out."""
    stored: dict[str, Shape] = {one.name: tuple(one.dims) for one in model.graph.initializer}
    constants = {node.output[0]: node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"}
    stored |= {name: tuple(tensor.dims) for name, tensor in constants.items()}
    stored |= {name: np.shape(value) for name, value in given.items()}
    wanted = sorted(names - stored.keys())
    already = {one.name for one in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in already)
    return stored | dict(zip(wanted, map(np.shape, _run(model, path, wanted, given)), strict=True))


def _run(model: onnx.ModelProto, path: Path, wanted: list[str], given: Mapping[str, npt.NDArray[Any]]) -> list[Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return list(session.run(wanted, dict(given))) if wanted else []
    except Exception as error:  # onnxruntime raises a dozen classes of its own
        raise ModelUnsupportedError().noted(f"{path}: it does not run on these inputs.") from error

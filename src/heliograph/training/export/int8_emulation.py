"""An int8 graph with every product of bytes written out, as processors of either kind compute it.

::

    with VNNI, and Arm:   sum over k of a[k] b[k], in 32 bits
    x86 without VNNI:     sum over pairs of clip(a[2k] b[2k] + a[2k+1] b[2k+1], -32768, 32767), the pairs in 16 bits

Both run on any machine, in float32, whose rounding is far below that of eight bits. They are for measuring: slow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from heliograph.training.export.onnx_fusion import Graph

PRODUCT = "MatMulIntegerToFloat"
_MIN_VALUE, _MAX_VALUE = -32768.0, 32767.0


def emulate(source: Path, out: Path, *, saturating: bool) -> None:
    """Write the graph with its products of bytes written out.

    Args:
        source: as :func:`heliograph.training.export.onnx_quantise.quantise_encoder` writes it; its weights may be
            elsewhere.
        out: file to write.
        saturating: as x86 without VNNI does; else exactly.

    Raises:
        FileUnreadableError: no ONNX file.
    """
    graph = Graph.load(source)
    for number, node in enumerate([node for node in graph.nodes if node.op_type == PRODUCT]):
        graph.replace(node, *_Written(graph, node, f"emulated{number}").nodes(saturating))
    graph.save(out)


class _Written:
    """One product ``(levels - zero) x weight x scale x scales + bias`` in operators of float32."""

    def __init__(self, graph: Graph, node: Any, name: str) -> None:
        self._graph, self._node, self._name = graph, node, name
        self._made: list[Any] = []
        weight = graph.weight(node.input[1])
        assert weight is not None  # products of two computed values are never in eight bits
        self._weight = weight.astype(np.float32)  # (K, N)

    def nodes(self, saturating: bool) -> list[Any]:
        """The nodes in order; the last one makes what the product made."""
        levels, _, scale, scales, zero, _, *bias = self._node.input
        given = self._cast(levels)
        product = self._in_pairs(given) if saturating else self._add("MatMul", given, self._constant(self._weight))
        shift = self._add("Mul", self._cast(zero), self._constant(self._weight.sum(axis=0)))
        whole = self._add("Sub", product, shift)
        scaled = self._add("Mul", whole, self._add("Mul", scale, scales))
        last = self._add("Add", scaled, bias[0]) if bias else self._add("Identity", scaled)
        self._made[-1].output[0] = self._node.output[0]
        assert last
        return self._made

    def _in_pairs(self, given: str) -> str:
        """(..., N) of (..., K): one step of a Scan for each pair of neighbours along K."""
        rows, columns = self._weight.shape
        odd = rows % 2
        weight = np.pad(self._weight, ((0, odd), (0, 0)))
        flat = self._add("Reshape", given, self._constant(np.array([-1, rows], np.int64)))
        if odd:
            flat = self._add("Pad", flat, self._constant(np.array([0, 0, 0, 1], np.int64)))
        turned = self._add("Transpose", flat, perm=[1, 0])
        pairs = self._add("Reshape", turned, self._constant(np.array([len(weight) // 2, 2, -1], np.int64)))
        nothing = self._add("MatMul", flat, self._constant(np.zeros_like(weight)))
        stacked = self._constant(weight.reshape(-1, 2, columns))
        total = self._add("Scan", nothing, pairs, stacked, body=_one_pair(), num_scan_inputs=2)
        before = self._add("Slice", self._add("Shape", given), *map(self._constant, _ALL_BUT_LAST))
        shape = self._add("Concat", before, self._constant(np.array([columns], np.int64)), axis=0)
        return self._add("Reshape", total, shape)

    def _cast(self, name: str) -> str:
        return self._add("Cast", name, to=TensorProto.FLOAT)

    def _constant(self, values: Any) -> str:
        return self._graph.constant(f"{self._name}.{len(self._made)}.{id(values)}", values)

    def _add(self, operator: str, *given: str, **settings: Any) -> str:
        name = f"{self._name}.made{len(self._made)}"
        self._made.append(helper.make_node(operator, list(given), [name], **settings))
        return name


_ALL_BUT_LAST = (np.array([0], np.int64), np.array([-1], np.int64))


def _one_pair() -> Any:
    """total (M, N) + the clipped sum of two products, of a pair (2, M) and weights (2, N)."""
    nodes = [
        helper.make_node("Transpose", ["pair"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["turned", "weights"], ["sum"]),
        helper.make_node("Constant", [], ["least"], value_float=_MIN_VALUE),
        helper.make_node("Constant", [], ["most"], value_float=_MAX_VALUE),
        helper.make_node("Clip", ["sum", "least", "most"], ["clipped"]),
        helper.make_node("Add", ["total", "clipped"], ["next"]),
    ]

    def value(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)

    return helper.make_graph(nodes, "pair", [value("total"), value("pair"), value("weights")], [value("next")])

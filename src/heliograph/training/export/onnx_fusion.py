"""An exported vision encoder with fewer and larger operators: same tokens, less time and memory.

::

    traced graph --constants folded--> Softmax(Q K^T) V of every layer --> one MultiHeadAttention
                                       the tanh GELU's eight operators  --> one FastGelu

Both operators are ONNX Runtime's own (domain ``com.microsoft``). Attention in one operator never holds the P x P
scores of P patches as a whole. Adding and normalising are left apart: ONNX Runtime has one operator for both, which
took three times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from heliograph.errors import FileUnreadableError
from heliograph.reasons import FileFault

DOMAIN = "com.microsoft"
"""Domain of ONNX Runtime's own operators."""

Values = npt.NDArray[Any]
Shapes = dict[str, tuple[int, ...]]

_ERRORS_ONLY = 3
_JOINED_RANK, _HEADS_RANK = 3, 4  # (1, positions, width) and (1, positions, heads, head size)
_GELU_FACTORS = (np.sqrt(2 / np.pi), 0.5)
_KEPT_APART = frozenset({"MatMulAddFusion"})  # products with weights stay MatMul, which quantises


class Graph:
    """An ONNX graph with its weights at hand. After ``insert`` and ``drop``, ``close`` puts everything in order.

    Args:
        model: ``onnx.ModelProto``; changed in place.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.nodes: list[Any] = list(model.graph.node)
        self._weights = {weight.name: weight for weight in model.graph.initializer}
        self._makers = {name: node for node in self.nodes for name in node.output}
        self.outputs = frozenset(output.name for output in model.graph.output)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises ``FileUnreadableError`` where there is no ONNX file."""
        try:
            return cls(onnx.load(str(path)))
        except Exception as error:  # protobuf raises classes of its own
            raise FileUnreadableError(FileFault.CONTENT).noted(f"{path}.") from error

    def maker(self, name: str) -> Any | None:
        """The node that makes a value; None for inputs and weights."""
        return self._makers.get(name)

    def users(self, name: str) -> list[Any]:
        """The nodes that take a value."""
        return [node for node in self.nodes if name in node.input]

    def only_user(self, name: str) -> Any | None:
        """The node that takes a value, if there is no other and the value is no output of the graph."""
        users = self.users(name)
        return users[0] if len(users) == 1 and name not in self.outputs else None

    def weight(self, name: str) -> Values | None:
        """A constant's values; None where it is computed."""
        stored, maker = self._weights.get(name), self.maker(name)
        if stored is None and maker is not None and maker.op_type == "Constant" and maker.attribute[0].name == "value":
            stored = maker.attribute[0].t
        return None if stored is None else np.asarray(numpy_helper.to_array(stored))

    def constant(self, name: str, values: Values) -> str:
        """Store a constant; gives its name back."""
        self._weights[name] = numpy_helper.from_array(np.asarray(values, order="C"), name)
        return name

    def replace(self, old: Any, *new: Any) -> None:
        """Put nodes where another was; without new ones it is dropped."""
        place = next(place for place, node in enumerate(self.nodes) if node is old)
        self.nodes[place : place + 1] = new
        self._makers |= {name: node for node in new for name in node.output}

    def close(self) -> Any:
        """The model, without nodes and weights that lead nowhere."""
        needed = {output.name for output in self.model.graph.output}
        kept: list[Any] = []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        del self.model.graph.node[:], self.model.graph.initializer[:], self.model.graph.value_info[:]
        self.model.graph.node.extend(reversed(kept))
        self.model.graph.initializer.extend(weight for name, weight in self._weights.items() if name in needed)
        if all(known.domain != DOMAIN for known in self.model.opset_import):
            self.model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
        return self.model

    def save(self, path: Path) -> None:
        """Close and write."""
        path.write_bytes(self.close().SerializeToString())


def fuse(source: Path, out: Path) -> None:
    """Write a graph with attention and GELU in one operator each, wherever it has the usual form of them.

    Raises:
        FileUnreadableError: there is no network that ONNX Runtime can run.
    """
    fold(source, out)
    graph = Graph.load(out)
    shapes = shapes_of(graph.model)
    for softmax in [node for node in graph.nodes if node.op_type == "Softmax"]:
        _fuse_attention(graph, softmax, shapes)
    for tanh in [node for node in graph.nodes if node.op_type == "Tanh"]:
        _fuse_gelu(graph, tanh)
    graph.save(out)


def fold(source: Path, out: Path) -> None:
    """Write a graph where everything that depends on weights alone is computed; what is left is standard ONNX.

    Raises:
        FileUnreadableError: there is no network that ONNX Runtime can run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    options.log_severity_level = _ERRORS_ONLY
    try:
        onnxruntime.InferenceSession(
            str(source), options, providers=["CPUExecutionProvider"], disabled_optimizers=set(_KEPT_APART)
        )
    except Exception as error:  # onnxruntime raises a dozen classes of its own for damaged files
        raise FileUnreadableError(FileFault.CONTENT).noted(f"{source}.") from error


def shapes_of(model: Any) -> Shapes:
    """Shapes of every value that has a fixed one; 0 stands for a free length."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    known = [*inferred.value_info, *inferred.input, *inferred.output]
    return {value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim) for value in known}


# ---- attention -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Attention:
    """Softmax(scale Q K^T) V of one layer.

    Attributes:
        inputs: names of queries, keys and values, each (1, P, heads x head size), before heads are split.
        heads: how many.
        scale: of the scores.
        end: the node that makes the (1, P, width) output.
    """

    inputs: tuple[str, str, str]
    heads: int
    scale: float
    end: Any


def attention_of(graph: Graph, softmax: Any, shapes: Shapes) -> Attention | None:
    """What a Softmax belongs to: heads split before, joined after, without a mask; None where it is anything else."""
    scores, mixed = graph.maker(softmax.input[0]), graph.only_user(softmax.output[0])
    if scores is None or scores.op_type != "MatMul" or mixed is None or mixed.op_type != "MatMul":
        return None
    end = _after_heads(graph, mixed)
    parts = [_before_heads(graph, name, shapes) for name in (*scores.input, mixed.input[1])]
    query, key, value = parts
    if end is None or mixed.input[0] != softmax.output[0] or value.scale != 1:
        return None
    whole = [shapes.get(name, ()) for name in (query.name, key.name, value.name, end.output[0])]
    heads = {part.heads for part in parts}
    if not _alike(whole) or len(heads) != 1 or 0 in heads:
        return None
    return Attention((query.name, key.name, value.name), query.heads, query.scale * key.scale, end)


def _alike(shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether all are (1, P, width) of the same sizes, as far as these are known."""
    if any(len(shape) != _JOINED_RANK for shape in shapes):
        return False
    return all(len({size for size in sizes if size}) == 1 for sizes in zip(*shapes, strict=True))


def _fuse_attention(graph: Graph, softmax: Any, shapes: Shapes) -> None:
    found = attention_of(graph, softmax, shapes)
    if found is not None:
        made = helper.make_node(
            "MultiHeadAttention",
            found.inputs,
            [found.end.output[0]],
            domain=DOMAIN,
            num_heads=found.heads,
            scale=found.scale,
        )
        graph.replace(found.end, made)


@dataclass(frozen=True)
class _Split:
    """A value of all heads before it was split: its name, the number of heads and the factor on the way."""

    name: str
    heads: int
    scale: float


def _before_heads(graph: Graph, name: str, shapes: Shapes) -> _Split:
    heads, scale = 0, 1.0
    while (node := graph.maker(name)) is not None:
        if node.op_type == "Mul":
            factor = _factor(graph, node)
            if np.isnan(factor):
                break
            scale *= factor
            name = next(given for given in node.input if graph.weight(given) is None)
        elif node.op_type in ("Transpose", "Reshape"):
            shape = shapes.get(node.output[0], ())
            if node.op_type == "Reshape" and len(shape) == _HEADS_RANK:
                width = shapes.get(node.input[0], (0,))[-1]
                heads = shape[2] or width // max(shape[3], 1)
            name = node.input[0]
        else:
            break
    return _Split(name, heads, scale)


def _after_heads(graph: Graph, mixed: Any) -> Any | None:
    """The last of the Transposes and Reshapes that follow."""
    end, user = None, graph.only_user(mixed.output[0])
    while user is not None and user.op_type in ("Transpose", "Reshape"):
        end, user = user, graph.only_user(user.output[0])
    return end


# ---- GELU ------------------------------------------------------------------------------------------
def _fuse_gelu(graph: Graph, tanh: Any) -> None:
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), as the tracer writes it."""
    outer = _only(graph, tanh.output[0], ("Add", "Mul", "Mul"))
    inner = _chain_back(graph, tanh.input[0], ("Mul", "Add"))
    if outer is None or inner is None:
        return
    common = set(outer[1].input) & set(inner[-1].input)
    factors = [_factor(graph, node) for node in (inner[0], outer[-1])]
    if len(common) == 1 and np.allclose(factors, _GELU_FACTORS):
        made = helper.make_node("FastGelu", [common.pop()], [outer[-1].output[0]], domain=DOMAIN)
        graph.replace(outer[-1], made)


def _factor(graph: Graph, node: Any) -> float:
    """The constant of a product; nan where there is none or it is no single number."""
    known = [values for values in map(graph.weight, node.input) if values is not None and values.size == 1]
    return float(known[0].reshape(())) if len(known) == 1 else float("nan")


def _only(graph: Graph, name: str, kinds: Sequence[str]) -> list[Any] | None:
    """The nodes that follow one another, if they are of these kinds and each is the only user."""
    found: list[Any] = []
    for kind in kinds:
        user = graph.only_user(name)
        if user is None or user.op_type != kind:
            return None
        found.append(user)
        name = user.output[0]
    return found


def _chain_back(graph: Graph, name: str, kinds: Sequence[str]) -> list[Any] | None:
    """The nodes that lead to a value through their computed inputs, if they are of these kinds."""
    found: list[Any] = []
    for kind in kinds:
        node = graph.maker(name)
        if node is None or node.op_type != kind:
            return None
        found.append(node)
        name = next((given for given in node.input if graph.weight(given) is None), "")
    return found

"""An ONNX network as a graph of named values, and any part of it as a network of its own.

::

    pixels --n1--> a --n2--> b --n3--> tokens        cut(outputs=[b]):              pixels --n1, n2--> b
                                                     cut(outputs=[tokens], inputs=[a]):  a --n2, n3--> tokens

A bundle's encoder is looked into, stopped early and entered late this way, without being exported again: what a part
does not need (nodes, weights, other outputs) is left out of it, since ONNX Runtime works out every output of a graph,
asked for or not. Only names are known here; what they stand for in a vision tower is
:mod:`heliograph.edge.tower_graph`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from heliograph.codec.protobuf import Span, field, fields, network_damaged, number_field, varint, varints
from heliograph.reading.files import read_bytes
from heliograph.reasons import BundleFault

MAX_BYTES = 2**31 - 1
"""Of any such message; weights beyond lie in other files."""

_IR, _GRAPH, _OPSET, _FUNCTION = 1, 7, 8, 25  # of a model
_NODE, _WEIGHT, _INPUT, _OUTPUT, _SPARSE = 1, 5, 11, 12, 15  # of a graph
_TAKES, _MAKES, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5  # of a node
_REAL, _WHOLE, _TENSOR, _INNER, _INNERS, _WHOLES = 2, 3, 5, 6, 11, 8  # of an attribute, whose name is 1
_DIMS, _KIND, _REALS, _WHOLE_VALUES, _TENSOR_NAME, _RAW = 1, 2, 4, 7, 8, 9  # of a tensor
_NAME, _TYPE = 1, 2  # of a value
_FLOAT32_OF_ANY_SHAPE = field(1, number_field(1, 1))
_KINDS: dict[int, str] = {1: "<f4", 7: "<i8", 10: "<f2", 11: "<f8"}
_MAX_CONSTANT_BYTES = 256
_MAX_DEPTH = 16

Constant = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Node:
    """One operator at work.

    Attributes:
        operator: its name.
        inputs, outputs: names of values; empty for one that is left out.
        outer: names that graphs within it take from outside of them, and what it takes itself.
        span: of its message.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    outer: frozenset[str]
    span: Span


class Network:
    """A graph and its file.

    Args:
        data: of the file.
        path: likewise; what its tensors name lies beside it.

    Attributes:
        nodes: in the order in which they run.
        outputs: names.

    Raises:
        BundleDamagedError: no ONNX network.
    """

    def __init__(self, data: bytes, path: Path) -> None:
        self.path, self._data = path, data
        model = [*fields(data, (0, len(data)), numbers=True)]
        graphs = [span for number, span in model if number == _GRAPH]
        if len(graphs) != 1:
            raise network_damaged(BundleFault.NOT_NETWORK)
        kept = [(number, span) for number, span in model if number in (_OPSET, _FUNCTION)]
        versions = [varint(data, *span)[0] for number, span in model if number == _IR]
        self._frame = b"".join([number_field(_IR, versions[-1])] if versions else [])
        self._frame += b"".join(field(number, self._bytes(span)) for number, span in kept)
        self._weights: dict[str, tuple[int, Span]] = {}
        self._inputs: dict[str, Span] = {}
        self.nodes: list[Node] = []
        self.outputs: list[str] = []
        for number, span in fields(data, graphs[0]):
            if number == _NODE:
                self.nodes.append(self._node(span))
            elif number in (_WEIGHT, _SPARSE):
                self._weights[self._weight_name(number, span)] = number, span
            elif number == _INPUT:
                self._inputs[self._text(span, _NAME)] = span
            elif number == _OUTPUT:
                self.outputs.append(self._text(span, _NAME))
        self._makers = {name: node for node in self.nodes for name in node.outputs if name}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names, with those of weights that are inputs too."""
        return tuple(self._inputs)

    @classmethod
    def load(cls, path: Path) -> Self:
        """From a file.

        Raises:
            BundleDamagedError: as the class, or no file.
        """
        return cls(read_bytes(path, max_bytes=MAX_BYTES, error=network_damaged, links=False), path)

    # ---- the graph ---------------------------------------------------------------------------------------
    def maker(self, name: str) -> Node | None:
        """The node that makes a value; None for inputs and weights."""
        return self._makers.get(name)

    def users(self, name: str) -> list[Node]:
        """The nodes that take a value, in the order in which they run."""
        return [node for node in self.nodes if name in node.inputs]

    def made_by(self, operator: str) -> list[str]:
        """First output of each node of an operator, in the order in which they run."""
        return [node.outputs[0] for node in self.nodes if node.operator == operator and node.outputs]

    def constant(self, name: str) -> Constant | None:
        """Values of a small constant, 1-dimensional; None where they are computed, or many."""
        maker = self.maker(name)
        if maker is None:
            number, span = self._weights.get(name, (0, (0, 0)))
            return self._tensor(span) if number == _WEIGHT else None
        if maker.operator == "Constant":
            return next(iter(self.numbers(maker).values()), None)
        return None

    def numbers(self, node: Node) -> dict[str, Constant]:
        """A node's attributes that are numbers or small tensors of them, by name."""
        found: dict[str, Constant] = {}
        for number, span in fields(self._data, node.span):
            if number == _ATTRIBUTE:
                values = self._attribute(span)
                if values is not None:
                    found[self._text(span, _NAME)] = values
        return found

    def cut(self, outputs: Sequence[str], inputs: Sequence[str] = ()) -> bytes:
        """The part that makes some values, as a network.

        Args:
            outputs: what it shall give out, in this order.
            inputs: values within the network, float32, that the part is given and does not work out; the network's own
                inputs are kept as they are, where there are none such or the part needs them.
        """
        needed, kept = {*outputs} - {*inputs}, list[Node]()
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                needed |= node.outer - {*inputs}
                kept.append(node)
        parts = [field(_NODE, self._bytes(node.span)) for node in reversed(kept)]
        parts += [field(number, self._bytes(span)) for name, (number, span) in self._weights.items() if name in needed]
        parts += [field(_INPUT, self._bytes(span)) for n, span in self._inputs.items() if n in needed or not inputs]
        parts += [field(_INPUT, field(_NAME, n.encode()) + field(_TYPE, _FLOAT32_OF_ANY_SHAPE)) for n in inputs]
        parts += [field(_OUTPUT, field(_NAME, name.encode())) for name in outputs]
        return self._frame + field(_GRAPH, field(2, b"part") + b"".join(parts))

    # ---- reading -----------------------------------------------------------------------------------------
    def _node(self, span: Span) -> Node:
        takes, makes, operator = list[str](), list[str](), ""
        for number, inner in fields(self._data, span):
            if number == _TAKES:
                takes.append(self._string(inner))
            elif number == _MAKES:
                makes.append(self._string(inner))
            elif number == _OPERATOR:
                operator = self._string(inner)
        return Node(operator, tuple(takes), tuple(makes), frozenset(self._taken(span, 0)) - {""}, span)

    def _taken(self, span: Span, depth: int) -> Iterator[str]:
        """What a node takes, by itself or in graphs within it; their own values among it, which do no harm."""
        if depth > _MAX_DEPTH:
            raise network_damaged(BundleFault.TOO_MANY)
        for number, inner in fields(self._data, span):
            if number == _TAKES:
                yield self._string(inner)
            elif number == _ATTRIBUTE:
                for kind, graph in fields(self._data, inner):
                    for part, node in fields(self._data, graph) if kind in (_INNER, _INNERS) else ():
                        if part == _NODE:
                            yield from self._taken(node, depth + 1)
                        elif part == _OUTPUT:
                            yield self._text(node, _NAME)

    def _attribute(self, span: Span) -> Constant | None:
        wholes: list[int] = []
        for number, inner in fields(self._data, span, numbers=True):
            if number == _TENSOR:
                return self._tensor(inner)
            if number == _REAL:
                return np.frombuffer(self._bytes(inner), "<f4").astype(np.float64)
            if number in (_WHOLE, _WHOLES):
                wholes += varints(self._data, inner)
        return np.array([_signed(one) for one in wholes], np.float64) if wholes else None

    def _tensor(self, span: Span) -> Constant | None:
        """Values of a small tensor that lies in the file."""
        kind, wholes, found = 0, list[int](), None
        for number, inner in fields(self._data, span, numbers=True):
            if number == _KIND:
                kind = varint(self._data, *inner)[0]
            elif number == _RAW and inner[1] - inner[0] <= _MAX_CONSTANT_BYTES:
                found = inner
            elif number == _REALS and inner[1] - inner[0] <= _MAX_CONSTANT_BYTES:
                return np.frombuffer(self._bytes(inner), "<f4").astype(np.float64)
            elif number == _WHOLE_VALUES and inner[1] - inner[0] <= _MAX_CONSTANT_BYTES:
                wholes += varints(self._data, inner)
        if wholes:
            return np.array([_signed(one) for one in wholes], np.float64)
        if found is None or kind not in _KINDS or (found[1] - found[0]) % np.dtype(_KINDS[kind]).itemsize:
            return None
        return np.frombuffer(self._bytes(found), _KINDS[kind]).astype(np.float64)

    def _weight_name(self, number: int, span: Span) -> str:
        """The name of a tensor, or of a sparse one's values."""
        if number == _WEIGHT:
            return self._text(span, _TENSOR_NAME)
        return next((self._text(inner, _TENSOR_NAME) for n, inner in fields(self._data, span) if n == 1), "")

    def _text(self, span: Span, wanted: int) -> str:
        return next((self._string(inner) for number, inner in fields(self._data, span) if number == wanted), "")

    def _string(self, span: Span) -> str:
        return self._bytes(span).decode("utf-8", "replace")

    def _bytes(self, span: Span) -> bytes:
        return self._data[slice(*span)]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value

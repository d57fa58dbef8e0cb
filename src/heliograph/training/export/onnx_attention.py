"""An encoder that also tells what its tower looks at: queries and keys of the second-last layer as further outputs.

::

    ... layer L - 2: Q (1, P, width), K (1, P, width) ── Softmax(s Q K^T) V ... ── connector ── tokens (1, N, D)
                     │                └── output ``keys``                                    └── first output, as ever
                     └── output ``queries``;  heads and s as metadata of the graph

Both are made on the way to the tokens, so that they cost no product more, and whoever asks for the tokens alone gets
the same ones, bit for bit. ONNX Runtime works out every output of a graph, asked for or not; that is why the P x P
attention is left to who wants it (:mod:`heliograph.edge.attention`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from heliograph.edge.attention import HEADS, KEYS, LAYER_FROM_END, QUERIES, SCALE
from heliograph.training.export.onnx_fusion import DOMAIN, Graph, attention_of, shapes_of

_FUSED = "MultiHeadAttention"


def tell_attention(path: Path) -> bool:
    """Give an encoder of one square frame these outputs, where it has two layers of plain attention or more.

    Args:
        path: graph in float32 or int8, its attention fused or not; rewritten, its weights wherever they are.

    Returns:
        Whether it has them now; False leaves the file as it is.
    """
    model = onnx.load(str(path), load_external_data=False)
    layers = list(_layers(Graph(model)))
    if len(layers) < LAYER_FROM_END:
        return False
    (query, key), heads, scale = layers[-LAYER_FROM_END]
    if len({one.name for one in model.graph.output} & {query, key}):
        return False
    _rename(model.graph, {query: QUERIES, key: KEYS})
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (QUERIES, KEYS))
    for name, value in ((HEADS, str(heads)), (SCALE, repr(scale))):
        model.metadata_props.add(key=name, value=value)
    path.write_bytes(model.SerializeToString())
    return True


def _layers(graph: Graph) -> Iterator[tuple[tuple[str, str], int, float]]:
    """Names of queries and keys, heads and scale of every layer, first one first."""
    shapes = shapes_of(graph.model)
    for node in graph.nodes:
        if node.op_type == _FUSED and node.domain == DOMAIN:
            given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
            yield (node.input[0], node.input[1]), int(given["num_heads"]), float(given["scale"])
        elif node.op_type == "Softmax":
            found = attention_of(graph, node, shapes)
            if found is not None:
                yield found.inputs[:2], found.heads, float(found.scale)


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Give values other names, wherever they are made and taken."""
    for node in graph.node:
        for field in (node.input, node.output):
            for place, name in enumerate(field):
                field[place] = names.get(name, name)
    kept = [one for one in graph.value_info if one.name not in names]
    del graph.value_info[:]
    graph.value_info.extend(kept)

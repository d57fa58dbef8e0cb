"""A convolutional encoder's convolutions in eight bits, by ONNX Runtime's own quantiser.

::

    Conv --> Clip --> ... --calibration photos: smallest and largest of every value--> QLinearConv (uint8 x int8)

Weights have one scale per output channel, values one range each, read off the calibration photos. The first layers
stay float32: they are cheap, see pixels of every range, and everything behind them inherits their error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from heliograph.training.export.onnx_fusion import Graph, Values

MAX_MEAN_ERROR_INT8 = 0.1
"""Between tokens of an encoder in eight bits and its source's, over their mean size; convolutions for which it would be
more stay float32."""

_FEWEST = 8
"""Convolutions from which an encoder is convolutional; a transformer has one, of its patches."""

_LEFT_SHARE = 0.1  # of the convolutions, from the pixels on, in float32
_OPERATORS = ("Conv", "Clip", "Add")  # what follows a convolution in eight bits stays in eight bits


def is_convolutional(path: Path) -> bool:
    """Whether most of an encoder's work is convolutions, judged by how many there are."""
    return len(_convolutions(Graph.load(path))) >= _FEWEST


def quantise_convolutions(
    source: Path, out: Path, calibration: Sequence[Mapping[str, Values]], *, seven_bits: bool
) -> None:
    """Write the graph with its convolutions in eight bits.

    Args:
        source: graph whose convolutions are float32.
        out: file to write.
        calibration: inputs by name, which set the ranges.
        seven_bits: weights so small that sums of two products saturate nowhere, for x86 without VNNI.

    Raises:
        FileUnreadableError: no ONNX file.
    """
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    graph = Graph.load(source)
    convolutions = _convolutions(graph)
    last = next(place for place, node in enumerate(graph.nodes) if node is convolutions[-1])
    behind = [node for node in graph.nodes[last:] if node.op_type == "Add"]  # of what is no convolution any more
    for number, node in enumerate((*convolutions, *behind)):
        node.name = node.name or f"node{number}"  # the quantiser leaves out by name
    model = graph.close()
    onnx.checker.check_model(model)
    add_pre_process_metadata(model)  # it was folded before; else the quantiser asks for that on the root logger
    quantize_static(
        model,
        str(out),
        _reader(calibration),
        op_types_to_quantize=list(_OPERATORS),
        nodes_to_exclude=[node.name for node in (*convolutions[: round(_LEFT_SHARE * len(convolutions))], *behind)],
        per_channel=True,
        reduce_range=seven_bits,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _convolutions(graph: Graph) -> list[Any]:
    return [node for node in graph.nodes if node.op_type == "Conv" and graph.weight(node.input[1]) is not None]


def _reader(calibration: Sequence[Mapping[str, Values]]) -> Any:
    """Gives one input after the other, and None behind the last."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(calibration)

        def get_next(self) -> dict[str, Values] | None:
            found = next(self._left, None)
            return None if found is None else dict(found)

    return Reader()

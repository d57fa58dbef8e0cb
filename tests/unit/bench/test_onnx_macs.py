"""MACs of ONNX graphs: each operator by hand, a device's encoder against torch and against onnx-tool."""

from __future__ import annotations

import numpy as np
import onnx_tool
import pytest
from onnx import TensorProto, helper, load, numpy_helper, save

from heliograph.bench.onnx_macs import count_onnx
from heliograph.errors import ModelUnsupportedError
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.training.export.onnx_fusion import fuse

ENCODER = shipped_bundle_folder() / "encoder.onnx"
PIXELS = {"pixel_values": np.zeros((1, 3, 128, 128), np.float32)}
MACS = 115_343_360
OWN = "com.microsoft"


def written(path, nodes, stored, *, kind=TensorProto.FLOAT, shape=(None, None, None)):
    """A graph from x, whose last node makes y."""
    values = [helper.make_tensor_value_info(name, kind, dims) for name, dims in (("x", shape), ("y", None))]
    initial = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    graph = helper.make_graph(nodes, "g", [values[0]], [helper.make_empty_tensor_value_info("y")], initial)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(OWN, 1)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
    return path


def ones(*shape, kind=np.float32):
    return np.ones(shape, kind)


SCALE, ZERO, ZERO_I8 = np.float32(0.1).reshape(()), np.array(0, np.uint8), np.array(0, np.int8)


@pytest.mark.parametrize(
    ("node", "stored", "given", "macs"),
    [
        (("MatMul", ["x", "w"], {}), {"w": ones(8, 3)}, ones(2, 5, 8), 2 * 5 * 8 * 3),
        (("MatMul", ["w", "x"], {}), {"w": ones(4, 6, 5)}, ones(4, 5, 7), 4 * 6 * 5 * 7),
        (("Gemm", ["x", "w"], {"transB": 1}), {"w": ones(3, 8)}, ones(5, 8), 5 * 8 * 3),
        (("Gemm", ["x", "w"], {"transA": 1}), {"w": ones(8, 3)}, ones(8, 5), 5 * 8 * 3),
        (("Conv", ["x", "w"], {"pads": [1] * 4}), {"w": ones(6, 4, 3, 3)}, ones(1, 4, 7, 9), 7 * 9 * 6 * 4 * 9),
        (("Conv", ["x", "w"], {"group": 4}), {"w": ones(8, 1, 3, 3)}, ones(1, 4, 7, 9), 5 * 7 * 8 * 9),
        (
            ("ConvTranspose", ["x", "w"], {"strides": [2, 2]}),
            {"w": ones(4, 6, 2, 2)},
            ones(1, 4, 5, 5),
            5 * 5 * 4 * 6 * 2 * 2,
        ),
        (
            ("MatMulInteger", ["x", "w"], {}),
            {"w": ones(8, 3, kind=np.int8)},
            ones(5, 8, kind=np.uint8),
            5 * 8 * 3,
        ),
        (
            ("ConvInteger", ["x", "w"], {}),
            {"w": ones(6, 4, 3, 3, kind=np.int8)},
            ones(1, 4, 7, 9, kind=np.uint8),
            5 * 7 * 6 * 4 * 9,
        ),
        (
            ("QLinearMatMul", ["x", "s", "z", "w", "s", "zi", "s", "z"], {}),
            {"w": ones(8, 3, kind=np.int8), "s": SCALE, "z": ZERO, "zi": ZERO_I8},
            ones(5, 8, kind=np.uint8),
            5 * 8 * 3,
        ),
        (
            ("QLinearConv", ["x", "s", "z", "w", "s", "zi", "s", "z"], {"group": 2}),
            {"w": ones(6, 2, 3, 3, kind=np.int8), "s": SCALE, "z": ZERO, "zi": ZERO_I8},
            ones(1, 4, 7, 9, kind=np.uint8),
            5 * 7 * 6 * 2 * 9,
        ),
        (
            ("MatMulIntegerToFloat", ["x", "w", "s", "s"], {"domain": OWN}),
            {"w": ones(8, 3, kind=np.uint8), "s": SCALE},
            ones(5, 8, kind=np.uint8),
            5 * 8 * 3,
        ),
        (
            ("MultiHeadAttention", ["x", "k", "v"], {"domain": OWN, "num_heads": 2}),
            {"k": ones(1, 7, 8), "v": ones(1, 7, 4)},
            ones(1, 5, 8),
            5 * 7 * (8 + 4),
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_operators_by_hand(node, stored, given, macs, tmp_path):
    name, inputs, attributes = node
    kind = helper.np_dtype_to_tensor_dtype(given.dtype)
    made = helper.make_node(name, inputs, ["y"], **attributes)
    path = written(tmp_path / "g.onnx", [made], stored, kind=kind, shape=[None] * given.ndim)
    found = count_onnx(path, {"x": given})
    assert found.macs == macs
    assert found.by_operator == {name: macs}


def test_several_nodes_of_free_size_are_added(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "v"], ["y"]),
    ]
    path = written(tmp_path / "g.onnx", nodes, {"w": ones(4, 6), "v": ones(6, 2)})
    for batch in (1, 3):
        assert count_onnx(path, {"x": ones(batch, 5, 4)}).macs == batch * 5 * (4 * 6 + 6 * 2)


def test_a_graph_without_products_has_none(tmp_path):
    path = written(tmp_path / "g.onnx", [helper.make_node("Relu", ["x"], ["y"])], {})
    assert count_onnx(path, {"x": ones(1, 2, 3)}).macs == 0


def test_an_operator_whose_products_are_not_known_is_refused(tmp_path):
    node = helper.make_node("Einsum", ["x", "w"], ["y"], equation="abc,cd->abd")
    path = written(tmp_path / "g.onnx", [node], {"w": ones(3, 4)})
    with pytest.raises(ModelUnsupportedError) as refused:
        count_onnx(path, {"x": ones(1, 2, 3)})
    assert "Einsum" in refused.value.__notes__[0]


def test_a_graph_that_does_not_run_is_refused(tmp_path):
    path = written(tmp_path / "g.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": ones(3, 4)})
    with pytest.raises(ModelUnsupportedError) as refused:
        count_onnx(path, {"x": ones(1, 2, 5)})
    assert str(path) in refused.value.__notes__[0]


def test_a_devices_encoder_takes_what_the_tower_takes_fused_or_not(tmp_path):
    assert count_onnx(ENCODER, PIXELS).macs == MACS  # as tests/unit/bench/test_macs.py has it of the module
    fused = tmp_path / "fused.onnx"
    fuse(ENCODER, fused)
    found = count_onnx(fused, PIXELS)
    assert found.macs == MACS
    assert found.by_operator["MultiHeadAttention"] == 6 * 2 * 64**2 * 160


def test_onnx_tool_counts_the_same_products():
    """It adds biases to convolutions: 160 channels at 64 places."""
    graph = onnx_tool.Model(str(ENCODER)).graph
    graph.graph_reorder_nodes()
    graph.shape_infer(PIXELS)
    graph.profile()
    theirs = {}
    for node in graph.nodemap.values():
        theirs[node.op_type] = theirs.get(node.op_type, 0) + int(np.sum(getattr(node, "macs", 0)))
    ours = count_onnx(ENCODER, PIXELS).by_operator
    assert theirs["MatMul"] == ours["MatMul"]
    assert theirs["Conv"] == ours["Conv"] + 160 * 64


def test_weights_with_a_second_hard_link_are_counted(tmp_path):
    """As uv installs packages; onnx 1.23.2 refuses to read such a file itself."""
    graph = written(tmp_path / "whole.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": ones(8, 3)})
    beside = tmp_path / "beside.onnx"
    save(load(str(graph)), str(beside), save_as_external_data=True, location="weights", size_threshold=0)
    (tmp_path / "link").hardlink_to(tmp_path / "weights")
    assert count_onnx(beside, {"x": ones(2, 5, 8)}).macs == 2 * 5 * 8 * 3

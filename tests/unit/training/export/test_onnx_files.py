"""Graphs whose weights lie beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from heliograph.errors import BundleDamagedError
from heliograph.training.export.onnx_files import load_whole

WEIGHTS = np.arange(24, dtype=np.float32).reshape(8, 3)


def graph_beside(folder: Path) -> Path:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(WEIGHTS, "w")])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = folder / "net.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="net.weights", size_threshold=0)
    return path


def test_weights_beside_a_graph_come_into_it_with_a_second_hard_link_too(tmp_path: Path) -> None:
    """As uv installs packages; onnx 1.23.2 refuses to read such a file itself."""
    path = graph_beside(tmp_path)
    (tmp_path / "link").hardlink_to(tmp_path / "net.weights")
    (weights,) = load_whole(path).graph.initializer
    assert weights.data_location == TensorProto.DEFAULT
    np.testing.assert_array_equal(numpy_helper.to_array(weights), WEIGHTS)


def test_weights_that_are_not_all_there_are_refused(tmp_path: Path) -> None:
    path = graph_beside(tmp_path)
    (tmp_path / "net.weights").write_bytes(WEIGHTS.tobytes()[:-4])
    with pytest.raises(BundleDamagedError):
        load_whole(path)
    (tmp_path / "net.weights").unlink()
    with pytest.raises(BundleDamagedError):
        load_whole(path)


def test_weights_in_another_folder_are_refused(tmp_path: Path) -> None:
    path = graph_beside(tmp_path)
    model = onnx.load(str(path), load_external_data=False)
    model.graph.initializer[0].external_data[0].value = "elsewhere/net.weights"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BundleDamagedError):
        load_whole(path)

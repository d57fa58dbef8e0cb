"""Weights of a network that are no numbers, or that no arithmetic bears, are refused before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from heliograph.codec.network_values import check_values
from heliograph.codec.onnx_session import open_session
from heliograph.errors import BundleDamagedError
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.types import LARGEST_WEIGHT

helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto
BAD = (np.nan, np.inf, -np.inf, 3e38, -LARGEST_WEIGHT)
FORMS = ("bytes", "floats", "unpacked", "double", "beside", "beside to the end", "bfloat16")


def save(path: Path, values: np.ndarray, form: str) -> Path:
    """A network that adds a weight, which the file holds in one of the ways that the format has."""
    kind = {"double": TensorProto.DOUBLE, "bfloat16": TensorProto.BFLOAT16}.get(form, TensorProto.FLOAT)
    weight = TensorProto(name="w", data_type=kind, dims=values.shape)
    if form in ("floats", "unpacked"):
        weight.float_data.extend(values.ravel().tolist())
    elif form == "double":
        weight.double_data.extend(values.ravel().tolist())
    elif form == "bfloat16":
        weight.raw_data = (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    elif form == "bytes":
        weight.raw_data = values.astype("<f4").tobytes()
    else:
        path.with_name("weights").write_bytes(b"\xff" * 8 + values.astype("<f4").tobytes())  # before it: no numbers
        weight.data_location = TensorProto.EXTERNAL
        entries = {"location": "weights", "offset": "8"}
        if form == "beside":
            entries["length"] = str(4 * values.size)
        for key, value in entries.items():
            weight.external_data.add(key=key, value=value)
    sides = list(values.shape)
    ends = [helper.make_tensor_value_info(name, kind, sides) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [ends[0]], [ends[1]], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = model.SerializeToString()
    if form == "unpacked":  # each value with a tag of its own, which readers of the format take as well
        loose = b"".join(b"\x25" + one.tobytes() for one in values.astype("<f4").ravel())
        old, new = _field(0x22, values.astype("<f4").tobytes()), loose
        for tag, message in ((0x2A, weight), (0x3A, graph)):
            whole = message.SerializeToString()
            assert whole.count(old) == 1
            old, new = _field(tag, whole), _field(tag, whole.replace(old, new))
        data = data.replace(old, new)
    path.write_bytes(data)
    return path


def _field(tag: int, data: bytes) -> bytes:
    assert len(data) < 128
    return bytes((tag, len(data))) + data


@pytest.mark.parametrize("form", FORMS)
def test_one_bad_weight_is_enough_however_it_is_kept(tmp_path: Path, form: str) -> None:
    values = np.asarray([[1.5, -2.0], [0.0, 1e-30]], np.float32)
    path = save(tmp_path / "it.onnx", values, form)
    assert np.allclose(numpy_helper.to_array(_weight(path), str(tmp_path)).astype("f4"), values, rtol=1e-2)
    check_values(path)
    for value in BAD:
        values[1, 0] = value
        save(path, values, form)
        with pytest.raises(BundleDamagedError):
            check_values(path)
        with pytest.raises(BundleDamagedError):
            open_session(path)


def _weight(path: Path) -> Any:
    return onnx.load(str(path), load_external_data=False).graph.initializer[0]


def test_a_single_value_is_the_end_of_a_range_or_a_mark(tmp_path: Path) -> None:
    path = save(tmp_path / "it.onnx", np.asarray([-np.inf], np.float32), "bytes")
    check_values(path)
    save(path, np.asarray([-np.inf, 1.0], np.float32), "bytes")
    with pytest.raises(BundleDamagedError):
        check_values(path)


def test_the_last_of_many_weights_is_looked_at(tmp_path: Path) -> None:
    values = np.zeros(700_001, np.float32)
    for form in ("bytes", "beside"):
        check_values(save(tmp_path / "it.onnx", values, form))
        values[-1] = np.nan
        with pytest.raises(BundleDamagedError):
            check_values(save(tmp_path / "it.onnx", values, form))
        values[-1] = 0


def test_a_file_beside_that_is_too_short_or_not_there(tmp_path: Path) -> None:
    path = save(tmp_path / "it.onnx", np.ones(4, np.float32), "beside")
    for data in (b"\0" * 23, b"", None):
        tmp_path.joinpath("weights").unlink() if data is None else tmp_path.joinpath("weights").write_bytes(data)
        with pytest.raises(BundleDamagedError):
            check_values(path)


def test_the_networks_that_ship_pass() -> None:
    found = sorted(shipped_bundle_folder().glob("*.onnx"))
    assert len(found) == 4
    for path in found:
        check_values(path)

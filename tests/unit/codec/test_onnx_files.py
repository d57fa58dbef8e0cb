"""Which files a network names, compared with what the onnx package puts there; nothing else may be named."""

from __future__ import annotations

import json
import os
import random
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from heliograph.codec import onnx_files
from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.codec.klt import KltCodec
from heliograph.codec.manifest import ENCODER, MANIFEST
from heliograph.codec.onnx_files import external_files
from heliograph.codec.onnx_session import open_session
from heliograph.errors import BundleDamagedError, HeliographError
from heliograph.reasons import BundleFault

PLACES = ("initializer", "constant", "list", "branch", "sparse", "function", "function default", "training")


def outside(location: str) -> Any:
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[1])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("offset", "0"), ("location", location), ("length", "4")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def constant(tensor: Any) -> Any:
    node = onnx.NodeProto(op_type="Constant", output=["c"])
    node.attribute.append(onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR, t=tensor))
    return node


def network(place: str, location: str) -> Any:
    """A network that names ``location`` at one of the places that the format has for a tensor."""
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [value], [result])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    tensor = outside(location)
    if place == "initializer":
        model.graph.initializer.append(tensor)
    elif place == "constant":
        model.graph.node.append(constant(tensor))
    elif place == "list":
        held = model.graph.node[0].attribute.add(name="many", type=onnx.AttributeProto.TENSORS)
        held.tensors.append(tensor)
    elif place == "branch":
        inner = onnx.GraphProto(name="then")
        inner.node.append(constant(tensor))
        node = onnx.NodeProto(op_type="If")
        node.attribute.append(onnx.AttributeProto(name="then_branch", type=onnx.AttributeProto.GRAPH, g=inner))
        node.attribute.add(name="others", type=onnx.AttributeProto.GRAPHS).graphs.append(onnx.GraphProto(name="e"))
        model.graph.node.append(node)
    elif place == "sparse":
        model.graph.sparse_initializer.add(dims=[1]).values.CopyFrom(tensor)
    elif place == "function":
        model.functions.add(name="f", domain="own").node.append(constant(tensor))
    elif place == "function default":
        held = model.functions.add(name="f", domain="own").attribute_proto
        held.append(onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR, t=tensor))
    else:
        model.training_info.add().algorithm.initializer.append(tensor)
    return model


@pytest.mark.parametrize("place", PLACES)
def test_names_are_found_wherever_a_tensor_can_be(tmp_path: Path, place: str) -> None:
    path = tmp_path / "it.onnx"
    path.write_bytes(network(place, "weights.safetensors").SerializeToString())
    assert external_files(path) == {"weights.safetensors"}
    for location in ("../weights", "/etc/hostname", "a/b", "a\\b", "*/_ORT_MEM_ADDR_/*", "..", ".", "", "a\nb", "é"):
        path.write_bytes(network(place, location).SerializeToString())
        with pytest.raises(BundleDamagedError):
            external_files(path)
        with pytest.raises(BundleDamagedError):
            open_session(path)


def test_a_network_without_any(tmp_path: Path) -> None:
    model = network("initializer", "x")
    model.graph.ClearField("initializer")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.arange(99, dtype=np.float32), "location"))
    model.metadata_props.add(key="location", value="../elsewhere")  # says nothing about tensors
    (tmp_path / "it.onnx").write_bytes(model.SerializeToString())
    assert external_files(tmp_path / "it.onnx") == frozenset()


def test_operators_that_read_files_are_refused(tmp_path: Path) -> None:
    model = network("initializer", "weights")
    model.graph.node.append(onnx.helper.make_node("EPContext", [], ["z"], domain="com.microsoft"))
    (tmp_path / "it.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleDamagedError):
        external_files(tmp_path / "it.onnx")


@pytest.mark.parametrize("data", [b"", b"no network", b"\x0b\x0c", b"\x3a\x05\x00", b"\x3a", b"\xff" * 12, b"\x09\0"])
def test_what_is_no_network(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "it.onnx").write_bytes(data)
    with pytest.raises(BundleDamagedError):
        external_files(tmp_path / "it.onnx")


def test_depth_and_kind_of_file_are_bounded(tmp_path: Path) -> None:
    inner = onnx.GraphProto(name="g").SerializeToString()
    for _ in range(40):  # graph in attribute in node in graph
        for tag in (0x32, 0x2A, 0x0A):
            inner = bytes((tag,)) + _varint(len(inner)) + inner
    (tmp_path / "deep.onnx").write_bytes(b"\x3a" + _varint(len(inner)) + inner)
    os.mkfifo(tmp_path / "fifo.onnx")
    for name in ("deep.onnx", "fifo.onnx", "missing.onnx"):
        with pytest.raises(BundleDamagedError):
            external_files(tmp_path / name)


def nested(depth: int) -> bytes:
    """A model whose deepest message lies so deep: 1 is its graph, 2 a node, 3 its attribute, 4 a graph in that."""
    inner = b""
    for level in range(depth, 1, -1):
        inner = bytes(((0x32, 0x0A, 0x2A)[(level - 1) % 3],)) + _varint(len(inner)) + inner
    return b"\x3a" + _varint(len(inner)) + inner


def test_messages_lie_64_deep_at_most(tmp_path: Path) -> None:
    path = tmp_path / "it.onnx"
    path.write_bytes(nested(64))
    assert external_files(path) == frozenset()
    path.write_bytes(nested(65))
    with pytest.raises(BundleDamagedError) as found:
        external_files(path)
    assert found.value.fault is BundleFault.TOO_MANY


def test_messages_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert onnx_files._MAX_MESSAGES == 4_194_304
    monkeypatch.setattr(onnx_files, "_MAX_MESSAGES", 5)
    path = tmp_path / "it.onnx"
    path.write_bytes(nested(4))  # five with the model itself
    assert external_files(path) == frozenset()
    path.write_bytes(nested(5))
    with pytest.raises(BundleDamagedError) as found:
        external_files(path)
    assert found.value.fault is BundleFault.TOO_MANY


def test_names_have_at_most_255_letters(tmp_path: Path) -> None:
    path = tmp_path / "it.onnx"
    path.write_bytes(network("initializer", "w" * 255).SerializeToString())
    assert external_files(path) == {"w" * 255}
    path.write_bytes(network("initializer", "w" * 256).SerializeToString())
    with pytest.raises(BundleDamagedError) as found:
        external_files(path)
    assert found.value.fault is BundleFault.NAME


def test_a_bundle_vouches_for_every_file_that_is_read(codec: KltCodec, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "weights.bin").write_bytes(np.float32(3).tobytes())
    (sources / "n.onnx").write_bytes(network("initializer", "weights.bin").SerializeToString())
    facts: dict[str, Any] = {"codecs": [codec], "grid": codec.grid, "hidden_size": 12, "encoder": sources / "n.onnx"}
    whole = write_bundle(tmp_path / "whole", **facts, extra_files=[sources / "weights.bin"])
    assert open_session(whole.file(ENCODER))

    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "weights.bin").write_bytes(np.float32(4).tobytes())  # it lies there, and nobody hashed it
    with pytest.raises(BundleDamagedError):
        write_bundle(tmp_path / "part", **facts)


def test_a_manifest_cannot_vouch_for_itself(codec: KltCodec, tmp_path: Path) -> None:
    write_bundle(tmp_path, codecs=[codec], grid=codec.grid, hidden_size=12)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    data = network("initializer", MANIFEST).SerializeToString()
    (tmp_path / "encoder.onnx").write_bytes(data)
    manifest["files"]["encoder.onnx"] = sha256(data).hexdigest()
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleDamagedError):
        Bundle.load(tmp_path)


def test_damage_is_named(tmp_path: Path) -> None:
    whole = network("branch", "weights").SerializeToString()
    source = random.Random(5)
    path = tmp_path / "it.onnx"
    named = 0
    for _ in range(2000):
        data = bytearray(whole)
        for _ in range(source.randint(1, 3)):
            data[source.randrange(len(data))] = source.randrange(256)
        path.write_bytes(data[: source.randint(1, len(data))])
        try:
            external_files(path)
        except HeliographError:
            named += 1
    assert named > 200


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])

"""Products of bytes as both kinds of processors compute them, against integers by hand and against this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from heliograph.codec.onnx_session import open_session
from heliograph.edge.processor import this_processor
from heliograph.training.export.int8_emulation import PRODUCT, emulate
from heliograph.training.export.onnx_fusion import DOMAIN
from heliograph.training.export.onnx_quantise import LEVELS, LEVELS_OF_PROFILE, SAFE_LEVELS

RNG = np.random.default_rng(3)


def graph(folder: Path, weight: Any, bias: bool) -> Path:
    """Tokens of levels (1, P, K) uint8 with a scale and a zero point."""
    columns = weight.shape[1]
    constants = {"weight": weight, "scales": RNG.uniform(0.5, 1.5, columns).astype(np.float32)}
    inputs = ["levels", "weight", "scale", "scales", "zero", ""]
    if bias:
        constants["bias"] = RNG.normal(size=columns).astype(np.float32)
        inputs.append("bias")
    node = helper.make_node(PRODUCT, inputs, ["tokens"], domain=DOMAIN)
    given = [
        helper.make_tensor_value_info("levels", TensorProto.UINT8, [1, "P", len(weight)]),
        helper.make_tensor_value_info("scale", TensorProto.FLOAT, []),
        helper.make_tensor_value_info("zero", TensorProto.UINT8, []),
    ]
    made = helper.make_graph(
        [node],
        "product",
        given,
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    path = folder / "product.onnx"
    path.write_bytes(helper.make_model(made, opset_imports=imports, ir_version=9).SerializeToString())
    return path


def by_hand(path: Path, given: dict[str, Any], saturating: bool) -> Any:
    """In integers, as the instructions are documented."""
    stored = {one.name: numpy_helper.to_array(one) for one in onnx.load(str(path)).graph.initializer}
    levels, weight = given["levels"][0].astype(np.int64), stored["weight"].astype(np.int64)
    if len(weight) % 2:
        levels, weight = np.pad(levels, ((0, 0), (0, 1))), np.pad(weight, ((0, 1), (0, 0)))
    pairs = levels[:, 0::2, None] * weight[None, 0::2] + levels[:, 1::2, None] * weight[None, 1::2]
    if saturating:
        pairs = pairs.clip(-(1 << 15), (1 << 15) - 1)
    whole = pairs.sum(axis=1) - int(given["zero"]) * weight.sum(axis=0)
    return (whole * given["scale"] * stored["scales"] + stored.get("bias", 0.0))[None]


@pytest.mark.parametrize("rows", [1, 2, 7, 64])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("most", [127, SAFE_LEVELS])
def test_both_kinds(rows: int, bias: bool, most: int, tmp_path: Path) -> None:
    weight = RNG.choice([-most, most, 5], (rows, 9)).astype(np.int8)
    path = graph(tmp_path, weight, bias)
    given = {
        "levels": RNG.integers(200, 256, (1, 6, rows), dtype=np.uint8),
        "scale": np.array(0.01, np.float32),
        "zero": np.array(117, np.uint8),
    }
    results = {}
    for saturating in (False, True):
        emulate(path, tmp_path / "emulated.onnx", saturating=saturating)
        assert PRODUCT not in [node.op_type for node in onnx.load(str(tmp_path / "emulated.onnx")).graph.node]
        results[saturating] = open_session(tmp_path / "emulated.onnx").run(None, given)[0]
        np.testing.assert_allclose(results[saturating], by_hand(path, given, saturating), rtol=1e-5, atol=1e-3)
    cut = not np.allclose(results[False], results[True], atol=1e-2)
    assert cut == (most == 127 and rows > 1)
    here = open_session(path).run(None, given)[0]
    np.testing.assert_allclose(here, results[this_processor().saturates], rtol=1e-5, atol=1e-3)


def test_weights_for_every_processor_cannot_saturate() -> None:
    assert 255 * SAFE_LEVELS * 2 < 1 << 15 <= 255 * (SAFE_LEVELS + 2) * 2
    assert LEVELS_OF_PROFILE == {"any": SAFE_LEVELS, "vnni": LEVELS, "arm": LEVELS}

"""Where a bundle's networks look, without torch: what torch says, on the shipped model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from PIL import Image

from heliograph.codec.bundle import Bundle
from heliograph.codec.onnx_session import load_network, open_part
from heliograph.controllers.region.find import RegionSetting
from heliograph.edge.device import AskedDevice, Device
from heliograph.edge.preprocessing.frames import Frame, FramePreprocessor, Source
from heliograph.edge.sight import BundleSight
from heliograph.edge.tower_graph import read_blocks
from heliograph.errors import AttentionMissingError, ModelUnsupportedError, QuestionEmptyError
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.reference.render import render_scene
from heliograph.types import FloatArray, Grid, VisualTokens

QUESTION = "what colour is the star?"


@pytest.fixture(scope="module")
def device() -> Device:
    return Device(Bundle.load(shipped_bundle_folder()))


@pytest.fixture(scope="module")
def sight(device: Device) -> BundleSight:
    assert device.sight is not None
    return device.sight


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return render_scene(31).image


def test_the_question_map_is_that_of_the_cloud(sight: BundleSight, device: Device, photo: Image.Image) -> None:
    from heliograph.vlm.attention import AttentionFinder
    from heliograph.vlm.model import VisionLanguageModel

    tokens = device.encode_tokens(photo)
    setting = RegionSetting.of(device.bundle)
    assert setting is not None
    finder = AttentionFinder(VisionLanguageModel.load("reference"), setting)
    for question in (QUESTION, "how many objects are there?"):
        found, wanted = sight.question_map(question, tokens), finder.relative(question, tokens)
        assert found is not None
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=1e-4)
    again = sight.question_map(QUESTION, tokens)
    assert not np.allclose(found, again, rtol=0.1)  # type: ignore[arg-type]


def test_the_shallow_map_is_attention_of_the_first_layer(sight: BundleSight, photo: Image.Image) -> None:
    import torch

    from heliograph.vlm.model import VisionLanguageModel

    model = VisionLanguageModel.load("reference")
    first = model.torch_model.model.vision_model.encoder.layers[0]
    seen = list[FloatArray]()

    def watch(attention: torch.nn.Module, args: tuple[torch.Tensor, ...], kwargs: dict[str, torch.Tensor]) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        heads, size = first.self_attn.num_heads, first.self_attn.head_dim
        query, key = (
            project(hidden)[0].reshape(-1, heads, size).transpose(0, 1)
            for project in (first.self_attn.q_proj, first.self_attn.k_proj)
        )
        weights = (query @ key.transpose(1, 2) * size**-0.5).softmax(-1)  # (H, T, T)
        seen.append(weights.mean(dim=(0, 1)).reshape(8, 8).float().numpy())

    handle = first.self_attn.register_forward_pre_hook(watch, with_kwargs=True)
    model.encode_image(photo)
    handle.remove()
    found = sight.shallow_map(photo)
    assert found.sum() == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(found, seen[0], rtol=2e-3)


# ---- where there is nothing to be read -------------------------------------------------------------
def test_what_cannot_be_read_is_none(sight: BundleSight, device: Device, photo: Image.Image) -> None:
    tokens = device.encode_tokens(photo)
    split = VisualTokens(np.concatenate([tokens.values] * 2), Grid(8, 8, 2))
    assert sight.question_map(QUESTION, split) is None
    assert sight.question_map(QUESTION, VisualTokens(tokens.values[:32], Grid(4, 8))) is None
    assert sight.question_map("\u0436" * 2000, tokens) is None  # more than the model has room for
    with pytest.raises(QuestionEmptyError):
        sight.question_map(" ", tokens)


def test_a_bundle_without_a_language_model_has_no_question_map(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.load(shipped_bundle_folder())
    monkeypatch.setattr(Bundle, "local_model_path", None)
    alone = BundleSight(bundle, lambda: device.tower)
    assert alone.question_map(QUESTION, VisualTokens(np.zeros((64, 128), np.float32), Grid(8, 8))) is None
    assert Device(None).sight is None


def test_without_a_region_setting_the_middle_layer_is_read(
    sight: BundleSight, device: Device, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = device.encode_tokens(photo)
    chosen = sight.question_map(QUESTION, tokens)
    monkeypatch.setattr(RegionSetting, "of", lambda bundle: None)
    found = BundleSight(device.bundle, lambda: device.tower).question_map(QUESTION, tokens)
    assert found is not None
    assert 0 < found.sum() < 1  # plain attention, of which text gets the rest
    assert not np.allclose(found, chosen)


def test_an_encoder_that_does_not_show_its_attention_is_named(
    device: Device, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = FramePreprocessor([Frame(Grid(8, 8, 1, 128, 128), (Source(128, 128),), "encoder.onnx")], 1, np.zeros(1))
    other = Device(device.bundle)
    monkeypatch.setattr(other, "preprocessor", frames)
    assert other.sight is not None
    with pytest.raises(ModelUnsupportedError, match=r"one square photo"):
        other.sight.shallow_map(photo)
    with pytest.raises(AttentionMissingError):
        other.encode_attended(photo)
    with pytest.raises(ModelUnsupportedError, match=r"no attention that can be read"):
        read_blocks(SimpleNamespace(nodes=[]))  # type: ignore[arg-type]


# ---- networks that are looked into -----------------------------------------------------------------
@pytest.fixture
def network(tmp_path: Path) -> Path:
    """softmax(x + 1) + 1, and a branch with a softmax of its own."""
    maker = onnx.helper
    shape = [onnx.TensorProto.FLOAT, [1, 3]]
    branch = maker.make_graph(
        [maker.make_node("Softmax", ["sum"], ["hidden"])],
        "branch",
        [],
        [maker.make_tensor_value_info("hidden", *shape)],
    )
    nodes = [
        maker.make_node("Add", ["x", "one"], ["sum"]),
        maker.make_node("Softmax", ["sum"], ["weights"]),
        maker.make_node("If", ["yes"], ["chosen"], then_branch=branch, else_branch=branch),
        maker.make_node("Add", ["weights", "chosen"], ["y"]),
    ]
    graph = maker.make_graph(
        nodes,
        "graph",
        [maker.make_tensor_value_info("x", *shape)],
        [maker.make_tensor_value_info("y", *shape)],
        [
            onnx.numpy_helper.from_array(np.ones(1, np.float32), "one"),
            onnx.numpy_helper.from_array(np.array(True), "yes"),
        ],
    )
    path = tmp_path / "network.onnx"
    onnx.save(maker.make_model(graph, opset_imports=[maker.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_values_within_a_network_can_be_asked_for(network: Path) -> None:
    opened = load_network(network)
    assert opened.made_by("Softmax") == ["weights"]
    assert opened.made_by("Add") == ["sum", "y"]
    before = network.read_bytes()
    session = open_part(opened, ["weights", "sum"])
    assert [one.name for one in session.get_outputs()] == ["weights", "sum"]
    x = np.array([[0.0, 1.0, 2.0]], np.float32)
    weights, total = session.run(None, {"x": x})
    np.testing.assert_allclose(weights, np.exp(x) / np.exp(x).sum(), rtol=1e-5)
    np.testing.assert_allclose(total, x + 1)
    assert network.read_bytes() == before


def test_a_part_begins_where_it_is_given_values_and_holds_nothing_else(network: Path) -> None:
    """The branch takes ``sum`` from outside of itself, which only a walk through it tells."""
    opened = load_network(network)
    late = onnx.load_from_string(opened.cut(["y"], ["sum"]))
    assert [node.op_type for node in late.graph.node] == ["Softmax", "If", "Add"]
    assert [one.name for one in late.graph.input] == ["sum"]
    assert [one.name for one in late.graph.initializer] == ["yes"]
    given = np.array([[3.0, 1.0, 2.0]], np.float32)
    (y,) = open_part(opened, ["y"], ["sum"]).run(None, {"sum": given})
    np.testing.assert_allclose(y, 2 * np.exp(given) / np.exp(given).sum(), rtol=1e-5)
    early = onnx.load_from_string(opened.cut(["sum"]))
    assert [node.op_type for node in early.graph.node] == ["Add"]
    branched = onnx.load_from_string(opened.cut(["chosen"]))
    assert [node.op_type for node in branched.graph.node] == ["Add", "If"]


def test_tools_while_a_question_is_asked_are_the_device(device: Device, photo: Image.Image) -> None:
    asked = AskedDevice(device, QUESTION)
    assert (asked.question, device.question) == (QUESTION, "")
    assert asked.sight is device.sight
    assert asked.input_size == 128
    assert asked.codec("klt") is device.codec("klt")
    assert np.array_equal(asked.encode_tokens(photo).values, device.encode_tokens(photo).values)

"""Preprocessing by frames: which frame a photo gets, what its pixels become, and what is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from heliograph.edge.encoder import FrameEncoder, open_encoder
from heliograph.edge.preprocessing.frames import Frame, FramePixels, FramePreprocessor, Source, open_preprocessor
from heliograph.edge.preprocessing.square import Preprocessor
from heliograph.errors import BundleDamagedError, ModelUnsupportedError, ShapeError
from heliograph.types import Grid

LANDSCAPE, PORTRAIT, SQUARE = (64, 48), (48, 64), (56, 56)
BICUBIC = 3


def frame(size: tuple[int, int], name: str, *more: Source) -> Frame:
    return Frame(Grid(2, 3, 1, *size), (Source(*size), *more), name)


@pytest.fixture
def preprocessor() -> FramePreprocessor:
    names = ("encoder.onnx", "encoder-1.onnx", "encoder-2.onnx")
    frames = [frame(size, name) for size, name in zip((LANDSCAPE, PORTRAIT, SQUARE), names, strict=True)]
    frames[2] = frame(SQUARE, names[2], Source(28, 28, 1))
    levels = np.arange(256, dtype=np.float32)
    tables = np.stack([np.stack([levels, levels + 0.1, -levels / 3]), np.stack([levels / 255] * 3)])
    return FramePreprocessor(frames, BICUBIC, tables.astype(np.float32))


@pytest.mark.parametrize(
    ("photo", "wanted"),
    [
        ((640, 480), LANDSCAPE),
        ((480, 640), PORTRAIT),
        ((1, 1), SQUARE),
        ((9000, 1), LANDSCAPE),
        ((1, 9000), PORTRAIT),
        ((1000, 1010), SQUARE),
    ],
)
def test_a_photo_gets_the_frame_of_its_shape(
    preprocessor: FramePreprocessor, photo: tuple[int, int], wanted: tuple[int, int]
) -> None:
    assert preprocessor.frames[preprocessor.nearest(*photo)].size == wanted


@given(width=st.integers(1, 100_000), height=st.integers(1, 100_000))
def test_wide_photos_never_get_the_tall_frame(width: int, height: int) -> None:
    frames = [frame(LANDSCAPE, "encoder.onnx"), frame(PORTRAIT, "encoder-1.onnx")]
    chosen = FramePreprocessor(frames, BICUBIC, np.zeros((1, 3, 256), np.float32)).nearest(width, height)
    assert chosen == int(height > width)


@pytest.mark.parametrize("size", [(1, 1), (300, 2), (2, 300), (57, 56)])
def test_pixels_are_levels_of_the_resized_photo(preprocessor: FramePreprocessor, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    photo = Image.fromarray(noise)
    made = preprocessor(photo)
    chosen = preprocessor.frames[made.frame]
    framed = photo.resize(chosen.size, BICUBIC)
    for source, pixels in zip(chosen.sources, made.sources, strict=True):
        levels = np.asarray(framed.resize((source.width, source.height), BICUBIC))
        assert pixels.dtype == np.float32
        assert pixels.shape == (1, 3, source.height, source.width)
        for channel in range(3):
            expected = preprocessor.tables[source.table, channel][levels[..., channel]]
            np.testing.assert_array_equal(pixels[0, channel], expected)


def test_other_modes_are_read_as_rgb(preprocessor: FramePreprocessor) -> None:
    grey = Image.new("L", LANDSCAPE, 77)
    np.testing.assert_array_equal(preprocessor(grey).sources[0], preprocessor(grey.convert("RGB")).sources[0])


def test_json_gives_the_same_numbers_back(preprocessor: FramePreprocessor) -> None:
    again = open_preprocessor(json.loads(json.dumps(preprocessor.to_config())))
    assert isinstance(again, FramePreprocessor)
    assert again.frames == preprocessor.frames
    assert again.input_size == 64
    np.testing.assert_array_equal(again.tables, preprocessor.tables)


def test_the_first_format_is_read_as_ever() -> None:
    numbers = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    sizes = {"size": {"longest_edge": 128}, "max_image_size": {"longest_edge": 128}}
    assert isinstance(open_preprocessor({"do_image_splitting": False, **numbers, **sizes}), Preprocessor)
    with pytest.raises(ModelUnsupportedError):
        open_preprocessor({"do_image_splitting": True, **numbers, **sizes})


def damaged(path: str, value: Any) -> dict[str, Any]:
    """A configuration with one value put in place of another; a path of keys and places."""
    config: Any = copy.deepcopy(GOOD)
    *keys, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    inner = config
    for key in keys:
        inner = inner[key]
    inner[last] = value
    return dict(config)


GOOD: dict[str, Any] = {
    "resample": 3,
    "tables": [[[0.5] * 256] * 3],
    "frames": [{"size": [64, 48], "grid": [2, 3, 1], "sources": [[64, 48, 0]], "encoder": "encoder.onnx"}],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("resample", 6),
        ("resample", True),
        ("resample", None),
        ("tables", []),
        ("tables", {}),
        ("tables", [[[0.5] * 256] * 3] * 17),
        ("tables.0", [[0.5] * 256] * 2),
        ("tables.0", [[0.5] * 255] * 3),
        ("tables.0", 7),
        ("tables.0", [[float("nan")] * 256] * 3),
        ("tables.0", [[1e39] * 256] * 3),
        ("tables.0", [[10**400] * 256] * 3),
        ("tables.0", [["x"] * 256] * 3),
        ("tables.0", [[None] * 256] * 3),
        ("frames", []),
        ("frames", [{}] * 17),
        ("frames", "encoder"),
        ("frames.0", []),
        ("frames.0", 7),
        ("frames.0.size", [0, 48]),
        ("frames.0.size", [64, 4097]),
        ("frames.0.size", [64.0, 48]),
        ("frames.0.size", [64]),
        ("frames.0.size", "64"),
        ("frames.0.grid", [0, 3, 1]),
        ("frames.0.grid", [1 << 13, 1 << 13, 1]),
        ("frames.0.grid", [2, 3]),
        ("frames.0.grid", None),
        ("frames.0.sources", []),
        ("frames.0.sources", [[64, 48, 0]] * 5),
        ("frames.0.sources", [[64, 48, 1]]),
        ("frames.0.sources", [[64, 48, -1]]),
        ("frames.0.sources", [[1 << 40, 48, 0]]),
        ("frames.0.sources", [[64, 48]]),
        ("frames.0.encoder", "../encoder.onnx"),
        ("frames.0.encoder", "encoder-1.onnx\n"),
        ("frames.0.encoder", "manifest.json"),
        ("frames.0.encoder", None),
    ],
)
def test_refuses_damaged_numbers(path: str, value: Any) -> None:
    assert FramePreprocessor.from_config(GOOD).frames
    with pytest.raises(BundleDamagedError):
        open_preprocessor(damaged(path, value))


@pytest.mark.parametrize("key", ["resample", "tables"])
def test_refuses_missing_parts(key: str) -> None:
    with pytest.raises(BundleDamagedError):
        open_preprocessor({name: value for name, value in GOOD.items() if name != key})


# ---- the graphs behind the frames ----------------------------------------------------------------------
def write_graph(path: Path, inputs: list[tuple[int, int]], tokens: tuple[int, int, int]) -> None:
    """A network that gives as many numbers as it is told to, all of them the first input's first one."""
    import onnx

    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    taken = [
        helper.make_tensor_value_info(f"pixels_{place}", number, [1, 3, height, width])
        for place, (width, height) in enumerate(inputs)
    ]
    whole = onnx.TensorProto.INT64
    constants = [
        helper.make_tensor("one", whole, [1], [0]),
        helper.make_tensor("flat", whole, [1], [-1]),
        helper.make_tensor("shape", whole, [3], list(tokens)),
    ]
    nodes = [
        helper.make_node("Reshape", ["pixels_0", "flat"], ["row"]),
        helper.make_node("Gather", ["row", "one"], ["first"]),
        helper.make_node("Expand", ["first", "shape"], ["tokens"]),
    ]
    out = [helper.make_tensor_value_info("tokens", number, list(tokens))]
    graph = helper.make_graph(nodes, "graph", taken, out, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_graph(tmp_path / "encoder.onnx", [LANDSCAPE], (1, 6, 5))
    write_graph(tmp_path / "encoder-2.onnx", [SQUARE, (28, 28)], (1, 6, 5))
    return tmp_path


def test_each_photo_is_encoded_in_its_frame(preprocessor: FramePreprocessor, folder: Path) -> None:
    encode = open_encoder(folder.joinpath, preprocessor, Grid(1, 1), 5)
    for size, wanted in (((90, 60), LANDSCAPE), ((10, 10), SQUARE), ((640, 480), LANDSCAPE)):
        tokens = encode(Image.new("RGB", size, (9, 0, 0)))
        assert tokens.grid == Grid(2, 3, 1, *wanted)
        np.testing.assert_array_equal(tokens.values, np.full((6, 5), 9, np.float32))


def test_a_missing_graph_and_wrong_shapes_are_named(preprocessor: FramePreprocessor, folder: Path) -> None:
    encoder = FrameEncoder(folder.joinpath, preprocessor.frames, 5)
    with pytest.raises(BundleDamagedError):  # portrait: not written
        encoder(preprocessor(Image.new("RGB", (48, 64))))
    with pytest.raises(ShapeError):
        encoder(FramePixels(0, (np.zeros((1, 3, 7, 7), np.float32),)))
    with pytest.raises(ShapeError):  # one of two inputs
        encoder(FramePixels(2, (np.zeros((1, 3, 56, 56), np.float32),)))
    with pytest.raises(ShapeError):  # another width of tokens
        FrameEncoder(folder.joinpath, preprocessor.frames, 6)(preprocessor(Image.new("RGB", LANDSCAPE)))
    write_graph(folder / "encoder-2.onnx", [SQUARE], (1, 6, 5))
    with pytest.raises(BundleDamagedError):  # one input where the frame has two
        FrameEncoder(folder.joinpath, preprocessor.frames, 5)(preprocessor(Image.new("RGB", SQUARE)))

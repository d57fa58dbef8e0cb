"""Eight bits keep the tokens, shrink the file, and refuse what is no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from heliograph.codec.onnx_session import open_session
from heliograph.errors import FileUnreadableError, ShapeError, UsageError
from heliograph.training.export.int8_emulation import emulate
from heliograph.training.export.onnx_fusion import fuse
from heliograph.training.export.onnx_graphs import export_encoder, trace
from heliograph.training.export.onnx_quantise import LEVELS, SAFE_LEVELS, quantise_encoder, token_error
from heliograph.vlm.model import VisionLanguageModel

SIDE, WIDTH = 16, 64


class TwoInputs(nn.Module):
    """Tokens (1, P, WIDTH) of patches (P, SIDE) at places (P, 2): other inputs than an Idefics3 tower has."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.patch, self.place = nn.Linear(SIDE, WIDTH), nn.Linear(2, WIDTH)
        self.norm, self.wide, self.back = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 256), nn.Linear(256, WIDTH)

    def forward(self, patches: Tensor, places: Tensor) -> Tensor:
        hidden = self.patch(patches) + self.place(places)
        made: Tensor = (hidden + self.back(nn.functional.gelu(self.wide(self.norm(hidden)), approximate="tanh")))[None]
        return made


def output(path: Path, **given: Any) -> Any:
    return open_session(path).run(None, given)[0]


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(str(path)).graph.node]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """The reference model's encoder and ten pictures for it."""
    model = VisionLanguageModel.load("reference")
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    export_encoder(model.torch_model, path, model.input_size)
    rng = np.random.default_rng(0)
    coarse = rng.uniform(-1, 1, (10, 1, 3, 8, 8)).astype(np.float32)
    return path, list(coarse.repeat(model.input_size // 8, 3).repeat(model.input_size // 8, 4))


@pytest.fixture(scope="module")
def two_inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    path = tmp_path_factory.mktemp("two") / "two.onnx"
    example = torch.zeros(9, SIDE), torch.zeros(9, 2)
    trace(TwoInputs(), example, path, input_names=["patches", "places"], output_names=["tokens"])
    rng = np.random.default_rng(1)
    return path, [
        {"patches": rng.normal(size=(9, SIDE)).astype(np.float32), "places": rng.random((9, 2)).astype(np.float32)}
        for _ in range(6)
    ]


def test_attention_and_gelu_become_one_operator_each(encoder: tuple[Path, list[Any]], tmp_path: Path) -> None:
    source, pixels = encoder
    fuse(source, tmp_path / "fused.onnx")
    found = operators(tmp_path / "fused.onnx")
    layers = operators(source).count("Softmax")
    assert layers > 1
    assert found.count("MultiHeadAttention") == found.count("FastGelu") == layers
    assert not {"Softmax", "Tanh"} & set(found)
    tokens = [output(path, pixel_values=pixels[0]) for path in (source, tmp_path / "fused.onnx")]
    np.testing.assert_allclose(*tokens, atol=2e-5 * np.abs(tokens[0]).max())


@pytest.mark.parametrize("levels", [127, SAFE_LEVELS])
def test_an_encoder_in_eight_bits(encoder: tuple[Path, list[Any]], levels: int, tmp_path: Path) -> None:
    source, pixels = encoder
    lines: list[str] = []
    made = quantise_encoder(source, tmp_path / "int8.onnx", pixels, levels=levels, progress=lines.append)
    assert len(lines) == len(made.errors) == 4
    assert made.errors[made.method] == made.mean_error <= 1.03 * min(made.errors.values())
    assert 0 < made.mean_error < (0.08 if levels == 127 else 0.16)
    assert 0 < made.largest_error < 0.25
    assert made.latency_ratio > 0
    assert made.file_bytes == (tmp_path / "int8.onnx").stat().st_size < 0.8 * source.stat().st_size
    exact = tmp_path / "int8.onnx"
    if levels > SAFE_LEVELS:  # what processors compute that do not saturate, whatever this one is
        exact = tmp_path / "exact.onnx"
        emulate(tmp_path / "int8.onnx", exact, saturating=False)
    held = pixels[1::2]
    tokens = [[output(path, pixel_values=one) for one in held] for path in (source, exact)]
    assert token_error(*tokens) == pytest.approx((made.mean_error, made.largest_error), rel=1e-3)


def test_processors_that_saturate_get_what_they_can_compute(encoder: tuple[Path, list[Any]], tmp_path: Path) -> None:
    source, pixels = encoder
    held = pixels[1::2]
    expected = [output(source, pixel_values=one) for one in held]
    errors: dict[tuple[int, bool], float] = {}
    for levels in (LEVELS, SAFE_LEVELS):
        quantise_encoder(source, tmp_path / "int8.onnx", pixels, levels=levels, methods=("dynamic int8",))
        for saturating in (False, True):
            emulate(tmp_path / "int8.onnx", tmp_path / "emulated.onnx", saturating=saturating)
            tokens = [output(tmp_path / "emulated.onnx", pixel_values=one) for one in held]
            errors[levels, saturating] = token_error(expected, tokens)[0]
    assert errors[SAFE_LEVELS, True] == pytest.approx(errors[SAFE_LEVELS, False], rel=1e-4)
    assert errors[LEVELS, False] < errors[SAFE_LEVELS, False] < errors[LEVELS, True]


def test_the_same_photos_make_the_same_file(encoder: tuple[Path, list[Any]], tmp_path: Path) -> None:
    source, pixels = encoder
    first, second = (
        quantise_encoder(source, tmp_path / name, pixels[:4], methods=("static int8",)) for name in ("a.onnx", "b.onnx")
    )
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert first.errors == second.errors == {"static int8": first.mean_error}


def test_a_graph_of_several_inputs(two_inputs: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    source, given = two_inputs
    made = quantise_encoder(source, tmp_path / "int8.onnx", given)
    assert made.mean_error < 0.03
    assert made.file_bytes < 0.6 * source.stat().st_size
    assert operators(tmp_path / "int8.onnx").count("MatMulIntegerToFloat") == 3  # places have two values only


def test_smoothing_wins_where_few_channels_are_large(tmp_path: Path) -> None:
    module = TwoInputs()
    with torch.no_grad():
        module.norm.weight[::16] *= 60
        module.wide.weight[:, ::16] /= 20
    source = tmp_path / "two.onnx"
    example = torch.zeros(9, SIDE), torch.zeros(9, 2)
    trace(module, example, source, input_names=["patches", "places"], output_names=["tokens"])
    rng = np.random.default_rng(1)
    given = [
        {"patches": rng.normal(size=(9, SIDE)).astype(np.float32), "places": rng.random((9, 2)).astype(np.float32)}
        for _ in range(6)
    ]
    made = quantise_encoder(source, tmp_path / "int8.onnx", given)
    assert made.method.startswith("smoothed")
    assert made.errors["smoothed dynamic int8"] < 0.7 * made.errors["dynamic int8"]


def test_what_is_no_network_has_a_name(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"\x08\x07no network")
    pixels = [np.zeros((1, 3, 8, 8), np.float32)] * 2
    for source in (damaged, tmp_path / "missing.onnx"):
        with pytest.raises(FileUnreadableError):
            quantise_encoder(source, tmp_path / "out.onnx", pixels)
        with pytest.raises(FileUnreadableError):
            fuse(source, tmp_path / "out.onnx")


def test_inputs_that_do_not_fit_are_refused(
    encoder: tuple[Path, list[Any]], two_inputs: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    out = tmp_path / "out.onnx"
    for calibration, levels, error in (
        ([np.zeros((1, 3, 7, 7), np.float32)] * 2, 127, ShapeError),
        (encoder[1][:1], 127, UsageError),
        (encoder[1][:2], 128, UsageError),
    ):
        with pytest.raises(error):
            quantise_encoder(encoder[0], out, calibration, levels=levels)
    for methods in ((), ("int3",)):
        with pytest.raises(UsageError):
            quantise_encoder(encoder[0], out, encoder[1][:2], methods=methods)
    with pytest.raises(ShapeError):  # which of the two inputs?
        quantise_encoder(two_inputs[0], out, [np.zeros((9, SIDE), np.float32)] * 2)
    assert not out.exists()

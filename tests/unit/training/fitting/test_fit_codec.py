"""Fitting a codec needs no labels, weighs by the model's own gradients, and leaves the model as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from brief_training import make_brief
from heliograph.codec.bundle import Bundle
from heliograph.codec.klt import KltCodec
from heliograph.codec.levels import LevelCurve, LevelCurves
from heliograph.errors import DataMissingError
from heliograph.reference.recipe import build_reference_model
from heliograph.reference.render import render_scene
from heliograph.training.fitting import fit_codec as fit_codec_module
from heliograph.training.fitting.fit_codec import encode_all, fit_codec
from heliograph.training.fitting.fit_product import fit_product
from heliograph.training.fitting.sensitivity import _slope, measure_sensitivity
from heliograph.vlm.model import VisionLanguageModel


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_reference_model(tmp_path_factory.mktemp("model"), seed=1)


LEVELS = LevelCurves({"klt": LevelCurve((40, 8), (0.25, 0.75), 3, 9)})


@pytest.fixture(scope="module")
def fitted(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A codec folder, and what was said of its making; answers at each level are made up."""

    def measured_levels(model: object, codecs: object, photos: list[object], asked: list[tuple[str, ...]]) -> object:
        assert (len(photos), len(asked)) == (3, 3)  # a quarter of what is fitted on
        assert all(asked)
        assert not {"describe the picture."} & {question for questions in asked for question in questions}
        return LEVELS

    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        make_brief(patch)
        patch.setattr(fit_codec_module, "measured_levels", measured_levels)
        return fit_codec(str(model_folder), tmp_path_factory.mktemp("klt"), scenes=12, progress=said.append), said


def test_fit_from_scenes(model_folder: Path, fitted: tuple[Path, list[str]]) -> None:
    folder, said = fitted
    codec = KltCodec.load(folder)
    model = VisionLanguageModel.load(str(model_folder))
    tokens = model.encode_image(render_scene(8_000_000).image)
    encoded = codec.encode(tokens)
    restored = codec.decode(encoded.header, encoded.segments)
    nothing = codec.decode(encoded.header, ())
    error = float(np.square(restored.values - tokens.values).sum())
    assert error < 0.5 * float(np.square(nothing.values - tokens.values).sum())
    assert said[3:] == [
        "choosing the transform: entropy tables of each",
        "fitting entropy tables",
        "fitting context networks",
        "fitting restoration",
    ]


def test_levels_are_measured_on_scenes_beyond_the_fitted_ones(
    fitted: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.load(fitted[0])
    assert bundle.levels == LEVELS
    assert bundle.codec("klt").levels == LEVELS.curves["klt"]
    begun = list[tuple[int, int]]()
    monkeypatch.setattr(fit_codec_module, "short_scene_material", lambda *given: begun.append(given) or ([], []))
    monkeypatch.setattr(fit_codec_module, "encode_all", lambda model, pictures: [])
    for count in (64, 400, 1600):
        fit_codec_module.unseen_scenes(None, 7, count)  # type: ignore[arg-type]
    assert begun == [(7, 16), (7, 100), (7, 100)]


def test_the_slope_in_closed_form_is_the_automatic_one() -> None:
    logits = torch.randn(5, 31, generator=torch.manual_seed(3)).mul_(6).requires_grad_(True)
    ids = torch.tensor([3, 0, 30, 3, 7])
    likelihood = torch.log_softmax(logits / 4, dim=-1).gather(1, ids[:, None]).sum() / 5**0.5
    (wanted,) = torch.autograd.grad(likelihood, logits)
    torch.testing.assert_close(_slope(logits.detach(), ids), wanted, rtol=1e-5, atol=1e-7)


def test_sensitivity_is_a_second_moment(model_folder: Path) -> None:
    model = VisionLanguageModel.load(str(model_folder))
    tokens = encode_all(model, [render_scene(seed).image for seed in (1, 2)])
    flags = [p.requires_grad for p in model.torch_model.parameters()]
    matrix = measure_sensitivity(model, tokens, tokens, [("what is the star?",)] * 2, answer_tokens=3)
    assert matrix.shape == (128, 128)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-4, atol=1e-6)
    assert np.linalg.eigvalsh(matrix.astype(np.float64)).min() > -1e-3
    assert np.trace(matrix) == pytest.approx(128, rel=1e-3)
    assert [p.requires_grad for p in model.torch_model.parameters()] == flags


def test_a_folder_without_photos_is_a_named_error(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataMissingError):
        fit_codec(str(model_folder), tmp_path / "out", photos=tmp_path)


def test_product_quantisation_from_scenes(model_folder: Path, fitted: tuple[Path, list[str]], tmp_path: Path) -> None:
    said: list[str] = []
    fit_product(str(model_folder), tmp_path / "pq", pictures=8, start=fitted[0], progress=said.append)
    codec = Bundle.from_pretrained(tmp_path / "pq").codec("pq")
    tokens = VisionLanguageModel.load(str(model_folder)).encode_image(render_scene(8_000_000).image)
    encoded = codec.encode(tokens)
    restored = codec.decode(encoded.header, encoded.segments)
    nothing = codec.decode(encoded.header, ())
    error = float(np.square(restored.values - tokens.values).sum())
    assert error < 0.5 * float(np.square(nothing.values - tokens.values).sum())
    assert encoded.payload_bytes == 2 + 8 * 64

"""A bundle does on the device what the model does in the cloud."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from heliograph.codec.bundle import Bundle
from heliograph.edge.device import Device
from heliograph.errors import BundleDamagedError, ShapeError, UsageError
from heliograph.reference.recipe import build_reference_model
from heliograph.reference.render import render_scene
from heliograph.training import export
from heliograph.training.fit_codec import fit_codec
from heliograph.vlm.model import VisionLanguageModel


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Model, codec and bundle folders; weights rounded to fp16 as in a shipped checkpoint."""
    root = tmp_path_factory.mktemp("export")
    model = build_reference_model(root / "model", seed=4)
    loaded = VisionLanguageModel.load(str(model)).torch_model.half()
    loaded.save_pretrained(model)
    fit_codec(str(model), root / "codec", scenes=10, progress=lambda line: None)
    export.export_bundle(str(model), root / "bundle", codecs=[root / "codec"], progress=lambda line: None)
    return model, root / "codec", root / "bundle"


def test_device_and_cloud_agree(made: tuple[Path, Path, Path]) -> None:
    model, _, bundle = made
    cloud, device = VisionLanguageModel.load(str(model)), Device(Bundle.load(bundle))
    photo = render_scene(11).image
    tokens = device.encode_tokens(photo)
    np.testing.assert_allclose(tokens.values, cloud.encode_image(photo).values, rtol=1e-3, atol=1e-4)
    asked = "what colour is the star?"
    assert device.local_model is not None
    assert device.local_model.answer(asked, tokens).token_ids == cloud.answer(asked, [tokens]).token_ids


def test_weights_are_halved_without_loss(made: tuple[Path, Path, Path]) -> None:
    model, _, bundle = made
    graph = onnx.load(str(bundle / "encoder.onnx"))
    halves = [w for w in graph.graph.initializer if w.data_type == onnx.TensorProto.FLOAT16]
    assert len(halves) > 20
    assert (bundle / "encoder.onnx").stat().st_size < 0.75 * (model / "model.safetensors").stat().st_size


def test_a_codec_of_another_model_is_refused(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    from heliograph.codec.klt import KltCodec
    from heliograph.types import Grid, VisualTokens

    rng = np.random.default_rng(0)
    sets = [VisualTokens(rng.normal(size=(16, 24)).astype(np.float32), Grid(4, 4)) for _ in range(12)]
    KltCodec.fit(sets).save(tmp_path / "codec")
    with pytest.raises(ShapeError):
        export.export_bundle(str(made[0]), tmp_path / "bundle", codecs=[tmp_path / "codec"], progress=lambda line: None)


def test_a_folder_without_codec_and_two_of_a_kind_are_refused(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    model, codec, _ = made
    for codecs, error in (([tmp_path], BundleDamagedError), ([codec, codec], UsageError)):
        with pytest.raises(error):
            export.export_bundle(str(model), tmp_path / "out", codecs=codecs, progress=lambda line: None)


def test_an_export_that_differs_is_refused(
    made: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, codec, _ = made
    monkeypatch.setattr(export, "encoder_parity", lambda model, bundle: float("nan"))
    with pytest.raises(BundleDamagedError):
        export.export_bundle(str(model), tmp_path / "out", codecs=[codec], progress=lambda line: None)


def test_a_photo_passes_the_whole_device(made: tuple[Path, Path, Path]) -> None:
    device = Device(Bundle.load(made[2]))
    encoded = device.encode(render_scene(12).image, "klt")
    assert encoded.bundle_hash == Bundle.load(made[2]).hash
    assert len(encoded.predicted_quality) == len(encoded.segments) > 10

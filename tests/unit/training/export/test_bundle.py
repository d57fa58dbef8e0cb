"""A bundle does on the device what the model does in the cloud."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from brief_training import PHOTOS, QUESTIONS, make_brief
from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.codec.calibration import CALIBRATION, Calibration, Curve
from heliograph.codec.levels import LevelCurve, LevelCurves
from heliograph.codec.manifest import ENCODER
from heliograph.codec.parts import write_card
from heliograph.edge.device import Device
from heliograph.edge.processor import Processor, encoder_profile, this_processor
from heliograph.errors import (
    BundleDamagedError,
    CodecModelMismatchError,
    DataMissingError,
    ModelUnsupportedError,
    ShapeError,
    UsageError,
)
from heliograph.reference.recipe import build_reference_model
from heliograph.reference.render import render_scene
from heliograph.training.export import bundle as export
from heliograph.training.export.parity import Parity
from heliograph.training.fitting.fit_codec import fit_codec
from heliograph.vlm.codec_folder import save_codec
from heliograph.vlm.model import VisionLanguageModel

_CURVE = Curve(("min-entropy",), (0.0,), (1.0,), (1.0,), 0.5)
PASSED = Parity("float32", 16, 0.0, 0.0, 0, (), passed=True)
SURENESS = Calibration({"min-entropy": _CURVE}, {"min-entropy": _CURVE})


pytestmark = pytest.mark.usefixtures("brief_training")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Model, codec and bundle folders; weights rounded to fp16 as in a shipped checkpoint."""
    root = tmp_path_factory.mktemp("export")
    model = build_reference_model(root / "model", seed=4)
    loaded = VisionLanguageModel.load(str(model)).torch_model.half()
    loaded.save_pretrained(model)
    fit_codec(str(model), root / "codec", scenes=10, weighted=False, progress=lambda line: None)
    Bundle.load(root / "codec").with_measured(CALIBRATION, SURENESS.to_json())
    with pytest.MonkeyPatch.context() as patch:
        make_brief(patch)
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


def test_the_codecs_calibration_goes_along(made: tuple[Path, Path, Path]) -> None:
    assert Bundle.load(made[2]).calibration == SURENESS


def test_what_was_measured_goes_where_the_codecs_go(
    made: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, codec, _ = made
    monkeypatch.setattr(export, "measure_parity", lambda *given: PASSED)
    loaded = Bundle.load(codec)
    extra = [tmp_path / name for name in ("curves.json", "region.json")]
    for path in extra:
        path.write_text("{}")
    folder = tmp_path / "codec"
    facts = {"grid": loaded.grid, "hidden_size": loaded.hidden_size, "model": loaded.model, "index": "config.json"}
    write_bundle(folder, codecs=list(loaded.codecs.values()), extra_files=extra, **facts)
    parts = {"beside": folder / "parts" / "beside", "named": tmp_path / "written"}
    for name, part in parts.items():
        part.mkdir(parents=True)
        (part / "tables.safetensors").write_bytes(b"any")
        write_card(part, ["tables.safetensors"], {"strategy": name}, loaded.model)
    bundle = export.export_bundle(
        str(model),
        tmp_path / "bundle",
        codecs=[folder],
        local=False,
        parts=[parts["named"]],
        progress=lambda line: None,
    )
    assert sorted(path.name for path in (tmp_path / "bundle" / "parts").iterdir()) == ["beside", "named"]
    bundle.save_pretrained(tmp_path / "copy")
    for one in (bundle, Bundle.load(tmp_path / "copy")):
        assert {"curves.json", "region.json"} <= one.file_names
    assert bundle.hash == loaded.hash


def test_every_codec_brings_its_own_levels(tmp_path: Path) -> None:
    """Of a codec that several folders tell of, the levels are those from the folder of the learned one."""
    ends = {"a": (9, 2), "b": (0, 3), "c": (0, 4)}
    curves = {name: LevelCurve(levels, (0.0, 1.0), 16, 32) for name, levels in ends.items()}

    def folder(preferred: str, levels: LevelCurves | None) -> Any:
        return SimpleNamespace(preferred_codec=preferred, levels=levels, familiarity=None, file_names=frozenset())

    opened = [
        folder("klt", LevelCurves({"klt": curves["a"], "meta": curves["b"]})),
        folder("meta", LevelCurves({"meta": curves["c"]})),
        folder("pq", None),
    ]
    assert export._measured(opened, tmp_path) == [tmp_path / "levels.json"]
    assert LevelCurves.load(tmp_path / "levels.json") == LevelCurves({"klt": curves["a"], "meta": curves["c"]})
    assert export._measured(opened[2:], tmp_path) == []


def test_weights_are_halved_without_loss(made: tuple[Path, Path, Path]) -> None:
    model, _, bundle = made
    graph = onnx.load(str(bundle / "encoder.onnx"))
    halves = [w for w in graph.graph.initializer if w.data_type == onnx.TensorProto.FLOAT16]
    assert len(halves) > 20
    assert (bundle / "encoder.onnx").stat().st_size < 0.75 * (model / "model.safetensors").stat().st_size


def test_the_encoder_gives_tokens_and_its_graph_what_the_tower_looks_at(made: tuple[Path, Path, Path]) -> None:
    _, _, bundle = made
    assert [one.name for one in onnx.load(str(bundle / "encoder.onnx")).graph.output] == ["tokens"]
    device, photo = Device(Bundle.load(bundle)), render_scene(11).image
    found = device.encode_attended(photo)
    np.testing.assert_allclose(found.tokens.values, device.encode_tokens(photo).values, atol=1e-5)
    assert found.received.min() > 0
    assert found.received.std() > 0


def test_a_codec_of_another_model_is_refused(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    from heliograph.codec.fitting.fit import fit_klt
    from heliograph.types import Grid, VisualTokens

    rng = np.random.default_rng(0)
    sets = [VisualTokens(rng.normal(size=(16, 24)).astype(np.float32), Grid(4, 4)) for _ in range(12)]
    codec = fit_klt(sets)
    for name, error in ((str(made[0]), ShapeError), ("reference", CodecModelMismatchError)):
        save_codec(tmp_path / "codec", codec, codec.grid, name)
        with pytest.raises(error):
            export.export_bundle(
                str(made[0]), tmp_path / "bundle", codecs=[tmp_path / "codec"], progress=lambda line: None
            )
    assert not (tmp_path / "bundle").exists()


def test_a_folder_without_codec_and_two_of_a_kind_are_refused(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    model, codec, _ = made
    for codecs, error in (([tmp_path], BundleDamagedError), ([codec, codec], UsageError)):
        with pytest.raises(error):
            export.export_bundle(str(model), tmp_path / "out", codecs=codecs, progress=lambda line: None)


def test_an_export_that_differs_is_refused(
    made: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, codec, _ = made
    failed = Parity("float32", 16, float("nan"), float("nan"), 0, (), passed=False)
    monkeypatch.setattr(export, "measure_parity", lambda *given: failed)
    with pytest.raises(ModelUnsupportedError):
        export.export_bundle(str(model), tmp_path / "out", codecs=[codec], progress=lambda line: None)
    assert not (tmp_path / "out").exists()


def test_int8_is_another_encoder_of_the_same_bundle(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    model, codec, bundle = made
    said: list[str] = []
    small = export.export_bundle(
        str(model), tmp_path / "int8", codecs=[codec], int8=True, local=False, progress=said.append
    )
    assert small.hash == Bundle.load(bundle).hash  # one cloud serves both
    assert small.local_model_path is None
    assert [one.name for one in onnx.load(str(small.file(ENCODER))).graph.output] == ["tokens"]
    assert small.file(ENCODER).stat().st_size < 0.8 * (bundle / "encoder.onnx").stat().st_size
    parities = [json.loads((folder / "parity.json").read_text()) for folder in (bundle, tmp_path / "int8")]
    assert [one["encoder"] == "float32" for one in parities] == [True, False]
    assert parities[0]["max_error"] < 1e-3 < parities[1]["max_error"]
    assert parities[1]["mean_error"] < 0.1
    assert all(one["passed"] for one in parities)
    assert all((one["answers"], one["photos"]) == (PHOTOS * QUESTIONS, PHOTOS) for one in parities)
    for one in parities:
        ways = [row["sent"] for row in one["rows"]]
        assert ways[:2] == ["uncompressed", "klt, whole stream"]
        assert all(0 <= row["device"] <= 1 for row in one["rows"])
    assert parities[0]["rows"][0] == {"sent": "uncompressed", "payload_bytes": None, "own": 1.0, "device": 1.0}
    photo = render_scene(11).image
    first, second = (Device(Bundle.load(folder)).encode_tokens(photo).values for folder in (bundle, tmp_path / "int8"))
    assert 0 < np.abs(first - second).mean() < 0.1 * np.abs(first).mean()
    assert any("int8" in line for line in said)


@pytest.mark.parametrize("saturates", [False, True])
def test_a_profile_is_written_down_with_the_errors_of_both_kinds_of_processors(
    saturates: bool, made: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exporting machine is believed to be either kind; what it is not is emulated."""
    model, codec, _ = made
    this = this_processor()
    here = Processor("x86_64", frozenset() if saturates else frozenset({"avx_vnni"}))
    for module in ("heliograph.training.export.parity", "heliograph.training.export.onnx_quantise"):
        monkeypatch.setattr(f"{module}.this_processor", lambda: here)
    monkeypatch.setattr("heliograph.training.export.parity.compare_answers", lambda *given: [])
    found = {}
    for profile in ("any", "vnni"):
        out = tmp_path / profile
        export.export_bundle(
            str(model), out, codecs=[codec], int8=True, profile=profile, local=False, progress=lambda line: None
        )
        found[profile] = json.loads((out / "parity.json").read_text())
        assert encoder_profile(Bundle.load(out)) == found[profile]["profile"] == profile
    safe, exact = found["any"], found["vnni"]
    assert safe["mean_error"] == safe["mean_error_with_vnni"] == safe["mean_error_without_vnni"]
    assert exact["mean_error"] == exact["mean_error_with_vnni"]
    if saturates == this.saturates:  # else what was measured here is not what was believed
        assert exact["mean_error_with_vnni"] < safe["mean_error"] < exact["mean_error_without_vnni"]


def test_what_cannot_be_exported_is_named(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    model, codec, _ = made
    (tmp_path / "one").mkdir()
    render_scene(1).image.save(tmp_path / "one" / "one.png")
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"sizes": [(640, 480)]}, UsageError),  # it has one size
        ({"photos": tmp_path / "nothing"}, DataMissingError),
        ({"photos": tmp_path / "one"}, DataMissingError),  # one to calibrate and one to measure
    ]
    for options, error in wrong:
        with pytest.raises(error):
            export.export_bundle(str(model), tmp_path / "out", codecs=[codec], progress=lambda line: None, **options)
    assert not (tmp_path / "out").exists()


def test_a_photo_passes_the_whole_device(made: tuple[Path, Path, Path]) -> None:
    device = Device(Bundle.load(made[2]))
    encoded = device.encode(render_scene(12).image, "klt")
    assert encoded.bundle_hash == Bundle.load(made[2]).hash
    assert len(encoded.predicted_quality) == len(encoded.segments) > 10

"""The whole command on a random model: data, training, export; and that a second call goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliograph.codec.bundle import Bundle
from heliograph.codec.meta import MetaCodec
from heliograph.errors import DataMissingError, UsageError
from heliograph.reference.recipe import build_reference_model
from heliograph.reference.render import render_scene
from heliograph.training.export.bundle import export_bundle
from heliograph.training.fitting.fit_codec import encode_all
from heliograph.training.meta.loop import MetaRecipe
from heliograph.training.meta.train import train_meta
from heliograph.vlm.checkpoint.fingerprint import model_fingerprint
from heliograph.vlm.model import VisionLanguageModel

SIZES = {"latents": 4, "channels": 2, "width": 16, "encoder_layers": 1, "decoder_layers": 1, "heads": 2}
RECIPE = MetaRecipe(batch=4, asked_batch=2, questions=1, tokens_alone=0.5)


pytestmark = pytest.mark.usefixtures("brief_training")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_reference_model(tmp_path_factory.mktemp("model"), seed=4)


def train(model: Path, out: Path, minutes: float, **more: Path) -> list[str]:
    said: list[str] = []
    train_meta(str(model), out, pictures=12, minutes=minutes, sizes=SIZES, recipe=RECIPE, progress=said.append, **more)
    return said


def test_it_trains_exports_and_goes_on(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "meta"
    train(model, out, 0.01)
    loaded = VisionLanguageModel.load(str(model))
    tokens = encode_all(loaded, [render_scene(3).image])[0]
    encoded = MetaCodec.load(out).encode(tokens)
    opened = Bundle.from_pretrained(out)
    assert (opened.codec_kinds, opened.model) == (("meta",), model_fingerprint(str(model)))
    assert opened.codec("meta").decode(encoded.header, encoded.segments).values.shape == tokens.values.shape
    first = json.loads((out / "meta.training.json").read_text())
    assert first["steps"] > 0
    assert first["pictures"] == 12
    sizes = first["whole_stream_bytes"]
    assert sizes["tables"] < sizes["coded"] < sizes["tables"] + 6  # the header's three bytes, and less than three more
    assert first["model"] == model.name  # no path of this machine
    assert f"{first['steps']:,} steps of 4" in (out / "README.md").read_text()
    again = train(model, out, 0.015)
    assert f"going on from step {first['steps']}" in again
    assert not any("of 12 pictures" in line for line in again)  # they were kept
    assert json.loads((out / "meta.training.json").read_text())["steps"] > first["steps"]
    bundle = export_bundle(str(model), tmp_path / "bundle", codecs=[out], progress=lambda line: None)
    assert bundle.codec_kinds == ("meta",)
    assert (bundle.folder / "meta.README.md").read_text() == (out / "meta.README.md").read_text()
    assert bundle.codec("meta").encode(tokens) == MetaCodec.load(out).encode(tokens)


def test_an_empty_folder_of_photos_is_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataMissingError):
        train(model, tmp_path / "out", 0.01, photos=tmp_path)


@pytest.mark.parametrize("wrong", [{"pictures": 80_001}, {"seed": 9_001}, {"seed": -1}])
def test_scenes_stay_within_the_training_split(model: Path, tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        train_meta(str(model), tmp_path, minutes=0.01, sizes=SIZES, recipe=RECIPE, progress=lambda _: None, **wrong)

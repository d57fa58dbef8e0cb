"""``heliograph train field`` from folders to files and card, on stand-ins for the parts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.cli.main import main
from heliograph.errors import DataMissingError
from heliograph.training.field import run
from heliograph.training.field.alignment import CAPTIONS_FILE, OPEN_FILE, load_alignment, merge
from heliograph.training.field.cells import VIEWS, Encoder, views_of
from heliograph.training.field.checkpoint import VisionPart
from heliograph.training.field.photos import TEST, TRAINING, share_of
from heliograph.training.field.questions import Thing
from tiny_field import tiny_field, tiny_language_model, tiny_tokenizer, tiny_tower_config, tiny_vision

CLASSES, COUNT = 5, 60


def classifier() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(CLASSES, 16, generator=generator), torch.randn(CLASSES, generator=generator)


def write_photos(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in names:
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(folder / name)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    names = [f"{number:04}.png" for number in range(COUNT)]
    write_photos(root / "captioned" / "photos", names)
    write_photos(root / "plain", names[:12])
    texts = ("a dog runs", "snow .", "a dog in the snow")
    lines = [{"photo": name, "captions": [texts[i % 3], texts[(i + 1) % 3]]} for i, name in enumerate(names)]
    (root / "captioned" / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return root


@pytest.fixture
def parts(monkeypatch, tmp_path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"class {number}, other name" for number in range(CLASSES)))
    tokenizer = tiny_tokenizer()
    monkeypatch.setattr(run, "find_parts", lambda parts: [names] * len(parts))
    monkeypatch.setattr(run, "language_model", lambda path: (tiny_language_model(tokenizer), tokenizer))
    monkeypatch.setattr(run, "read_vision", lambda path: VisionPart(tiny_vision(), classifier()))
    monkeypatch.setattr(run, "TowerConfig", tiny_tower_config)
    monkeypatch.setattr(run, "things_of", lambda photos, kept, advance: [(Thing("dog", 0.9, "black"),)] * len(photos))
    monkeypatch.setattr(run, "_PREFIX_SECONDS", 0.2)


def test_training_writes_alignments_and_a_card_with_figures(parts, folders, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    where = ["--captions", str(folders / "captioned"), "--photos", str(folders / "plain")]
    assert main(["train", "field", *where, "--out", str(out), "--minutes", "0.03", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"trained": "field", "folder": str(out)}
    facts = json.loads((out / "training.json").read_text())
    shares = [share_of(f"{number:04}.png") for number in range(COUNT)]
    assert facts["photos"] == {"captioned": shares.count(TRAINING), "plain": 12}
    assert facts["held_out"]["photos"] == shares.count(TEST)
    losses = facts["held_out"]["caption_loss"]
    gain = facts["held_out"]["figures"]["caption loss below that of a trained prefix without photo, nats a token"]
    assert gain["value"] == pytest.approx(losses["prefix"] - losses["right"], abs=2e-4)
    card = (out / "README.md").read_text()
    assert f"{shares.count(TEST)} photos with captions" in card
    for name in (OPEN_FILE, CAPTIONS_FILE):
        merge(tiny_field()[0], load_alignment(out / name))


def test_too_few_photos_to_judge_by_are_refused_before_anything_is_done(tmp_path, folders, capsys) -> None:
    captioned = tmp_path / "few"
    write_photos(captioned / "photos", ["a.png"])
    (captioned / "captions.jsonl").write_text(json.dumps({"photo": "a.png", "captions": ["A dog"]}))
    where = ["--captions", str(captioned), "--photos", str(folders / "plain"), "--out", str(tmp_path / "out")]
    assert main(["train", "field", *where]) == 3
    said = capsys.readouterr().err
    assert str(captioned) in said
    assert "10 are needed" in said


def test_what_the_encoder_made_is_kept_and_gone_on_from(folders, tmp_path) -> None:
    model, processor = tiny_field()
    encoder = Encoder(model, processor, classifier())
    photos = sorted((folders / "plain").iterdir())[:5]
    counted: list[int] = []
    first = encoder.look_at(photos[:3], tmp_path / "kept.npz", counted.append)
    whole = encoder.look_at(photos, tmp_path / "kept.npz", counted.append)
    assert counted == [0, 1, 1, 1, 3, 1, 1]
    assert torch.equal(whole.cells[:3], first.cells)
    again = encoder.look_at(photos, tmp_path / "other.npz", counted.append)
    assert torch.equal(again.cells, whole.cells)
    assert torch.equal(again.classes, whole.classes)


def test_a_photo_that_was_added_moves_no_other_ones_cells(folders, tmp_path) -> None:
    model, processor = tiny_field()
    encoder = Encoder(model, processor, classifier())
    photos = sorted((folders / "plain").iterdir())[:4]
    encoder.look_at([photos[0], photos[2], photos[3]], tmp_path / "kept.npz", lambda count: None)
    found = encoder.look_at(photos, tmp_path / "kept.npz", lambda count: None)
    expected = encoder.look_at(photos, tmp_path / "other.npz", lambda count: None)
    assert torch.equal(found.cells, expected.cells)


def test_cells_and_classes_are_those_of_the_models_own_tower(folders, tmp_path) -> None:
    model, processor = tiny_field()
    photo = sorted((folders / "plain").iterdir())[0]
    looked = Encoder(model, processor, classifier()).look_at([photo], tmp_path / "kept.npz", lambda count: None)
    pixels = processor.image_processor(Image.open(photo).convert("RGB"), return_tensors="pt")["pixel_values"]
    tower = model.model.vision_tower
    with torch.no_grad():
        features = tower.features(pixels)[0]  # (16, 3, 3)
    corner = features[:, :2, :2].mean((1, 2))
    torch.testing.assert_close(looked.cells[0, 0, 0].float(), corner, atol=2e-3, rtol=2e-3)
    assert looked.cells.shape == (1, VIEWS, 4, 16)
    weights, biases = classifier()
    chances = torch.softmax(weights @ features.mean((1, 2)) + biases, 0)
    assert int(looked.classes[0]) == int(chances.argmax())
    assert float(looked.chances[0]) == pytest.approx(float(chances.max()), rel=1e-4)


def test_views_are_the_photo_its_mirror_image_and_most_of_it() -> None:
    photo = Image.fromarray(np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    views = [np.asarray(one) for one in views_of(photo, "a.jpg")]
    whole = np.asarray(photo)
    assert len(views) == VIEWS
    np.testing.assert_array_equal(views[0], whole)
    np.testing.assert_array_equal(views[1], whole[:, ::-1])
    for number, part in enumerate(views[2:], start=2):
        height, width = part.shape[:2]
        assert 30 <= height <= 40
        assert 45 <= width <= 60
        seen = np.lib.stride_tricks.sliding_window_view(whole, part.shape)[..., 0, :, :, :]
        wanted = part[:, ::-1] if number % 2 else part
        assert (seen == wanted).all((-1, -2, -3)).any(), "a part of the photo, every other one mirrored"
    assert len({one.tobytes() for one in views}) == VIEWS
    np.testing.assert_array_equal(views_of(photo, "a.jpg")[4], views[4])


def test_a_photo_of_one_pixel_has_its_views() -> None:
    assert {one.size for one in views_of(Image.new("RGB", (1, 1)), "b.jpg")} == {(1, 1)}


def test_a_file_that_is_no_photo_is_named(tmp_path) -> None:
    model, processor = tiny_field()
    (tmp_path / "x.jpg").write_bytes(b"no photo")
    with pytest.raises(DataMissingError) as caught:
        Encoder(model, processor, classifier()).look_at([tmp_path / "x.jpg"], tmp_path / "k.npz", lambda count: None)
    assert caught.value.subject == str(tmp_path / "x.jpg")

"""The whole suite on a tiny field model, a few photos and a bundle of its own: what it writes, and that it goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.bench.report import publish
from heliograph.bench.semantic import SemanticConsistency
from heliograph.bench.street import suite as street
from heliograph.bench.street import ways
from heliograph.bench.street.agreement import Agreement
from heliograph.bench.street.asked import QUESTIONS, answered
from heliograph.bench.street.codec import Learnt, fit, train
from heliograph.bench.street.judge import Judge
from heliograph.bench.street.material import BUNDLE, StreetPhotos, open_bundle, open_field, reader_of, spread
from heliograph.bench.street.plan import StreetPlan
from heliograph.bench.street.sent import BASELINE, FORMATS, PIXEL_NAMES, PROGRESSIVE, own_tokens, pictured
from heliograph.bench.street.suite import DEVICE_ONLY, StreetSuite
from heliograph.bench.street.teacher import FrozenField
from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.codec.meta import MetaCodec
from heliograph.errors import (
    BundleDamagedError,
    CodecModelMismatchError,
    DataMissingError,
    ModelUnavailableError,
    ModelUnsupportedError,
)
from heliograph.training.export.encoder_export import export_frames
from heliograph.training.field.photos import Photo, share_of
from heliograph.training.meta.loop import MetaRecipe
from heliograph.types import Grid
from heliograph.vlm.checkpoint.fingerprint import model_fingerprint
from heliograph.vlm.contract import TorchModel
from tiny_field import GRID, tiny_field

PLAN = StreetPlan(12, 4, 10, 6, 2, (40, 20), (1, 4), (24, 48), (60,), {"int4": [{}], "downsample": [{"side": 1}]})
SIZES = {"latents": 4, "channels": 2, "width": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}


@dataclass(frozen=True)
class Field:
    """A tiny model that was made to see, its folder, photos, material for codecs, and its bundle with both."""

    folder: Path
    photos: StreetPhotos
    material: Learnt
    meta: MetaCodec


def picture(folder: Path, number: int) -> Path:
    """One colour and a little noise."""
    rng = np.random.default_rng(number)
    values = rng.integers(0, 256, 3) * 0.8 + rng.integers(0, 50, (48, 60, 3))
    path = folder / f"{number:03}.png"
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


def letters(texts: Sequence[str]) -> np.ndarray:
    """Counts of letters, in place of MiniLM, which takes seconds to load."""
    return np.array([[1 + text.count(one) for one in "abcdefghij"] for text in texts], np.float32)


def seeing(folder: Path) -> Path:
    """A tiny field model whose convolutions and projector keep what photos differ in, as trained ones do."""
    model, processor = tiny_field()
    drawn = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for part in model.model.vision_tower.modules():
            if isinstance(part, torch.nn.Conv2d):
                spread = (2 / part.weight[0].numel()) ** 0.5
                part.weight.copy_(spread * torch.randn(part.weight.shape, generator=drawn))
        for weight in model.model.multi_modal_projector.parameters():
            weight.copy_(torch.randn(weight.shape, generator=drawn) / 2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def opened(field: Field) -> TorchModel:
    return open_field(str(field.folder / "model"))


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Field:
    folder = tmp_path_factory.mktemp("street")
    model = open_field(str(seeing(folder / "model")))
    shots = [Photo(picture(folder, number), (f"A dog {number}",) if number % 2 else ("A man",)) for number in range(30)]
    photos = StreetPhotos(tuple(shots[:12]), tuple(shots[12:18]), (), tuple(shots[18:24]), tuple(shots[24:]))
    teacher = FrozenField(reader_of(model))
    seen = own_tokens(model, [Image.open(picture(folder, number)).convert("RGB") for number in range(40, 64)])
    material = Learnt(torch.from_numpy(seen.astype(np.float16))[:, None], ["A dog"] * 12 + [""] * 12)
    klt = fit(teacher, material, Grid(GRID, GRID), lambda line: None)
    recipe = MetaRecipe(batch=6, report_pictures=2)
    options = {"sizes": SIZES, "recipe": recipe, "progress": lambda line: None}
    meta = train(teacher, material, klt, folder / "meta", 0.01, model.name, **options)
    encoder = export_frames(model, folder / "encoder")
    write_bundle(
        folder / BUNDLE,
        codecs=[klt, meta],
        grid=encoder.grid,
        hidden_size=model.hidden_size,
        model=model_fingerprint(model.name),
        preprocessing=encoder.preprocessing,
        encoder=encoder.files[0],
        extra_files=encoder.files[1:],
    )
    return Field(folder, photos, material, meta)


@pytest.fixture
def suite(field: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreetSuite:
    monkeypatch.setattr(StreetPhotos, "find", classmethod(lambda cls, tuning: field.photos))
    monkeypatch.setattr(StreetPlan, "load", classmethod(lambda cls: PLAN))
    monkeypatch.setattr(SemanticConsistency, "load", classmethod(lambda cls: SemanticConsistency(letters)))
    (tmp_path / BUNDLE).symlink_to(field.folder / BUNDLE)
    return StreetSuite(str(field.folder / "model"), tmp_path)


def test_every_way_is_measured_and_a_run_goes_on(
    suite: StreetSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = suite.run(quiet=True)
    rows = [row for row in result.rows if row.task == "all"]
    assert {row.strategy for row in rows} == {"uncompressed", DEVICE_ONLY, "klt", "meta", *PIXEL_NAMES, *PLAN.fixed}
    assert all(row.payload_bytes is None for row in rows[:2])
    plain = next(row for row in rows if row.strategy == "uncompressed")
    assert plain.agreement == 1.0
    assert next(row.agreement for row in rows if row.strategy == DEVICE_ONLY) == pytest.approx(1.0, abs=0.05)
    for row in rows[2:]:
        assert row.payload_bytes is not None
        assert row.wire_bytes is not None
        assert row.wire_bytes > row.payload_bytes > 0
        assert row.agreement is not None
        assert row.agreement <= 1
        assert row.consistency is not None
    files = publish(result, tmp_path / "published")
    assert {path.name for path in files} == {"street.json", "street.md", "street-agreement.png"}
    assert "picked of ten" in (tmp_path / "published" / "street.md").read_text(encoding="utf-8")

    def never(self: Judge, visual: object) -> None:
        raise AssertionError("judged again")

    asked: list[int] = []
    judged = Judge.of

    def counted(self: Judge, visual: np.ndarray) -> object:
        asked.append(len(visual))
        return judged(self, visual) if len(visual) == PLAN.tuning_photos else never(self, visual)

    monkeypatch.setattr(Judge, "of", counted)
    again = suite.run(quiet=True)
    assert asked == [PLAN.tuning_photos]  # what tuning is held against, and nothing else
    assert [row.agreement for row in again.rows] == [row.agreement for row in result.rows]


def test_a_model_or_a_bundle_that_is_not_there_is_named_with_the_next_step(
    suite: StreetSuite, field: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelUnavailableError) as absent:
        StreetSuite(folder=tmp_path).run(quiet=True)
    assert "heliograph assemble field" in str(absent.value.next_step)
    with pytest.raises(BundleDamagedError) as unmade:
        open_bundle(opened(field), tmp_path / "nothing")
    assert "heliograph.bench.street.codec" in str(unmade.value.next_step)
    with pytest.raises(ModelUnsupportedError):
        open_field("reference")


def test_a_bundle_of_another_alignment_is_refused(field: Field, tmp_path: Path) -> None:
    write_bundle(
        tmp_path / BUNDLE,
        codecs=[Bundle.load(field.folder / BUNDLE).codec("klt")],
        grid=field.meta.grid,
        hidden_size=32,
        model="0" * 64,
    )
    with pytest.raises(CodecModelMismatchError) as refused:
        open_bundle(opened(field), tmp_path)
    assert "heliograph.bench.street.codec" in str(refused.value.next_step)


@pytest.mark.parametrize("name", FORMATS)
def test_files_of_one_setting_hold_one_picture_and_the_bare_one_is_smaller(field: Field, name: str) -> None:
    photos = [Image.open(one.path).convert("RGB") for one in field.photos.plain[:2]]
    sent, tokens = pictured(name, {"size": 48, "quality": 60}, photos, opened(field))
    by_name = {one.strategy: one for one in sent}
    assert set(by_name) == ({PROGRESSIVE, BASELINE, "jpeg-bare"} if name == "jpeg" else {name, f"{name}-bare"})
    assert tokens.shape == (2, GRID**2, 32)
    bare = by_name.pop(f"{name}-bare")
    for one in by_name.values():
        assert (bare.payload < one.payload).all()
        assert (one.wire > one.payload).all()


def test_what_the_model_notices_weighs_on_average_one_and_is_no_flat_line(field: Field) -> None:
    teacher = FrozenField(reader_of(opened(field)))
    counted: list[int] = []
    found = teacher.sensitivity(field.material.tokens[:6, 0], ["A dog", *[""] * 5], counted.append)
    assert sum(counted) == 6
    np.testing.assert_allclose(found, found.T, atol=1e-5)
    assert float(np.trace(found)) == pytest.approx(32)
    values = np.linalg.eigvalsh(found)
    assert values[-1] > 3 * values.mean()


def test_the_distance_of_the_frozen_model_is_nothing_at_the_same_tokens_and_has_a_gradient(field: Field) -> None:
    teacher = FrozenField(reader_of(opened(field)))
    exact = field.material.tokens[:3, 0].float()
    assert float(teacher.distance(None, exact, exact)) == pytest.approx(0, abs=1e-6)
    moved = (exact + 0.5 * torch.randn(exact.shape, generator=torch.Generator().manual_seed(1))).requires_grad_(True)
    distance = teacher.distance(None, exact, moved)
    assert float(distance.detach()) > 0
    distance.backward()
    assert moved.grad is not None
    assert float(moved.grad.abs().max()) > 0


def test_a_model_that_answers_alike_about_all_photos_is_refused(field: Field) -> None:
    alike = answered(reader_of(opened(field)), np.zeros((5, GRID**2, 32), np.float32))
    with pytest.raises(ModelUnsupportedError) as refused:
        Agreement(alike, QUESTIONS, "runs/field")
    assert "about all 5 photos" in str(refused.value.next_step)


def test_settings_of_every_codec_are_swept_and_photos_spread_over_their_list(field: Field) -> None:
    found = ways.swept(Bundle.load(field.folder / BUNDLE), replace(PLAN, latents=(1, 4, 99)))
    assert found["meta"] == [{"latents": 1}, {"latents": 4}]
    assert found["klt"] == [{"level": 40}, {"level": 20}]
    assert len(found["webp"]) == 2
    assert [one.path.name for one in spread(field.photos.street, 3)] == ["018.png", "020.png", "022.png"]
    assert len({one.text for one in QUESTIONS}) == len(street.QUESTIONS)


def test_photos_of_the_data_at_hand_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_DATA", str(tmp_path))
    for name in ("flickr-mini", "textvqa-dev", "street"):
        (tmp_path / name / "photos").mkdir(parents=True)
    names = [f"{number:04}.jpg" for number in range(120)]
    for name in ("flickr-mini", "textvqa-dev", "street"):
        for one in names:
            (tmp_path / name / "photos" / one).touch()
    lines = [json.dumps({"photo": one, "captions": ["A dog"]}) for one in names]
    (tmp_path / "flickr-mini" / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = StreetPhotos.find(8)
    assert len(found.tuning) == 8
    assert len(found.street) == 112
    assert not set(found.tuning) & set(found.street)
    assert {share_of(one.path.name) for one in found.captioned} == {"test"}
    assert {share_of(one.path.name) for one in found.learnt} == {"training"}
    (tmp_path / "flickr-mini" / "captions.jsonl").write_text(lines[0], encoding="utf-8")
    with pytest.raises(DataMissingError):
        StreetPhotos.find(8)

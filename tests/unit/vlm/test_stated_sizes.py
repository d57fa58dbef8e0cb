"""What a stream states about its photo costs next to nothing until it was held against what the model can have."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.codec.fallback import closed_form_stream
from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.header import marked_as_fallback, pack_header
from heliograph.codec.klt import KltCodec
from heliograph.edge.preprocessing.frames import Frame, FramePreprocessor, Source, device_grids
from heliograph.errors import ShapeError
from heliograph.question import Question
from heliograph.serving.cloud import Cloud
from heliograph.serving.jobs import AnswerJob, Purpose
from heliograph.types import EncodedImage, Grid, VisualTokens
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.image_features import layout_of, output_with, tokens_of, without_values
from heliograph.vlm.model import VisionLanguageModel
from heliograph.vlm.opening import open_model

SIZE = (320, 240)
HUGE = ((16384, 16384), (1 << 20, 256), (4096, 4096), (1200, 1200))
THIN = ((16384, 1), (1, 16384), (1 << 19, 2))


def picture(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def qwen(tiny_qwen3_vl: Path) -> GeneralModel:
    model = open_model(str(tiny_qwen3_vl))
    assert isinstance(model, GeneralModel)
    return model


@pytest.fixture(scope="module")
def codec(qwen: GeneralModel) -> KltCodec:
    return fit_klt([qwen.encode_image(picture(seed)) for seed in range(8)], modes=("dct",), restore=False)


class Watch:
    """How large the photos were that a model's processor was given, and how often its tower ran."""

    def __init__(self, model: GeneralModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pixels: list[int] = []
        self.towers = 0
        process, features = model.layouts._process, model.layouts._features

        def watched(photos: Sequence[Image.Image]) -> dict[str, Any]:
            self.pixels += [photo.width * photo.height for photo in photos]
            return process(photos)

        def ran(made: dict[str, Any]) -> Any:
            self.towers += 1
            return features(made)

        monkeypatch.setattr(model.layouts, "_process", watched)
        monkeypatch.setattr(model.layouts, "_features", ran)


def job(encoded: EncodedImage) -> AnswerJob:
    return AnswerJob(0, 0, Question("what is it?", max_answer_tokens=4), encoded, None, None, Purpose.FINAL)


def stream(codec: KltCodec, grid: Grid, *segments: bytes) -> EncodedImage:
    return EncodedImage("klt", pack_header(grid, codec.grid), segments)


@pytest.mark.parametrize("size", [*HUGE, *THIN])
def test_a_stated_size_is_refused_before_anything_is_made_for_it(
    size: tuple[int, int],
    qwen: GeneralModel,
    codec: KltCodec,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch, cloud = Watch(qwen, monkeypatch), Cloud(qwen, {"klt": codec}, b"12345678")
    monkeypatch.setattr(codec, "decode", None)  # nothing is decoded either
    for grid in (replace(codec.grid, photo_width=size[0], photo_height=size[1]), Grid(128, 128, 1, *size)):
        encoded = stream(codec, grid)
        assert isinstance(cloud.run(job(encoded)).error, ShapeError)
        for measure in (cloud.restore, cloud.retained_energy, lambda one: cloud.expect(one, "what?")):
            with pytest.raises(ShapeError):
                measure(encoded)
    assert max(watch.pixels, default=0) <= (0 if size in HUGE else 1 << 20)
    assert watch.towers == 0
    assert not caplog.records


def test_a_grid_that_photos_of_its_size_do_not_have_is_refused_without_the_tower(
    qwen: GeneralModel, codec: KltCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, cloud, own = Watch(qwen, monkeypatch), Cloud(qwen, {"klt": codec}), codec.grid
    others = [replace(own, rows=1, columns=own.tokens), replace(own, rows=own.columns, columns=own.rows)]
    others += [replace(own, rows=own.rows + 1), replace(own, tiles=2), Grid(1, 16384, 1, *SIZE), Grid(64, 1, 1, 0, 0)]
    for grid in others:
        with pytest.raises(ShapeError):
            cloud.restore(stream(codec, grid))
    assert watch.towers == 0
    assert cloud.restore(stream(codec, own)).values.shape == (own.tokens, qwen.hidden_size)


def test_many_sizes_that_are_each_allowed_take_no_memory(qwen: GeneralModel) -> None:
    layout = qwen.layouts.of(((500, 300),))
    leaves = [leaf for leaf in _tensors(layout.sample)]
    assert sum(leaf.numel() for leaf in leaves) >= layout.rows * layout.width
    assert sum(leaf.untyped_storage().nbytes() for leaf in leaves) <= 4 * len(leaves)


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [leaf for one in value for leaf in _tensors(one)]
    return [leaf for one in vars(value).values() for leaf in _tensors(one)] if hasattr(value, "__dict__") else []


def test_tokens_go_through_a_layout_without_values(qwen: GeneralModel) -> None:
    output = qwen._features(qwen._processed("", [picture(1)]))
    tokens, slim = tokens_of(output), without_values(layout_of(output))
    assert torch.equal(tokens_of(output_with(tokens, slim)), tokens)


def test_tokens_given_to_the_model_itself_are_bounded_too(qwen: GeneralModel, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, tokens = Watch(qwen, monkeypatch), qwen.encode_image(picture(3))
    for size in ((16384, 16384), *THIN, (0, 5), (-3, 5)):
        with pytest.raises(ShapeError):
            qwen.answer("what?", [VisualTokens(tokens.values, Grid(8, 10, 1, *size))])
    assert max(watch.pixels, default=0) <= 1 << 20


def test_a_codec_of_larger_photos_lets_streams_state_them(tiny_qwen3_vl: Path) -> None:
    model = open_model(str(tiny_qwen3_vl))
    assert isinstance(model, GeneralModel)
    large, huge = model.layouts.grid((1280, 960)), replace(model.layouts.grid((1280, 960)), photo_width=4096)
    with pytest.raises(ShapeError):
        model.check_grid(large)
    model.expect_photos_like(large)
    model.check_grid(large)
    model.check_grid(model.layouts.grid((960, 1280)))
    with pytest.raises(ShapeError):
        model.check_grid(huge)


def test_a_picture_of_few_bytes_and_many_pixels_is_not_looked_at(
    qwen: GeneralModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (4096, 2048)).save(file, "WEBP")
    watch = Watch(qwen, monkeypatch)
    assert len(file.getvalue()) < 30_000
    assert isinstance(Cloud(qwen).run(job(EncodedImage("webp", b"", (file.getvalue(),)))).error, ShapeError)
    assert not watch.pixels


def test_a_picture_that_the_processor_does_not_take_is_named(
    qwen: GeneralModel, codec: KltCodec, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ShapeError):
        qwen.encode_image(Image.new("RGB", (2000, 1)))
    with pytest.raises(ShapeError):
        qwen.answer("what?", [Image.new("RGB", (1, 2000))])
    assert not caplog.records


def test_frames_of_the_bundle_are_all_that_its_devices_send(
    qwen: GeneralModel, codec: KltCodec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = codec.grid
    frames = [Frame(own, (Source(*SIZE),), "encoder.onnx")]
    config = FramePreprocessor(frames, 3, np.zeros((1, 3, 256), np.float32)).to_config()
    bundle = write_bundle(tmp_path / "b", codecs=[codec], grid=own, hidden_size=qwen.hidden_size, preprocessing=config)
    assert device_grids(bundle) == {own}
    watch = Watch(qwen, monkeypatch)
    cloud = Cloud(qwen, bundle.codecs, bundle.hash, grids=device_grids(bundle))
    assert cloud.restore(stream(codec, own)).grid == own
    for size in ((300, 200), *HUGE, *THIN):
        with pytest.raises(ShapeError):
            cloud.restore(stream(codec, replace(own, photo_width=size[0], photo_height=size[1])))
    assert not watch.pixels


def test_a_codec_folder_says_nothing_about_devices(qwen: GeneralModel, codec: KltCodec, tmp_path: Path) -> None:
    bundle: Bundle = write_bundle(tmp_path / "b", codecs=[codec], grid=codec.grid, hidden_size=qwen.hidden_size)
    assert device_grids(bundle) == frozenset()


@pytest.fixture(scope="module")
def fixed_codec(vlm: VisionLanguageModel) -> KltCodec:
    photos = [picture(seed, (200, 150)) for seed in range(8)]
    return fit_klt(vlm.encode_images(photos), modes=("dct",), restore=False)


GRIDS = (Grid(128, 128), Grid(1, 64), Grid(8, 8, 2), Grid(4, 16), Grid(1, 1), Grid(8, 9), Grid(8, 8, 256))


@pytest.mark.parametrize("grid", GRIDS)
def test_a_model_of_one_grid_decodes_no_other(
    grid: Grid, vlm: VisionLanguageModel, fixed_codec: KltCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = Cloud(vlm, {"klt": fixed_codec, "meta": fixed_codec, "pq": fixed_codec}, b"12345678")
    tokens = vlm.encode_image(picture(30))
    honest = fixed_codec.encode(tokens)
    assert cloud.restore(honest).values.shape == tokens.values.shape
    assert 0 < (cloud.retained_energy(honest) or 0) <= 1
    fallback = closed_form_stream(tokens, lambda kind: fixed_codec, None)
    assert cloud.restore(fallback).values.shape == tokens.values.shape
    monkeypatch.setattr(fixed_codec, "decode_state", None)
    header = pack_header(grid, fixed_codec.grid)
    marked = EncodedImage("meta", marked_as_fallback(header), (b"x" * 99,))
    for encoded in (*(EncodedImage(kind, header, (b"x" * 99,)) for kind in ("klt", "meta", "pq")), marked):
        assert isinstance(cloud.run(job(encoded)).error, ShapeError)
        for measure in (cloud.restore, cloud.retained_energy, lambda one: cloud.expect(one, "what?")):
            with pytest.raises(ShapeError):
                measure(encoded)
        second = replace(job(honest), tokens=tokens, crop=encoded, purpose=Purpose.SECOND)
        assert isinstance(cloud.run(second).error, ShapeError)

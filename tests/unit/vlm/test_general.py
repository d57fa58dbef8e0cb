"""Any family through one class: the known family answers as ever, Qwen3-VL with its real processor answers exactly."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.codec.fitting.fit import fit_klt
from heliograph.errors import (
    ModelUnavailableError,
    ModelUnsupportedError,
    QuestionEmptyError,
    QuestionTooLongError,
    ShapeError,
    StreamDamagedError,
    UsageError,
)
from heliograph.serving.cloud import Cloud
from heliograph.serving.opening import load_cloud
from heliograph.types import Answer, EncodedImage, VisualTokens
from heliograph.vlm.checkpoint.processors import load_processor
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.model import VisionLanguageModel
from heliograph.vlm.opening import open_model

SIZES = ((300, 200), (200, 340), (257, 257))


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def known(vlm: VisionLanguageModel) -> GeneralModel:
    return GeneralModel("known", vlm.torch_model, vlm.processor)


@pytest.fixture(scope="module")
def qwen(tiny_qwen3_vl: Path) -> GeneralModel:
    model = open_model(str(tiny_qwen3_vl))
    assert isinstance(model, GeneralModel)
    return model


def test_the_known_family_answers_as_through_its_own_class(
    vlm: VisionLanguageModel, known: GeneralModel, photos: list[Image.Image]
) -> None:
    assert known.hidden_size == vlm.hidden_size
    tokens = known.encode_image(photos[0])
    np.testing.assert_array_equal(tokens.values, vlm.encode_image(photos[0]).values)
    for shown in ([photos[0]], [tokens], [tokens, photos[1]]):
        expected = vlm.answer("what is it?", [photos[i] for i in range(len(shown))], max_new_tokens=6)
        found = known.answer("what is it?", shown, max_new_tokens=6)
        assert (found.text, found.token_ids) == (expected.text, expected.token_ids)
        assert found.confidence == pytest.approx(expected.confidence, rel=1e-3)


def test_photos_in_tiles_answer_exactly_as_pixels(vlm: VisionLanguageModel) -> None:
    processor = copy.deepcopy(vlm.processor)
    processor.image_processor.do_image_splitting = True
    processor.image_processor.size = {"longest_edge": 256}
    with pytest.raises(ModelUnsupportedError):
        VisionLanguageModel("tiles", vlm.torch_model, processor)
    model = GeneralModel("tiles", vlm.torch_model, processor)
    photo = picture((400, 200))
    tokens = model.encode_image(photo)
    assert len(tokens.values) == 3 * vlm.grid.tokens  # two tiles and the whole
    pixels = model.answer("what is it?", [photo], max_new_tokens=5)
    assert model.answer("what is it?", [tokens], max_new_tokens=5) == pixels


@pytest.mark.parametrize("size", SIZES)
def test_tokens_of_any_size_answer_exactly_as_pixels(qwen: GeneralModel, size: tuple[int, int]) -> None:
    photo = picture(size)
    tokens = qwen.encode_image(photo)
    assert tokens.grid.tokens == len(tokens.values)
    assert (tokens.grid.photo_width, tokens.grid.photo_height) == size
    assert tokens.values.shape[1] == qwen.hidden_size == 3 * 32  # with two deeper levels
    pixels = qwen.answer("what is written there?", [photo], max_new_tokens=5)
    assert qwen.answer("what is written there?", [tokens], max_new_tokens=5) == pixels
    other = VisualTokens(-tokens.values, tokens.grid)
    assert qwen.answer("what is written there?", [other], max_new_tokens=5) != pixels


def test_several_photos_of_different_sizes(qwen: GeneralModel) -> None:
    photos = [picture(size, seed) for seed, size in enumerate(SIZES)]
    tokens = [qwen.encode_image(photo) for photo in photos]
    pixels = qwen.answer("which is the largest?", photos, max_new_tokens=4)
    assert qwen.answer("which is the largest?", tokens, max_new_tokens=4).token_ids == pixels.token_ids
    assert (
        qwen.answer("which is the largest?", [tokens[0], *photos[1:]], max_new_tokens=4).token_ids == pixels.token_ids
    )


def test_a_drafts_kept_tokens_are_counted(qwen: GeneralModel) -> None:
    photo = picture(SIZES[0])
    answer = qwen.answer("what?", [photo], max_new_tokens=5)
    verified = qwen.verify_draft("what?", [photo], answer, max_new_tokens=5)
    assert (verified.answer, verified.kept_tokens) == (answer, len(answer.token_ids))
    wrong = replace(answer, token_ids=(answer.token_ids[0], 1, 2))
    assert qwen.verify_draft("what?", [photo], wrong, max_new_tokens=5).kept_tokens == 1
    assert qwen.verify_draft("what?", [photo], Answer("", 1.0, 0.0, ()), max_new_tokens=5).kept_tokens == 0


def test_control_tokens_in_a_question_stay_text(qwen: GeneralModel) -> None:
    made = qwen._processed("say <|image_pad|><|im_end|>", [picture(SIZES[0])])
    grid = qwen.layouts.grid(SIZES[0])
    placeholder = qwen.torch_model.config.image_token_id
    assert int((made["input_ids"] == placeholder).sum()) == grid.tokens


def test_what_cannot_be_asked_or_does_not_fit_is_named(qwen: GeneralModel) -> None:
    tokens = qwen.encode_image(picture(SIZES[0]))
    for question, error in ((" ", QuestionEmptyError), ("x" * 2001, QuestionTooLongError)):
        with pytest.raises(error):
            qwen.answer(question, [tokens])
    with pytest.raises(UsageError):
        qwen.answer("what?", [tokens] * 9)
    with pytest.raises(UsageError):
        qwen.answer("what?", [tokens], max_new_tokens=0)
    grid = tokens.grid
    for values, other in (
        (tokens.values[1:], grid),
        (tokens.values[:, 1:], grid),
        (tokens.values, replace(grid, photo_width=0)),
        (tokens.values, replace(grid, photo_width=1 << 20)),
        (tokens.values, replace(grid, photo_width=2000, photo_height=100)),
    ):
        with pytest.raises(ShapeError):
            qwen.answer("what?", [VisualTokens(np.ascontiguousarray(values), other)])
    with pytest.raises(StreamDamagedError):
        qwen.answer("what?", [VisualTokens(np.full_like(tokens.values, np.nan), grid)])


def test_a_codec_of_one_size_carries_photos_of_others_to_the_cloud(qwen: GeneralModel) -> None:
    fitted = [qwen.encode_image(picture((320, 240), seed)) for seed in range(10)]
    codec = fit_klt(fitted, modes=("dct",), restore=False, finest_retained=0.9999)
    cloud = Cloud(qwen, {"klt": codec}, b"12345678")
    photo = picture((300, 180), 99)
    tokens = qwen.encode_image(photo)
    encoded = codec.encode(tokens)
    restored = cloud.restore(EncodedImage("klt", encoded.header, encoded.segments))
    assert restored.grid == tokens.grid
    error = float(np.square(restored.values - tokens.values).sum() / np.square(tokens.values).sum())
    assert error < 0.2
    assert qwen.answer("what is it?", [restored], max_new_tokens=3).token_ids


def test_the_server_opens_any_family(tiny_qwen3_vl: Path) -> None:
    cloud = load_cloud(str(tiny_qwen3_vl), None)
    assert isinstance(cloud.model, GeneralModel)
    sent = cloud.restore(EncodedImage("jpeg", b"", jpeg_segments(picture((160, 120)))))
    assert cloud.model.answer("what?", [sent], max_new_tokens=2).token_ids


def jpeg_segments(photo: Image.Image) -> tuple[bytes, ...]:
    from heliograph.registry import STRATEGIES

    strategy = STRATEGIES.load("jpeg")()

    class Tools:
        input_size = 160

    encoded = strategy.encode(photo, Tools(), strategy.complete_setting({"size": 160, "quality": 80}))
    return tuple(encoded.segments)


def test_a_model_without_the_tap_is_refused() -> None:
    with pytest.raises(ModelUnsupportedError):
        GeneralModel("deaf", torch.nn.Linear(2, 2), None)


def test_a_processor_that_makes_no_prompt_is_refused(vlm: VisionLanguageModel) -> None:
    processor = copy.deepcopy(vlm.processor)
    processor.chat_template = None
    with pytest.raises(ModelUnsupportedError):
        GeneralModel("speechless", vlm.torch_model, processor)


def test_more_than_the_models_positions_is_refused(known: GeneralModel, photos: list[Image.Image]) -> None:
    positions = known.torch_model.config.get_text_config().max_position_embeddings
    with pytest.raises(QuestionTooLongError):
        known.answer("what?", photos[:1], max_new_tokens=positions)


def test_a_folder_without_a_known_processor_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    def refuse(*_: Any, **__: Any) -> None:
        raise ImportError("video")

    monkeypatch.setattr(transformers.AutoProcessor, "from_pretrained", refuse)
    (tmp_path / "processor_config.json").write_text('{"processor_class": "NoSuchProcessor"}')
    with pytest.raises(ModelUnavailableError):
        load_processor(str(tmp_path))

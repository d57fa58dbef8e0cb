"""What the other rooms rely on, the same assertions for every model class, and a server with one of another package."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.codec.bundle import Bundle
from heliograph.controllers.region.find import RegionSetting
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.errors import (
    ModelUnsupportedError,
    QuestionEmptyError,
    QuestionTooLongError,
    ShapeError,
    StreamDamagedError,
    UsageError,
)
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.serving.cloud import Cloud
from heliograph.serving.opening import with_bundle
from heliograph.serving.web.application import CloudApplication
from heliograph.serving.web.runner import BackgroundServer
from heliograph.transport.websocket_client import open_websocket
from heliograph.types import Answer, Grid, VisualTokens
from heliograph.vlm.contract import AnsweringModel, TorchModel, Verification
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.opening import open_model
from heliograph.vlm.prompt import placeholder_id

LIMIT = 8
QUESTION = "What does the sign say?"


@pytest.fixture(scope="module", params=["quick", "known family, general", "qwen3-vl"])
def model(request: pytest.FixtureRequest, vlm: Any) -> TorchModel:
    if request.param == "qwen3-vl":
        return open_model(str(request.getfixturevalue("tiny_qwen3_vl")))
    return vlm if request.param == "quick" else GeneralModel("known", vlm.torch_model, vlm.processor)


@pytest.fixture(scope="module")
def encoded(model: TorchModel, photos: list[Image.Image]) -> list[VisualTokens]:
    return model.encode_images(photos[:3])


def test_photos_become_tokens_of_the_stated_shape(
    model: TorchModel, photos: list[Image.Image], encoded: list[VisualTokens]
) -> None:
    assert len(encoded) == 3
    for photo, tokens in zip(photos, encoded, strict=False):
        assert tokens.values.shape == (tokens.grid.tokens, model.hidden_size)
        assert tokens.values.dtype == np.float32
        np.testing.assert_allclose(tokens.values, model.encode_image(photo).values, atol=2e-4)
        model.check_grid(tokens.grid)
    assert model.encode_images([]) == []


def test_a_grid_that_no_photo_has_is_refused(model: TorchModel, encoded: list[VisualTokens]) -> None:
    own = encoded[0].grid
    for wrong in (replace(own, rows=own.rows + 1), replace(own, columns=own.columns + 1), replace(own, tiles=7)):
        with pytest.raises(ShapeError):
            model.check_grid(wrong)
    model.expect_photos_like(own)
    model.check_grid(own)


def test_one_frame_for_all_photos_or_none(model: TorchModel, photos: list[Image.Image]) -> None:
    wide = model.encode_image(photos[0].resize((400, 200)))
    pixels = model.processor.image_processor([photos[0]], return_tensors="pt")["pixel_values"]
    if model.input_size is None:
        assert model.pixels_read(photos[0].size) == pixels.numel() // (3 * (2 if "qwen" in model.name else 1))
        return
    assert model.input_size**2 == model.pixels_read((77, 31)) == pixels[0, 0, 0].numel()
    assert wide.grid == model.grid
    with pytest.raises(ModelUnsupportedError):
        model.expect_photos_like(replace(model.grid, rows=model.grid.rows + 1))


def test_answers_are_those_of_generate(model: TorchModel, photos: list[Image.Image]) -> None:
    made = model.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image", "image": photos[0]}, {"type": "text", "text": QUESTION}]}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    said = model.torch_model.generate(**made, do_sample=False, max_new_tokens=LIMIT)[0, made["input_ids"].shape[1] :]
    wanted = [token for token in said.tolist() if token not in model.end_ids]
    assert list(model.answer(QUESTION, [photos[0]], max_new_tokens=LIMIT).token_ids) == wanted
    tokens = model.encode_image(photos[0])
    assert list(model.answer(QUESTION, [tokens], max_new_tokens=LIMIT).token_ids) == wanted


def test_many_answers_are_each_ones(
    model: TorchModel, encoded: list[VisualTokens], photos: list[Image.Image], questions: Sequence[str]
) -> None:
    asked: list[tuple[str, list[Any]]] = [(question, [one]) for one in encoded[:2] for question in questions[:3]]
    asked += [("7?", [photos[2]]), ("where is it", [encoded[0], photos[1]])]
    found = model.answer_many(asked, max_new_tokens=LIMIT)
    assert [(one.text, one.token_ids) for one in found] == [
        (one.text, one.token_ids) for one in (model.answer(*each, max_new_tokens=LIMIT) for each in asked)
    ]
    assert model.answer_many([], max_new_tokens=LIMIT) == []


def test_logits_at_an_answer_are_those_that_made_it(model: TorchModel, encoded: list[VisualTokens]) -> None:
    tokens = encoded[0]
    answer = model.answer(QUESTION, [tokens], max_new_tokens=LIMIT)
    assert answer.token_ids
    values = torch.from_numpy(tokens.values)
    with torch.no_grad():
        logits = model.answer_logits(QUESTION, values, tokens.grid, answer.token_ids)
        assert model.answer_logits(QUESTION, values, tokens.grid, ()).shape == (0, logits.shape[1])
    assert logits.argmax(-1).tolist() == list(answer.token_ids)
    bits = -torch.log_softmax(logits.float(), -1).max(-1).values / np.log(2)
    np.testing.assert_allclose(bits, answer.token_bits, atol=1e-3)


def test_an_answer_may_hold_the_placeholder_of_a_visual_token(model: TorchModel, encoded: list[VisualTokens]) -> None:
    """A model may say any token; what stands behind it cannot be known, and what stands before it is as ever."""
    placeholder = placeholder_id(model.torch_model.config)
    assert placeholder is not None
    values = torch.from_numpy(encoded[0].values)
    with torch.no_grad():
        logits = model.answer_logits(QUESTION, values, encoded[0].grid, [7, placeholder, 9])
        before = model.answer_logits(QUESTION, values, encoded[0].grid, [7, 8])
    assert logits.shape[0] == 3
    torch.testing.assert_close(logits[:2], before, rtol=1e-4, atol=1e-4)


def test_gradients_flow_into_the_tokens(model: TorchModel, encoded: list[VisualTokens]) -> None:
    tokens = encoded[0]
    ids = model.answer(QUESTION, [tokens], max_new_tokens=3).token_ids

    def likelihood(values: torch.Tensor) -> torch.Tensor:
        logits = model.answer_logits(QUESTION, values, tokens.grid, ids)
        return torch.log_softmax(logits, -1)[range(len(ids)), list(ids)].sum()

    values = torch.from_numpy(tokens.values.copy()).requires_grad_(True)
    (slope,) = torch.autograd.grad(likelihood(values), values)
    step = 1e-2 * slope / slope.norm()
    with torch.no_grad():
        ahead, behind = likelihood(values + step), likelihood(values - step)
    assert float(ahead - behind) / 2e-2 == pytest.approx(float(slope.norm()), rel=0.1)
    assert all(parameter.grad is None for parameter in model.torch_model.parameters())


def test_a_verified_draft_is_the_answer(model: TorchModel, encoded: list[VisualTokens]) -> None:
    truth = model.answer(QUESTION, [encoded[0]], max_new_tokens=LIMIT)
    other = model.answer(QUESTION, [encoded[1]], max_new_tokens=LIMIT)
    for draft in (truth, other, replace(truth, token_ids=())):
        checked = model.verify_draft(QUESTION, [encoded[0]], draft, max_new_tokens=LIMIT)
        assert checked.answer.token_ids == truth.token_ids
        agreed = [a == b for a, b in zip(draft.token_ids, truth.token_ids, strict=False)]
        assert checked.kept_tokens == (agreed.index(False) if False in agreed else len(agreed))


def test_words_alone_are_answered_in_every_way(model: TorchModel, encoded: list[VisualTokens]) -> None:
    question = "There is a red star at the top. what colour is the star?"
    alone = model.answer(question, [], max_new_tokens=4)
    assert alone.token_ids
    both = model.answer_many([(question, []), ("what is it?", [encoded[0]]), (question, [])], max_new_tokens=4)
    assert [one.token_ids for one in both[::2]] == [alone.token_ids] * 2
    assert both[1].token_ids == model.answer("what is it?", [encoded[0]], max_new_tokens=4).token_ids
    for draft in (alone, both[1]):
        assert model.verify_draft(question, [], draft, max_new_tokens=4).answer.token_ids == alone.token_ids


def test_what_cannot_be_asked_is_named(model: TorchModel, encoded: list[VisualTokens]) -> None:
    tokens = encoded[0]
    values = torch.from_numpy(tokens.values)
    for question, error in ((" ", QuestionEmptyError), ("a" * 2001, QuestionTooLongError)):
        with pytest.raises(error):
            model.answer(question, [tokens])
        with pytest.raises(error):
            model.answer_many([(question, [tokens])])
        with pytest.raises(error):
            model.verify_draft(question, [tokens], Answer("", 0.5, 1.0))
        with pytest.raises(error):
            model.answer_logits(question, values, tokens.grid, (1,))
    for images, limit in (([tokens] * 9, 4), ([tokens], 0)):
        with pytest.raises(UsageError):
            model.answer(QUESTION, images, max_new_tokens=limit)
    positions = model.torch_model.config.get_text_config().max_position_embeddings
    with pytest.raises(QuestionTooLongError):
        model.answer(QUESTION, [tokens], max_new_tokens=positions)
    with pytest.raises(QuestionTooLongError):
        model.answer_logits(QUESTION, values, tokens.grid, [1] * positions)


def test_tokens_that_are_none_are_named(model: TorchModel, encoded: list[VisualTokens]) -> None:
    tokens, values = encoded[0], torch.from_numpy(encoded[0].values)
    for wrong in (tokens.values[:-1], tokens.values[:, :-1]):
        with pytest.raises(ShapeError):
            model.answer(QUESTION, [VisualTokens(wrong, tokens.grid)])
        with pytest.raises(ShapeError):
            model.answer_logits(QUESTION, torch.from_numpy(wrong), tokens.grid, (1,))
    with pytest.raises(ShapeError):
        model.answer_logits(QUESTION, values, replace(tokens.grid, rows=tokens.grid.rows + 1), (1,))
    broken = tokens.values.copy()
    broken[0, 0] = np.nan
    with pytest.raises(StreamDamagedError):
        model.answer(QUESTION, [VisualTokens(broken, tokens.grid)])
    with pytest.raises(StreamDamagedError):
        model.region_finder(RegionSetting(0)).find(QUESTION, VisualTokens(broken, tokens.grid), (200, 150))


def test_a_region_comes_with_a_setting_for_this_model_alone(model: TorchModel, encoded: list[VisualTokens]) -> None:
    heads = model.torch_model.config.get_text_config().num_attention_heads
    layers = model.torch_model.config.get_text_config().num_hidden_layers
    for setting in (
        RegionSetting(layers - 1),
        RegionSetting(0, "Describe it.", own=(1.0,) * heads, generic=(-1.0,) * heads),
    ):
        left, top, right, bottom = model.region_finder(setting).find(QUESTION, encoded[0], (200, 150)).box
        assert 0 <= left < right <= 200
        assert 0 <= top < bottom <= 150
    for wrong in (
        RegionSetting(layers),
        RegionSetting(0, own=(1.0,) * (heads + 1)),
        RegionSetting(0, prompt_rows=2, own=(1.0,) * heads),
        RegionSetting(0, "Describe it.", own=(1.0,) * heads, generic=(1.0,) * (heads - 1)),
    ):
        with pytest.raises(ModelUnsupportedError):
            model.region_finder(wrong)


def test_questions_are_forgotten(model: TorchModel, encoded: list[VisualTokens]) -> None:
    before = model.answer(QUESTION, [encoded[0]], max_new_tokens=LIMIT)
    model.forget_questions()
    assert model.answer(QUESTION, [encoded[0]], max_new_tokens=LIMIT) == before


def test_the_language_model_alone_says_the_same(model: TorchModel, encoded: list[VisualTokens]) -> None:
    if model.text is None:
        return
    tokens, values = encoded[0], torch.from_numpy(encoded[0].values)
    prompt = model.text.prompts.build(QUESTION, 1)
    ids = torch.tensor([[*prompt.head, *prompt.tail, 5]])
    mask = torch.ones(1, 1, ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
    with torch.no_grad():
        states, layers = model.text.read(ids, values, mask, torch.arange(ids.shape[1])[None], every_layer=True)
        found = model.text.logits(states[:, -2:-1])[0]
        np.testing.assert_allclose(
            found, model.answer_logits(QUESTION, values, tokens.grid, (5,)).float(), rtol=1e-4, atol=1e-4
        )
    assert len(layers) == model.torch_model.config.get_text_config().num_hidden_layers + 1
    assert int(model.text.places(ids).sum()) == tokens.grid.tokens


def test_the_square_encoder_makes_the_tokens(model: TorchModel, photos: list[Image.Image]) -> None:
    square = model.square_encoder()
    if square is None:
        return
    pixels = model.processor.image_processor([[photos[0]]], return_tensors="pt")["pixel_values"][0]
    with torch.no_grad():
        np.testing.assert_allclose(square(pixels)[0], model.encode_image(photos[0]).values, atol=1e-4)


class Lookup:
    """A model of another package, without torch: it says which corner of the photo is the brightest."""

    name, hidden_size, grid = "lookup", 3, Grid(2, 2)

    def check_grid(self, grid: Grid) -> None:
        if grid != self.grid:
            raise ShapeError

    def expect_photos_like(self, grid: Grid) -> None:
        if grid.tokens != self.grid.tokens:
            raise ModelUnsupportedError

    def encode_image(self, photo: Image.Image) -> VisualTokens:
        small = np.asarray(photo.convert("RGB").resize((2, 2)), np.float32)
        return VisualTokens(small.reshape(4, 3), self.grid)

    def encode_images(self, photos: Sequence[Image.Image]) -> list[VisualTokens]:
        return [self.encode_image(photo) for photo in photos]

    def answer(self, question: str, images: Sequence[Any], *, max_new_tokens: int = 64) -> Answer:
        tokens = images[0] if isinstance(images[0], VisualTokens) else self.encode_image(images[0])
        corner = int(tokens.values.sum(axis=1).argmax())
        return Answer(("top left", "top right", "bottom left", "bottom right")[corner], 0.9, 0.1, (corner,))

    def answer_many(self, asked: Sequence[tuple[str, Sequence[Any]]], *, max_new_tokens: int = 64) -> list[Answer]:
        return [self.answer(question, images, max_new_tokens=max_new_tokens) for question, images in asked]

    def verify_draft(
        self, question: str, images: Sequence[Any], draft: Answer, *, max_new_tokens: int = 64
    ) -> Verification:
        answer = self.answer(question, images, max_new_tokens=max_new_tokens)
        return Verification(answer, int(answer.token_ids == draft.token_ids))

    def region_finder(self, setting: RegionSetting) -> Any:
        raise ModelUnsupportedError

    def forget_questions(self) -> None:
        """Nothing is kept."""


def test_a_third_class_is_served_like_these() -> None:
    model: AnsweringModel = Lookup()
    photo = Image.new("RGB", (64, 64), (9, 9, 9))
    photo.paste((250, 250, 250), (32, 0, 64, 32))

    async def asked(url: str) -> str:
        async with DeviceClient(lambda: open_websocket(url), Device(None)) as client:
            return (await client.ask(photo, "where is the light?", strategy="jpeg")).answer

    with BackgroundServer(CloudApplication(Cloud(model))) as server:
        assert asyncio.run(asked(server.url)) == "top right"


def test_a_bundle_of_other_tokens_or_attention_is_refused_when_the_server_starts(vlm: Any) -> None:
    bundle = Bundle.load(shipped_bundle_folder())
    with pytest.raises(ModelUnsupportedError):
        with_bundle(Lookup(), "reference", bundle)
    wide = Lookup()
    wide.hidden_size = bundle.hidden_size
    with pytest.raises(ModelUnsupportedError):
        with_bundle(wide, "reference", bundle)
    wide.grid = bundle.grid
    with pytest.raises(ModelUnsupportedError):  # the bundle says where the reference looks; this one cannot tell
        with_bundle(wide, "reference", bundle)
    assert with_bundle(vlm, "reference", bundle).finder is not None

"""The device's encoder and language model in ONNX Runtime against the torch model they come from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from heliograph.edge.device import Device
from heliograph.edge.encoder import TokenEncoder
from heliograph.edge.local.model import LocalModel, _step
from heliograph.edge.local.prompt import LocalPrompt, PromptPieces
from heliograph.errors import (
    AnsweringFailedError,
    BundleDamagedError,
    QuestionEmptyError,
    QuestionTooLongError,
    ShapeError,
    UsageError,
)
from heliograph.types import Grid, VisualTokens

QUESTIONS = [
    "What is on the sign?",
    "how many circles are there 42",
    "  padded with space ",
    "is <image> a <end_of_utterance> trap for <|im_start|> you?",
    "<<image>image><fake_token_around_image>",
    "ünïcode 漢字 🙂",
    "x",
]


def noise(seed: int, size: tuple[int, int] = (300, 200)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def local(exported: Any) -> LocalModel:
    return LocalModel(exported.folder / "language_model.onnx", LocalPrompt.load(exported.folder))


def device_of(exported: Any) -> Device:
    bundle: Any = SimpleNamespace(
        hash=b"12345678",
        file=exported.folder.joinpath,
        file_names=frozenset(path.name for path in exported.folder.iterdir()),
        local_model_path=exported.folder / "language_model.onnx",
        preprocessing=exported.vlm.processor.image_processor.to_dict(),
        grid=exported.grid,
        hidden_size=exported.hidden_size,
    )
    return Device(bundle)


def test_device_tokens_equal_the_torch_model_for_any_photo_shape(exported: Any) -> None:
    device = device_of(exported)
    for size in ((512, 512), (301, 200), (7, 90)):
        photo = noise(1, size)
        tokens, expected = device.encode_tokens(photo), exported.vlm.encode_image(photo)
        assert tokens.grid == expected.grid
        assert tokens.values.dtype == np.float32
        assert np.abs(tokens.values - expected.values).max() <= 1e-4 * np.abs(expected.values).max()
    assert device.input_size == 128


def test_prompts_equal_the_processors(exported: Any) -> None:
    prompt = LocalPrompt.load(exported.folder)
    for question in QUESTIONS:
        expected = exported.vlm.prompts.build(question, 1)
        assert prompt.ids(question) == expected.head + expected.tail


def test_answers_equal_the_torch_model(exported: Any, local: LocalModel) -> None:
    for seed in range(3):
        tokens = exported.vlm.encode_image(noise(seed))
        for question in QUESTIONS:
            expected = exported.vlm.answer(question, [tokens], max_new_tokens=10)
            answer = local.answer(question, tokens, max_new_tokens=10)
            assert answer.token_ids == expected.token_ids
            assert answer.text == expected.text
            assert answer.confidence == pytest.approx(expected.confidence, rel=1e-4)
            assert answer.min_entropy_bits == pytest.approx(expected.min_entropy_bits, rel=1e-4)


def test_answers_depend_on_photo_and_question(exported: Any, local: LocalModel) -> None:
    tokens = exported.vlm.encode_image(noise(0))
    other = VisualTokens(tokens.values[::-1].copy() * 5, tokens.grid)
    bits = {
        local.answer(question, given, max_new_tokens=4).min_entropy_bits
        for question in QUESTIONS[:2]
        for given in (tokens, other)
    }
    assert len(bits) == 4


def test_an_answer_ends_at_the_end_token(exported: Any) -> None:
    prompt = LocalPrompt.load(exported.folder)
    tokens = exported.vlm.encode_image(noise(0))
    free = LocalModel(exported.folder / "language_model.onnx", prompt).answer("x", tokens, max_new_tokens=6)
    first = free.token_ids[0]
    pieces = PromptPieces(**{**vars(prompt.pieces), "end_ids": frozenset([first])})
    ended = LocalModel(exported.folder / "language_model.onnx", LocalPrompt(prompt._tokenizer, pieces))
    answer = ended.answer("x", tokens, max_new_tokens=6)
    assert answer.token_ids == ()
    assert answer.text == ""
    assert 0 < answer.confidence < 1


def test_refuses_what_cannot_be_asked(exported: Any, local: LocalModel) -> None:
    tokens = exported.vlm.encode_image(noise(0))
    for question, error in (("", QuestionEmptyError), (" \n", QuestionEmptyError), ("x" * 2001, QuestionTooLongError)):
        with pytest.raises(error):
            local.answer(question, tokens)
    with pytest.raises(QuestionTooLongError):
        local.answer("x", tokens, max_new_tokens=10_000)
    with pytest.raises(UsageError):
        local.answer("x", tokens, max_new_tokens=0)
    with pytest.raises(ShapeError):
        local.answer("x", VisualTokens(tokens.values[:10], Grid(2, 5)))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("language_model.onnx", None),
        ("language_model.onnx", b"no network"),
        ("language_model.onnx", "encoder.onnx"),
        ("tokenizer.json", None),
        ("tokenizer.json", b"{}"),
        ("local_prompt.json", None),
        ("local_prompt.json", b"[]"),
        ("local_prompt.json", b'{"head_ids": "x"}'),
        ("local_prompt.json", b"\xff"),
        ("local_prompt.json", b"[" * 100_000),
    ],
)
def test_damaged_files_have_a_name(exported: Any, tmp_path: Path, file: str, content: bytes | str | None) -> None:
    for name in ("encoder.onnx", "language_model.onnx", "tokenizer.json", "local_prompt.json"):
        shutil.copy(exported.folder / name, tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content if isinstance(content, bytes) else (tmp_path / content).read_bytes())
    with pytest.raises(BundleDamagedError):
        LocalModel(tmp_path / "language_model.onnx", LocalPrompt.load(tmp_path))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("head_ids", "[1, 1e999]"),
        ("head_ids", "[1, NaN]"),
        ("head_ids", "[1, 2147483648]"),
        ("head_ids", "[-1]"),
        ("head_ids", "[1.5]"),
        ("head_ids", "[true]"),
        ("end_ids", "[1e400]"),
        ("max_positions", "1e999"),
        ("max_positions", "1" + "0" * 5000),
        ("image_token_id", "null"),
        ("before", "7"),
        ("after", "[]"),
        ("before", '"\\ud800"'),
        ("control_tokens", '{"<a>": 1e999}'),
        ("control_tokens", '{"<a>": 1, "<a>": 2}'),
        ("control_tokens", "[]"),
    ],
)
def test_strange_values_of_a_prompt_have_a_name(exported: Any, tmp_path: Path, key: str, value: str) -> None:
    found = json.loads((exported.folder / "local_prompt.json").read_text())
    text = json.dumps({**found, key: "HERE"}).replace('"HERE"', value)
    (tmp_path / "local_prompt.json").write_text(text)
    with pytest.raises(BundleDamagedError):
        PromptPieces.load(tmp_path / "local_prompt.json")


def test_encoder_refuses_other_networks_and_shapes(exported: Any) -> None:
    with pytest.raises(BundleDamagedError):
        TokenEncoder(exported.folder / "language_model.onnx", Grid(8, 8), 128)
    encoder = TokenEncoder(exported.folder / "encoder.onnx", Grid(8, 8), 128)
    with pytest.raises(ShapeError):
        encoder(np.zeros((1, 3, 64, 64), np.float32))
    wrong = TokenEncoder(exported.folder / "encoder.onnx", Grid(4, 8), 128)
    with pytest.raises(ShapeError):
        wrong(np.zeros((1, 3, 128, 128), np.float32))


def test_a_device_without_a_bundle_sends_pictures_and_says_what_it_lacks() -> None:
    device = Device(None)
    assert device.encode(noise(1), "jpeg", {"size": 64}).payload_bytes > 100
    assert device.bundle_hash == b""
    for strategy in ("klt", "int8", "rgb"):
        with pytest.raises(BundleDamagedError):
            device.encode(noise(1), strategy)


def test_device_marks_streams_that_need_the_bundle(exported: Any) -> None:
    device = device_of(exported)
    assert device.encode(noise(1), "int8").bundle_hash == b"12345678"
    assert device.encode(noise(1), "webp").bundle_hash == b""


def test_prompt_file_is_plain_json(exported: Any) -> None:
    found = json.loads((exported.folder / "local_prompt.json").read_text(encoding="utf-8"))
    assert PromptPieces.load(exported.folder / "local_prompt.json").head_ids == tuple(found["head_ids"])


class FakeSession:
    """A network that gives what it is told."""

    def __init__(self, real: Any, change: Any) -> None:
        self.real, self.change = real, change

    def run(self, names: Any, given: Any) -> Any:
        return self.change(self.real.run(names, given))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("step", [0, 1])
def test_logits_that_are_no_numbers_make_no_answer(exported: Any, value: float, step: int) -> None:
    model = LocalModel(exported.folder / "language_model.onnx", LocalPrompt.load(exported.folder))
    runs = []

    def spoil(made: Any) -> Any:
        runs.append(None)
        if len(runs) > step:
            made[0][..., 5] = value
        return made

    session: Any = FakeSession(model._session, spoil)
    model._session = session
    with pytest.raises(AnsweringFailedError):
        model.answer("x", exported.vlm.encode_image(noise(0)), max_new_tokens=4)
    assert len(runs) == step + 1


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_tokens_that_are_no_numbers_leave_no_encoder(exported: Any, value: float) -> None:
    encoder = TokenEncoder(exported.folder / "encoder.onnx", Grid(8, 8), 128)

    def spoil(made: Any) -> Any:
        made[0][0, 3, 5] = value
        return made

    session: Any = FakeSession(encoder._session, spoil)
    encoder._session = session
    with pytest.raises(AnsweringFailedError):
        encoder(np.zeros((1, 3, 128, 128), np.float32))


def test_an_empty_answer_is_never_sure(exported: Any) -> None:
    prompt = LocalPrompt.load(exported.folder)
    model = LocalModel(exported.folder / "language_model.onnx", prompt)
    end = min(prompt.pieces.end_ids)

    def certain(made: Any) -> Any:
        made[0][:] = -1e4
        made[0][..., end] = 0
        return made

    session: Any = FakeSession(model._session, certain)
    model._session = session
    answer = model.answer("x", exported.vlm.encode_image(noise(0)), max_new_tokens=4)
    assert (answer.text, answer.token_ids, answer.min_entropy_bits) == ("", (), 0)
    assert answer.confidence == 0.01


@given(st.lists(st.floats(-60, 60), min_size=2, max_size=30))
def test_a_step_is_as_sure_as_scipy_says(numbers: list[float]) -> None:
    logits = np.asarray(numbers)
    step = _step(logits)
    chances = scipy.special.softmax(logits)
    highest, second = sorted(chances)[:-3:-1]
    assert step.token_id == int(np.argmax(logits))
    assert step.bits == pytest.approx(-np.log2(highest), abs=1e-9)
    assert step.entropy_bits == pytest.approx(scipy.stats.entropy(chances, base=2), abs=1e-9)
    assert step.margin == pytest.approx(highest - second, abs=1e-9)

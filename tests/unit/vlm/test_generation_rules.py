"""What ``generation_config.json`` asks for is done in every greedy loop: token for token what ``generate`` says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from heliograph.errors import EncoderNotExportableError, ModelUnsupportedError
from heliograph.training.export.bundle import _local_text
from heliograph.types import Answer, VisualTokens
from heliograph.vlm.decoding import best_steps, steps_of
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.model import VisionLanguageModel
from heliograph.vlm.opening import open_model

LIMIT = 10
Options = dict[str, Any]
Plain = tuple[str, int, Answer]


@contextmanager
def configured(model: Any, options: Options) -> Iterator[None]:
    """Within the context, the model's generation config says this too."""
    config = model.torch_model.generation_config
    before = {name: getattr(config, name) for name in options}
    try:
        for name, value in options.items():
            setattr(config, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(config, name, value)


def judged(model: Any, question: str, photo: Image.Image, limit: int = LIMIT) -> tuple[int, ...]:
    """What the library says, end tokens left out."""
    messages = [{"role": "user", "content": [{"type": "image", "image": photo}, {"type": "text", "text": question}]}]
    made = model.processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    out = model.torch_model.generate(**made, do_sample=False, max_new_tokens=limit, tokenizer=model.processor.tokenizer)
    ends = model.torch_model.generation_config.eos_token_id
    ends = [ends] if isinstance(ends, int) else ends
    return tuple(i for i in out[0, made["input_ids"].shape[1] :].tolist() if i not in ends)


def options_for(said: tuple[int, ...], end: int) -> dict[str, Options]:
    """Settings that touch an answer, by name: each of the kinds that change logits, by history or position."""
    return {
        "suppress": {"suppress_tokens": [said[0], said[1]]},
        "begin": {"begin_suppress_tokens": [said[0]]},
        "words": {"bad_words_ids": [[said[1]], [said[2], said[3]]]},
        "penalty": {"repetition_penalty": 1.8},
        "penalty of the prompt": {"encoder_repetition_penalty": 0.3},
        "ngrams": {"no_repeat_ngram_size": 1},
        "ngrams of the prompt": {"encoder_no_repeat_ngram_size": 1},
        "least tokens": {"min_new_tokens": LIMIT},
        "least length": {"min_length": 97},  # with the prompt's 87 tokens: beyond the 8 of an answer that ends early
        "least length reached": {"min_length": 90},
        "first": {"forced_bos_token_id": said[2]},
        "last": {"forced_eos_token_id": end},
        "decay": {"exponential_decay_length_penalty": (1, 40.0)},
        "bias": {"sequence_bias": [[[said[3]], 9.0], [[said[0], said[2]], 9.0]]},
        "normal": {"renormalize_logits": True},
        "lengths": {"max_length": 3, "max_new_tokens": 2},
        "sampling": {"temperature": 0.3, "top_p": 0.5, "top_k": 3, "do_sample": True},
        "two": {"repetition_penalty": 1.3, "suppress_tokens": [said[0]], "min_new_tokens": 4},
    }


OPTIONS = tuple(options_for((0, 0, 0, 0), 0))
CHANGES_NOTHING = {"normal", "lengths", "sampling", "least length reached", "first"}  # "first": of an empty prompt


@pytest.fixture(scope="module")
def lively(vlm: VisionLanguageModel, tokens: list[VisualTokens]) -> SimpleNamespace:
    """An answer of several different tokens to take apart."""
    for question in ("Describe the picture in many words.", "What colour is the star?", "7?"):
        answer = vlm.answer(question, [tokens[0]], max_new_tokens=LIMIT)
        if len(set(answer.token_ids[:4])) == 4:
            return SimpleNamespace(question=question, said=answer.token_ids)
    raise AssertionError("no answer is long enough")


@pytest.fixture(scope="module")
def plain(vlm: VisionLanguageModel, tokens: list[VisualTokens], lively: SimpleNamespace) -> list[Plain]:
    """Questions about photos, and what is answered without any setting."""
    asked = [(lively.question, 0), (lively.question, 1), ("where is it", 0), ("How many objects are there?", 2)]
    return [(q, i, vlm.answer(q, [tokens[i]], max_new_tokens=LIMIT)) for q, i in asked]


@pytest.mark.parametrize("name", OPTIONS)
def test_the_quick_path_says_what_generate_says(
    name: str,
    vlm: VisionLanguageModel,
    photos: list[Image.Image],
    tokens: list[VisualTokens],
    lively: SimpleNamespace,
    plain: list[Plain],
) -> None:
    question, end = lively.question, vlm.torch_model.generation_config.eos_token_id[0]
    changed = 0
    with configured(vlm, options_for(lively.said, end)[name]):
        wanted = [judged(vlm, q, photos[i]) for q, i, _ in plain]
        batch = vlm.answer_many([(q, [tokens[i]]) for q, i, _ in plain], max_new_tokens=LIMIT)
        others = [answer for _, _, answer in (*plain[1:], plain[0])]
        for (q, i, before), ids, many, other in zip(plain, wanted, batch, others, strict=True):
            single = vlm.answer(q, [tokens[i]], max_new_tokens=LIMIT)
            assert single.token_ids == many.token_ids == ids
            assert "".join(vlm.stream(q, [tokens[i]], max_new_tokens=LIMIT)).strip() == single.text
            for draft in (single, before, other):
                verified = vlm.verify_draft(q, [tokens[i]], draft, max_new_tokens=LIMIT)
                assert verified.answer.token_ids == ids
                assert verified.answer.token_bits == pytest.approx(single.token_bits, abs=2e-3)
            changed += single.token_ids != before.token_ids
    assert (changed > 0) == (name not in CHANGES_NOTHING), f"{question}: {name} would prove nothing"
    assert vlm.answer(question, [tokens[0]], max_new_tokens=LIMIT).token_ids == lively.said


@pytest.mark.parametrize("name", [*OPTIONS, "strings", "beams", "lookup", "no cache"])
def test_the_general_path_says_what_generate_says(
    name: str, vlm: VisionLanguageModel, photos: list[Image.Image], lively: SimpleNamespace
) -> None:
    general = GeneralModel("any", vlm.torch_model, vlm.processor)
    end = vlm.torch_model.generation_config.eos_token_id[0]
    options = options_for(lively.said, end) | _for_generate_alone(vlm, lively)
    with configured(vlm, options[name]):
        for question, i in ((lively.question, 0), ("where is it", 1)):
            ids = judged(vlm, question, photos[i])
            for shown in (photos[i], general.encode_image(photos[i])):
                answer = general.answer(question, [shown], max_new_tokens=LIMIT)
                assert answer.token_ids == ids
                assert 0 <= answer.confidence <= 1


def _for_generate_alone(vlm: VisionLanguageModel, lively: SimpleNamespace) -> dict[str, Options]:
    return {
        "strings": {"stop_strings": [vlm.processor.tokenizer.decode([lively.said[_whole_word(vlm, lively)]])]},
        "beams": {"num_beams": 3},
        "lookup": {"prompt_lookup_num_tokens": 2},
        "no cache": {"use_cache": False},
    }


def _whole_word(vlm: VisionLanguageModel, lively: SimpleNamespace) -> int:
    """Place of a token that is text by itself; others are parts of a character."""
    return next(place for place, token in enumerate(lively.said) if place and vlm.prompts.decode([token]).isascii())


@pytest.mark.parametrize("name", ["strings", "beams", "lookup", "no cache"])
def test_what_takes_generate_itself_is_left_to_it(name: str, model_folder: Path, tmp_path: Path) -> None:
    import shutil

    from transformers import GenerationConfig

    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    config = GenerationConfig.from_pretrained(folder)
    options = {"strings": {"stop_strings": ["a"]}, "beams": {"num_beams": 3}}
    options |= {"lookup": {"prompt_lookup_num_tokens": 2}, "no cache": {"use_cache": False}}
    config.update(**options[name])
    config.save_pretrained(folder)
    assert isinstance(open_model(str(folder)), GeneralModel)
    with pytest.raises(ModelUnsupportedError):
        VisionLanguageModel.load(str(folder))


def test_strings_that_end_an_answer_end_it(
    vlm: VisionLanguageModel, photos: list[Image.Image], lively: SimpleNamespace
) -> None:
    general = GeneralModel("any", vlm.torch_model, vlm.processor)
    with configured(vlm, _for_generate_alone(vlm, lively)["strings"]):
        answer = general.answer(lively.question, [photos[0]], max_new_tokens=LIMIT)
    assert answer.token_ids == lively.said[: _whole_word(vlm, lively) + 1]


@pytest.mark.parametrize("name", OPTIONS)
def test_another_family_says_what_generate_says(name: str, tiny_qwen3_vl: Path, photos: list[Image.Image]) -> None:
    model = open_model(str(tiny_qwen3_vl))
    said = model.answer("what is it?", [photos[0]], max_new_tokens=LIMIT).token_ids
    tokens = model.encode_image(photos[0])
    end = model.torch_model.generation_config.eos_token_id
    with configured(model, options_for(said, end)[name]):
        ids = judged(model, "what is it?", photos[0])
        assert model.answer("what is it?", [tokens], max_new_tokens=LIMIT).token_ids == ids
        draft = model.answer("what?", [tokens], max_new_tokens=LIMIT)
        assert model.verify_draft("what is it?", [tokens], draft, max_new_tokens=LIMIT).answer.token_ids == ids


def test_how_sure_the_model_was_is_read_before_the_rules() -> None:
    logits = torch.tensor([[0.1, 0.6, 0.05, 0.25]]).log() + 3
    (stood_in,) = steps_of(logits, [3])
    assert stood_in.bits == pytest.approx(2.0, abs=1e-5)
    assert stood_in.margin == pytest.approx(0.25 - 0.6, abs=1e-5)
    assert steps_of(logits, [1]) == best_steps(logits)


def test_a_forced_token_is_not_certain(
    vlm: VisionLanguageModel, tokens: list[VisualTokens], lively: SimpleNamespace
) -> None:
    with configured(vlm, {"sequence_bias": [[[5], 1e4]]}):
        answer = vlm.answer(lively.question, [tokens[0]], max_new_tokens=1)
    assert answer.token_ids == (5,)
    assert answer.token_bits[0] > 1
    assert math.isfinite(answer.token_bits[0])


def test_the_devices_copy_stays_behind_where_it_would_say_something_else(vlm: VisionLanguageModel) -> None:
    lines: list[str] = []
    assert _local_text(vlm, None, lines.append)
    with configured(vlm, {"repetition_penalty": 1.5}):
        assert not _local_text(vlm, None, lines.append)
        assert not _local_text(vlm, False, lines.append)
        with pytest.raises(EncoderNotExportableError):
            _local_text(vlm, True, lines.append)
    assert len(lines) == 1
    assert "generation_config.json" in lines[0]


def test_a_checkpoint_that_states_lengths_too_brings_no_line_per_question(
    vlm: VisionLanguageModel, photos: list[Image.Image], caplog: pytest.LogCaptureFixture
) -> None:
    general = GeneralModel("any", vlm.torch_model, vlm.processor)
    with configured(vlm, {"max_length": 9, "repetition_penalty": 1.1}):
        for model in (vlm, general):
            model.answer("what?", [photos[0]], max_new_tokens=2)
    assert not [record for record in caplog.records if "max_new_tokens" in record.getMessage()]

"""The teacher packs questions without changing them, needs no labels and keeps its weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from heliograph.reference.recipe import build_reference_model
from heliograph.reference.render import render_scene
from heliograph.training.meta.teacher import Teacher, divergence, relative_error
from heliograph.types import VisualTokens
from heliograph.vlm.model import VisionLanguageModel

QUESTIONS = ("is there a red star?", "how many circles are there?")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    folder: Path = build_reference_model(tmp_path_factory.mktemp("model"), seed=4)
    return Teacher(VisionLanguageModel.load(str(folder)))


@pytest.fixture(scope="module")
def tokens(teacher: Teacher) -> list[VisualTokens]:
    return teacher.model.encode_images([render_scene(seed).image for seed in (1, 2)])


def stacked(tokens: list[VisualTokens]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(one.values) for one in tokens])


def test_packed_logits_are_those_of_each_question_alone(teacher: Teacher, tokens: list[VisualTokens]) -> None:
    asked = teacher.own_answers(tokens, [QUESTIONS, QUESTIONS[:1]])
    with torch.no_grad():
        packed = teacher.logits(teacher.pack(asked), stacked(tokens))
        alone = []
        for picture, image in zip(asked, tokens, strict=True):
            for one in picture:
                alone.append(teacher.logits(teacher.pack([[one]]), stacked([image])))
    torch.testing.assert_close(packed, torch.cat(alone), rtol=1e-3, atol=1e-3)


def test_the_first_choices_are_the_models_own_answer(teacher: Teacher, tokens: list[VisualTokens]) -> None:
    asked = teacher.own_answers(tokens[:1], [QUESTIONS[:1]])
    answer = teacher.model.answer(QUESTIONS[0], tokens[:1], max_new_tokens=24)
    assert asked[0][0] == (QUESTIONS[0], tuple(answer.token_ids))
    with torch.no_grad():
        logits = teacher.logits(teacher.pack(asked), stacked(tokens[:1]))
    said = [token for token in answer.token_ids if token not in teacher.model.decoder.end_ids]
    assert logits.argmax(-1)[: len(said)].tolist() == said


def test_distance_is_zero_at_the_exact_tokens_and_has_gradients(teacher: Teacher, tokens: list[VisualTokens]) -> None:
    exact = stacked(tokens)
    batch = teacher.pack(teacher.own_answers(tokens, [QUESTIONS, QUESTIONS]))
    assert float(teacher.distance(batch, exact, exact)) == pytest.approx(0, abs=1e-6)
    restored = (exact + torch.randn_like(exact)).requires_grad_(True)
    distance = teacher.distance(batch, exact, restored)
    assert float(distance.detach()) > 0
    distance.backward()  # type: ignore[no-untyped-call]
    assert restored.grad is not None
    assert restored.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in teacher.model.torch_model.parameters())


def test_hidden_states_can_be_matched_too(teacher: Teacher, tokens: list[VisualTokens]) -> None:
    exact = stacked(tokens)
    batch = teacher.pack(teacher.own_answers(tokens, [QUESTIONS, QUESTIONS]))
    assert float(teacher.distance(batch, exact, exact, 2.0)) == pytest.approx(0, abs=1e-6)
    restored = exact + 0.5 * torch.randn_like(exact)
    with torch.no_grad():
        plain, once, twice = (float(teacher.distance(batch, exact, restored, weight)) for weight in (0.0, 1.0, 2.0))
    assert once > plain
    assert twice - once == pytest.approx(once - plain, rel=1e-3)


def test_relative_error_is_a_mean_over_layers() -> None:
    wanted = torch.stack([torch.ones(4, 3), 10 * torch.ones(4, 3)])
    assert float(relative_error(wanted, wanted)) == 0
    assert float(relative_error(wanted, torch.zeros_like(wanted))) == pytest.approx(1)
    halved = torch.stack([wanted[0], wanted[1] / 2])
    assert float(relative_error(wanted, halved)) == pytest.approx(0.125)


def test_divergence_weighs_answers() -> None:
    wanted, found = torch.randn(3, 7), torch.randn(3, 7)
    first = divergence(wanted[:1], found[:1], torch.ones(1))
    assert torch.isclose(divergence(wanted, found, torch.tensor([2.0, 0, 0])), first)

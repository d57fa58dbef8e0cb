"""Steps, answers and reasons from numbers made by hand; and what a forward pass is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from heliograph.errors import ModelUnsupportedError
from heliograph.types import LARGEST_LOGIT, Answer, VisualTokens
from heliograph.vlm import decoding
from heliograph.vlm.causes import reason_of
from heliograph.vlm.decoding import Step, best_steps, finite, generated_ids, next_steps, steps_of, to_answer
from heliograph.vlm.general import GeneralModel


def test_rows_come_out_the_same_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(7, 11, generator=torch.manual_seed(1))
    chosen = [3, 0, 10, 4, 4, 1, 9]
    whole = best_steps(logits), steps_of(logits, chosen)
    for block in (1, 22, 33):
        monkeypatch.setattr(decoding, "_BLOCK", block)
        assert (best_steps(logits), steps_of(logits, chosen)) == whole


def test_a_vocabulary_of_one_word_leaves_no_other() -> None:
    (step,) = best_steps(torch.tensor([[3.0]]))
    assert (step.token_id, step.bits, step.entropy_bits, step.margin) == (0, 0.0, 0.0, 1.0)


def test_margins_are_over_the_largest_of_the_others() -> None:
    logits = torch.tensor([[0.5, 0.2, 0.3]]).log()
    assert best_steps(logits)[0].margin == pytest.approx(0.2)
    assert [steps_of(logits, [token])[0].margin for token in range(3)] == pytest.approx([0.2, -0.3, -0.2])


def test_logits_below_the_bound_pass() -> None:
    for value in (-LARGEST_LOGIT * 2, LARGEST_LOGIT - 0.01):
        logits = torch.tensor([[0.0, value]])
        assert finite(logits) is logits


def test_rows_with_rules_are_chosen_by_them() -> None:
    class Last:
        def choose(self, logits: torch.Tensor) -> int:
            return len(logits) - 1

    logits = torch.tensor([[9.0, 1.0], [9.0, 1.0]])
    assert [step.token_id for step in next_steps(logits, [Last(), Last()])] == [1, 1]  # type: ignore[list-item]
    assert [step.token_id for step in next_steps(logits, [None, None])] == [0, 0]


def test_an_answer_is_the_mean_of_its_tokens() -> None:
    steps = [Step(4, 0.5, 0.25, 0.5), Step(5, -1e-9, -1e-9, 1.0), Step(2, 9.0, 9.0, -0.5)]
    answer = to_answer(steps, frozenset({2}), "so")
    assert answer.token_ids == (4, 5)
    assert answer.token_bits == (0.5, 0.0)
    assert (answer.min_entropy_bits, answer.entropy_bits, answer.margin) == (0.25, 0.125, 0.75)
    assert answer.confidence == pytest.approx(2**-0.25)
    ended = to_answer(steps[2:], frozenset({2}), "")
    assert (ended.token_ids, ended.token_bits, ended.entropy_bits, ended.margin) == ((), (9.0,), 9.0, -0.5)


def test_a_foreign_reason_has_at_most_240_characters() -> None:
    assert reason_of(ValueError("x" * 240)) == "x" * 240
    assert reason_of(ValueError(" " + "x" * 241)) == "x" * 240
    assert reason_of(ValueError("\n \n")) == "its own code fails; HELIOGRAPH_DEBUG=1 shows where"
    bare = ModelUnsupportedError()
    assert reason_of(bare) == str(bare).removesuffix(".")
    bare.__cause__ = KeyError("k")
    assert reason_of(bare) == "the entry 'k' is missing"
    assert reason_of(bare.noted("one.").noted("two.")) == "one. two"


# ---- what generate gives back ----------------------------------------------------------------------------
class Generated:
    def __init__(self, sequences: list[list[int]], logits: list[list[list[float]]], path: list[int] | None) -> None:
        self.sequences = torch.tensor(sequences)
        self.logits = tuple(torch.tensor(one) for one in logits)
        if path is not None:
            self.beam_indices = torch.tensor([path])


def test_one_sequence_ends_with_as_many_ids_as_there_are_logits() -> None:
    ids, logits = generated_ids(Generated([[7, 7, 7, 1, 0]], [[[0.0, 1.0]], [[2.0, 0.0]]], None))
    assert ids == [1, 0]
    assert logits.tolist() == [[0.0, 1.0], [2.0, 0.0]]


def test_of_several_beams_the_path_of_the_answer_counts() -> None:
    """Three steps could be, two were made: along row 1, then row 0 of the two beams."""
    steps = [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]], [[8.0, 9.0], [8.0, 9.0]]]
    ids, logits = generated_ids(Generated([[7, 7, 1, 0, 5]], steps, [1, 0, -1]))
    assert ids == [1, 0]
    assert logits.tolist() == [[2.0, 3.0], [4.0, 5.0]]


# ---- passes ------------------------------------------------------------------------------------------------
@pytest.fixture
def passes(vlm: Any) -> Iterator[list[dict[str, Any]]]:
    """Arguments of every forward pass of the model in this test."""
    seen: list[dict[str, Any]] = []
    handle = vlm.torch_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs), with_kwargs=True
    )
    yield seen
    handle.remove()


def asked_for(one: dict[str, Any]) -> tuple[Any, Any, int]:
    """Positions with logits, whether anything is cached, and how many ids go in."""
    return one["logits_to_keep"], one["use_cache"], one["input_ids"].shape[1]


def test_an_answer_is_one_pass_over_the_prompt_and_one_a_word(
    vlm: Any, tokens: list[VisualTokens], passes: list[dict[str, Any]]
) -> None:
    prompt = vlm.prompts.build("where is it", 1)
    length = len(prompt.head + prompt.tail)
    for limit in (1, 3):
        passes.clear()
        answer = vlm.answer("where is it", tokens[:1], max_new_tokens=limit)
        said = min(limit, len(answer.token_ids) + 1)
        assert [asked_for(one) for one in passes] == [(1, True, length), *[(1, True, 1)] * (said - 1)]


def test_given_answers_are_read_in_one_pass_that_keeps_nothing(
    vlm: Any, tokens: list[VisualTokens], passes: list[dict[str, Any]]
) -> None:
    prompt = vlm.prompts.build("where is it", 1)
    length = len(prompt.head + prompt.tail)
    general = GeneralModel("any", vlm.torch_model, vlm.processor)
    seen = general.encode_image(_photo())
    for model, one in ((vlm, tokens[0]), (general, seen)):
        for ids in ((), (5, 6, 7)):
            passes.clear()
            logits = model.answer_logits("where is it", torch.from_numpy(one.values), one.grid, ids)
            assert logits.shape[0] == len(ids)
            assert [asked_for(each) for each in passes] == [(len(ids) + 1, False, length + len(ids))]
            mask = passes[0].get("attention_mask", torch.ones(1))
            assert mask.unique().tolist() == [1]  # the answer is looked at like the prompt


def test_a_family_that_cannot_leave_logits_out_is_not_asked_to(
    vlm: Any, passes: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    general = GeneralModel("any", vlm.torch_model, vlm.processor)
    seen = general.encode_image(_photo())
    given = "where is it", torch.from_numpy(seen.values), seen.grid, (5, 6)
    wanted = general.answer_logits(*given)
    monkeypatch.setattr(general, "_keeps_logits", False)
    passes.clear()
    torch.testing.assert_close(general.answer_logits(*given), wanted, rtol=1e-4, atol=1e-4)
    assert "logits_to_keep" not in passes[0]


def test_a_general_model_looks_at_one_prompt_when_it_is_opened(vlm: Any, passes: list[dict[str, Any]]) -> None:
    general = GeneralModel("any", vlm.torch_model, vlm.processor)
    assert [asked_for(one)[:2] for one in passes] == [(1, False)]
    assert (general.grid.photo_width, general.grid.photo_height) == (640, 480)


def test_the_language_model_alone_keeps_nothing(vlm: Any, tokens: list[VisualTokens]) -> None:
    seen: list[dict[str, Any]] = []
    text = vlm.torch_model.model.text_model
    handle = text.register_forward_pre_hook(lambda module, args, kwargs: seen.append(kwargs), with_kwargs=True)
    try:
        ids = torch.tensor([[*vlm.prompts.build("a", 1).head]])
        mask = torch.ones(1, 1, ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
        with torch.no_grad():
            _, layers = vlm.text.read(ids, torch.from_numpy(tokens[0].values), mask, torch.arange(ids.shape[1])[None])
    finally:
        handle.remove()
    assert layers == ()
    assert [(one["use_cache"], one["output_hidden_states"]) for one in seen] == [(False, False)]


def test_a_draft_that_holds_is_read_in_one_pass_and_never_beyond_the_limit(
    vlm: Any, tokens: list[VisualTokens], passes: list[dict[str, Any]]
) -> None:
    prompt = vlm.prompts.build("where is it", 1)
    length = len(prompt.head + prompt.tail)
    truth = vlm.answer("where is it", tokens[:1], max_new_tokens=12)
    kept = len(truth.token_ids)
    passes.clear()
    vlm.verify("where is it", tokens[:1], truth, max_new_tokens=12)
    assert asked_for(passes[0]) == (kept + 1, True, length + kept)
    passes.clear()
    vlm.verify("where is it", tokens[:1], Answer("", 0.5, 1.0, (truth.token_ids[0] + 1, *[9] * 30)), max_new_tokens=4)
    assert [asked_for(one)[2] for one in passes][:2] == [
        length + 4,
        3,
    ]  # of the draft four; then a word and two guesses


def _photo() -> Any:
    from PIL import Image

    return Image.new("RGB", (40, 30), (9, 120, 200))


def test_logarithms_are_of_base_two() -> None:
    assert best_steps(torch.zeros(1, 8))[0].bits == pytest.approx(math.log2(8))

"""How sure the model was: the same numbers from its own generate and from every way that we decode."""

import math

import pytest
import torch

from heliograph.vlm.decoding import best_steps, to_answer
from heliograph.vlm.general import GeneralModel

LIMIT = 8


@pytest.fixture
def decided(vlm):
    """The fixture's model with larger logits: random weights are sure of nothing."""
    handle = vlm.torch_model.lm_head.register_forward_hook(lambda module, given, made: made * 40)
    yield vlm
    handle.remove()


def assert_alike(found, wanted):
    assert found.token_ids == wanted.token_ids
    assert len(found.token_bits) == max(1, len(found.token_ids))
    assert found.token_bits == pytest.approx(wanted.token_bits, abs=2e-3)
    assert found.min_entropy_bits == pytest.approx(sum(found.token_bits) / len(found.token_bits))
    assert found.entropy_bits == pytest.approx(wanted.entropy_bits, abs=2e-3)
    assert found.margin == pytest.approx(wanted.margin, abs=2e-3)


def test_every_path_gives_the_same_signals(decided, photos, tokens, questions):
    vlm = decided
    general = GeneralModel("any", vlm.torch_model, vlm.processor)
    asked = [(question, [one]) for one in tokens[:2] for question in questions]
    shown = [photo for photo in photos[:2] for _ in questions]
    batched = vlm.answer_many(asked, max_new_tokens=LIMIT)
    assert len({round(answer.entropy_bits, 1) for answer in batched}) > 5  # else equality would prove nothing
    for (question, images), photo, many in zip(asked, shown, batched, strict=True):
        single = vlm.answer(question, images, max_new_tokens=LIMIT)
        assert_alike(many, single)
        for draft in (single, vlm.answer(question, tokens[3:4], max_new_tokens=LIMIT)):
            assert_alike(vlm.verify(question, images, draft, max_new_tokens=LIMIT), single)
        assert_alike(general.answer(question, [photo], max_new_tokens=LIMIT), single)


def test_signals_are_what_their_names_say():
    p = torch.tensor([0.1, 0.6, 0.05, 0.25])
    (step,) = best_steps(p.log()[None] + 7.0)  # logits are known up to a constant
    assert step.token_id == 1
    assert step.bits == pytest.approx(-math.log2(0.6), abs=1e-5)
    assert step.entropy_bits == pytest.approx(-sum(x * math.log2(x) for x in p.tolist()), abs=1e-5)
    assert step.margin == pytest.approx(0.35, abs=1e-5)


def test_certain_and_impossible_tokens_are_finite():
    (step,) = best_steps(torch.tensor([[-math.inf, 90.0, -math.inf]]))
    assert (step.token_id, step.bits, step.entropy_bits, step.margin) == (1, 0.0, 0.0, 1.0)
    answer = to_answer([step], frozenset({9}), "x")
    assert str(answer.min_entropy_bits) == "0.0"
    assert (answer.confidence, answer.entropy_bits, answer.margin, answer.token_bits) == (1.0, 0.0, 1.0, (0.0,))


def test_of_equal_tokens_the_first_is_said():
    (step,) = best_steps(torch.tensor([[1.0, 5.0, 5.0, 0.0]]))
    assert step.token_id == 1
    assert step.margin == pytest.approx(0)


def test_means_leave_the_end_token_out(vlm):
    end = min(vlm.decoder.end_ids)
    said, last = best_steps(torch.tensor([[0.0, 2.0], [0.0, 9.0]]))
    ended = type(last)(end, last.bits, last.entropy_bits, last.margin)
    with_end = to_answer([said, ended], vlm.decoder.end_ids, "x")
    assert with_end == to_answer([said], vlm.decoder.end_ids, "x")
    only_end = to_answer([ended], vlm.decoder.end_ids, "")
    assert (only_end.token_ids, only_end.token_bits) == ((), (pytest.approx(last.bits),))

"""Our greedy loop, batches, streams and drafts all say what the model's own generate says."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.errors import QuestionEmptyError, QuestionTooLongError, ShapeError, StreamDamagedError, UsageError
from heliograph.types import Answer, VisualTokens
from heliograph.vlm import batching


def generated(vlm, question, photos, limit):
    """Ids and scores by transformers' generate, from pixels."""
    text = vlm.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}] * len(photos) + [{"type": "text", "text": question}]}],
        add_generation_prompt=True,
    )
    made = vlm.processor(text=[text], images=[photos], return_tensors="pt")
    out = vlm.torch_model.generate(
        **made, do_sample=False, max_new_tokens=limit, return_dict_in_generate=True, output_logits=True
    )
    ids = out.sequences[0, made["input_ids"].shape[1] :].tolist()
    bits = [(-torch.log_softmax(step[0], -1).max() / math.log(2)).item() for step in out.logits]
    return ids, bits


def without_end(vlm, ids):
    return tuple(i for i in ids if i not in vlm.decoder.end_ids)


def test_the_fixture_gives_answers_of_many_kinds(vlm, tokens, questions):
    """Guards the other tests: equality of constant answers would prove nothing."""
    answers = vlm.answer_many([(question, [one]) for one in tokens for question in questions], max_new_tokens=12)
    assert len({answer.token_ids for answer in answers}) > len(answers) // 2
    assert len({len(answer.token_ids) for answer in answers}) > 3


@pytest.mark.parametrize("limit", [1, 12])
def test_answers_equal_generate(vlm, photos, tokens, questions, limit):
    for photo, restored, question in zip(photos, tokens, questions, strict=False):
        ids, bits = generated(vlm, question, [photo], limit)
        for image in (photo, restored):
            answer = vlm.answer(question, [image], max_new_tokens=limit)
            assert answer.token_ids == without_end(vlm, ids)
            counted = bits[: len(answer.token_ids)] or bits
            assert answer.min_entropy_bits == pytest.approx(sum(counted) / len(counted), abs=1e-3)
            assert answer.confidence == pytest.approx(min(2**-answer.min_entropy_bits, 1 if answer.text else 0.01))


def test_two_images_equal_generate(vlm, photos, tokens):
    ids, _ = generated(vlm, "What differs?", photos[:2], 8)
    assert vlm.answer("What differs?", tokens[:2], max_new_tokens=8).token_ids == without_end(vlm, ids)


def test_streamed_pieces_join_to_the_answer(vlm, tokens, questions):
    for question in questions:
        pieces = list(vlm.stream(question, tokens[:1], max_new_tokens=12))
        assert "".join(pieces).strip() == vlm.answer(question, tokens[:1], max_new_tokens=12).text


def test_batched_answers_equal_single_ones(vlm, photos, tokens, questions):
    asked = [(question, [one]) for one in tokens[:3] for question in questions]
    asked += [(question, [photos[3]]) for question in questions]
    asked += [(question, [tokens[0], photos[1]]) for question in questions[:3]]
    asked = asked[::2] + asked[1::2]
    batched = vlm.answer_many(asked, max_new_tokens=12)
    for (question, images), answer in zip(asked, batched, strict=True):
        single = vlm.answer(question, images, max_new_tokens=12)
        assert (answer.text, answer.token_ids) == (single.text, single.token_ids)
        assert answer.min_entropy_bits == pytest.approx(single.min_entropy_bits, abs=1e-3)


def test_batches_larger_than_a_chunk_keep_their_order(vlm, tokens, questions, monkeypatch):
    monkeypatch.setattr(batching, "MAX_ROWS", 3)
    asked = [(question, [one]) for question in questions for one in tokens[:3]]
    batched = vlm.answer_many(asked, max_new_tokens=6)
    assert [a.token_ids for a in batched] == [vlm.answer(*one, max_new_tokens=6).token_ids for one in asked]


def test_questions_about_one_image_equal_single_ones(vlm, tokens, questions):
    batched = vlm.answer_questions(tokens[:1], questions, max_new_tokens=12)
    assert [a.text for a in batched] == [vlm.answer(q, tokens[:1], max_new_tokens=12).text for q in questions]
    assert vlm.answer_questions(tokens[:1], []) == []


@pytest.mark.parametrize("limit", [1, 5, 12])
def test_verified_drafts_equal_answers(vlm, tokens, questions, limit):
    for question in questions[::2]:
        drafts = [vlm.answer(question, [one], max_new_tokens=12) for one in tokens[:3]]
        final = vlm.answer(question, tokens[:1], max_new_tokens=limit)
        for draft in drafts:
            checked = vlm.verify_draft(question, tokens[:1], draft, max_new_tokens=limit)
            assert (checked.answer.text, checked.answer.token_ids) == (final.text, final.token_ids)
            assert checked.answer.min_entropy_bits == pytest.approx(final.min_entropy_bits, abs=1e-3)
            assert checked.kept_tokens == common_prefix(draft.token_ids, final.token_ids)


def common_prefix(first, second):
    length = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        length += 1
    return length


def test_any_edited_draft_is_put_right(vlm, tokens):
    question = "What colour is the star?"
    truth = vlm.answer(question, tokens[2:3], max_new_tokens=10)

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.integers(0, 639), max_size=14), st.integers(0, 10))
    def check(noise, keep):
        draft = dataclasses.replace(truth, token_ids=(*truth.token_ids[:keep], *noise))
        assert vlm.verify(question, tokens[2:3], draft, max_new_tokens=10).token_ids == truth.token_ids

    check()


@pytest.mark.parametrize("alien", [(-1,), (640,), (10**12, 3)])
def test_draft_ids_outside_the_vocabulary_are_ignored(vlm, tokens, alien):
    truth = vlm.answer("7?", tokens[:1], max_new_tokens=5)
    draft = Answer("x", 0.5, 1.0, (*truth.token_ids[:1], *alien))
    assert vlm.verify("7?", tokens[:1], draft, max_new_tokens=5).token_ids == truth.token_ids


def test_an_unchanged_draft_costs_one_pass(vlm, tokens, monkeypatch):
    truth = vlm.answer("What is it?", tokens[:1], max_new_tokens=6)
    passes = []
    original = vlm.torch_model.forward
    monkeypatch.setattr(vlm.torch_model, "forward", lambda *a, **k: passes.append(1) or original(*a, **k))
    checked = vlm.verify("What is it?", tokens[:1], truth, max_new_tokens=len(truth.token_ids) or 1)
    assert checked.token_ids == truth.token_ids
    assert len(passes) == 1


def test_wrong_tokens_are_named(vlm, tokens):
    grid = tokens[0].grid
    with pytest.raises(ShapeError):
        vlm.answer("What?", [VisualTokens(np.zeros((63, 128), np.float32), grid)])
    broken = tokens[0].values.copy()
    broken[3, 5] = np.nan
    with pytest.raises(StreamDamagedError):
        vlm.answer("What?", [VisualTokens(broken, grid)])


def test_questions_that_cannot_be_asked_are_named(vlm, tokens):
    for empty in ("", " \n\t"):
        with pytest.raises(QuestionEmptyError):
            vlm.answer(empty, tokens[:1])
    with pytest.raises(QuestionTooLongError):
        vlm.answer("a" * 100_000, tokens[:1])
    with pytest.raises(QuestionTooLongError):  # 2,000 characters, but more tokens than the model has positions
        vlm.answer("\U0001f600" * 2000, tokens[:1])
    with pytest.raises(UsageError):
        vlm.answer("What?", tokens[:1], max_new_tokens=0)
    with pytest.raises(UsageError):
        vlm.answer("What?", tokens[:1] * 9)


def test_image_of_any_mode_and_size_answers(vlm, photos):
    for mode, size in (("L", (1, 1)), ("RGBA", (31, 400)), ("P", (64, 64)), ("CMYK", (9, 9))):
        image = photos[0].resize(size).convert(mode)
        assert isinstance(vlm.answer("What?", [image], max_new_tokens=2), Answer)

"""Losses of a batch, sorted by what they are of; right values from numbers that are worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from heliograph.training.field.contrast import batch_losses


def test_losses_go_where_they_belong() -> None:
    # Photo 0: one answer. Photos 1 and 2: an answer each, and the same two sentences of 2 and 3 tokens.
    losses = torch.tensor([1.0, 2.0, 1.0, 1.0, 4.0, 4.0, 4.0, 6.0, 3.0, 3.0, 0.5, 0.5, 0.5])
    found = batch_losses(losses, [[1], [1, 2, 3], [1, 2, 3]], [0, 2, 2])
    assert found.answers.item() == pytest.approx((1 + 2 + 6) / 3)
    assert found.sentences.item() == pytest.approx((1 + 1 + 0.5 + 0.5 + 0.5) / 5)  # each photo's own one
    # Sentence 0 takes 2 nats with its photo and 6 with the other, sentence 1 takes 1.5 and 12.
    wanted = (math.log(1 + math.exp(2 - 6)) + math.log(1 + math.exp(1.5 - 12))) / 2
    assert found.contrast.item() == pytest.approx(wanted, rel=1e-5)


def test_sentences_that_are_as_likely_with_any_photo_cost_the_logarithm_of_their_number() -> None:
    found = batch_losses(torch.full((9,), 2.0), [[1, 1, 1]] * 3, [3, 3, 3])
    assert found.contrast.item() == pytest.approx(math.log(3))
    assert found.answers.item() == 0


def test_answers_alone() -> None:
    found = batch_losses(torch.tensor([1.0, 3.0]), [[1], [1]], [0, 0])
    assert (found.answers.item(), found.sentences.item(), found.contrast.item()) == (2, 0, 0)


def test_the_gradient_makes_a_sentence_likelier_with_its_own_photo_and_less_likely_with_the_other() -> None:
    losses = torch.ones(4, requires_grad=True)
    batch_losses(losses, [[1, 1], [1, 1]], [2, 2]).contrast.backward()
    assert losses.grad is not None
    assert [value > 0 for value in losses.grad.tolist()] == [True, False, False, True]

"""Words of photos and the odds of them, against arithmetic by hand."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from heliograph.training.field.photos import Photo
from heliograph.training.field.questions import Known, Thing
from heliograph.training.field.words import WordPhase, WordTargets, scale_tokens, word_targets

VOCABULARY = {" dog": 5, " runs": 3, " cat": 9, " man": 7, " the": 1, " wine": 2, " glass": 4}


def tokenizer(text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
    """One number for a word that it knows, and one for every letter of another."""
    assert not add_special_tokens
    return {"input_ids": [VOCABULARY[text]] if text in VOCABULARY else [100 + ord(letter) for letter in text]}


def known(*captions: str, things: tuple[Thing, ...] = ()) -> Known:
    return Known(Photo(Path("a.jpg"), captions), things)


def test_shares_are_of_captions_that_have_a_word() -> None:
    about = [known("A dog runs", "The dog, the DOG")] * 6 + [known("A man")]
    found = word_targets(about, tokenizer)
    assert found.words == ("dog", "runs")
    assert found.ids.tolist() == [5, 3]
    assert (found.ids.dtype, found.shares.dtype) == (torch.int64, torch.float32)
    assert found.shares.tolist() == [[1.0, 0.5]] * 6 + [[0.0, 0.0]]


def test_a_word_of_five_photos_is_left_out_and_so_are_split_and_stop_words() -> None:
    about = [known("the dog the zebra")] * 5 + [known("the zebra")]
    assert word_targets(about, tokenizer).words == ()
    assert word_targets([*about, known("dog")], tokenizer).words == ("dog",)


def test_what_the_teacher_is_sure_of_is_there_unless_captions_say_how_often() -> None:
    seen = (Thing("dog", 0.6), Thing("cat", 0.59), Thing("wine glass", 0.9))
    about = [known(things=seen)] * 6 + [known("A dog", "A man", things=seen), known("A man", things=seen)]
    found = word_targets(about, tokenizer)
    assert found.words == ("dog",)
    assert found.shares[:, 0].tolist() == [1.0] * 6 + [0.5, 1.0]


def test_photos_without_common_words_have_targets_of_no_width() -> None:
    found = word_targets([known("A dog")] * 2, tokenizer)
    assert found.shares.shape == (2, 0)
    phase = WordPhase(found, torch.eye(10))
    visual = torch.randn(2, 3, 10, requires_grad=True)
    assert phase.odds(visual).shape == (2, 0)
    phase.loss(visual, [0, 1]).backward()
    assert visual.grad is not None
    assert not visual.grad.any()


TARGETS = WordTargets(
    ("dog", "cat"), torch.tensor([2, 0]), torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 0.0], [0.5, 1.0]])
)
EMBEDDINGS = torch.tensor([[3.0, 0.0], [7.0, 7.0], [0.0, 0.5]])  # cat, nobody's, dog


def test_odds_are_a_soft_maximum_of_cosines_over_tokens() -> None:
    """Token 1 points at "dog", token 2 half-way, with other lengths; gain 8 times a quarter is 2."""
    visual = torch.tensor([[[0.0, 4.0], [0.1, 0.1]]])
    soft = {
        "dog": math.log((math.exp(8 * 1.0) + math.exp(8 * math.sqrt(0.5))) / 2),
        "cat": math.log((math.exp(8 * 0.0) + math.exp(8 * math.sqrt(0.5))) / 2),
    }
    usual = {"dog": math.log(0.5 / 0.5), "cat": math.log(0.25 / 0.75)}  # mean shares, as log odds
    found = WordPhase(TARGETS, EMBEDDINGS).odds(visual)
    assert found.shape == (1, 2)
    assert found[0].tolist() == pytest.approx([2 * soft[word] + usual[word] for word in ("dog", "cat")], rel=1e-5)


def test_odds_know_neither_the_number_nor_the_order_nor_the_length_of_tokens() -> None:
    phase, visual = WordPhase(TARGETS, EMBEDDINGS), torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0))
    expected = phase.odds(visual)
    for same in (visual.flip(1), torch.cat([visual, visual], 1), 5 * visual):
        torch.testing.assert_close(phase.odds(same), expected)


def test_usual_shares_are_bounded_so_that_their_odds_are_finite() -> None:
    always = WordTargets(("dog", "cat"), torch.tensor([2, 0]), torch.tensor([[1.0, 0.0]]))
    bias = WordPhase(always, EMBEDDINGS).bias
    assert bias.tolist() == pytest.approx([math.log(0.9 / 0.1), math.log(0.001 / 0.999)], rel=1e-4)


def test_loss_is_summed_over_words_and_meant_over_photos() -> None:
    phase, visual = WordPhase(TARGETS, EMBEDDINGS), torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(1))
    chances = torch.sigmoid(phase.odds(visual).double()).tolist()
    wanted = [[0.5, 1.0], [1.0, 0.0]]  # of photos 3 and 0
    by_hand = [
        -sum(want * math.log(p) + (1 - want) * math.log(1 - p) for want, p in zip(wants, row, strict=True))
        for wants, row in zip(wanted, chances, strict=True)
    ]
    assert phase.loss(visual, [3, 0]).item() == pytest.approx(sum(by_hand) / 2, rel=1e-5)


def test_learning_turns_tokens_to_their_words() -> None:
    phase = WordPhase(TARGETS, EMBEDDINGS)
    visual = torch.tensor([[[1.0, 0.2]]], requires_grad=True)
    before = phase.loss(visual, [0])
    before.backward()
    assert visual.grad is not None
    assert phase.loss(visual - 0.1 * visual.grad, [0]) < before
    assert all(one.grad is not None for one in phase.parameters())


def test_scaled_tokens_have_the_wanted_mean_length_and_their_directions() -> None:
    torch.manual_seed(2)
    projector = SimpleNamespace(linear_2=nn.Linear(4, 6))
    given = torch.randn(3, 5, 4)

    def make() -> Tensor:
        return torch.as_tensor(projector.linear_2(given)).detach()

    before = make()
    scale_tokens(projector, make, 2.5)
    assert float(make().norm(dim=-1).mean()) == pytest.approx(2.5, rel=1e-5)
    torch.testing.assert_close(functional.normalize(make(), dim=-1), functional.normalize(before, dim=-1))
    assert projector.linear_2.weight.requires_grad

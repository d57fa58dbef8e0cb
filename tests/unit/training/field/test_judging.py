"""Figures of readers whose answers are known: by arithmetic, and against scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from torch import Tensor

from heliograph.training.field.judging import (
    Judged,
    asked_for,
    caption_losses,
    kind_accuracies,
    leanings,
    mean_loss,
    named_in_captions,
    one_for_all,
    picks_of_ten,
    presence_areas,
    presence_known,
    right_photo,
    wrong_photo,
)
from heliograph.training.field.packed import PackedReader
from heliograph.training.field.photos import Photo
from heliograph.training.field.questions import Known, Thing
from heliograph.training.field.things import KINDS, THINGS
from heliograph.training.meta.error_head import auroc

NOBODY = -1  # the number that the mean photo shows
Row = list[tuple[str, str]]


class MadeUpReader:
    """Tokens are a photo's number, (B, 1, 1); what it makes of that is given.

    Args:
        lean: of a photo's number and a question, to yes.
        nats: of a photo's number and a caption, for each token.
    """

    def __init__(
        self, lean: Callable[[int, str], float] | None = None, nats: Callable[[int, str], float] | None = None
    ) -> None:
        self._lean, self._nats = lean, nats

    def tokens(self, cells: Tensor) -> Tensor:
        assert cells.dtype == torch.float32
        return cells

    def lean_to_yes(self, visual: Tensor, questions: Sequence[str]) -> Tensor:
        assert self._lean is not None
        return torch.tensor([[self._lean(number, text) for text in questions] for number in numbers(visual)])

    def pack(self, asked: Sequence[Row]) -> list[Row]:
        return [list(row) for row in asked]

    def answer_tokens(self, answer: str) -> int:
        return len(answer.split()) + 1

    def losses(self, batch: list[Row], visual: Tensor) -> Tensor:
        assert self._nats is not None
        made: list[float] = []
        for row, number in zip(batch, numbers(visual), strict=True):
            for _, text in row:
                made += [self._nats(number, text)] * self.answer_tokens(text)
        return torch.tensor(made)


def numbers(visual: Tensor) -> list[int]:
    assert visual.shape[1:] == (1, 1)
    return [round(value) for value in visual.flatten().tolist()]


def reader(**given: Any) -> PackedReader:
    return cast(PackedReader, MadeUpReader(**given))


def areas(made_up: PackedReader, photos: Judged, things: Sequence[str], **more: bool) -> dict[str, float]:
    truth = named_in_captions(photos.known, things, **more)
    return presence_areas(leanings(made_up, photos, asked_for(things)), truth, things)


def accuracies(made_up: PackedReader, photos: Judged) -> dict[str, float]:
    return kind_accuracies(leanings(made_up, photos, asked_for(KINDS)), presence_known(photos.known, tuple(KINDS)))


def pick_of_ten(made_up: PackedReader, photos: Judged, mean: Tensor) -> float:
    return float(picks_of_ten(made_up, photos, mean).mean())


def caption_loss(made_up: PackedReader, photos: Judged, seen: Callable[[int, int], Tensor]) -> float:
    return mean_loss(caption_losses(made_up, photos, seen))


def judged(*captions: tuple[str, ...], things: Sequence[tuple[Thing, ...]] | None = None) -> Judged:
    seen = things or [()] * len(captions)
    known = [Known(Photo(Path("a.jpg"), texts), sight) for texts, sight in zip(captions, seen, strict=True)]
    return Judged(known, torch.arange(len(captions)).half()[:, None, None])


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_area_is_scikit_learns(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for size in (2, 3, 20, 200):
        scores = rng.integers(levels, size=size).astype(np.float64)
        positive = rng.permutation(np.arange(size) < max(1, size // 3))
        assert auroc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


DOGS = [("A dog runs",), ("A tree", "Two dogs"), ("A puppy",), ("A cat",), ("A tree",), ("Grass",), ("A man",)]


def test_a_reader_that_sees_the_truth_has_all_the_area_and_its_opposite_none() -> None:
    photos = judged(*DOGS)
    assert areas(reader(lean=lambda i, question: 0.5 - 0.1 * i), photos, ["dog"]) == {"dog": 1.0}
    assert areas(reader(lean=lambda i, question: 0.1 * i), photos, ["dog"]) == {"dog": 0.0}


def test_a_reader_that_leans_the_same_way_has_half_the_area() -> None:
    """Whatever it thinks of the question: areas are of one question each."""
    idle = reader(lean=lambda i, question: 3.0 if "dog" in question else -1.0)
    assert areas(idle, judged(*DOGS), ["dog", "people", "snow"]) == {"dog": 0.5}


def test_an_area_is_of_its_own_question() -> None:
    """The question for dogs is answered rightly, and the one for trees by the opposite."""
    trees = [("A tree",) if i in (1, 4, 6) else ("Grass",) for i in range(7)]
    photos = judged(*[(*dogs, *others) for dogs, others in zip(DOGS, trees, strict=True)])
    sees = reader(
        lean=lambda i, question: float(i < 3) if question == "Is there a dog in the picture?" else -(i in (1, 4, 6))
    )
    assert areas(sees, photos, ["tree", "wall", "dog"]) == {"tree": 0.0, "dog": 1.0}


@pytest.mark.parametrize(("with_it", "kept"), [(2, False), (3, True), (4, True), (5, False), (7, False), (0, False)])
def test_words_that_few_photos_have_or_lack_are_left_out(with_it: int, kept: bool) -> None:
    photos = judged(*[("A dog",) if i < with_it else ("Grass",) for i in range(7)])
    assert ("dog" in areas(reader(lean=lambda i, question: 0.0), photos, ["dog"])) is kept


def test_to_the_letter_is_the_word_itself() -> None:
    """A dog is in photo 0 alone; of words for it there are three, which is enough."""
    photos, even = judged(*DOGS), reader(lean=lambda i, question: 0.0)
    assert areas(even, photos, ["dog"]) == {"dog": 0.5}
    assert areas(even, photos, ["dog"], to_the_letter=True) == {}


def test_leanings_are_of_all_photos_in_their_order() -> None:
    """Nine photos are two full parts and one more."""
    photos = judged(*[("A dog",)] * 9)
    found = leanings(reader(lean=lambda i, question: i + 0.5 * len(question)), photos, ["a", "bbb"])
    assert found.dtype == np.float64
    assert found.tolist() == [[i + 0.5, i + 1.5] for i in range(9)]
    assert list(photos.parts()) == [(0, 4), (4, 8), (8, 9)]


PERHAPS = (Thing("dog", 0.4),)
KIND_CAPTIONS = [
    ("A man and a dog",),
    ("A dog",),
    ("A woman",),
    ("Grass",),
    ("A dog in a car",),
    ("Grass",),
    ("Grass",),
]


def lean_by(tables: dict[str, Sequence[float]]) -> PackedReader:
    def lean(number: int, question: str) -> float:
        (kind,) = (kind for kind in KINDS if kind in question)
        return tables[kind][number]

    return reader(lean=lean)


def test_kind_accuracy_is_scikit_learns_balanced_one() -> None:
    photos = judged(*KIND_CAPTIONS)
    rng = np.random.default_rng(0)
    truth = {kind: [one.presence(kind) for one in photos.known] for kind in KINDS}
    for _ in range(20):
        leaning = {kind: rng.normal(size=len(photos)).tolist() for kind in KINDS}
        wanted = {kind: balanced_accuracy_score(truth[kind], np.asarray(leaning[kind]) > 0) for kind in KINDS}
        assert accuracies(lean_by(leaning), photos) == pytest.approx(wanted)


def test_kind_accuracy_of_the_truth_of_one_answer_and_of_the_opposite() -> None:
    photos = judged(*KIND_CAPTIONS)
    truth = {kind: [1.0 if one.presence(kind) else -1.0 for one in photos.known] for kind in KINDS}
    opposite = {kind: [-value for value in values] for kind, values in truth.items()}
    assert accuracies(lean_by(truth), photos) == dict.fromkeys(KINDS, 1.0)
    assert accuracies(lean_by(opposite), photos) == dict.fromkeys(KINDS, 0.0)
    for always in (3.0, -3.0, 0.0):
        assert accuracies(lean_by({kind: [always] * 7 for kind in KINDS}), photos) == dict.fromkeys(KINDS, 0.5)


def test_photos_of_which_nobody_is_sure_are_not_judged_by() -> None:
    """Photo 3 may show a dog; both answers about it leave the accuracy as it is."""
    sight = [PERHAPS if i == 3 else () for i in range(7)]
    photos = judged(*KIND_CAPTIONS, things=sight)
    for leaning in (5.0, -5.0):
        values = [1.0, 1.0, -1.0, leaning, -1.0, -1.0, 1.0]  # dogs are in 0, 1 and 4: two of three, and two of three
        found = accuracies(lean_by({kind: values for kind in KINDS}), photos)
        assert found["animal"] == pytest.approx(2 / 3)


def test_a_kind_that_all_photos_have_or_none_is_left_out() -> None:
    photos = judged(("A man",), ("A man and a dog",))
    assert accuracies(reader(lean=lambda i, question: float(i)), photos) == {"animal": 1.0}


TEN = [(f"{'very ' * i}short {THINGS[i]}", f"another {THINGS[i]}") for i in range(10)]


def own(number: int, text: str) -> bool:
    return 0 <= number < len(TEN) and text in TEN[number]


def test_a_reader_that_sees_the_truth_picks_every_caption() -> None:
    """Captions are unlikely by length, so that the likeliest is seldom the own one."""
    sees = reader(nats=lambda number, text: len(text) - 0.1 * own(number, text))
    assert pick_of_ten(sees, judged(*TEN), torch.tensor([[NOBODY]])) == 1.0


def test_a_reader_that_does_not_look_picks_one_in_ten() -> None:
    idle = reader(nats=lambda number, text: float(len(text)))
    assert pick_of_ten(idle, judged(*TEN), torch.tensor([[NOBODY]])) == pytest.approx(0.1)


def test_a_reader_that_is_repelled_by_the_truth_or_sees_another_photo_picks_none() -> None:
    repelled = reader(nats=lambda number, text: 1.0 + own(number, text))
    assert pick_of_ten(repelled, judged(*TEN), torch.tensor([[NOBODY]])) == 0.0
    astray = reader(nats=lambda number, text: 1.0 - 0.5 * (number >= 0 and text in TEN[(number + 1) % 10]))
    assert pick_of_ten(astray, judged(*TEN), torch.tensor([[NOBODY]])) == 0.0


def test_gains_are_over_the_mean_photo() -> None:
    """What is as likely beside the mean photo is no gain: everybody's likeliest caption is not picked."""
    sees = reader(nats=lambda number, text: (0.1 if text in TEN[0] else 5.0) - 0.2 * own(number, text))
    assert pick_of_ten(sees, judged(*TEN), torch.tensor([[NOBODY]])) == 1.0
    # Beside the mean photo everything of photo 0 is dear, so its caption gains most from every photo.
    drawn = reader(
        nats=lambda number, text: 9.0 if number == NOBODY and text in TEN[0] else 1.0 - 0.1 * own(number, text)
    )
    assert pick_of_ten(drawn, judged(*TEN), torch.tensor([[NOBODY]])) == pytest.approx(0.1)


def test_gains_are_summed_over_the_tokens_of_a_caption() -> None:
    """Photo i's first caption has i + 3 tokens. With an equal gain for every token the longest one gains most."""
    even = reader(nats=lambda number, text: 2.0 if number == NOBODY else 1.5)
    assert pick_of_ten(even, judged(*TEN), torch.tensor([[NOBODY]])) == pytest.approx(0.1)
    # The own one gains 0.5 x (i + 3), the longest 0.125 x 12 = 1.5: as much as photo 0's own, which shares its pick.
    seen = reader(
        nats=lambda number, text: 2.0 - (number >= 0) * (0.5 if own(number, text) else 0.125 * (text in TEN[9]))
    )
    assert pick_of_ten(seen, judged(*TEN), torch.tensor([[NOBODY]])) == pytest.approx((0.5 + 9) / 10)


def test_nine_others_are_never_the_photo_itself() -> None:
    """With more than ten photos some are left out, but never the own one."""
    more = [*TEN, ("one more",), ("and one more",)]
    sees = reader(nats=lambda number, text: 1.0 - 0.5 * (number >= 0 and text in more[number]))
    assert pick_of_ten(sees, judged(*more), torch.tensor([[NOBODY]])) == 1.0


CAPTIONED = [("a",), ("a b", "a"), ("a b c",), ("a",), ("a", "a", "a b"), ("a b",)]
COUNTS = [2, 5, 4, 2, 7, 3]  # tokens of each photo's captions, an end in each


def test_caption_loss_is_the_mean_of_tokens_and_not_of_captions() -> None:
    photos, counts = judged(*CAPTIONED), np.asarray(COUNTS)
    nats = reader(nats=lambda number, text: 2.0**number)
    seen = 2.0 ** np.arange(6)
    assert caption_loss(nats, photos, right_photo(nats, photos)) == pytest.approx((counts * seen).sum() / counts.sum())
    other = seen[[3, 4, 5, 0, 1, 2]]
    assert caption_loss(nats, photos, wrong_photo(nats, photos)) == pytest.approx((counts * other).sum() / counts.sum())
    prefix = torch.tensor([[3.0]])
    assert caption_loss(nats, photos, one_for_all(prefix)) == pytest.approx(8.0)


@pytest.mark.parametrize("size", [2, 3, 7])
def test_the_wrong_photo_is_never_the_right_one(size: int) -> None:
    photos = judged(*[("A dog",)] * size)
    right = right_photo(reader(), photos)(0, size)
    wrong = wrong_photo(reader(), photos)(0, size)
    assert right.flatten().tolist() == list(range(size))
    assert sorted(wrong.flatten().tolist()) == list(range(size))
    assert not (right == wrong).any()


def test_one_for_all_has_the_tokens_once_for_each_photo() -> None:
    visual = torch.randn(25, 8)
    made = one_for_all(visual)(4, 7)
    assert made.shape == (3, 25, 8)
    assert all(torch.equal(one, visual) for one in made)

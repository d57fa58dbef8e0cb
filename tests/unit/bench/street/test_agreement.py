"""Agreement that a model which does not look cannot have, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.bench.street.agreement import MARGIN, Agreement
from heliograph.bench.street.asked import Answered, Asked

YES_NO = ("no", "yes")
QUESTIONS = (
    Asked("presence", "Is there a dog?", YES_NO, "dog"),
    Asked("presence", "Is there a boat?", YES_NO, "boat"),
    Asked("number", "How many people are there?", ("0", "1", "2")),
)


def answers(*columns: list[int], leads: float | list[list[float]] = 5.0) -> Answered:
    places = np.array(columns, np.int16).T
    return Answered(places, np.broadcast_to(np.asarray(leads, np.float32), places.shape))


# Ten photos: two with a dog, none with a boat, and four, four and two with no, one and two people.
DOG = [1, 1, *[0] * 8]
NOBODY = [0] * 10
PEOPLE = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
WHOLE = answers(DOG, NOBODY, PEOPLE)


def test_whoever_always_says_the_same_is_at_chance_however_rare_the_other_answer_is() -> None:
    agreement = Agreement(WHOLE, QUESTIONS)
    constant = answers(NOBODY, NOBODY, NOBODY)
    assert agreement.balanced(constant).value == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert agreement.chance() == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert agreement.plain(constant).value == pytest.approx((8 + 10 + 4) / 30)
    assert agreement.plain(constant, "presence").value == pytest.approx(0.9)
    assert agreement.balanced(constant, "presence").value == agreement.chance("presence") == 0.5


def test_questions_with_one_answer_about_all_photos_do_not_count() -> None:
    agreement = Agreement(WHOLE, QUESTIONS)
    assert [one.text for one in agreement.counting()] == ["Is there a dog?", "How many people are there?"]
    assert agreement.asked() == 20
    assert agreement.asked("number") == 10
    assert np.isnan(agreement.balanced(WHOLE, "kind").value)
    assert np.isnan(agreement.chance("kind"))


def test_an_answer_that_a_single_photo_has_does_not_count() -> None:
    alone = answers([1, *[0] * 9], NOBODY, [0] * 9 + [2])
    assert Agreement(alone, QUESTIONS).counting() == []
    assert np.isnan(Agreement(alone, QUESTIONS).balanced(alone).value)


def test_each_answer_of_a_question_weighs_the_same() -> None:
    one_dog_missed = answers([0, 1, *[0] * 8], NOBODY, PEOPLE)
    a_cat_taken_for_a_dog = answers([1, 1, 1, *[0] * 7], NOBODY, PEOPLE)
    agreement = Agreement(WHOLE, QUESTIONS)
    assert agreement.balanced(one_dog_missed, "presence").value == pytest.approx((1 / 2 + 1) / 2)
    assert agreement.balanced(a_cat_taken_for_a_dog, "presence").value == pytest.approx((1 + 7 / 8) / 2)
    assert agreement.balanced(one_dog_missed).value == pytest.approx((0.75 + 1) / 2)


def test_with_a_margin_only_answers_that_were_sure_count() -> None:
    leads = [[MARGIN - 0.1 if photo == 0 else 5.0, 5.0, 5.0] for photo in range(10)]
    agreement = Agreement(answers(DOG, NOBODY, PEOPLE, leads=leads), QUESTIONS)
    found = answers([0, 1, *[0] * 8], NOBODY, PEOPLE)
    assert agreement.balanced(found, "presence").value == pytest.approx(0.75)
    assert agreement.balanced(found, "presence", margin=True).value == 1.0
    assert agreement.asked("presence", margin=True) == 9


def test_intervals_resample_photos() -> None:
    rng = np.random.default_rng(0)
    whole = answers(*(rng.integers(0, 2, 60).tolist() for _ in range(3)))
    found = Answered(np.where(rng.random((60, 3)) < 0.8, whole.places, 1 - whole.places).astype(np.int16), whole.leads)
    made = Agreement(whole, QUESTIONS).balanced(found)
    assert made.interval is not None
    low, high = made.interval
    assert low < made.value < high
    assert 0.05 < high - low < 0.3
    same = Agreement(whole, QUESTIONS).balanced(whole)
    assert (same.value, same.interval) == (1.0, (1.0, 1.0))

"""Only what is sure is asked, presence is asked both ways, and wordings fit what they ask for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from heliograph.training.field.photos import Photo
from heliograph.training.field.questions import Known, Pair, QuestionMaker, Thing, sentence
from heliograph.training.field.things import ANIMAL, PERSON, VEHICLE

DOG, PERHAPS_DOG, HARDLY_DOG = Thing("dog", 0.6), Thing("dog", 0.59), Thing("dog", 0.19)
CAR = Thing("car", 0.9, "red")


def known(*captions: str, things: tuple[Thing, ...] = (), main: tuple[str, float] = ("", 0.0)) -> Known:
    return Known(Photo(Path("a.jpg"), captions), things, main)


@pytest.mark.parametrize(
    ("things", "wanted"),
    [((DOG,), True), ((PERHAPS_DOG,), None), ((Thing("dog", 0.2),), None), ((HARDLY_DOG,), False), ((), False)],
)
def test_without_captions_scores_decide(things: tuple[Thing, ...], wanted: bool | None) -> None:
    assert known(things=things).presence("dog") is wanted
    assert known(things=things).presence(ANIMAL) is wanted
    assert known(things=things).presence(VEHICLE) is False


def test_the_surest_of_several_boxes_decides() -> None:
    assert known(things=(HARDLY_DOG, DOG, PERHAPS_DOG)).presence("dog") is True
    assert known(things=(HARDLY_DOG, Thing("cat", 0.3))).presence(ANIMAL) is None


def test_captions_name_what_is_there_whatever_the_detector_sees() -> None:
    assert known("A puppy runs").presence("dog") is True
    assert known("A puppy runs").presence(ANIMAL) is True
    assert known("A puppy runs").presence("cat") is False
    assert known("Two skiers on skis").presence("pair of skis") is True


def test_what_captions_leave_out_is_as_sure_as_the_detector_is() -> None:
    for things, wanted in (((DOG,), True), ((PERHAPS_DOG,), None), ((HARDLY_DOG,), False)):
        assert known("A man", things=things).presence("dog") is wanted
        assert known("A man", things=things).presence(ANIMAL) is wanted


def test_a_bicycle_is_a_bike() -> None:
    assert known("A man", things=(Thing("bicycle", 0.9),)).presence("bike") is True
    assert known("A man", things=(Thing("bicycle", 0.4),)).presence("bike") is None
    assert known("A man", things=(Thing("motorcycle", 0.9),)).presence("bike") is False


@pytest.mark.parametrize(
    ("things", "wanted"),
    [
        ((), 0),
        ((HARDLY_DOG,), 0),
        ((DOG, CAR, DOG), 2),
        ((DOG,) * 4, 4),
        ((DOG,) * 5, None),
        ((DOG, PERHAPS_DOG), None),
        ((DOG, HARDLY_DOG), 1),
    ],
)
def test_sure_boxes_are_counted(things: tuple[Thing, ...], wanted: int | None) -> None:
    assert known(things=things).count("dog") == wanted


def test_nothing_is_counted_that_captions_name_and_the_detector_misses() -> None:
    assert known("Two men").count(PERSON) is None
    assert known("Two men", things=(Thing(PERSON, 0.9),)).count(PERSON) == 1
    assert known("A tree").count(PERSON) == 0


def drawn(about: Known, times: int = 400, count: int = 4, vocabulary: tuple[str, ...] = ("dog", "car")) -> list[Pair]:
    maker, rng = QuestionMaker(vocabulary), np.random.default_rng(0)
    return [pair for _ in range(times) for pair in maker.draw(about, rng, count)]


def answers(pairs: list[Pair], *parts: str) -> Counter[str]:
    """Of questions that have all ``parts``."""
    return Counter(answer for question, answer in pairs if all(part in question for part in parts))


def test_presence_is_half_of_the_questions_and_half_yes() -> None:
    pairs = drawn(known("A red car", things=(CAR,), main=("sports car", 0.9)))
    presence = [answer for _, answer in pairs if answer in ("yes", "no")]
    # About eight hundred fair coins: five standard deviations are 71.
    assert len(presence) == 400 * 2
    assert abs(presence.count("yes") - 400) < 71


def test_answers_are_what_is_known() -> None:
    pairs = drawn(known(things=(CAR, DOG, Thing("cat", 0.3)), main=("sports car", 0.5)), vocabulary=("dog", "cat"))
    assert answers(pairs, "a dog").keys() == {"yes"}
    assert answers(pairs, "a person").keys() == {"no"}
    assert answers(pairs, "a cat") == Counter()
    assert answers(pairs, "colour", "car").keys() == {"red"}
    assert answers(pairs, "colour", "dog") == Counter()
    assert answers(pairs, "Which vehicle").keys() == {"car"}
    assert answers(pairs, "What animal").keys() == {"dog"}
    assert answers(pairs, "people").keys() == {"0"}
    assert answers(pairs, "dogs").keys() == {"1"}
    assert answers(pairs, "main thing").keys() == {"a sports car"}


def test_a_main_thing_that_is_less_likely_than_not_is_not_named() -> None:
    assert answers(drawn(known(main=("sports car", 0.49))), "main thing") == Counter()


def test_a_kind_is_named_where_it_is_one_thing_and_is_none_where_it_is_absent() -> None:
    two = drawn(known(things=(DOG, Thing("cat", 0.9))))
    assert answers(two, " animal ", "What ") == Counter()
    assert answers(two, "Which vehicle").keys() == {"none"}
    assert answers(drawn(known(things=(DOG, DOG))), "Which animal").keys() == {"dog"}
    assert answers(drawn(known("A puppy")), "Which animal") == Counter()


def test_colours_are_asked_of_things_that_are_alone_and_no_people() -> None:
    twice = drawn(known(things=(CAR, Thing("car", 0.7, "blue"), Thing(PERSON, 0.9, "green"))))
    assert answers(twice, "colour") == Counter()
    beside = drawn(known(things=(CAR, Thing("car", 0.5, "blue"))))
    assert answers(beside, "colour").keys() == {"red"}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("person", "people"), ("bus", "buses"), ("wine glass", "wine glasses"), ("pair of skis", "pairs of skis")],
)
def test_numbers_are_asked_in_the_plural(name: str, wanted: str) -> None:
    pairs = drawn(known(things=(Thing(name, 0.9),) * 3))
    counted = {question for question, answer in pairs if answer == "3"}
    assert counted == {
        f"How many {wanted} are there?",
        f"How many {wanted} are in the picture?",
        f"Count the {wanted}.",
    }


def test_colours_are_asked_for_where_captions_may_name_them() -> None:
    captioned = drawn(known("A gray cat"), times=500)
    assert answers(captioned, "something grey").keys() == {"yes"}
    assert answers(captioned, "something red").keys() == {"no"}
    assert answers(drawn(known(things=(CAR,)), vocabulary=("orange", "car")), "something") == Counter()


@pytest.mark.parametrize("about", [known(), known(things=(CAR, DOG, Thing(PERSON, 0.9)))], ids=["nothing", "all"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_there_is_always_a_question_and_never_one_too_many(about: Known, count: int) -> None:
    maker, rng = QuestionMaker(()), np.random.default_rng(1)
    assert {len(maker.draw(about, rng, count)) for _ in range(300)} <= set(range(1, count + 1))


def test_where_much_is_known_the_other_half_is_filled() -> None:
    """Presence, number, kind, colour and main thing: two of the last four beside two of the first."""
    maker, rng = QuestionMaker(()), np.random.default_rng(2)
    about = known(things=(CAR, DOG), main=("sports car", 0.9))
    others = [[one for one in maker.draw(about, rng, 4) if one[1] not in ("yes", "no")] for _ in range(300)]
    assert {len(one) for one in others} == {2}
    assert {answer for one in others for _, answer in one} == {"0", "1", "car", "dog", "red", "a sports car"}


def test_questions_are_the_same_from_the_same_generator() -> None:
    about = known("A red car", things=(CAR, DOG))
    assert drawn(about, times=20) == drawn(about, times=20)
    assert len(set(drawn(about, times=20))) > 10


def test_a_kind_that_most_photos_show_is_asked_for_as_often_where_it_is_missing() -> None:
    """Else the question gives the answer away: nine photos of ten show somebody."""
    photos = [known(things=(Thing(PERSON, 0.9),))] * 90 + [known()] * 10
    maker, rng = QuestionMaker(("dog",), photos), np.random.default_rng(3)
    pairs = [pair for _ in range(60) for one in photos for pair in maker.draw(one, rng, 4)]
    people = answers(pairs, "a person")
    # Two fair shares of about 400: five standard deviations of their ratio are .36.
    assert 0.64 < people["no"] / people["yes"] < 1.36


def test_what_few_photos_show_is_asked_for_no_more_often_than_what_twelve_show() -> None:
    zebra, dog = Thing("zebra", 0.9), Thing("dog", 0.9)
    photos = [known(things=(zebra, dog))] + [known(things=(dog,))] * 11
    maker, rng = QuestionMaker(("zebra", "dog"), photos), np.random.default_rng(4)
    found = answers([pair for _ in range(2000) for pair in maker.draw(photos[0], rng, 2)], "a zebra")["yes"]
    other = answers([pair for _ in range(2000) for pair in maker.draw(photos[0], rng, 2)], "a dog")["yes"]
    assert 0.8 < found / other < 1.25


def test_sentences_are_all_captions() -> None:
    rng = np.random.default_rng(0)
    pairs = [sentence(Photo(Path("a.jpg"), ("A dog", "A cat")), rng) for _ in range(100)]
    assert {answer for _, answer in pairs} == {"A dog", "A cat"}
    assert len({question for question, _ in pairs}) == 3

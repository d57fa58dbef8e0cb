"""Every name has words by which captions can have it, and wordings that a person would use."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.training.field.photos import Photo
from heliograph.training.field.things import (
    ANIMAL,
    COCO,
    COLOURS,
    DETECTED_AS,
    KINDS,
    THINGS,
    TRIAL_WORDS,
    VEHICLE,
    WORDS_OF,
    plural,
    with_article,
    words_for,
)

NAMES = sorted({*COCO.values(), *KINDS, *THINGS, *COLOURS, *TRIAL_WORDS})


def words(caption: str) -> frozenset[str]:
    return Photo(Path("a.jpg"), (caption,)).words


def test_a_caption_with_the_name_has_the_thing() -> None:
    assert [name for name in NAMES if not words(f"There is {with_article(name)} here") & words_for(name)] == []


def test_a_caption_with_its_plural_has_the_thing() -> None:
    names = sorted({*COCO.values(), ANIMAL, VEHICLE})
    assert [name for name in names if not words(f"Many {plural(name)}, really") & words_for(name)] == []


def test_words_are_such_as_photos_have_them() -> None:
    assert [text for name in NAMES for text in words_for(name) if text not in words(text)] == []


@pytest.mark.parametrize(
    ("thing", "caption"),
    [
        ("grey", "A gray cat"),
        ("knife", "Two knives on a board"),
        ("mouse", "Mice"),
        ("pair of skis", "A man on skis"),
        ("tennis racket", "She lifts her tennis racket"),
        ("couch", "A cat on the sofa"),
        ("phone", "A man with a cellphone"),
        ("bird", "Seagulls over the sea"),
    ],
)
def test_captions_name_things_by_other_words_too(thing: str, caption: str) -> None:
    assert words(caption) & words_for(thing)


@pytest.mark.parametrize(
    ("thing", "caption"),
    [
        ("traffic light", "A light blue shirt in the traffic"),
        ("wine glass", "Wine, and a pane of glass"),
        ("dog", "A hotdog"),
        ("cat", "A man catches a ball"),
    ],
)
def test_parts_of_names_are_not_the_thing(thing: str, caption: str) -> None:
    assert not words(caption) & words_for(thing)


def test_names_belong_to_the_teacher() -> None:
    """Ninety numbers with ten gaps, each name once; kinds are made of them."""
    assert len(COCO) == len(set(COCO.values())) == 80
    assert min(COCO) == 1
    assert max(COCO) == 90
    for names in DETECTED_AS.values():
        assert names <= set(COCO.values())
    assert KINDS.items() <= DETECTED_AS.items()
    assert WORDS_OF.keys() <= set(NAMES)
    assert len(set(THINGS)) == len(set(TRIAL_WORDS)) == 20


def test_kinds_hold_the_words_of_what_they_are_made_of() -> None:
    """But for riders, whose bicycle a caption need not name."""
    riders = {"biker", "bikers", "cyclist"}
    for kind, names in KINDS.items():
        for name in names:
            assert words_for(name) - words_for(kind) <= riders, name
    assert words_for("bike") - words_for(VEHICLE) <= riders


def test_articles() -> None:
    assert with_article("airplane") == "an airplane"
    assert with_article("pair of scissors") == "a pair of scissors"
    assert with_article("people") == "people"
    assert with_article("grey") == "something grey"

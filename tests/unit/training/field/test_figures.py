"""Figures with intervals: of photos that are all alike, and of those whose figures are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from heliograph.training.field.figures import BOUNDS, FieldFigures
from heliograph.training.field.photos import Photo
from heliograph.training.field.questions import Known, Thing
from heliograph.training.field.things import KINDS, THINGS, TRIAL_WORDS

PHOTOS = 100


def expected_calibration_error() -> float:
    """Worked out question by question: every answer is shown with the chance of a lean of one."""
    right = total = 0
    for thing in (*THINGS, *KINDS):
        for place in range(PHOTOS):
            dog = place < PHOTOS // 2
            there = dog if thing in ("dog", "animal") else thing in ("grass", "field") and not dog
            yes = dog and place >= 10
            right, total = right + (yes == there), total + 1
    return abs(right / total - 1 / (1 + math.exp(-1)))


def figures(*, right: float = 2.0, picked: int = 64) -> FieldFigures:
    """Half of the photos show a dog and no more, which is seen in all but the first ten of them."""
    dogs = np.arange(PHOTOS) < PHOTOS // 2
    known = [
        Known(Photo(Path("a.jpg"), ("A dog" if dog else "Grass",)), (Thing("dog", 0.9),) * int(dog)) for dog in dogs
    ]
    lean = np.where(dogs & (np.arange(PHOTOS) >= 10), 1.0, -1.0)
    tokens = np.full(PHOTOS, 4.0)
    return FieldFigures(
        known=known,
        things=np.repeat(lean[:, None], len(THINGS), 1),
        trial_words=np.zeros((PHOTOS, len(TRIAL_WORDS))),
        kinds=np.repeat(lean[:, None], len(KINDS), 1),
        picks=(np.arange(PHOTOS) < picked).astype(np.float64),
        losses={name: np.stack([tokens * nats, tokens], 1) for name, nats in (("right", right), ("prefix", 2.25))},
    )


def test_values() -> None:
    area, kinds, pick, gain, calibration = figures().values().values()
    # Dogs: 40 of 50 are apart from all others, and 10 look like them. Of grass, which "field" is a word for too, the
    # model says the same, so what is right of dogs is wrong of it.
    assert area == pytest.approx((0.9 + 0.1 + 0.1) / 3)
    assert kinds == pytest.approx(0.9)
    assert pick == pytest.approx(0.64)
    assert gain == pytest.approx(0.25)
    assert calibration == pytest.approx(expected_calibration_error())
    assert list(figures().values()) == list(BOUNDS)


def test_intervals_are_those_of_the_binomial_where_photos_are_hits_or_misses() -> None:
    """64 of 100: the normal approximation gives .64 -+ 1.96 x .048."""
    low, high = figures().intervals()["own caption picked among ten"]
    assert low == pytest.approx(0.546, abs=0.02)
    assert high == pytest.approx(0.734, abs=0.02)


def test_photos_that_are_all_alike_leave_no_doubt() -> None:
    name = "caption loss below that of a trained prefix without photo, nats a token"
    assert figures().intervals()[name] == pytest.approx((0.25, 0.25))


def test_json_has_interval_must_and_aim() -> None:
    made = figures().as_json()
    (kinds,) = (one for name, one in made["figures"].items() if "people" in name)
    assert kinds["must"] == 0.85
    assert kinds["aim"] == 0.92
    assert kinds["interval"][0] < 0.9 < kinds["interval"][1]
    assert made["kinds"] == {"animal": 0.9}
    assert made["caption_loss"] == {"right": 2.0, "prefix": 2.25}

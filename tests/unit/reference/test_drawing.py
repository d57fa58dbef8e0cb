"""Pictures of words for the reference model: what is drawn where, and what is left out."""

from __future__ import annotations

import pytest

from heliograph.reference.assets import shipped_model_folder
from heliograph.reference.drawing import drawer_for, drawn, plan_of
from heliograph.reference.questions import describe
from heliograph.reference.scenes import SCENE_SIZE, plan_scene


def test_a_description_is_drawn_as_a_scene_of_the_same_description() -> None:
    for seed in range(200):
        words = describe(plan_scene(seed))
        assert sorted(describe(plan_of(words)).removesuffix(".").split(", ")) == sorted(
            words.removesuffix(".").split(", ")
        )


def test_what_a_reader_found_is_drawn_as_signs() -> None:
    lines = "large text top left: K47", "medium text bottom right: C06", "large text middle center: O", "small dog: A11"
    plan = plan_of("\n".join(lines))
    large, small = plan.plates
    assert (large.text, large.large, small.text, small.large) == ("K47", True, "C06", False)
    assert large.box.right < SCENE_SIZE / 2 < small.box.left
    assert plan.objects == ()


@pytest.mark.parametrize("words", ["", "nothing", "a pink star top left.", "a red star above.", "\x00" * 50])
def test_other_words_draw_an_empty_scene(words: str) -> None:
    plan = plan_of(words)
    assert (plan.objects, plan.plates) == ((), ())
    assert drawn(words).size == (SCENE_SIZE, SCENE_SIZE)


def test_a_crowd_is_bounded() -> None:
    assert len(plan_of(", ".join(["a red star top left"] * 500) + ".").objects) == 64


def test_only_the_shipped_model_has_words_drawn() -> None:
    assert drawer_for("reference") is drawn
    assert drawer_for(str(shipped_model_folder())) is drawn
    for name in ("", "other/model", "reference-2", "\x00"):
        assert drawer_for(name) is None

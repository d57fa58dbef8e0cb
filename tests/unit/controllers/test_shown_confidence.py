"""The confidence that users are shown: the calibrated chance, less of it for photos of another kind."""

from __future__ import annotations

import math

import pytest

from heliograph.codec.calibration import Calibration, Curve
from heliograph.controllers.confidence import UNFAMILIAR_SHARE, Draft, shown_confidence, signals_of
from heliograph.types import Answer

ANSWER = Answer("red", 0.5, 1.0, (7,), 0.1, 0.9, (1.0,))
SIGNALS = signals_of([Draft(ANSWER, 40)])


def curve(bias: float) -> Curve:
    """The same chance for every answer."""
    return Curve(("min-entropy",), (0.0,), (1.0,), (0.0,), bias)


AGREES, RIGHT = {"min-entropy": curve(2.0)}, {"min-entropy": curve(-1.0)}


def test_the_chance_of_a_right_answer_is_shown() -> None:
    shown = shown_confidence(ANSWER, SIGNALS, Calibration(AGREES, RIGHT))
    assert shown == pytest.approx(1 / (1 + math.e))


def test_without_right_answers_the_models_own_confidence_counts_too() -> None:
    shown = shown_confidence(ANSWER, SIGNALS, Calibration(AGREES, AGREES))
    assert shown == pytest.approx(0.5 / (1 + math.exp(-2)))


def test_without_a_calibration_it_is_the_models_own() -> None:
    assert shown_confidence(ANSWER, None, None) == 0.5
    assert shown_confidence(ANSWER, None, Calibration(AGREES, RIGHT)) == 0.5


@pytest.mark.parametrize("likelihood", [1.0, 0.5, 0.0])
def test_a_photo_of_another_kind_lowers_it(likelihood: float) -> None:
    shown = shown_confidence(ANSWER, None, None, likelihood)
    assert shown == pytest.approx(0.5 * (likelihood + (1 - likelihood) * UNFAMILIAR_SHARE))


@pytest.mark.parametrize(("tokens", "shown"), [(12, 1 / (1 + math.e)), (13, 0.5), (45, 0.5)])
def test_of_a_longer_answer_than_was_calibrated_it_is_the_models_own(tokens: int, shown: float) -> None:
    answer = Answer("a sign K52 top right", 0.5, 1.0, tuple(range(tokens)), 0.1, 0.9, (1.0,) * tokens)
    signals = signals_of([Draft(answer, 40)])
    assert shown_confidence(answer, signals, Calibration(AGREES, RIGHT)) == pytest.approx(shown)

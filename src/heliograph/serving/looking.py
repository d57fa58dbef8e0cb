"""Whether to look at a region of the original after a first answer, and where (arXiv 2512.16349, second stage)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from heliograph.boxes import REGION_SCALE, WireBox, wire_box
from heliograph.codec.calibration import COMBINED, Calibration, Signals
from heliograph.controllers.region.policies import FirstLook, Price, RegionPolicy
from heliograph.registry import REGION_POLICIES
from heliograph.types import Answer, Grid, VisualTokens, says_nothing

if TYPE_CHECKING:
    from heliograph.vlm.contract import RegionFinder


@dataclass(frozen=True)
class FirstAnswer:
    """What there is to decide on.

    Attributes:
        question: text.
        tokens: (N, D) that the answer was made from.
        answer: the first one.
        signals: of it; None where nothing is calibrated.
        policy: registry name.
        price: of a look.
    """

    question: str
    tokens: VisualTokens
    answer: Answer
    signals: Signals | None
    policy: str
    price: Price


def region_of(finder: RegionFinder, first: FirstAnswer, calibration: Calibration | None) -> WireBox | None:
    """The box to ask for; None where the first answer stays.

    Raises:
        UnknownNameError: no such policy.
        HeliographError: the finder cannot read this model or these tokens.
    """
    policy: RegionPolicy = REGION_POLICIES.load(first.policy)()
    size = _photo_size(first.tokens.grid)
    found = finder.find(first.question, first.tokens, size)
    right = None if calibration is None or first.signals is None else calibration.right(COMBINED, first.signals)
    key = first.question.encode() + first.tokens.values.tobytes()
    doubt_bits = inf if says_nothing(first.answer.text) else first.answer.min_entropy_bits  # one that says nothing
    box = policy.decide(FirstLook(doubt_bits, right, found, size, key, first.price))
    return None if box is None else wire_box(box, *size)


def _photo_size(grid: Grid) -> tuple[int, int]:
    """Size in pixels where the tokens tell it; else the photo counts as square, as it was squashed for the model."""
    return grid.photo_width or REGION_SCALE, grid.photo_height or REGION_SCALE

"""What controllers read of a prefix before any answer is made from it: in a thread of its own, off the event loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from heliograph.codec.expectation import Expectation
from heliograph.controllers.base import ENERGY, EXPECTATION
from heliograph.serving.cloud import Cloud
from heliograph.types import EncodedImage


@dataclass(frozen=True)
class Measured:
    """Of one prefix.

    Attributes:
        energy: retained share; None where it was not wanted, or the strategy cannot know it.
        expectations: by question, where they were wanted and the codec has an error head.
    """

    energy: float | None = None
    expectations: Mapping[int, Expectation] = field(default_factory=dict)


def measure(cloud: Cloud, encoded: EncodedImage, reads: frozenset[str], questions: Mapping[int, str]) -> Measured:
    """What is wanted of a prefix.

    Args:
        cloud: its codecs.
        encoded: the prefix.
        reads: of :data:`heliograph.controllers.base.ENERGY` and ``EXPECTATION``.
        questions: texts by id.

    Raises:
        HeliographError: the prefix is damaged.
    """
    energy = cloud.retained_energy(encoded) if ENERGY in reads else None
    if EXPECTATION not in reads:
        return Measured(energy)
    foretold = {question_id: cloud.expect(encoded, text) for question_id, text in questions.items()}
    return Measured(energy, {question_id: one for question_id, one in foretold.items() if one is not None})

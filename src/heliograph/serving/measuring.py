"""What controllers read of a prefix before any answer is made from it: in a thread of its own, off the event loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from heliograph.clock import worked_s
from heliograph.codec.expectation import Expectation
from heliograph.controllers.base import AGREEMENT, ENERGY, EXPECTATION
from heliograph.serving.cloud import Cloud
from heliograph.serving.desk.photo import Photo
from heliograph.serving.desk.question import OpenQuestion
from heliograph.types import EncodedImage

_MAX_MEASURED = 8  # questions whose expectation is measured in one turn: each decodes the prefix

_Arguments = ParamSpec("_Arguments")
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Measured:
    """Measurements of one prefix.

    Attributes:
        energy: retained share; None where it was not wanted, or the strategy cannot know it.
        expectations: by question, where they were wanted and the codec has an error head.
        agreement: share of answers that are expected to agree; None as ``energy``.
    """

    energy: float | None = None
    expectations: Mapping[int, Expectation] = field(default_factory=dict)
    agreement: float | None = None


@dataclass(frozen=True)
class Measuring:
    """What is to be measured, and for whom.

    Attributes:
        photo: its newest prefix.
        segments: of that prefix.
        reads: of :data:`heliograph.controllers.base.ENERGY`, ``EXPECTATION`` and ``AGREEMENT``.
        questions: that wait for it, by id.
        left: further questions wait for another turn.
    """

    photo: Photo
    segments: int
    reads: frozenset[str]
    questions: Mapping[int, OpenQuestion]
    left: bool = False

    @property
    def texts(self) -> dict[int, str]:
        """Texts of the questions, by id."""
        return {question_id: question.asked.question.text for question_id, question in self.questions.items()}


def wanted_of(photo: Photo, undecided: Sequence[OpenQuestion], drafting: bool) -> Measuring | None:
    """What questions want of a photo's newest prefix, those first who have waited longest; None for nothing.

    Args:
        photo: that is not complete.
        undecided: questions that do not have enough of it.
        drafting: drafts are made for them.
    """
    reads: frozenset[str] = frozenset().union(*(question.wants_measured(drafting) for question in undecided))
    asking = [question for question in undecided if question.measured_segments != len(photo)]
    if not reads or not asking:
        return None
    asking.sort(key=lambda question: question.measured_segments)
    most = _MAX_MEASURED if EXPECTATION in reads else len(asking)
    chosen = {question.asked.question_id: question for question in asking[:most]}
    return Measuring(photo, len(photo), reads, chosen, left=len(asking) > most)


def measure(cloud: Cloud, encoded: EncodedImage, reads: frozenset[str], questions: Mapping[int, str]) -> Measured:
    """What is wanted of a prefix.

    Args:
        cloud: its codecs.
        encoded: the prefix.
        reads: of :data:`heliograph.controllers.base.ENERGY`, ``EXPECTATION`` and ``AGREEMENT``.
        questions: texts by id.

    Raises:
        HeliographError: the prefix is damaged.
    """
    energy = cloud.retained_energy(encoded) if ENERGY in reads else None
    agreement = cloud.agreement(encoded) if AGREEMENT in reads else None
    if EXPECTATION not in reads:
        return Measured(energy, agreement=agreement)
    predicted = {question_id: cloud.expect(encoded, text) for question_id, text in questions.items()}
    known = {question_id: one for question_id, one in predicted.items() if one is not None}
    return Measured(energy, known, agreement)


class Meter:
    """Processor seconds of one piece of work, whatever thread it is done in and however it ends."""

    def __init__(self) -> None:
        self.worked_s = 0.0

    def run(self, work: Callable[_Arguments, _Made], *arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Made:
        """Do it; raises what it raises."""
        started = worked_s()
        try:
            return work(*arguments, **named)
        finally:
            self.worked_s += worked_s() - started

"""One piece of work for the model thread, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from heliograph.boxes import WireBox
from heliograph.codec.calibration import Signals
from heliograph.codec.expectation import Expectation
from heliograph.controllers.region.policies import Price
from heliograph.errors import HeliographError
from heliograph.question import Question
from heliograph.types import Answer, EncodedImage, VisualTokens

UNKNOWN_PRICE = Price()


class Purpose(Enum):
    """What a job is for.

    Attributes:
        DRAFT: an answer while the photo still comes.
        FINAL: the answer on all that has arrived.
        LOOK: whether, and where, to look again.
        SECOND: the answer from the whole photo and the region together.
    """

    DRAFT = "draft"
    FINAL = "final"
    LOOK = "look"
    SECOND = "second"


@dataclass(frozen=True)
class AnswerJob:
    """One answer to make, or one look.

    Attributes:
        question_id, image_id: within their session.
        question: as it was asked.
        encoded: the prefix to answer from.
        tokens: what this prefix restores to, where it was restored before.
        draft: an earlier answer to this question, to verify; for a look and a second answer the first one.
        purpose: see there.
        price: of a look.
        signals: of ``draft``; None where nothing is calibrated.
        crop: the region as it was sent, for a second answer.
        waited_s: how long the device has waited for this to begin; None for a draft.
    """

    question_id: int
    image_id: int
    question: Question
    encoded: EncodedImage
    tokens: VisualTokens | None
    draft: Answer | None
    purpose: Purpose
    price: Price = UNKNOWN_PRICE
    signals: Signals | None = None
    crop: EncodedImage | None = None
    waited_s: float | None = None

    @property
    def final(self) -> bool:
        """The photo is not waited for any more."""
        return self.purpose is not Purpose.DRAFT


@dataclass(frozen=True)
class Outcome:
    """What became of a job: an answer, a box, an error, or none of them (a picture that is not complete enough for a
    draft; nothing to look at).

    Attributes:
        tokens: that the prefix restored to.
        kept_tokens: of the draft.
        seconds: in the model thread; of what was done for several jobs together, its share.
        elapsed_s: from its beginning to its end, with what was done for others in between.
        expectation, energy: what the codec tells of the prefix, for the answer's calibrated chance.
        likelihood: chance that the photo is of the kind that its codec was fitted on; None where unknown.
        box: to look at.
        stopped: nothing became of it, as nobody wanted it any more or it had to make room.
    """

    answer: Answer | None = None
    error: HeliographError | None = None
    tokens: VisualTokens | None = None
    kept_tokens: int = 0
    seconds: float = 0.0
    expectation: Expectation | None = None
    energy: float | None = None
    likelihood: float | None = None
    box: WireBox | None = None
    stopped: bool = False
    elapsed_s: float = 0.0

"""One question, from the command line to the model: what is asked, and when its answer is good enough.

The same object goes all the way::

    command line -> DeviceClient.ask -> DeviceSession.ask --QUESTION--> QuestionAsked -> OpenQuestion -> AnswerJob

On the wire some fields are codes of one byte, see :mod:`heliograph.protocol.questions`. A new option is a field here,
its bits in the QUESTION frame, and whoever reads it. Standard library only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType

from heliograph.errors import QuestionEmptyError, QuestionTooLongError, UsageError

MAX_QUESTION_CHARACTERS = 2000
MAX_ANSWER_TOKENS = 1024
MAX_TARGET = 255

ENERGY, PUSH, PULL, LEVEL, FIXED = "energy", "push", "pull", "level", "fixed"
COMBINED = "combined"
NO_REGION, ALWAYS = "never", "always"

NO_LIMIT = 0
"""Target of ``fixed``: the whole photo."""

DEFAULT_TARGETS = MappingProxyType({ENERGY: 230, PUSH: 243, PULL: 243, LEVEL: 243, FIXED: NO_LIMIT})
"""Nine tenths of the energy, or 95 % of the answers as from the whole photo, rounded up to 1/255; else 0."""

DEFAULT_ANSWER_TOKENS = 64
DEFAULT_TIMEOUT_S = 120.0
"""How long whoever asks waits for the final answer, everything included. No part of the question: it never travels."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and when the stream of the photo may stop.

    Attributes:
        text: 1 to 2000 characters.
        controller: what stops the stream: ``push``, ``pull``, ``level``, ``energy`` or ``fixed``. None takes ``push``
            where the device's bundle holds a calibration, else ``energy``.
        target: of the controller, 0 to 255. ``energy``: retained share times 255; ``push``, ``pull`` and ``level``:
            quality times 255; ``fixed``: code of a byte budget. None takes the one in :data:`DEFAULT_TARGETS`.
        confidence: what ``push`` judges an answer by.
        byte_budget: payload bytes at most, of the photo and its regions, headers included; None for no bound. It
            travels as a code, rounded down by up to 6 %. What an earlier question sent of the photo counts, and what is
            sent again after a connection broke. A region that does not fit whole is not sent.
        answer_within_s: seconds from the question to the answer that the cloud aims at; None for no such aim.
        region: policy by which the cloud may ask for a crop of the original photo.
        max_answer_tokens: 1 to 1024.

    Raises:
        QuestionEmptyError, QuestionTooLongError: the text's length.
        UsageError: a number is outside its range, or the text is not Unicode.
    """

    text: str
    controller: str | None = None
    target: int | None = None
    confidence: str = COMBINED
    byte_budget: int | None = None
    answer_within_s: float | None = None
    region: str = NO_REGION
    max_answer_tokens: int = DEFAULT_ANSWER_TOKENS

    def __post_init__(self) -> None:
        check_text(self.text)
        if self.target is not None and not 0 <= self.target <= MAX_TARGET:
            raise UsageError.of_argument("target", f"0 to {MAX_TARGET}", self.target)
        if self.byte_budget is not None and self.byte_budget < 1:
            raise UsageError.of_argument("byte_budget", "1 byte or more", self.byte_budget)
        if self.answer_within_s is not None and not 0 < self.answer_within_s < math.inf:
            raise UsageError.of_argument("answer_within_s", "a finite time above 0", self.answer_within_s)
        if not 1 <= self.max_answer_tokens <= MAX_ANSWER_TOKENS:
            raise UsageError.of_argument("max_answer_tokens", f"1 to {MAX_ANSWER_TOKENS}", self.max_answer_tokens)

    @classmethod
    def of(cls, question: str | Question) -> Question:
        """A question that is nothing but its text, or one as it is.

        Raises:
            QuestionEmptyError, QuestionTooLongError, UsageError: as for a question with this text.
        """
        return cls(question) if isinstance(question, str) else question

    @property
    def effective_controller(self) -> str:
        """The controller that was named; ``energy``, which needs no calibration, where none was."""
        return self.controller or ENERGY

    @property
    def effective_target(self) -> int:
        """The target that was given, or its controller's default."""
        return DEFAULT_TARGETS.get(self.effective_controller, 0) if self.target is None else self.target

    @property
    def level_agreement(self) -> float | None:
        """Share of answers, 0 to 1, that ``level`` is to have agree; None with another controller."""
        return self.effective_target / MAX_TARGET if self.effective_controller == LEVEL else None

    def completed(self, *, calibrated: bool = False) -> Question:
        """The question with a controller and a target.

        Args:
            calibrated: the device can tell how likely an answer is right.
        """
        named = self
        if self.controller is None:
            named = replace(self, controller=PUSH if calibrated else ENERGY)
        return replace(named, target=named.effective_target)


def check_text(text: str) -> None:
    """Refuse what cannot be asked.

    Raises:
        QuestionEmptyError: nothing but white space.
        QuestionTooLongError: over 2000 characters.
        UsageError: it holds a lone surrogate, as from a terminal with another encoding.
    """
    if len(text) > MAX_QUESTION_CHARACTERS:
        raise QuestionTooLongError
    if not text.strip():
        raise QuestionEmptyError
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError().noted("the question is no Unicode text: it holds a lone surrogate.") from error

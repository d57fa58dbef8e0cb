"""One open question: its state, its controller and its drafts so far. No I/O.

What can happen to it stands in :mod:`heliograph.serving.desk.states`; :class:`heliograph.serving.desk.desk.Desk` has it
happen.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from math import inf
from sys import getsizeof

from heliograph.codec.calibration import Signals
from heliograph.codec.expectation import Expectation
from heliograph.controllers.base import Controller, Decision, Observation
from heliograph.controllers.confidence import Calibration, Draft, shown_confidence, signals_of
from heliograph.controllers.foresight import predicted_signals
from heliograph.protocol.events import QuestionAsked
from heliograph.protocol.frames import NO_FLAGS, AnswerFlag
from heliograph.question import NO_REGION
from heliograph.serving.desk.photo import NOTHING, Photo
from heliograph.serving.desk.states import DECIDED_STATES, TIME_LIMITS, QuestionEvent, QuestionState
from heliograph.serving.jobs import Outcome
from heliograph.types import Answer

log = logging.getLogger("heliograph.serving")


_QUESTION_BYTES = 2600
"""Memory of an open question with its controller, signals and place in both books of the session; measured."""
_INTEGER_BYTES, _FLOAT_BYTES = 32, 24


@dataclass
class OpenQuestion:
    """A question without a final answer.

    Attributes:
        asked: as it came.
        controller: decides when there is enough.
        reads, reads_undrafted: what it wants measured of every new prefix, and what where no drafts are made.
        asked_s: when it came.
        awaited_s: since when an answer or a look that the device waits for could have been begun; None for no such.
        state: where it stands.
        draft: the newest answer, from ``draft_segments`` segments, with its ``signals``.
        confidence: the chance that ``draft`` is right, as the device is told.
        likelihood: chance that the photo is of the kind that its codec was fitted on; None where unknown.
        tried_segments: of the newest prefix that a draft was tried on.
        expectation: of the prefix of ``measured_segments``.
        asked_segments: up to which the device was asked to go on.
        take_draft: the draft is the first answer as it is.
        crop_id: the photo that shows the region.
        limits_s: when its time limits are over, by what happens then.
        flags: what there is to say about the final answer.
    """

    asked: QuestionAsked
    controller: Controller
    reads: frozenset[str]
    reads_undrafted: frozenset[str]
    asked_s: float
    awaited_s: float | None = None
    state: QuestionState = QuestionState.WAITING
    draft: Answer | None = None
    draft_segments: int = NOTHING
    signals: Signals | None = None
    confidence: float = 0.0
    likelihood: float | None = None
    tried_segments: int = NOTHING
    expectation: Expectation | None = None
    measured_segments: int = NOTHING
    asked_segments: int = 0
    take_draft: bool = False
    crop_id: int | None = None
    limits_s: dict[QuestionEvent, float] = field(default_factory=dict)
    flags: AnswerFlag = NO_FLAGS

    @property
    def held_bytes(self) -> int:
        """Memory that the question and its draft take."""
        return _QUESTION_BYTES + getsizeof(self.asked.question.text) + _answer_bytes(self.draft)

    @property
    def decided(self) -> bool:
        """The photo is not waited for any more."""
        return self.state in DECIDED_STATES

    @property
    def wants_look(self) -> bool:
        """A region policy is to be asked about the first answer."""
        return self.asked.question.region != NO_REGION

    @property
    def due_s(self) -> float:
        """When the time limit of its state is over; infinity for none."""
        limit = TIME_LIMITS.get(self.state)
        return inf if limit is None else self.limits_s.get(limit, inf)

    @property
    def wanted_s(self) -> float:
        """When the device wants its answer; infinity where it names no time."""
        within_s = self.asked.question.answer_within_s
        return inf if within_s is None else self.asked_s + within_s

    # ---- controller --------------------------------------------------------------------------------
    def wants_measured(self, drafting: bool) -> frozenset[str]:
        """What its controller reads of every new prefix now."""
        return self.reads if drafting else self.reads_undrafted

    def decide(
        self, photo: Photo, now: float, answer_s: float, drafting: bool = True
    ) -> tuple[Observation, Decision] | None:
        """Ask the controller: what it saw, and what it said. None where it failed.

        Args:
            photo: of the question.
            now: seconds.
            answer_s: what an answer usually takes.
            drafting: drafts are made for it.
        """
        try:
            seen = self._observation(photo, now, answer_s, drafting)
            return seen, self.controller.decide(seen)
        except Exception:
            log.exception("a controller failed")
            return None

    def plan_answer(self, now: float, answer_s: float) -> None:
        """Have the controller asked again so long before the device wants its answer: what an answer takes changes."""
        begin_s = self.wanted_s - answer_s
        if now < begin_s < inf:
            self.limits_s[QuestionEvent.ANSWER_DUE] = begin_s

    def _observation(self, photo: Photo, now: float, answer_s: float, drafting: bool) -> Observation:
        """What was measured of a prefix goes with the size of that prefix."""
        segments = len(photo)
        if self.wants_measured(drafting) and not photo.finished:
            segments = max(self.measured_segments, 0)
        measured = self.measured_segments != NOTHING
        return Observation(
            received_bytes=photo.prefix_bytes(segments),
            segments=segments,
            retained_energy=photo.energy if measured else None,
            image_finished=photo.finished,
            draft_confidence=self.draft.confidence if self.draft else None,
            arrived=self._predicted(photo.prefix_bytes(segments)),
            draft=self.signals,
            draft_segments=self.draft_segments,
            total_segments=photo.total_segments,
            asked_segments=self.asked_segments,
            elapsed_s=now - self.asked_s,
            answer_s=answer_s,
            agreement=photo.agreement if measured else None,
            drafting=drafting,
        )

    def _predicted(self, received_bytes: int) -> Signals | None:
        expectation = self.expectation
        return None if expectation is None else predicted_signals(expectation, received_bytes, self.asked.question.text)

    # ---- answers -----------------------------------------------------------------------------------
    def note_draft(self, outcome: Outcome, segments: int, photo: Photo | None, calibration: Calibration | None) -> None:
        """Take a draft or first answer, with its signals where there is something to read them."""
        earlier, before, answer = self.draft, self.signals, outcome.answer
        assert answer is not None
        self.draft, self.draft_segments, self.signals = answer, segments, None
        self.likelihood = outcome.likelihood
        if calibration is not None and photo is not None:
            self.signals = self._signals(outcome, photo.prefix_bytes(segments), earlier, before)
        self.confidence = shown_confidence(answer, self.signals, calibration, self.likelihood)

    def _signals(self, outcome: Outcome, received: int, earlier: Answer | None, before: Signals | None) -> Signals:
        """The signals of an answer from so many payload bytes, after an earlier one with the signals ``before``."""
        answer = outcome.answer
        assert answer is not None
        newest = signals_of(
            [Draft(answer, received)],
            question=self.asked.question.text,
            expectation=outcome.expectation,
            retained_energy=outcome.energy,
        )
        if before is None or earlier is None or earlier.token_ids != answer.token_ids:
            return newest
        stable_bytes = before.stable_bytes + received - before.received_bytes
        return replace(newest, stable_drafts=before.stable_drafts + 1, stable_bytes=stable_bytes)

    def has_first_answer(self, photo: Photo) -> bool:
        """True once nothing of the photo can change the answer any more."""
        if not self.decided or self.draft is None:
            return False
        return self.take_draft or self.draft_segments == len(photo)

    def keep_more_confident(self, second: Answer, calibration: Calibration | None) -> None:
        """Keep the second answer where it is more confident than the first: what was right must not be spoiled."""
        if self.draft is None or second.confidence > self.draft.confidence:
            self.draft = second
            signals = signals_of([Draft(second, 0)], question=self.asked.question.text)
            self.confidence = shown_confidence(second, signals, calibration, self.likelihood)
            self.flags |= AnswerFlag.LOOKED

    def resume_from(self, earlier: OpenQuestion) -> None:
        """Take over what is known of an equal question that was open when the connection broke."""
        self.draft, self.draft_segments, self.signals = earlier.draft, earlier.draft_segments, earlier.signals
        self.confidence, self.likelihood = earlier.confidence, earlier.likelihood
        self.tried_segments = earlier.tried_segments


def reads_of(controller: Controller) -> tuple[frozenset[str], frozenset[str]]:
    """What a controller wants measured beside drafts, and without; nothing where it fails to say so."""
    try:
        return controller.reads(), controller.reads_undrafted()
    except Exception:
        log.exception("a controller failed")
        return frozenset(), frozenset()


def _answer_bytes(answer: Answer | None) -> int:
    """Memory of an answer with its numbers, each an object of its own."""
    if answer is None:
        return 0
    ids, bits = answer.token_ids, answer.token_bits
    numbers = _INTEGER_BYTES * len(ids) + _FLOAT_BYTES * len(bits)
    return getsizeof(answer.text) + getsizeof(ids) + getsizeof(bits) + numbers

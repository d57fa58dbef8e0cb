"""What the sessions of one server share: model, codec and bundle hash; and one piece of work for the model thread.

::

    AnswerJob(prefix, question, draft) --Strategy.restore--> tokens, picture or words --VLM--> Outcome
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from heliograph.boxes import WireBox
from heliograph.clock import now_s
from heliograph.codec.base import Codec
from heliograph.codec.calibration import Calibration
from heliograph.codec.expectation import Expectation
from heliograph.codec.fallback import stated_likelihood
from heliograph.codec.familiarity import FittedRanges
from heliograph.codec.levels import expected_agreement, levels_missing
from heliograph.codec.parts import FindPart, no_parts
from heliograph.errors import AnsweringFailedError, HeliographError, StreamTruncatedError
from heliograph.reference.drawing import drawer_for
from heliograph.serving.jobs import AnswerJob, Outcome, Purpose
from heliograph.serving.looking import FirstAnswer, region_of
from heliograph.strategies.restoring import StreamRestorer
from heliograph.strategies.selection import hears
from heliograph.strategies.words import asked_with
from heliograph.types import Answer, EncodedImage, Grid, VisualTokens, Words

if TYPE_CHECKING:
    from heliograph.vlm.contract import AnsweringModel, RegionFinder

log = logging.getLogger("heliograph.serving")

Seen = tuple[VisualTokens | Words, ...]
"""What the model sees: the photo, and for a second answer the region."""

_Made = TypeVar("_Made")


class Cloud(StreamRestorer["AnsweringModel"]):
    """Model, codecs by kind and bundle hash. Without codecs it is a cloud that only takes pictures.

    Args:
        model: answers.
        codecs: of the bundle, by kind.
        bundle_hash: both ends compare it.
        calibration: how likely answers from prefixes are right; None where nobody has fitted that.
        finder: tells where a question looks; None asks for no region.
        familiarity: what its codecs leave of photos of their own kind; None where nobody has measured that.
        grids: all that devices with this bundle send, photo sizes included; none where the bundle does not say.
        parts: finds trained parts of strategies, such as the bundle's; by itself there are none.
    """

    def __init__(
        self,
        model: AnsweringModel,
        codecs: Mapping[str, Codec] = MappingProxyType({}),
        bundle_hash: bytes = b"",
        calibration: Calibration | None = None,
        finder: RegionFinder | None = None,
        grids: Collection[Grid] = (),
        familiarity: FittedRanges | None = None,
        parts: FindPart = no_parts,
    ) -> None:
        super().__init__(model, codecs, grids, drawer_for(model.name), parts)
        self.bundle_hash = bundle_hash
        self.calibration = calibration
        self.finder = finder
        self._familiarity = familiarity

    def retained_energy(self, encoded: EncodedImage) -> float | None:
        """Share of the token energy that a prefix restores, or None where its strategy cannot know it.

        Raises:
            ShapeError: its grid is none of this model's.
            HeliographError: the prefix is damaged.
        """
        codec, header = self.opened(encoded)
        return None if codec is None else codec.retained_energy(header, encoded.segments)

    def agreement(self, encoded: EncodedImage) -> float | None:
        """Share of answers from a prefix, 0 to 1, that are expected to be those from uncompressed tokens; None where
        its strategy has no levels.

        Raises:
            BundleDamagedError: nobody has measured that of any codec of this bundle.
            ShapeError: its grid is none of this model's.
            HeliographError: the prefix is damaged.
        """
        codec, header = self.opened(encoded)
        if codec is None:
            return None
        if all(one.levels is None for one in self._codecs.values()):
            raise levels_missing()
        return expected_agreement(codec, header, encoded.segments)

    def expect(self, encoded: EncodedImage, question: str) -> Expectation | None:
        """What the codec predicts of an answer from a prefix; None where it has no error head.

        Raises:
            ShapeError: its grid is none of this model's.
            HeliographError: the prefix is damaged.
        """
        codec, header = self.opened(encoded)
        return None if codec is None else codec.expect(header, encoded.segments, question)

    # ---- jobs, in the model thread -----------------------------------------------------------------
    def run(self, job: AnswerJob) -> Outcome:
        """Do one job. Never raises; what was not foreseen becomes AnsweringFailedError and a line in the log."""
        started = now_s()
        done = self.attempt(job, lambda: self._done(job))
        took_s = now_s() - started
        return replace(done, seconds=took_s, elapsed_s=took_s)

    def attempt(self, job: AnswerJob, work: Callable[[], _Made]) -> _Made | Outcome:
        """What a part of a job gives, or the outcome that its failure is. Never raises."""
        try:
            return work()
        except HeliographError as error:
            return self.failed(job, error)
        except Exception:
            log.exception("%s failed", job.purpose.value)
            return self.failed(job, AnsweringFailedError())

    def failed(self, job: AnswerJob, error: HeliographError) -> Outcome:
        """A draft from less than shows a photo is no failure."""
        return Outcome(error=None if isinstance(error, StreamTruncatedError) and not job.final else error)

    def seen_of(self, job: AnswerJob) -> Seen:
        """What the model sees of a job's photo, and of its crop; from tokens at hand where there are any. What was
        restored for one question is no other's.

        Raises:
            HeliographError: a prefix is damaged, or shows nothing.
        """
        if hears(job.encoded.strategy):
            seen: Seen = (self.restore(job.encoded, job.question.text),)
        else:
            seen = (job.tokens if job.tokens is not None else self.restore(job.encoded),)
        return seen if job.crop is None else (*seen, self.restore(job.crop, job.question.text))

    def concluded(self, job: AnswerJob, seen: Seen, answer: Answer, kept_tokens: int) -> Outcome:
        """An answer with what there is to know about it; tokens that are one question's are given to nobody to keep.

        Raises:
            HeliographError: the prefix is damaged.
        """
        tokens = seen[0] if isinstance(seen[0], VisualTokens) and not hears(job.encoded.strategy) else None
        if job.crop is not None:
            return Outcome(answer, None, tokens, kept_tokens)
        likelihood = self.likelihood(job.encoded)
        if self.calibration is None:
            return Outcome(answer, None, tokens, kept_tokens, likelihood=likelihood)
        expectation, energy = self.expect(job.encoded, job.question.text), self.retained_energy(job.encoded)
        return Outcome(answer, None, tokens, kept_tokens, expectation=expectation, energy=energy, likelihood=likelihood)

    def _done(self, job: AnswerJob) -> Outcome:
        seen = self.seen_of(job)
        if job.purpose is Purpose.LOOK:
            tokens = seen[0] if isinstance(seen[0], VisualTokens) else None
            box = None if tokens is None else self.look(job, tokens)
            return Outcome(tokens=None if hears(job.encoded.strategy) else tokens, box=box)
        return self.concluded(job, seen, *self._answer(job, seen))

    def likelihood(self, encoded: EncodedImage) -> float | None:
        """Chance, 0 to 1, that a photo is of the kind that its stream's codec was fitted on; None where unknown."""
        return stated_likelihood(encoded, self._familiarity)

    def forget_questions(self) -> None:
        """Empty what the model keeps of questions and photo sizes to be quicker the next time; none waits for it."""
        self.model.forget_questions()

    def look(self, job: AnswerJob, tokens: VisualTokens) -> WireBox | None:
        """Where to look again after a first answer; None for nowhere."""
        if self.finder is None or job.draft is None:
            return None
        first = FirstAnswer(job.question.text, tokens, job.draft, job.signals, job.question.region, job.price)
        return region_of(self.finder, first, self.calibration)

    def _answer(self, job: AnswerJob, seen: Sequence[VisualTokens | Words]) -> tuple[Answer, int]:
        text, images = asked_with(job.question.text, seen)
        most = job.question.max_answer_tokens
        if job.draft is None:
            return self.model.answer(text, images, max_new_tokens=most), 0
        checked = self.model.verify_draft(text, images, job.draft, max_new_tokens=most)
        return checked.answer, checked.kept_tokens

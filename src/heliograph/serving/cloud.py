"""What the sessions of one server share: model, codec and bundle hash; and one piece of work for the model thread.

::

    AnswerJob(prefix, question, draft) --Strategy.restore--> tokens or picture --VLM--> Outcome(answer | box | error)
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from heliograph.boxes import WireBox
from heliograph.clock import now_s
from heliograph.codec.base import Codec
from heliograph.codec.calibration import Calibration
from heliograph.codec.expectation import Expectation
from heliograph.codec.fallback import written_by
from heliograph.codec.manifest import PREPROCESSING
from heliograph.edge.preprocessing.frames import FRAMES, open_preprocessor
from heliograph.errors import (
    AnsweringFailedError,
    BundleMismatchError,
    CodecMissingError,
    HeliographError,
    ShapeError,
    StreamTruncatedError,
)
from heliograph.registry import STRATEGIES
from heliograph.serving.jobs import AnswerJob, Outcome, Purpose
from heliograph.serving.looking import FirstAnswer, region_of
from heliograph.types import Answer, EncodedImage, Grid, VisualTokens, tokens_make_sense

if TYPE_CHECKING:
    from heliograph.codec.bundle import Bundle
    from heliograph.vlm.contract import AnsweringModel, RegionFinder

log = logging.getLogger("heliograph.serving")


class Cloud:
    """Model, codecs by kind and bundle hash. Without codecs it is a cloud that only takes pictures.

    Also the ``CloudTools`` that strategies restore with.

    Args:
        model: answers.
        codecs: of the bundle, by kind.
        bundle_hash: both ends compare it.
        calibration: how likely answers from prefixes are right; None where nobody has fitted that.
        finder: tells where a question looks; None asks for no region.
        grids: all that devices with this bundle send, photo sizes included; none where the bundle does not say.
    """

    def __init__(
        self,
        model: AnsweringModel,
        codecs: Mapping[str, Codec] = MappingProxyType({}),
        bundle_hash: bytes = b"",
        calibration: Calibration | None = None,
        finder: RegionFinder | None = None,
        grids: Collection[Grid] = (),
    ) -> None:
        self.model = model
        self.bundle_hash = bundle_hash
        self.calibration = calibration
        self.grid = model.grid
        self.hidden_size = model.hidden_size
        self._codecs = codecs
        self.finder = finder
        self._grids = frozenset(grids)

    def codec(self, kind: str) -> Codec:
        """The bundle's codec of one kind.

        Raises:
            BundleMismatchError: this cloud has no bundle.
            CodecMissingError: its bundle has none.
        """
        if not self._codecs:
            raise BundleMismatchError
        if kind not in self._codecs:
            raise CodecMissingError
        return self._codecs[kind]

    def retained_energy(self, encoded: EncodedImage) -> float | None:
        """Share of the token energy that a prefix restores, or None where its strategy cannot know it.

        Raises:
            ShapeError: its grid is none of this model's.
            HeliographError: the prefix is damaged.
        """
        codec, header = self._opened(encoded)
        return None if codec is None else codec.retained_energy(header, encoded.segments)

    def expect(self, encoded: EncodedImage, question: str) -> Expectation | None:
        """What the codec foretells of an answer from a prefix; None where it has no error head.

        Raises:
            ShapeError: its grid is none of this model's.
            HeliographError: the prefix is damaged.
        """
        codec, header = self._opened(encoded)
        return None if codec is None else codec.expect(header, encoded.segments, question)

    def restore(self, encoded: EncodedImage) -> VisualTokens:
        """Visual tokens of a prefix; a picture goes through the model's own encoder.

        Raises:
            StreamTruncatedError: the strategy needs more than this prefix.
            ShapeError: its grid is none of this model's.
            AnsweringFailedError: what was restored is not finite, or larger than any token is.
            HeliographError: the prefix is damaged, or nothing can be restored from this strategy.
        """
        self._opened(encoded)
        restored = STRATEGIES.load(encoded.strategy)().restore(encoded, self)
        if restored.tokens is not None:
            tokens: VisualTokens = restored.tokens
            if not tokens_make_sense(tokens.values):
                raise AnsweringFailedError
            return tokens
        return self.model.encode_image(restored.image)

    def _opened(self, encoded: EncodedImage) -> tuple[Codec | None, bytes]:
        """The codec that wrote a stream, None where none did, and the header as it wrote it.

        Every way from a stream to its contents leads through here, so that nothing is decoded onto a grid, which is a
        stranger's word, before it was held against what the model and the bundle can have.

        Raises:
            ShapeError: its grid is none of this model's, or none that devices of this bundle send.
            HeliographError: the header is damaged.
        """
        kind, header = written_by(encoded)
        codec = self._codecs.get(kind)
        if codec is not None:
            grid = codec.stated_grid(header)
            if not self._grids:
                self.model.check_grid(grid)
            elif grid not in self._grids:
                raise ShapeError().noted(f"no device of this bundle makes this grid: {grid}.")
        return codec, header

    def run(self, job: AnswerJob) -> Outcome:
        """Do one job. Never raises; what was not foreseen becomes AnsweringFailedError and a line in the log."""
        started = now_s()
        try:
            done = self._do(job, job.tokens if job.tokens is not None else self.restore(job.encoded))
        except StreamTruncatedError as error:
            return Outcome(error=error if job.final else None, seconds=now_s() - started)
        except HeliographError as error:
            return Outcome(error=error, seconds=now_s() - started)
        except Exception:
            log.exception("%s failed", job.purpose.value)
            return Outcome(error=AnsweringFailedError(), seconds=now_s() - started)
        return replace(done, seconds=now_s() - started)

    def _do(self, job: AnswerJob, tokens: VisualTokens) -> Outcome:
        if job.purpose is Purpose.LOOK:
            return Outcome(tokens=tokens, box=self.look(job, tokens))
        if job.crop is not None:
            answer, kept = self._answer(job, [tokens, self.restore(job.crop)])
            return Outcome(answer, None, tokens, kept)
        answer, kept = self._answer(job, [tokens])
        if self.calibration is None:
            return Outcome(answer, None, tokens, kept)
        expectation, energy = self.expect(job.encoded, job.question.text), self.retained_energy(job.encoded)
        return Outcome(answer, None, tokens, kept, expectation=expectation, energy=energy)

    def forget_questions(self) -> None:
        """Empty what the model keeps of questions and photo sizes to be quicker the next time; none waits for it."""
        self.model.forget_questions()

    def look(self, job: AnswerJob, tokens: VisualTokens) -> WireBox | None:
        """Where to look again after a first answer; None for nowhere."""
        if self.finder is None or job.draft is None:
            return None
        first = FirstAnswer(job.question.text, tokens, job.draft, job.signals, job.question.region, job.price)
        return region_of(self.finder, first, self.calibration)

    def _answer(self, job: AnswerJob, images: list[VisualTokens]) -> tuple[Answer, int]:
        text, most = job.question.text, job.question.max_answer_tokens
        if job.draft is None:
            return self.model.answer(text, images, max_new_tokens=most), 0
        checked = self.model.verify_draft(text, images, job.draft, max_new_tokens=most)
        return checked.answer, checked.kept_tokens


def device_grids(bundle: Bundle) -> frozenset[Grid]:
    """The grids that devices with a bundle send, photo sizes included; empty where it does not say.

    Raises:
        BundleDamagedError: its preprocessing cannot be read.
    """
    if PREPROCESSING not in bundle.file_names:
        return frozenset()
    preprocessor = open_preprocessor(bundle.preprocessing)
    return frozenset(frame.grid for frame in getattr(preprocessor, FRAMES, ()))

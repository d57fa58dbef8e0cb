"""What the sessions of one server share: model, codec and bundle hash; and one piece of work for the model thread.

::

    AnswerJob(prefix, question, draft) --Strategy.restore--> tokens or picture --VLM--> Outcome(answer | error)
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from heliograph.clock import now_s
from heliograph.codec.base import Codec
from heliograph.codec.fallback import written_by
from heliograph.errors import (
    AnsweringFailedError,
    BundleMismatchError,
    CodecMissingError,
    HeliographError,
    StreamTruncatedError,
)
from heliograph.registry import STRATEGIES
from heliograph.types import Answer, EncodedImage, Grid, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger("heliograph.serving")


class Verified(Protocol):
    """A verified draft."""

    @property
    def answer(self) -> Answer:
        """Equal to answering from scratch."""

    @property
    def kept_tokens(self) -> int:
        """Tokens of the draft that were kept."""


class AnsweringModel(Protocol):
    """What serving needs of :class:`heliograph.vlm.model.VisionLanguageModel`."""

    name: str
    grid: Grid
    hidden_size: int

    def encode_image(self, photo: Image) -> VisualTokens:
        """Visual tokens of a picture."""

    def answer(self, question: str, images: list[VisualTokens], *, max_new_tokens: int) -> Answer:
        """The greedy answer."""

    def verify_draft(
        self, question: str, images: list[VisualTokens], draft: Answer, *, max_new_tokens: int
    ) -> Verified:
        """The same answer, starting from a draft."""


@dataclass(frozen=True)
class AnswerJob:
    """One answer to make.

    Attributes:
        question_id: within its session.
        question: text.
        encoded: the prefix to answer from.
        tokens: what this prefix restores to, where it was restored before.
        draft: an earlier answer to this question, to verify.
        final: False for a draft.
        max_new_tokens: most tokens of the answer.
    """

    question_id: int
    image_id: int
    question: str
    encoded: EncodedImage
    tokens: VisualTokens | None
    draft: Answer | None
    final: bool
    max_new_tokens: int


@dataclass(frozen=True)
class Outcome:
    """What became of a job: an answer, an error, or neither (a picture that is not complete enough for a draft)."""

    answer: Answer | None = None
    error: HeliographError | None = None
    tokens: VisualTokens | None = None
    kept_tokens: int = 0
    seconds: float = 0.0


class Cloud:
    """Model, codecs by kind and bundle hash. Without codecs it is a cloud that only takes pictures.

    Also the ``CloudTools`` that strategies restore with.
    """

    def __init__(
        self, model: AnsweringModel, codecs: Mapping[str, Codec] = MappingProxyType({}), bundle_hash: bytes = b""
    ) -> None:
        self.model = model
        self.bundle_hash = bundle_hash
        self.grid = model.grid
        self.hidden_size = model.hidden_size
        self._codecs = codecs

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
            HeliographError: the prefix is damaged.
        """
        kind, header = written_by(encoded)
        codec = self._codecs.get(kind)
        return None if codec is None else codec.retained_energy(header, encoded.segments)

    def restore(self, encoded: EncodedImage) -> VisualTokens:
        """Visual tokens of a prefix; a picture goes through the model's own encoder.

        Raises:
            StreamTruncatedError: the strategy needs more than this prefix.
            HeliographError: the prefix is damaged, or nothing can be restored from this strategy.
        """
        restored = STRATEGIES.load(encoded.strategy)().restore(encoded, self)
        if restored.tokens is not None:
            tokens: VisualTokens = restored.tokens
            return tokens
        return self.model.encode_image(restored.image)

    def run(self, job: AnswerJob) -> Outcome:
        """Do one job. Never raises; what was not foreseen becomes AnsweringFailedError and a line in the log."""
        started = now_s()
        try:
            tokens = job.tokens if job.tokens is not None else self.restore(job.encoded)
            answer, kept = self._answer(job, tokens)
        except StreamTruncatedError as error:
            return Outcome(error=error if job.final else None, seconds=now_s() - started)
        except HeliographError as error:
            return Outcome(error=error, seconds=now_s() - started)
        except Exception:
            log.exception("answering failed")
            return Outcome(error=AnsweringFailedError(), seconds=now_s() - started)
        return Outcome(answer, None, tokens, kept, now_s() - started)

    def _answer(self, job: AnswerJob, tokens: VisualTokens) -> tuple[Answer, int]:
        if job.draft is None:
            return self.model.answer(job.question, [tokens], max_new_tokens=job.max_new_tokens), 0
        checked = self.model.verify_draft(job.question, [tokens], job.draft, max_new_tokens=job.max_new_tokens)
        return checked.answer, checked.kept_tokens

"""Answers a traced question again, from the very prefix that its final answer was made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from heliograph.errors import BundleMismatchError, UnknownNameError, UsageError
from heliograph.protocol.texts import answer_bytes
from heliograph.registry import STRATEGIES
from heliograph.strategies.words import asked_with
from heliograph.tracing.exchanges import TracedPhoto, TracedQuestion, questions_of
from heliograph.tracing.reading import Trace
from heliograph.types import Answer, EncodedImage, VisualTokens, Words

_LOOKED = "looked"
_USUAL_TOKENS = 64


class ReplayedModel(Protocol):
    """What replaying needs of a cloud's model, which is more than that (``vlm/contract.py``)."""

    @property
    def name(self) -> str:
        """The name it was loaded by."""

    def answer(self, question: str, images: list[VisualTokens], *, max_new_tokens: int) -> Answer:
        """The greedy answer."""


class ReplayingCloud(Protocol):
    """What replaying needs of :class:`heliograph.serving.cloud.Cloud`."""

    bundle_hash: bytes

    @property
    def model(self) -> ReplayedModel:
        """Answers."""

    def restore(self, encoded: EncodedImage, question: str = "") -> VisualTokens | Words:
        """Visual tokens or words of a prefix, for a question."""


@dataclass(frozen=True)
class Replay:
    """A traced answer beside the one that was made again.

    Attributes:
        question: of the trace.
        prefix: that the final answer was made from.
        crop: the region that it was made from too; None for none.
        recorded: the final answer's text.
        answer: made again.
        same: the two say the same.
        same_tokens: so do their token ids; None where the trace does not hold them (only a cloud's does).
        same_model: the cloud's model has the name of the traced one.
    """

    question: TracedQuestion
    prefix: EncodedImage
    crop: EncodedImage | None
    recorded: str
    answer: Answer
    same: bool
    same_tokens: bool | None
    same_model: bool


def replay(trace: Trace, cloud: ReplayingCloud, question_id: int | None = None) -> Replay:
    """Answer a question of a trace again.

    A cloud verifies drafts, so that its final answer is what greedy decoding says on the prefix: another answer now
    means another model, bundle or program than then, or a fault in the exchange.

    Args:
        trace: of the device or of the cloud.
        cloud: model and bundle to answer with.
        question_id: within its session; None for the last one that was answered. Where several sessions have such a
            question it is the last one; :func:`heliograph.tracing.reading.of_session` leaves one of them.

    Raises:
        UsageError: no such question was answered, or the trace does not hold all of its photo.
        BundleMismatchError: the photo's tokens were made with another bundle than the cloud's.
        HeliographError: the prefix is damaged.
    """
    asked = _chosen(trace, question_id)
    final = asked.final
    assert final is not None, "only answered questions are chosen"
    if asked.text is None or final.text is None or asked.photo is None:
        raise UsageError().noted("The trace was written without content: nothing can be answered again.")
    hash_then = asked.welcome.get("bundle_hash")
    prefix = _stream(asked.photo, final.segments_used, cloud, hash_then)
    looked = _LOOKED in final.flags and asked.crop is not None
    crop = _stream(asked.crop, len(asked.crop.segments), cloud, hash_then) if looked and asked.crop else None
    text, images = asked_with(asked.text, [cloud.restore(one, asked.text) for one in (prefix, crop) if one is not None])
    most = asked.fields.get("max_answer_tokens") or _USUAL_TOKENS
    answer = cloud.model.answer(text, images, max_new_tokens=most)
    ids = asked.token_ids
    return Replay(
        asked,
        prefix,
        crop,
        final.text,
        answer,
        answer_bytes(answer.text).decode() == final.text,
        None if ids is None else ids == answer.token_ids,
        asked.welcome.get("model") == cloud.model.name,
    )


def _chosen(trace: Trace, question_id: int | None) -> TracedQuestion:
    answered = [one for one in questions_of(trace) if one.final is not None]
    fitting = [one for one in answered if question_id in (None, one.question_id)]
    if not fitting:
        numbers = ", ".join(str(one.question_id) for one in answered) or "none"
        raise UsageError().noted(f"There is no such question with an answer in the trace; it holds: {numbers}.")
    return max(fitting, key=lambda one: one.final.time_ms if one.final is not None else 0.0)


def _stream(photo: TracedPhoto, segments: int, cloud: ReplayingCloud, hash_then: str | None) -> EncodedImage:
    """The prefix of a traced photo.

    Raises:
        UsageError: it is not all there.
        BundleMismatchError: its strategy needs the bundle, and the cloud has another one.
    """
    wanted = photo.segments[:segments]
    payloads = tuple(one for one in wanted if one is not None)
    if photo.header is None or len(payloads) < segments:
        raise UsageError().noted("The trace does not hold all of the photo: nothing can be answered again.")
    try:
        strategy = STRATEGIES.load(photo.strategy)()
    except UnknownNameError as error:
        raise UsageError().noted("The trace names a strategy that this program does not have.") from error
    if strategy.needs_bundle and hash_then != cloud.bundle_hash.hex():
        raise BundleMismatchError
    return EncodedImage(photo.strategy, photo.header, payloads, (), cloud.bundle_hash if strategy.needs_bundle else b"")

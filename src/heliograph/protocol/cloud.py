"""The cloud's end of a session."""

from __future__ import annotations

import hmac
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from heliograph.errors import (
    BundleMismatchError,
    FrameDamagedError,
    HeliographError,
    PayloadTooLargeError,
    ProtocolStateError,
    ProtocolVersionError,
    QuestionEmptyError,
    QuestionTooLongError,
    TooManyError,
    UnauthorizedError,
    UnknownImageError,
    UsageError,
)
from heliograph.protocol.endpoint import Endpoint
from heliograph.protocol.events import (
    Event,
    HelloReceived,
    ImageAnnounced,
    ImageFinished,
    ImageForgotten,
    QuestionAsked,
    QuestionCancelled,
    SegmentReceived,
)
from heliograph.protocol.fields import decode_text
from heliograph.protocol.frames import (
    AnswerFrame,
    ErrorFrame,
    Frame,
    FrameType,
    HelloFrame,
    IdFrame,
    ImageFrame,
    MoreFrame,
    QuestionFrame,
    RegionFrame,
    SegmentFrame,
    WelcomeFrame,
)
from heliograph.protocol.images import ImageBook, ImageCount
from heliograph.protocol.limits import (
    MAX_ANSWER_CHARACTERS,
    MAX_IMAGES,
    MAX_MODEL_NAME_BYTES,
    MAX_OPEN_QUESTIONS,
    MAX_PIXEL_COORDINATE,
    MAX_QUESTION_CHARACTERS,
    MAX_SEGMENTS_PER_IMAGE,
    MAX_UTF8_BYTES_PER_CHARACTER,
    PROTOCOL_VERSION,
)
from heliograph.protocol.states import CLOUD_RECEIVES, CLOUD_SENDS, Table
from heliograph.strategies.wire_ids import STRATEGIES_THAT_NEED_THE_BUNDLE, controller_name, strategy_name


@dataclass(slots=True)
class _OpenQuestion:
    image_id: int
    draft: bytes | None = None


class CloudSession(Endpoint):
    """Hears questions and segments of one device, says drafts, final answers, enough, more, region, error.

    A failure that concerns one question answers with ERROR and its id, and the session lives; a damaged or
    forbidden frame, a wrong version or token ends it.

    Args:
        bundle_hash: 8 bytes, or empty for a cloud that only takes pixels.
        access_tokens: tokens of which a device must show one; empty lets every device in.
        model_name: told to the device in WELCOME, cut at 128 bytes of UTF-8.

    Raises:
        UsageError: a hash of another length.
    """

    _sends: ClassVar[Table] = CLOUD_SENDS
    _receives: ClassVar[Table] = CLOUD_RECEIVES

    def __init__(self, bundle_hash: bytes, access_tokens: frozenset[str], model_name: str = "") -> None:
        super().__init__(bundle_hash)
        self._access_tokens = tuple(token.encode("utf-8", "replace") for token in access_tokens)
        self._model_name = model_name.encode("utf-8", "replace")[:MAX_MODEL_NAME_BYTES].decode("utf-8", "ignore")
        self._device_bundle_hash = b""
        self._images = ImageBook()
        self._refused: dict[int, type[HeliographError]] = {}
        self._questions: dict[int, _OpenQuestion] = {}
        self._last_question_id = -1

    # ---- what the cloud says ---------------------------------------------------------------------------
    def send_draft(
        self, question_id: int, text: str, confidence: float, segments_used: int, *, even_if_unchanged: bool = False
    ) -> bool:
        """Queue a draft answer, as the difference to the previous draft.

        By default only a changed text is sent: a draft that repeats the text costs the link and tells the
        device nothing that the final answer's confidence will not. ``even_if_unchanged`` sends it for the sake
        of its confidence (5 bytes).

        Returns:
            False where nothing was queued: unchanged, or the question is not open (cancelled, failed, answered).
        """
        question = self._questions.get(question_id)
        if question is None:
            return False
        data = _answer_bytes(text)
        if data == question.draft and not even_if_unchanged:
            return False
        self._send(_answer_frame(question_id, data, question.draft or b"", confidence, segments_used, final=False))
        question.draft = data
        return True

    def send_final(self, question_id: int, text: str, confidence: float, segments_used: int) -> bool:
        """Queue the final answer and close the question; text beyond 4000 characters is cut off.

        Returns:
            False where the question is not open.
        """
        question = self._questions.pop(question_id, None)
        if question is None:
            return False
        previous = question.draft or b""
        self._send(_answer_frame(question_id, _answer_bytes(text), previous, confidence, segments_used, final=True))
        return True

    def send_enough(self, image_id: int) -> bool:
        """Ask the device to stop this photo's segments; what is on its way still arrives, marked late.

        Returns:
            False where nothing was queued: the photo is not held, or it was said before, or all is here.
        """
        image = self._images.get(image_id)
        if image is None or image.enough or image.finished:
            return False
        image.enough = True
        self._send(IdFrame(FrameType.ENOUGH, image_id))
        return True

    def send_more(self, image_id: int, segments: int) -> bool:
        """Ask for 1 to 4096 further segments; takes an ENOUGH back. False where the photo is not held or all here."""
        if not 1 <= segments <= MAX_SEGMENTS_PER_IMAGE:
            raise UsageError
        image = self._images.get(image_id)
        if image is None or image.finished:
            return False
        image.enough = False
        self._send(MoreFrame(image_id, segments))
        return True

    def send_region(self, image_id: int, box: tuple[int, int, int, int]) -> bool:
        """Ask for a crop (left, top, right, bottom), photo pixels. False where the photo is not held."""
        left, top, right, bottom = box
        if not (0 <= left < right <= MAX_PIXEL_COORDINATE and 0 <= top < bottom <= MAX_PIXEL_COORDINATE):
            raise UsageError
        if image_id not in self._images:
            return False
        self._send(RegionFrame(image_id, box))
        return True

    def send_error(self, error: HeliographError, question_id: int | None) -> None:
        """Queue a failure: of an open question (the session lives), or with None of the session, which ends.

        A question that is not open any more gets nothing.
        """
        if question_id is None:
            if not self.closed:
                self._fail(type(error))
        elif self._questions.pop(question_id, None) is not None:
            self._send(ErrorFrame(error.code, question_id))

    @property
    def open_questions(self) -> tuple[int, ...]:
        """Questions that still wait for their final answer."""
        return tuple(self._questions)

    def image_count(self, image_id: int) -> ImageCount | None:
        """What has arrived of a photo, late segments included; None where it is not held."""
        return self._images.get(image_id)

    # ---- what the cloud hears --------------------------------------------------------------------------
    def _on_frame(self, frame: Frame) -> Iterator[Event]:
        match frame:
            case HelloFrame():
                yield self._on_hello(frame)
            case QuestionFrame():
                yield from self._on_question(frame)
            case ImageFrame():
                yield from self._on_image(frame)
            case SegmentFrame():
                yield from self._on_segment(frame)
            case IdFrame(type=FrameType.IMAGE_END, id=image_id):
                yield from self._on_image_end(image_id)
            case IdFrame(type=FrameType.FORGET, id=image_id):
                if self._is_held(image_id):
                    yield self._drop_image(image_id, UnknownImageError)
            case IdFrame(type=FrameType.CANCEL, id=question_id):
                if question_id > self._last_question_id:
                    raise ProtocolStateError
                if self._questions.pop(question_id, None) is not None:
                    yield QuestionCancelled(question_id)
            case _:
                raise ProtocolStateError

    def _on_hello(self, frame: HelloFrame) -> Event:
        if frame.version != PROTOCOL_VERSION:
            raise ProtocolVersionError
        if self._access_tokens and not self._is_known_token(frame.access_token.encode()):
            raise UnauthorizedError
        self._device_bundle_hash = frame.bundle_hash
        self._send(WelcomeFrame(self._bundle_hash, self._model_name))
        return HelloReceived(frame.bundle_hash)

    def _is_known_token(self, shown: bytes) -> bool:
        matches = [hmac.compare_digest(shown, token) for token in self._access_tokens]  # all of them: constant time
        return any(matches)

    def _on_question(self, frame: QuestionFrame) -> Iterator[Event]:
        if frame.question_id <= self._last_question_id:
            raise ProtocolStateError
        self._last_question_id = frame.question_id
        try:
            question, controller = _question_text(frame.text), controller_name(frame.controller_id)
            if len(self._questions) >= MAX_OPEN_QUESTIONS:
                raise TooManyError
            expected = self._images.is_new(frame.image_id) and frame.image_follows
            if not expected and frame.image_id not in self._images:
                raise self._refused.get(frame.image_id, UnknownImageError)
        except FrameDamagedError:
            raise
        except HeliographError as error:
            self._send(ErrorFrame(error.code, frame.question_id))
            return
        self._questions[frame.question_id] = _OpenQuestion(frame.image_id)
        yield QuestionAsked(
            frame.question_id,
            frame.image_id,
            question,
            controller,
            frame.target,
            frame.max_answer_tokens,
            frame.image_follows,
        )

    def _on_image(self, frame: ImageFrame) -> Iterator[Event]:
        if not self._images.is_new(frame.image_id):
            raise ProtocolStateError
        self._fail_questions(UnknownImageError, range(self._images.last_id + 1, frame.image_id))  # ids passed over
        try:
            strategy = strategy_name(frame.strategy_id)
            if strategy in STRATEGIES_THAT_NEED_THE_BUNDLE:
                self._check_bundle()
            self._images.check_room()
        except HeliographError as error:
            self._images.refuse(frame.image_id)
            self._refuse_image(frame.image_id, type(error))
            return  # its segments, which may be on their way, are ignored
        self._images.add(frame.image_id, len(frame.header))
        yield ImageAnnounced(frame.image_id, strategy, frame.header)

    def _check_bundle(self) -> None:
        if not self._bundle_hash or self._device_bundle_hash != self._bundle_hash:
            raise BundleMismatchError

    def _on_segment(self, frame: SegmentFrame) -> Iterator[Event]:
        image_id = self._images.last_id if frame.image_id is None else frame.image_id
        if image_id < 0:
            raise ProtocolStateError  # no photo was announced
        if not self._is_held(image_id):
            return  # refused or forgotten while the segment was on its way
        image = self._images.held(image_id)
        if image.finished:
            raise ProtocolStateError
        try:
            image.add_segment(len(frame.payload))
        except PayloadTooLargeError:
            yield self._drop_image(image_id, PayloadTooLargeError)
            return
        yield SegmentReceived(image_id, image.segments - 1, frame.payload, image.enough)

    def _on_image_end(self, image_id: int) -> Iterator[Event]:
        if not self._is_held(image_id):
            return
        image = self._images.held(image_id)
        if image.finished:
            raise ProtocolStateError
        image.finished = True
        yield ImageFinished(image_id)

    def _is_held(self, image_id: int) -> bool:
        if self._images.is_new(image_id):
            raise ProtocolStateError
        return image_id in self._images

    # ---- failures of one photo -------------------------------------------------------------------------
    def _drop_image(self, image_id: int, reason: type[HeliographError]) -> Event:
        self._images.remove(image_id)
        self._refuse_image(image_id, reason)
        return ImageForgotten(image_id)

    def _refuse_image(self, image_id: int, reason: type[HeliographError]) -> None:
        """Tell every open question about the photo, and remember the reason for later ones."""
        if len(self._refused) >= MAX_IMAGES:
            del self._refused[next(iter(self._refused))]
        self._refused[image_id] = reason
        self._fail_questions(reason, range(image_id, image_id + 1))

    def _fail_questions(self, reason: type[HeliographError], image_ids: range) -> None:
        failed = [number for number, question in self._questions.items() if question.image_id in image_ids]
        for question_id in failed:
            del self._questions[question_id]
            self._send(ErrorFrame(reason.code, question_id))

    def _on_question_failed(self, question_id: int) -> None:
        self._questions.pop(question_id, None)

    def _forget_all(self) -> None:
        self._images.clear()
        self._refused.clear()
        self._questions.clear()

    def _is_waiting(self) -> bool:
        return bool(self._questions)


def _question_text(data: bytes) -> str:
    if len(data) > MAX_QUESTION_CHARACTERS * MAX_UTF8_BYTES_PER_CHARACTER:
        raise QuestionTooLongError  # judged before it is decoded
    question = decode_text(data)
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise QuestionTooLongError
    if not question.strip():
        raise QuestionEmptyError
    return question


def _answer_bytes(text: str) -> bytes:
    return text[:MAX_ANSWER_CHARACTERS].encode("utf-8", "replace")


def _answer_frame(
    question_id: int, data: bytes, previous: bytes, confidence: float, segments_used: int, *, final: bool
) -> AnswerFrame:
    most = min(len(previous), len(data))
    shared = next((i for i in range(most) if previous[i] != data[i]), most)
    used = min(max(segments_used, 0), MAX_SEGMENTS_PER_IMAGE)
    return AnswerFrame(question_id, used, _confidence_byte(confidence), shared, data[shared:], final)


def _confidence_byte(confidence: float) -> int:
    if math.isnan(confidence):
        return 0  # a model that cannot tell is not sure
    return round(min(max(confidence, 0.0), 1.0) * 255)

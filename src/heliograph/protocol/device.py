"""The device's end of a session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from heliograph.errors import (
    FrameDamagedError,
    PayloadTooLargeError,
    ProtocolStateError,
    QuestionEmptyError,
    QuestionTooLongError,
    TooManyError,
    UnknownImageError,
    UsageError,
)
from heliograph.protocol.endpoint import MAX_ANSWER_BYTES, Endpoint
from heliograph.protocol.events import (
    DraftReceived,
    EnoughReceived,
    Event,
    FinalReceived,
    MoreRequested,
    RegionRequested,
    WelcomeReceived,
)
from heliograph.protocol.fields import decode_text
from heliograph.protocol.frames import (
    SHORT_SEGMENT_MAX_BYTES,
    AnswerFrame,
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
from heliograph.protocol.images import ImageBook
from heliograph.protocol.limits import (
    MAX_ACCESS_TOKEN_BYTES,
    MAX_ANSWER_CHARACTERS,
    MAX_ANSWER_TOKENS,
    MAX_ID,
    MAX_IMAGE_HEADER_BYTES,
    MAX_OPEN_QUESTIONS,
    MAX_QUESTION_CHARACTERS,
    MAX_SEGMENT_BYTES,
)
from heliograph.protocol.states import DEVICE_RECEIVES, DEVICE_SENDS, Table
from heliograph.strategies.wire_ids import controller_wire_id, strategy_wire_id


class DeviceSession(Endpoint):
    """Greets, asks, streams segments, hears drafts and the final answer.

    Image ids and question ids are the caller's and must increase. Nothing waits for the cloud: question,
    photo and segments may follow HELLO at once, so an exchange costs no extra round trip.

    Args:
        bundle_hash: 8 bytes, or empty for a device that only sends pixels.
        access_token: at most 256 bytes of UTF-8; empty where the cloud asks for none.

    Raises:
        UsageError: a hash of another length, or a token that is too long.
    """

    _sends: ClassVar[Table] = DEVICE_SENDS
    _receives: ClassVar[Table] = DEVICE_RECEIVES

    def __init__(self, bundle_hash: bytes, access_token: str = "") -> None:
        super().__init__(bundle_hash)
        if len(_utf8(access_token)) > MAX_ACCESS_TOKEN_BYTES:
            raise UsageError
        self._access_token = access_token
        self._images = ImageBook()
        self._drafts: dict[int, bytes] = {}
        self._last_question_id = -1

    # ---- what the device says --------------------------------------------------------------------------
    def start(self) -> None:
        """Queue HELLO; once, before anything else."""
        self._send(HelloFrame(self._bundle_hash, self._access_token))

    def ask(
        self,
        question_id: int,
        image_id: int,
        question: str,
        *,
        controller: str = "energy",
        target: int = 230,
        max_answer_tokens: int = 64,
    ) -> None:
        """Queue a question about a photo that is announced already, or that is announced next.

        Args:
            question_id: larger than every earlier one.
            image_id: a photo announced before (costs no photo bytes), or the id of the next one.
            question: 1 to 2000 characters.
            controller: ``energy`` or ``fixed``.
            target: 0 to 255; ``energy``: retained share times 255; ``fixed``: the byte budget's code.
            max_answer_tokens: 1 to 1024.

        Raises:
            QuestionEmptyError, QuestionTooLongError: the text's length.
            UnknownImageError: the photo was forgotten.
            UnknownNameError: no such controller.
            TooManyError: 64 questions are open.
            UsageError: an id or number is outside its range.
        """
        if not question.strip():
            raise QuestionEmptyError
        if len(question) > MAX_QUESTION_CHARACTERS:
            raise QuestionTooLongError
        if not (self._last_question_id < question_id <= MAX_ID and 0 <= image_id <= MAX_ID):
            raise UsageError
        if not (0 <= target <= 255 and 1 <= max_answer_tokens <= MAX_ANSWER_TOKENS):
            raise UsageError
        if len(self._drafts) >= MAX_OPEN_QUESTIONS:
            raise TooManyError
        follows = self._images.is_new(image_id)
        if not follows and image_id not in self._images:
            raise UnknownImageError
        mode, text = controller_wire_id(controller), _utf8(question)
        self._send(QuestionFrame(question_id, image_id, mode, target, max_answer_tokens, follows, text))
        self._last_question_id = question_id
        self._drafts[question_id] = b""

    def announce_image(self, image_id: int, strategy: str, header: bytes) -> None:
        """Queue a photo's beginning.

        Args:
            image_id: larger than every earlier one.
            strategy: a name with a pinned number.
            header: at most 16 bytes.

        Raises:
            UnknownNameError: no such strategy.
            TooManyError: 64 photos are held; forget one.
            UsageError: an id that was used before, or a header that is too long.
        """
        strategy_id = strategy_wire_id(strategy)
        if not self._images.is_new(image_id) or image_id > MAX_ID or len(header) > MAX_IMAGE_HEADER_BYTES:
            raise UsageError
        self._images.check_room()
        self._send(ImageFrame(image_id, strategy_id, bytes(header)))
        self._images.add(image_id, len(header))

    def send_segment(self, image_id: int, payload: bytes) -> None:
        """Queue the photo's next segment (0 to 1 MiB). After ENOUGH it is allowed, and wasted.

        Raises:
            UnknownImageError: the photo is not announced or was forgotten.
            PayloadTooLargeError: the segment, the photo's sum or its number of segments is too large.
            ProtocolStateError: the photo is finished.
        """
        image = self._images.get(image_id)
        if image is None:
            raise UnknownImageError
        if image.finished:
            raise ProtocolStateError
        if len(payload) > MAX_SEGMENT_BYTES:
            raise PayloadTooLargeError
        image.add_segment(len(payload))
        short = image_id == self._images.last_id and len(payload) <= SHORT_SEGMENT_MAX_BYTES
        self._send(SegmentFrame(None if short else image_id, bytes(payload)))

    def finish_image(self, image_id: int) -> None:
        """Say that no segments are left; not needed after ENOUGH.

        Raises:
            UnknownImageError: the photo is not announced or was forgotten.
            ProtocolStateError: it is finished already.
        """
        image = self._images.get(image_id)
        if image is None:
            raise UnknownImageError
        if image.finished:
            raise ProtocolStateError
        image.finished = True
        self._send(IdFrame(FrameType.IMAGE_END, image_id))

    def forget_image(self, image_id: int) -> None:
        """Free the photo's place on both ends; open questions about it fail there."""
        if self._images.remove(image_id):
            self._send(IdFrame(FrameType.FORGET, image_id))

    def cancel(self, question_id: int) -> None:
        """Give a question up; without effect if it is not open."""
        if self._drafts.pop(question_id, None) is not None:
            self._send(IdFrame(FrameType.CANCEL, question_id))

    def wants_segments(self, image_id: int) -> bool:
        """True as long as segments of this photo are of use: announced, not finished, no ENOUGH so far."""
        image = self._images.get(image_id)
        return image is not None and not image.finished and not image.enough

    @property
    def open_questions(self) -> tuple[int, ...]:
        """Questions without a final answer or error."""
        return tuple(self._drafts)

    # ---- what the device hears -------------------------------------------------------------------------
    def _on_frame(self, frame: Frame) -> Iterator[Event]:
        match frame:
            case WelcomeFrame():
                yield WelcomeReceived(frame.model_name, frame.bundle_hash)
            case AnswerFrame():
                yield from self._on_answer(frame)
            case IdFrame(type=FrameType.ENOUGH, id=image_id):
                if self._heard_about(image_id):
                    self._images.held(image_id).enough = True
                    yield EnoughReceived(image_id)
            case MoreFrame():
                if self._heard_about(frame.image_id):
                    self._images.held(frame.image_id).enough = False
                    yield MoreRequested(frame.image_id, frame.segments)
            case RegionFrame():
                if self._heard_about(frame.image_id):
                    yield RegionRequested(frame.image_id, frame.box)
            case _:
                raise ProtocolStateError

    def _heard_about(self, image_id: int) -> bool:
        """False for a photo forgotten while the frame was on its way; a photo never announced is an error."""
        if self._images.is_new(image_id):
            raise ProtocolStateError
        return image_id in self._images

    def _on_answer(self, frame: AnswerFrame) -> Iterator[Event]:
        if frame.question_id > self._last_question_id:
            raise ProtocolStateError
        previous = self._drafts.get(frame.question_id)
        if previous is None:
            return  # cancelled while the answer was on its way
        if frame.shared > len(previous) or frame.shared + len(frame.rest) > MAX_ANSWER_BYTES:
            raise FrameDamagedError
        data = previous[: frame.shared] + frame.rest
        text = decode_text(data)
        if len(text) > MAX_ANSWER_CHARACTERS:
            raise FrameDamagedError
        confidence = frame.confidence / 255
        if frame.final:
            del self._drafts[frame.question_id]
            yield FinalReceived(frame.question_id, text, confidence, frame.segments_used)
        else:
            self._drafts[frame.question_id] = data
            yield DraftReceived(frame.question_id, text, confidence, frame.segments_used)

    def _on_question_failed(self, question_id: int) -> None:
        self._drafts.pop(question_id, None)

    def _forget_all(self) -> None:
        self._images.clear()
        self._drafts.clear()

    def _is_waiting(self) -> bool:
        return bool(self._drafts)


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:  # a lone surrogate, as from a terminal with another encoding
        raise UsageError from error

"""The device's end of a session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from heliograph.errors import (
    FrameDamagedError,
    PayloadTooLargeError,
    ProtocolStateError,
    TooManyError,
    UnknownImageError,
    UsageError,
)
from heliograph.protocol.endpoint import Endpoint
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
    CropFrame,
    Frame,
    FrameType,
    HelloFrame,
    IdFrame,
    ImageFrame,
    LastImageEndFrame,
    MoreFrame,
    RegionFrame,
    SegmentFrame,
    WelcomeFrame,
)
from heliograph.protocol.images import ImageBook
from heliograph.protocol.limits import (
    MAX_ACCESS_TOKEN_BYTES,
    MAX_ANSWER_CHARACTERS,
    MAX_ID,
    MAX_IMAGE_HEADER_BYTES,
    MAX_OPEN_QUESTIONS,
    MAX_SEGMENT_BYTES,
    MAX_SEGMENTS_PER_IMAGE,
    PROTOCOL_VERSION,
    SESSION_TOKEN_BYTES,
)
from heliograph.protocol.questions import question_frame
from heliograph.protocol.sealing import DeviceSeals
from heliograph.protocol.states import DEVICE_RECEIVES, DEVICE_SENDS, Table
from heliograph.protocol.wire_ids import STRATEGY_WIRE_IDS
from heliograph.question import Question


class DeviceSession(Endpoint):
    """Greets, asks, streams segments, hears drafts and the final answer.

    Image ids and question ids are the caller's and must increase. Nothing waits for the cloud: question,
    photo and segments may follow HELLO at once, so an exchange costs no extra round trip.

    Args:
        bundle_hash: 8 bytes, or empty for a device that only sends pixels.
        access_token: at most 256 bytes of UTF-8; empty where the cloud asks for none.
        resumable: ask for a session token, with which the session can go on over another connection.
        session_token: that of an earlier session, to go on with it; empty for a new one. WELCOME then says which
            photos the cloud holds; call :meth:`hold_image` for those that are to be used again.
        key: 16 to 64 bytes that the cloud holds too: both directions are authenticated. Empty for not.
        nonce: with a key 8 bytes that no session has had, from a random source.

    Raises:
        UsageError: a hash, session token, key or nonce of another length, or an access token that is too long.
    """

    _sends: ClassVar[Table] = DEVICE_SENDS
    _receives: ClassVar[Table] = DEVICE_RECEIVES

    def __init__(
        self,
        bundle_hash: bytes,
        access_token: str = "",
        *,
        resumable: bool = False,
        session_token: bytes = b"",
        key: bytes = b"",
        nonce: bytes = b"",
    ) -> None:
        super().__init__(bundle_hash)
        self._seals = DeviceSeals(key, nonce)
        if len(_utf8(access_token)) > MAX_ACCESS_TOKEN_BYTES:
            raise UsageError().noted(f"access_token must have {MAX_ACCESS_TOKEN_BYTES} bytes at most.")
        if len(session_token) not in (0, SESSION_TOKEN_BYTES):
            raise UsageError().noted(f"session_token must have {SESSION_TOKEN_BYTES} bytes, or none.")
        self._resumable, self._session_token = resumable or bool(session_token), bytes(session_token)
        self._access_token = access_token
        self._images = ImageBook()
        self._drafts: dict[int, bytes] = {}
        self._next_question_id = 0

    @property
    def has_key(self) -> bool:
        """Whether the session is authenticated."""
        return self._seals.has_key

    # ---- what the device says --------------------------------------------------------------------------
    def start(self) -> None:
        """Queue HELLO; once, before anything else."""
        token = self._session_token
        self._send(HelloFrame(self._bundle_hash, self._access_token, PROTOCOL_VERSION, self._resumable, token))

    def seal(self) -> None:
        """Let the cloud answer from what was sent so far: it believes nothing without a seal behind it.

        Called where a stream pauses, and about half way through it, for 5 bytes each; the end of a photo and everything
        but its stream is sealed unasked. Without a key it does nothing.
        """
        if not self.closed:
            self._outgoing += self._seals.seal()

    def bytes_to_send(self) -> bytes:
        """See :meth:`Endpoint.bytes_to_send`."""
        self._outgoing += self._seals.seal_due()
        return super().bytes_to_send()

    def _carried(self, frame: Frame, data: bytes) -> bytes | bytearray:
        if isinstance(frame, HelloFrame):
            data, self._buffer = self._seals.greet(frame)
            return data
        return self._seals.carried(frame, data)

    def ask(self, question_id: int, image_id: int, question: str | Question) -> None:
        """Queue a question about a photo that is announced already, or that is announced next.

        Args:
            question_id: larger than every earlier one.
            image_id: a photo announced before (costs no photo bytes), or the id of the next one.
            question: a text alone is asked with the defaults of :class:`heliograph.question.Question`.

        Raises:
            QuestionEmptyError, QuestionTooLongError: the text's length.
            UnknownImageError: the photo was forgotten.
            UnknownNameError: no such controller, confidence or region policy.
            TooManyError: 64 questions are open.
            UsageError: an id is outside its range, or the text is not Unicode.
        """
        question = Question.of(question)
        if not self._next_question_id <= question_id <= MAX_ID:
            raise UsageError.of_argument("question_id", f"{self._next_question_id} to {MAX_ID}", question_id)
        if not 0 <= image_id <= MAX_ID:
            raise UsageError.of_argument("image_id", f"0 to {MAX_ID}", image_id)
        if len(self._drafts) >= MAX_OPEN_QUESTIONS:
            raise TooManyError
        follows = self._images.is_new(image_id)
        if not follows and image_id not in self._images:
            raise UnknownImageError
        self._send(question_frame(question_id, image_id, question, image_follows=follows))
        self._next_question_id = question_id + 1
        self._drafts[question_id] = b""

    def announce_image(self, image_id: int, strategy: str, header: bytes, total_segments: int = 0) -> None:
        """Queue a photo's beginning.

        Args:
            image_id: larger than every earlier one.
            strategy: a name with a pinned number.
            header: at most 16 bytes.
            total_segments: of the whole stream, for a cloud that asks for one chunk after the other; 0 to not say.

        Raises:
            UnknownNameError: no such strategy.
            TooManyError: 64 photos are held; forget one.
            UsageError: an id that was used before, a header that is too long, or more segments than are allowed.
        """
        strategy_id = STRATEGY_WIRE_IDS.of(strategy)
        if not self._images.is_new(image_id) or image_id > MAX_ID:
            raise UsageError.of_argument("image_id", f"above all before it, up to {MAX_ID}", image_id)
        if len(header) > MAX_IMAGE_HEADER_BYTES:
            raise UsageError().noted(f"header must have {MAX_IMAGE_HEADER_BYTES} bytes at most, not {len(header)}.")
        if not 0 <= total_segments <= MAX_SEGMENTS_PER_IMAGE:
            raise UsageError.of_argument("total_segments", f"0 to {MAX_SEGMENTS_PER_IMAGE}", total_segments)
        self._images.check_room()
        self._send(ImageFrame(image_id, strategy_id, bytes(header), total_segments))
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
        end = self._seals.seal_and_end() if image_id == self._images.last_id and not self.closed else None
        if end is None:
            self._send(IdFrame(FrameType.IMAGE_END, image_id))
        else:
            if self.on_frame is not None:
                self.on_frame(True, LastImageEndFrame())
            self._outgoing += end

    def hold_image(self, image_id: int, payload_bytes: int, segments: int, *, finished: bool) -> None:
        """Go on with a photo that the cloud holds, as WELCOME says; in the order of ids, before anything is announced.

        Raises:
            UsageError: an id that was used before.
        """
        if not self._images.is_new(image_id):
            raise UsageError.of_argument("image_id", "above all before it", image_id)
        self._images.add(image_id, payload_bytes)
        image = self._images.held(image_id)
        image.segments, image.finished = segments, finished

    def send_crop(self, question_id: int, image_id: int | None) -> None:
        """Answer REGION: the crop is this photo, held or announced next; None where there will be none.

        Without effect if the question is not open any more.

        Raises:
            UsageError: the photo was forgotten, or its id is outside its range.
        """
        known = image_id is None or image_id in self._images or self._images.next_id <= image_id <= MAX_ID
        if not known:
            raise UsageError.of_argument(
                "image_id", f"a photo that is held, a new one up to {MAX_ID}, or None", image_id
            )
        if question_id in self._drafts:
            self._send(CropFrame(question_id, image_id))

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
                token = self._session_token if frame.held is not None else frame.session_token
                yield WelcomeReceived(frame.model_name, frame.bundle_hash, token, frame.held)
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
                if frame.question_id >= self._next_question_id:
                    raise ProtocolStateError
                if frame.question_id in self._drafts:
                    yield RegionRequested(frame.question_id, frame.box)
            case _:
                raise ProtocolStateError

    def _heard_about(self, image_id: int) -> bool:
        """False for a photo forgotten while the frame was on its way; a photo never announced is an error."""
        if self._images.is_new(image_id):
            raise ProtocolStateError
        return image_id in self._images

    def _on_answer(self, frame: AnswerFrame) -> Iterator[Event]:
        if frame.question_id >= self._next_question_id:
            raise ProtocolStateError
        previous = self._drafts.get(frame.question_id)
        if previous is None:
            return  # cancelled while the answer was on its way
        if frame.shared > len(previous):
            raise FrameDamagedError
        data = previous[: frame.shared] + frame.rest
        text = decode_text(data)
        if len(text) > MAX_ANSWER_CHARACTERS:
            raise FrameDamagedError
        confidence = frame.confidence / 255
        if frame.final:
            del self._drafts[frame.question_id]
            yield FinalReceived(frame.question_id, text, confidence, frame.segments_used, frame.flags)
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
        raise UsageError().noted("the access token is no Unicode text: it holds a lone surrogate.") from error
